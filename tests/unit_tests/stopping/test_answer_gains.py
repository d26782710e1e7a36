"""What further answers are worth: against simulated draws; what stays, against the whole cap."""

import math

import numpy as np
import pytest

from langchain_optscale.answers.support import Support, odds
from langchain_optscale.stopping import History, Objective
from langchain_optscale.stopping.answer_gains import is_worth, stability
from langchain_optscale.stopping.record_values import success_chance


def alike(text: str, score: float) -> Support:
    return Support.of(list(text), [score] * len(text))


def test_an_answer_that_has_not_been_given_comes_with_the_chance_of_its_prior() -> None:
    """Simulated: its frequency has the law Beta(0.4, 1); of the laws that gave none of 6, how many give one of 8."""
    generator = np.random.default_rng(0)
    law = generator.beta(0.4, 1.0, 2_000_000)
    none_so_far = (1.0 - law) ** 6
    expected = float((none_so_far * (1.0 - (1.0 - law) ** 8)).sum() / none_so_far.sum())
    assert success_chance(6, 8, 0.4) == pytest.approx(expected, rel=0.01)


def test_agreement_on_what_the_verifier_dislikes_is_worth_further_candidates() -> None:
    price = 0.22 / 16
    disliked, liked = alike("aaaaaa", 0.1), alike("aaaaaa", 0.9)
    assert is_worth(disliked, 1.0, 10, price)[0]
    assert not is_worth(liked, 1.0, 10, price)[0]


def test_the_gain_of_a_marked_answer_is_what_it_would_add() -> None:
    """One further candidate: the gain without that answer, and its chance times its lead, over the support."""
    support, k = alike("aaaa", 0.15), 1
    found = is_worth(support, 1.0, 1, math.inf)[1]
    lead = odds(1.0) - support.answers[0].weight
    marked = success_chance(4, k, 0.4) * lead
    whole = support.total + k * support.total / support.answered
    assert found >= marked / whole
    # A leader that already has the weight of a marked candidate has nothing to fear of a single one.
    strong = alike("a", 1.0)
    assert is_worth(strong, 1.0, 1, math.inf)[1] < 0.5 * lead


def test_votes_alone_do_not_depend_on_what_the_answers_are_called() -> None:
    one, other = Support.of(list("aabc"), [0.5] * 4), Support.of(["9", "9", "x", "y"], [0.5] * 4)
    assert is_worth(one, 0.9, 12, 0.004) == is_worth(other, 0.9, 12, 0.004)


@pytest.mark.parametrize("text", ["aa", "aab", "aaaab", "abcdefgh", "aaaaaaab"])
@pytest.mark.parametrize("left", [1, 3, 13, 64, 500])
def test_a_price_above_every_gain_is_not_worth_it_and_the_largest_gain_is_told(text: str, left: int) -> None:
    support = alike(text, 0.7)
    worth, most = is_worth(support, 1.0, left, math.inf)
    assert not worth
    assert is_worth(support, 1.0, left, most)[0]
    assert not is_worth(support, 1.0, left, most * (1.0 + 1e-9))[0]


def test_stability_below_what_is_asked_for_needs_no_exact_number() -> None:
    support = Support.of(list("aaabbcd"), [0.6] * 7)
    exact = stability(support, 9.0)
    assert exact < 0.9
    assert exact <= stability(support, 9.0, 0.95) < 0.95
    assert stability(support, 9.0, exact) == exact


def test_weak_rivals_count_although_they_are_not_listed() -> None:
    few, many = "aaaaaaaabc", "aaaaaaaabcdefghijk"
    assert stability(alike(many, 0.5), 12.0) < stability(alike(few, 0.5), 12.0)


@pytest.mark.parametrize("cap", [16, 32])
def test_a_good_verifier_is_waited_for_under_a_misconception(cap: int) -> None:
    """70 % of the candidates share a wrong answer that the verifier scores low: the right one is returned all the same.

    The whole cap returns it in 99.6 % of the questions and more; of 240 that is above 0.97 by three standard errors.
    """
    generator = np.random.default_rng(cap)
    rule, right, drawn = Objective(), 0, 0
    for _ in range(240):
        is_right = generator.random(cap) < 0.3
        level = generator.normal(0.0, 0.5)
        logits = level + np.where(is_right, 2.0, -2.0) + generator.normal(0.0, 0.7, cap)
        scores = tuple((1.0 / (1.0 + np.exp(-logits))).tolist())
        answers = tuple(np.where(is_right, "right", "shared mistake").tolist())
        for n in range(1, cap + 1):
            decision = rule(History(scores=scores[:n], answers=answers[:n], max_samples=cap))
            if decision.stop or n == cap:
                leader = Support.of(answers[:n], scores[:n]).answers[0].text
                right, drawn = right + (leader == "right"), drawn + n
                break
    assert right >= 0.97 * 240
    assert drawn <= 0.45 * cap * 240
