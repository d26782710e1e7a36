"""Strengths from comparisons, against closed forms, SciPy and simulations with known truth."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from langchain_optscale import SettingsError
from langchain_optscale.stats.bradley_terry import Contest, fit_strengths


def both_orders(winner, loser):
    return [Contest((winner, loser), (1.0, 0.0)), Contest((loser, winner), (0.0, 1.0))]


def test_two_candidates_have_a_closed_form():
    contests = 30 * both_orders(0, 1) + 10 * both_orders(1, 0)
    fitted = fit_strengths(contests, 2, std=1e3, place_std=1e3)
    assert fitted.means[0] - fitted.means[1] == pytest.approx(math.log(60 / 20), abs=1e-5)
    spread = fitted.covariance[0, 0] + fitted.covariance[1, 1] - 2 * fitted.covariance[0, 1]
    assert spread == pytest.approx(1 / 60 + 1 / 20, rel=1e-3)  # the variance of a log-odds
    assert fitted.place_bias == pytest.approx(0.0, abs=1e-9)


def test_the_order_effect_has_a_closed_form_where_candidates_are_equal():
    contests = [Contest((0, 1), (1.0, 0.0)), Contest((1, 0), (1.0, 0.0))] * 3 + [
        Contest((0, 1), (0.0, 1.0)),
        Contest((1, 0), (0.0, 1.0)),
    ]
    fitted = fit_strengths(contests, 2, std=1e3, place_std=1e3)
    assert fitted.place_bias == pytest.approx(math.log(3), abs=1e-5)
    assert fitted.means[0] == pytest.approx(fitted.means[1], abs=1e-9)


def test_a_tie_is_half_a_win_for_each():
    tie = fit_strengths([Contest((0, 1), (0.5, 0.5))], 2)
    assert tie.means == pytest.approx([0.0, 0.0])
    assert tie.better(0, 1) == pytest.approx(0.5)


def test_no_comparison_gives_the_prior_back():
    fitted = fit_strengths([], 3, means=[1.0, 0.0, -2.0], std=0.5)
    assert fitted.means == pytest.approx([1.0, 0.0, -2.0])
    assert fitted.stds == pytest.approx([0.5] * 3)
    assert fitted.better(0, 1) == pytest.approx(stats.norm.cdf(1 / (0.5 * math.sqrt(2))))


@st.composite
def tournaments(draw):
    count = draw(st.integers(2, 5))
    size = draw(st.integers(2, min(3, count)))
    contests = []
    for _ in range(draw(st.integers(1, 12))):
        order = draw(st.permutations(range(count)))[:size]
        weights = draw(st.lists(st.floats(0, 1), min_size=size, max_size=size).filter(lambda row: sum(row) > 0.01))
        contests.append(Contest(tuple(order), tuple(np.array(weights) / sum(weights))))
    return count, contests


@settings(max_examples=15, deadline=None)
@given(tournaments(), st.floats(0.3, 3.0))
def test_the_maximum_is_that_of_scipy(tournament, std):
    count, contests = tournament
    width = max(len(contest.order) for contest in contests)

    def negative(at):
        value = 0.5 * np.sum(at[:count] ** 2) / std**2 + 0.5 * np.sum(at[count:] ** 2)
        for contest in contests:
            places = [*range(len(contest.order) - 1), width - 1]
            logits = at[list(contest.order)] + at[[count + place for place in places]]
            value -= np.dot(contest.shares, logits - special.logsumexp(logits))
        return value

    found = optimize.minimize(negative, np.zeros(count + width), method="BFGS", options={"gtol": 1e-8})
    fitted = fit_strengths(contests, count, std=std, place_std=1.0)
    assert fitted.means == pytest.approx(found.x[:count], abs=2e-4)
    assert fitted.places == pytest.approx(found.x[count:], abs=2e-4)


def test_intervals_hold_in_a_simulation_with_known_truth():
    """Strengths and biases drawn from the prior, judged by a biased judge: 90 % intervals cover 90 % of both."""
    rng = np.random.default_rng(7)
    covered = []
    biases = []
    for _ in range(200):
        truth = rng.normal(0, 1.2, 4)
        bias = rng.normal(0, math.sqrt(2))
        contests = []
        for one, other in itertools.permutations(range(4), 2):
            first_wins = rng.random() < special.expit(truth[one] - truth[other] + bias)
            contests.append(Contest((one, other), (1.0, 0.0) if first_wins else (0.0, 1.0)))
        fitted = fit_strengths(contests, 4, std=1.2, place_std=1.0)
        biases.append(abs(fitted.place_bias - bias) < 1.645 * fitted.place_bias_std)
        for one, other in itertools.combinations(range(4), 2):
            gap = fitted.means[one] - fitted.means[other]
            spread = fitted.covariance[one, one] + fitted.covariance[other, other] - 2 * fitted.covariance[one, other]
            covered.append(abs(gap - (truth[one] - truth[other])) < 1.645 * math.sqrt(spread))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)
    assert np.mean(biases) == pytest.approx(0.9, abs=3 * math.sqrt(0.09 / 200))


def test_the_probability_of_being_best_is_calibrated():
    rng = np.random.default_rng(11)
    claimed, right = [], []
    for _ in range(300):
        truth = rng.normal(0, 1.2, 3)
        contests = [
            Contest((one, other), (1.0, 0.0) if rng.random() < special.expit(truth[one] - truth[other]) else (0.0, 1.0))
            for one, other in itertools.permutations(range(3), 2)
        ]
        best = fit_strengths(contests, 3, std=1.2).best()
        assert best.sum() == pytest.approx(1.0)
        claimed.append(best.max())
        right.append(best.argmax() == truth.argmax())
    assert np.mean(right) == pytest.approx(np.mean(claimed), abs=3 * math.sqrt(0.25 / 300))


def test_a_candidate_that_wins_always_has_a_finite_strength():
    fitted = fit_strengths(200 * both_orders(0, 1), 2, std=3.0)
    assert 5 < fitted.means[0] - fitted.means[1] < 50
    assert fitted.better(0, 1) > 0.99


@pytest.mark.parametrize(
    ("order", "shares"), [((0, 0), (1.0, 0.0)), ((0,), (1.0,)), ((0, 1), (0.9, 0.3)), ((0, 1), (1.5, -0.5))]
)
def test_what_is_no_comparison_is_refused(order, shares):
    with pytest.raises(SettingsError, match=r"a comparison needs|must add up to 1"):
        Contest(order, shares)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="beyond the 2"):
        fit_strengths([Contest((0, 2), (1.0, 0.0))], 2)
    with pytest.raises(SettingsError, match="above 0"):
        fit_strengths([], 2, std=0.0)
