"""How often past questions reached a score."""

import numpy as np
import pytest
from scipy import optimize
from scipy.special import betaln

from langchain_optscale.stats.reaching import TARGETS, fit_alike, reach_table


def loglik(pairs: list[tuple[int, int]], a: float, b: float) -> float:
    k, n = np.array(pairs, dtype=float).T
    return float((betaln(a + k, b + n - k) - betaln(a, b)).sum())


def test_fit_is_the_largest_a_within_two_of_the_best_log_likelihood() -> None:
    generator = np.random.default_rng(0)
    pairs = [(int(generator.binomial(10, p)), 10) for p in generator.beta(0.4, 2.0, 150)]
    a, b = fit_alike(pairs)
    mean = a / (a + b)
    best = optimize.minimize_scalar(
        lambda log: -loglik(pairs, np.exp(log), np.exp(log) * (1 - mean) / mean), bounds=(-4, 4), method="bounded"
    )
    assert a > np.exp(best.x)
    assert -2.0 <= loglik(pairs, a, b) + best.fun <= 0.01
    step = 1.2
    assert loglik(pairs, a * step, b * step) + best.fun < -2.0


def test_questions_that_are_alike_are_told_from_those_that_are_not() -> None:
    generator = np.random.default_rng(1)
    alike = [(int(generator.binomial(20, 0.2)), 20) for _ in range(100)]
    apart = [(20, 20)] * 20 + [(0, 20)] * 80
    assert fit_alike(alike)[0] > 5.0
    assert fit_alike(apart)[0] < 0.2


def test_table_has_a_row_for_every_target_and_falls_with_it() -> None:
    generator = np.random.default_rng(2)
    table = reach_table(generator.beta(4, 2, (60, 12)).tolist())
    assert [row[0] for row in table] == list(TARGETS)
    means = [a / (a + b) for _, a, b in table]
    assert means == sorted(means, reverse=True)
    assert means[TARGETS.index(0.5)] == pytest.approx(0.81, abs=0.05)
