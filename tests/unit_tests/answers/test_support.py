"""Weighted votes."""

import pytest

from langchain_optscale.answers.support import Support, odds


def test_votes_alone_count_one_each() -> None:
    support = Support.of(["a", "b", "a", None, "c", "a"], [0.5] * 6)
    assert [(one.text, one.weight, one.votes) for one in support.answers] == [
        ("a", 3.0, 3),
        ("b", 1.0, 1),
        ("c", 1.0, 1),
    ]
    assert (support.total, support.answered, support.unseen, support.votes_alone) == (5.0, 5, 1.0, True)


def test_scores_weigh_by_their_odds_within_limits() -> None:
    assert odds(0.75) == pytest.approx(3.0)
    assert odds(0.0) == odds(0.15) == pytest.approx(0.15 / 0.85)
    assert odds(1.0) == odds(0.85) == pytest.approx(0.85 / 0.15)


def test_candidates_without_an_answer_do_not_count() -> None:
    with_silent = Support.of(["a", None, "b", None, "a"], [0.9, 0.1, 0.6, 0.99, 0.7])
    assert with_silent == Support.of(["a", "b", "a"], [0.9, 0.6, 0.7])


def test_equal_weights_go_by_the_best_score_then_by_which_came_first() -> None:
    assert Support.of(["a", "b"], [0.9, 1.0]).answers[0].text == "b"
    assert Support.of(["a", "b"], [0.6, 0.6]).answers[0].text == "a"


def test_an_answer_still_to_come_is_expected_to_score_no_worse_than_those_so_far() -> None:
    low, high = Support.of(["a"] * 3, [0.2] * 3), Support.of(["a"] * 3, [0.95] * 3)
    assert low.unseen > low.answers[0].expected > odds(0.2)
    assert high.unseen == pytest.approx(odds(0.95))


def test_more_of_the_leader_is_what_those_candidates_would_make() -> None:
    before = Support.of(["a", "a", "b"], [0.5] * 3)
    assert before.with_leader(2) == Support.of(["a", "a", "b", "a", "a"], [0.5] * 5)
