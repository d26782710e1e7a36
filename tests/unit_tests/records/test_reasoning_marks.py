"""The cheap look for marks misses none of those that the patterns find."""

import random
import time

import pytest

from langchain_optscale.records.reasoning_marks import _marks, may_have_marks, split_text

PIECES = (
    *(
        "<",
        "</",
        "</ ",
        "[",
        "[/",
        "◁",
        "◁/",
        ">",
        "]",
        "▷",
        "|>",
        "<|",
        "\n",
        " ",
        "a",
        ".",
        "ns:",
        "x-y.z:",
        "channel",
    ),
    *("think", "THINK", "THINKING", "thinking", "thought", "Thoughts", "reasoning", "antthinking", "ſ", "channel|>"),
    *("analysis", "assistantfinal", "START_THINKING", "END_THINKING", "begin_of_thought", "end_of_thought", "start"),
    *("<|channel|>final", "<|channel|>analysis", "<|message|>", "<|channel>thought", "<|start|>assistant"),
)


def test_every_text_with_a_mark_may_have_one():
    chance, marks = random.Random(0), _marks(()).any_mark
    found = 0
    for _ in range(20_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 7)))
        if marks.search(text) is not None:
            found += 1
            assert may_have_marks(text), text
    assert found > 300


@pytest.mark.parametrize("text", ["a <b>bold</b> claim [1]", "if a < b: [x]", "", "an analysis", "<p>think</p> [THEM]"])
def test_other_texts_have_none(text):
    assert not may_have_marks(text)
    assert split_text(text) == (text, None)


def test_channels_whose_tokens_were_removed():
    assert may_have_marks("analysisIt is 5?assistantfinalIt is 7.")


@pytest.mark.parametrize("unit", ["<", "</", "<a", "[/", "<a.", "<x:"])
def test_takes_time_linear_in_the_text(unit):
    def seconds(times: int) -> float:
        text, began = unit * times, time.process_time()
        may_have_marks(text)
        return time.process_time() - began

    assert min(seconds(200_000) for _ in range(3)) < 1.0
