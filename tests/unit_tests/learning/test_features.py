"""Hashed n-grams: what two texts share, and what the text of a question is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from langchain_optscale.learning.features import DIMENSIONS, WORDS, hashed_features, question_text


def shared(one, other):
    """How many places two texts share, of words and of characters."""
    both = np.intersect1d(hashed_features(one)[0], hashed_features(other)[0])
    return int((both < WORDS).sum()), int((both >= WORDS).sum())


def test_texts_share_what_they_have_in_common():
    assert hashed_features("A  cat\nSAT")[0].tolist() == hashed_features("a cat sat")[0].tolist()
    words, runs = shared("the cat sat", "the cat ran")
    assert words >= 3  # "the", "cat", "the cat", and marks of the form
    assert runs >= 10
    assert shared("the cat sat", "9 x 7 = 63")[1] == 0


def test_pairs_of_words_know_their_order():
    one, other = hashed_features("red blue")[0], hashed_features("blue red")[0]
    assert set(one[one < WORDS]) != set(other[other < WORDS])


def test_values_count_occurrences():
    places, values = hashed_features("go go go")
    assert values.max() == pytest.approx(1.0 + np.log(3.0), abs=1e-6)
    assert len(places) == len(set(places.tolist()))


@given(st.text(max_size=300))
def test_every_text_has_features(text):
    places, values = hashed_features(text)
    assert places.dtype == np.uint32
    assert (np.diff(places.astype(np.int64)) > 0).all()
    assert places.max(initial=0) < DIMENSIONS
    assert (values >= 1.0).all()
    again = hashed_features(text)
    assert (again[0] == places).all()


def test_lone_surrogates_and_long_texts_are_read():
    hashed_features("\ud800 broken")
    long = "a word and another " * 5000
    assert hashed_features(long)[0].tolist() == hashed_features(long + "beyond what is read")[0].tolist()


def test_places_stay_as_they_are():
    """Fitted models and stores hold places: a change of the hash would make them meaningless."""
    places, _ = hashed_features("What is 2 + 2?")
    assert len(places) == 54
    assert places[:4].tolist() == PINNED


PINNED = [11539, 15594, 19438, 21218]


def test_the_text_of_a_question_leaves_the_system_out():
    messages = [SystemMessage("Be brief."), HumanMessage("What is 2 + 2?")]
    assert question_text("What is 2 + 2?") == "What is 2 + 2?"
    assert question_text(StringPromptValue(text="What is 2 + 2?")) == "What is 2 + 2?"
    assert question_text(ChatPromptValue(messages=messages)) == "What is 2 + 2?"
    turns = [*messages, AIMessage("4"), HumanMessage("And 3 + 3?")]
    assert question_text(turns) == "What is 2 + 2?\n4\nAnd 3 + 3?"
    parts = HumanMessage([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "u"}}])
    assert question_text([parts]) == "What is this?"
