"""Selection: hand-computed votes and ties, and what the three ways have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.pools import Sample
from langchain_optscale.evaluation.selection import select_best, select_majority, select_weighted, votes_of
from tests.unit_tests.evaluation.replayed import question

answers = st.sampled_from(["3", "4", "5", None])
samples = st.lists(st.builds(Sample, score=st.floats(0, 1), answer=answers), min_size=1, max_size=12)


def test_the_earliest_of_equal_scores():
    assert select_best(question(scores=[0.1, 0.8, 0.8]).samples) == 1


def test_the_majority_and_its_best_sample():
    # Three votes for 4; of its samples the last has the best score.
    assert select_majority(question(answers="43454", scores=[0.1, 0.9, 0.1, 0.5, 0.3]).samples) == 4


def test_equal_votes_go_by_score_then_by_place():
    assert select_majority(question(answers="3443", scores=[0.2, 0.1, 0.8, 0.3]).samples) == 2
    assert select_majority(question(answers="3443", scores=[0.5, 0.5, 0.5, 0.5]).samples) == 0
    assert select_majority(question(answers="3443").samples) == 0


def test_samples_without_an_answer_stand_alone():
    listed = question(answers=[None, None, None, "4", "4"], scores=[0.9, 0.9, 0.9, 0.1, 0.2]).samples
    assert select_majority(listed) == 4
    assert select_weighted(listed) == 0  # 0.9 alone against 0.3 together
    assert list(votes_of(listed).values()) == [[0], [1], [2], [3, 4]]


def test_a_weighted_vote_by_hand():
    # 3: 0.9; 4: 0.5 + 0.5 = 1.0. Squared: 0.81 against 0.5. To the power 0: one vote against two.
    listed = question(answers="344", scores=[0.9, 0.5, 0.5]).samples
    assert [select_weighted(listed, exponent) for exponent in (0.0, 1.0, 2.0)] == [1, 1, 0]


def test_equal_sums_tie_in_every_order():
    # 0.1 + 0.2 + 0.3 depends on the order of a plain sum.
    scores = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]
    assert select_weighted(question(answers="333444", scores=scores).samples) == 2


@given(samples)
def test_extreme_exponents(listed):
    assert select_weighted(listed, 0.0) == select_majority(listed)
    assert listed[select_weighted(listed, 1.0)].answer in {sample.answer for sample in listed}


@given(samples)
def test_the_chosen_is_the_best_of_its_answer(listed):
    for chosen in (select_majority(listed), select_weighted(listed)):
        if listed[chosen].answer is not None:
            of_same = [sample.score for sample in listed if sample.answer == listed[chosen].answer]
            assert listed[chosen].score == max(of_same)


def test_what_is_refused():
    without = question(answers="34").samples
    with pytest.raises(SettingsError, match="from_logits"):
        select_best(without)
    with pytest.raises(SettingsError, match="from_logits"):
        select_weighted(without)
    with pytest.raises(SettingsError, match="exponent"):
        select_weighted(question(answers="3", scores=[0.5]).samples, -1.0)
