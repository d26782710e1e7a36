"""The criteria of adaptive consistency: closed forms, quadrature by another library, and Monte Carlo."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.criteria import beta_probability, dirichlet_probability

votes = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("counts", "probability"),
    [
        ([1], 3 / 4),  # 1 - 2^-2
        ([3], 15 / 16),
        ([4], 31 / 32),  # the first that passes 0.95
        ([5, 1], 1 - 8 / 128),  # I_1/2(6, 2) = P(Bin(7, 1/2) >= 6)
        ([6, 1], 1 - 9 / 256),
        ([7, 7], 1 / 2),
    ],
)
def test_beta_by_hand(counts, probability):
    assert beta_probability(counts) == pytest.approx(probability, abs=1e-14)
    assert dirichlet_probability(counts) == pytest.approx(probability, abs=1e-14)


@given(votes)
def test_beta_is_a_binomial_tail(counts):
    first, second = (*sorted(counts, reverse=True), 0)[:2]
    flips = first + second + 1
    tail = sum(math.comb(flips, heads) for heads in range(first + 1, flips + 1)) / 2**flips
    assert beta_probability(counts) == pytest.approx(1 - tail, abs=1e-12)


@pytest.mark.parametrize("counts", [[5, 1, 1], [3, 2, 2, 1], [1, 1, 1], [20, 15, 3, 1, 1, 1, 1], [2, 2, 1]])
def test_dirichlet_against_monte_carlo(counts):
    draws = np.random.default_rng(1).dirichlet(np.array(counts) + 1.0, 400_000)
    observed = np.mean(draws.argmax(axis=1) == 0)
    assert dirichlet_probability(counts) == pytest.approx(observed, abs=4 * 0.5 / math.sqrt(400_000))


@pytest.mark.parametrize("counts", [[5, 1, 1], [40, 30, 30], [1, 1, 1, 1], [300, 280, 5]])
def test_dirichlet_against_mpmath(counts):
    first, *others = [count + 1 for count in sorted(counts, reverse=True)]
    spread = mp.sqrt(first)

    def integrand(x):
        density = mp.exp((first - 1) * mp.log(x) - x - mp.loggamma(first))
        return density * mp.fprod(mp.gammainc(other, 0, x, regularized=True) for other in others)

    points = sorted({max(mp.mpf("1e-30"), first + k * spread) for k in (-12, -6, -3, -1, 0, 1, 3, 6, 12, 40)})
    assert dirichlet_probability(counts) == pytest.approx(float(mp.quad(integrand, points)), abs=1e-10)


@given(st.integers(1, 60), st.integers(3, 8))
def test_equal_votes_have_equal_chances(count, answers):
    assert dirichlet_probability([count] * answers) == pytest.approx(1 / answers, abs=1e-10)


@given(votes)
def test_more_rivals_make_it_less_sure(counts):
    assert dirichlet_probability(counts) <= beta_probability(counts) + 1e-12
    assert dirichlet_probability([*counts, 1]) <= dirichlet_probability(counts) + 1e-12
    assert dirichlet_probability(counts[::-1]) == dirichlet_probability(counts)


def test_without_votes():
    with pytest.raises(SettingsError, match="no votes"):
        beta_probability([])
    with pytest.raises(SettingsError, match="no votes"):
        dirichlet_probability([0])
