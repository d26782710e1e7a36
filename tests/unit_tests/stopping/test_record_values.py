"""The next record, the chance of a success, and its anytime-valid bound."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln

from langchain_optscale.stopping.record_values import (
    SECOND_MODE,
    chance_bound,
    mean_excess,
    record_gain,
    success_chance,
)


def test_record_gain_is_the_expected_one_for_exponential_tails() -> None:
    """With a negligible second mode the gain is P(record) times the mean excess: 0.02 / (n + 1) for this law."""
    generator = np.random.default_rng(0)
    scores = 0.2 + generator.exponential(0.02, (20_000, 12))
    gains = np.array([record_gain(row[:11].tolist()) for row in scores])
    second = SECOND_MODE * (1.0 - scores[:, :11].max(1)) / 12
    rises = np.maximum(scores[:, 11] - scores[:, :11].max(1), 0.0)
    assert float((gains - second).mean()) == pytest.approx(float(rises.mean()), rel=0.1)


def test_record_gain_is_zero_at_the_top_and_falls_with_the_number_of_scores() -> None:
    assert record_gain([0.3, 1.0]) == 0.0
    gains = [record_gain([0.4, 0.5, 0.6, 0.7] + [0.1] * more) for more in range(10)]
    assert gains == sorted(gains, reverse=True)


def test_mean_excess_is_hills_for_the_best_three() -> None:
    assert mean_excess([0.9, 0.2, 0.8, 0.7, 0.5]) == pytest.approx((0.9 + 0.8 + 0.7) / 3 - 0.5)
    assert mean_excess([0.9, 0.7]) == pytest.approx(0.2)


@pytest.mark.parametrize(("missed", "left", "a", "b"), [(0, 4, 0.2, 1.0), (10, 6, 0.3, 2.5), (60, 4, 3.0, 40.0)])
def test_success_chance_is_that_of_the_beta_binomial(missed: int, left: int, a: float, b: float) -> None:
    assert success_chance(missed, left, a, b) == pytest.approx(
        1.0 - math.exp(betaln(a, b + missed + left) - betaln(a, b + missed))
    )
    law = stats.betabinom(left, a, b + missed)
    assert success_chance(missed, left, a, b) == pytest.approx(1.0 - law.pmf(0))


@pytest.mark.parametrize("chance", [0.005, 0.02, 0.1])
def test_bound_fails_at_any_time_with_its_level_at_most(chance: float) -> None:
    """Until the first success the bound lies below the truth at some n for at most a share `level` of the searches."""
    level, searches, length = 0.1, 4_000, 2_000
    generator = np.random.default_rng(2)
    first = np.minimum(generator.geometric(chance, searches) - 1, length)
    failed_at = next((n for n in range(1, length + 1) if chance_bound(n, 1, level) < chance), length + 1)
    assert float((first >= failed_at).mean()) <= level
    assert failed_at <= length


def test_bound_is_the_mixture_martingale_s() -> None:
    n, left, level = 40, 7, 0.05
    ratio = math.exp(betaln(0.5, n + 0.5) - betaln(0.5, 0.5))
    upper = 1.0 - (level * ratio) ** (1.0 / n)
    assert chance_bound(n, left, level) == pytest.approx(1.0 - (1.0 - upper) ** left)
