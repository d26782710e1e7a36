import json
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.errors import SettingsError, UnreachableTargetError
from langchain_optscale.stats import (
    expected_best,
    expected_gain,
    optimal_n,
    probability_of_reaching,
    truncnorm,
)
from tests.unit_tests.shared_data import shared_data
from tests.unit_tests.stats import exact

mus = st.floats(-1.0, 2.0)
sigmas = st.floats(0.005, 1.0)


@pytest.mark.parametrize(("dataset", "exactly", "within_one"), [("math500", 0.968, 0.992), ("aime24", 0.992, 1.0)])
def test_agrees_with_the_papers_printed_values(dataset, exactly, within_one):
    text = shared_data("reference", f"optimal_n_{dataset}.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    mu, sigma, target, confidence, peek, max_n, printed = (
        np.array([row[key] for row in rows])
        for key in ("mu", "sigma", "target", "confidence", "peek", "max_n", "optimal_n")
    )
    found = optimal_n(mu, sigma, target=target, confidence=confidence, max_n=max_n)
    off = np.abs(np.clip(found, peek, max_n) - printed)
    assert len(rows) > 10_000
    assert np.mean(off == 0) >= exactly
    assert np.mean(off <= 1) >= within_one


@pytest.mark.parametrize("k", range(1, 50))
def test_whole_ratios_are_not_rounded_up(k):
    # F(1/2) = 1/2 by symmetry.
    assert optimal_n(0.5, 0.1, target=0.5, confidence=1.0 - 0.5**k) == k
    assert optimal_n(np.array([0.5]), 0.1, target=0.5, confidence=1.0 - 0.5**k).tolist() == [k]


@given(mu=mus, sigma=sigmas, target=st.floats(0.05, 0.99), confidence=st.floats(0.01, 0.999))
def test_is_the_least_sufficient_number(mu, sigma, target, confidence):
    n = optimal_n(mu, sigma, target=target, confidence=confidence, max_n=10**6)
    scalars = (mu, sigma, target, confidence)
    (of_array,) = optimal_n(*(np.array([v]) for v in scalars[:2]), target=target, confidence=confidence, max_n=10**6)
    assert n == of_array
    below = truncnorm.cdf(target, mu, sigma)
    if n > 1:
        assert 1.0 - below ** (n - 1) < confidence + 1e-9
    if n < 10**6:
        assert 1.0 - below**n >= confidence - 1e-9


@given(mu=mus, sigma=sigmas, targets=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)))
def test_rises_with_the_target(mu, sigma, targets):
    low, high = sorted(targets)
    numbers = [optimal_n(mu, sigma, target=t, confidence=0.95, max_n=10**9) for t in (low, high)]
    assert numbers[0] <= numbers[1]


@given(mu=mus, sigma=sigmas, target=st.floats(0.0, 1.0), levels=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)))
def test_rises_with_the_confidence(mu, sigma, target, levels):
    low, high = sorted(levels)
    numbers = [optimal_n(mu, sigma, target=target, confidence=c, max_n=10**9) for c in (low, high)]
    assert numbers[0] <= numbers[1]


def test_large_numbers_are_accurate():
    with mp.workdps(exact.DIGITS):
        expected = mp.log(mp.mpf("0.05")) / exact.logcdf(0.9, 0.3, 0.08)
    assert expected > 1e12
    assert optimal_n(0.3, 0.08, target=0.9, confidence=0.95) == pytest.approx(float(expected), rel=1e-11)


def test_the_ends_of_the_range():
    assert optimal_n(0.5, 0.1, target=0.0, confidence=0.99) == 1
    assert optimal_n(0.99, 1e-3, target=0.9, confidence=0.99) == 1
    assert optimal_n(0.5, 0.1, target=1.0, confidence=0.99, max_n=7) == 7
    assert optimal_n(0.1, 1e-3, target=0.9, confidence=0.99, max_n=7) == 7
    many = optimal_n(np.array([0.5, 0.5]), 0.1, target=np.array([0.0, 1.0]), confidence=0.9, max_n=8)
    assert many.dtype == np.int64
    assert many.tolist() == [1, 8]
    assert type(optimal_n(0.5, 0.1, target=0.7, confidence=0.9)) is int
    assert type(optimal_n(1, 1, target=0, confidence=0.9)) is int


@pytest.mark.parametrize(("mu", "sigma", "target"), [(0.5, 0.1, 1.0), (0.1, 1e-3, 0.9), (-40.0, 1.2, 1.0)])
def test_says_where_no_number_reaches_the_target(mu, sigma, target):
    with pytest.raises(UnreachableTargetError, match="no finite number"):
        optimal_n(mu, sigma, target=target, confidence=0.95)
    with pytest.raises(UnreachableTargetError, match="no finite number"):
        optimal_n(np.array([0.9, mu]), sigma, target=np.array([0.5, target]), confidence=0.95)


@pytest.mark.parametrize("wrap", [float, lambda value: np.array([value])])
@pytest.mark.parametrize(
    ("setting", "value"),
    [("target", -0.1), ("target", 1.1), ("target", math.nan), ("confidence", 0.0), ("confidence", 1.0), ("max_n", 0)],
)
def test_optimal_n_rejects_settings_out_of_range(wrap, setting, value):
    settings = {"target": 0.9, "confidence": 0.95, "max_n": 8, setting: value}
    if setting != "max_n":
        settings[setting] = wrap(value)
    with pytest.raises(SettingsError, match=setting):
        optimal_n(wrap(0.5), 0.1, **settings)


@given(mu=mus, sigma=sigmas, target=st.floats(0.0, 1.0), n=st.integers(0, 100))
def test_probability_of_reaching_is_that_of_the_maximum(mu, sigma, target, n):
    expected = 1.0 - truncnorm.cdf(target, mu, sigma) ** n
    assert probability_of_reaching(mu, sigma, target=target, n=n) == pytest.approx(expected, abs=1e-12)


def test_small_probabilities_keep_their_digits():
    with mp.workdps(exact.DIGITS):
        expected = float(-mp.expm1(20 * exact.logcdf(0.9, 0.3, 0.05)))
    assert expected < 1e-30
    assert probability_of_reaching(0.3, 0.05, target=0.9, n=20) == pytest.approx(expected, rel=1e-11)
    assert probability_of_reaching(0.3, 0.05, target=np.array([0.0, 1.0]), n=np.array([[0], [3]])).tolist() == [
        [0.0, 0.0],
        [1.0, 0.0],
    ]


@pytest.mark.parametrize("n", [1, 2, 16, 10_000])
@pytest.mark.parametrize(
    ("mu", "sigma"),
    [(0.5, 0.1), (0.8, 0.2), (40.0, 1.2), (-40.0, 1.2), (3.0, 0.05), (0.4, 1e-6), (0.7, 1e3), (-1.0, 1e-3)],
)
def test_expected_best_agrees_with_quadrature(mu, sigma, n):
    # The maximum leaves these points with a probability below 1e-17; clumsy placement would only lose digits.
    low, high = truncnorm.ppf(math.exp(-60.0 / n), mu, sigma), truncnorm.isf(1e-20 / n, mu, sigma)
    # Far tails cancel as exp(-(mu / sigma)^2 / 2) to the digits of Phi.
    with mp.workdps(40):
        expected = exact.expected_best(mu, sigma, n, low, high)
        assert float(abs(expected_best(mu, sigma, n) - expected) / expected) < 1e-9


def test_expected_best_of_uniform_scores():
    n = np.array([1, 2, 5, 100])
    np.testing.assert_allclose(expected_best(0.5, 1e7, n), n / (n + 1.0), rtol=1e-12)


def test_expected_best_agrees_with_simulation():
    rng = np.random.default_rng(7)
    best = truncnorm.ppf(rng.uniform(size=(20_000, 8)), 0.9, 0.2).max(axis=1)
    assert expected_best(0.9, 0.2, 8) == pytest.approx(best.mean(), abs=5.0 * best.std() / math.sqrt(best.size))


@given(mu=mus, sigma=sigmas, n=st.integers(1, 1000))
def test_expected_best_of_one_is_the_mean_and_rises(mu, sigma, n):
    assert expected_best(mu, sigma, 1) == pytest.approx(truncnorm.mean(mu, sigma), rel=1e-9)
    assert expected_best(mu, sigma, n) <= expected_best(mu, sigma, n + 1) * (1.0 + 1e-10)


@pytest.mark.parametrize(("mu", "sigma"), [(0.5, 0.1), (0.8, 0.2), (40.0, 1.2), (-1.0, 0.3), (0.4, 1e-3)])
@pytest.mark.parametrize("best", [0.0, 0.41, 0.9, 0.999])
def test_expected_gain_is_exact(mu, sigma, best):
    with mp.workdps(exact.DIGITS):
        expected = mp.exp(exact.logsf(best, mu, sigma)) * (exact.moments(mu, sigma, best)[0] - mp.mpf(best))
        assert expected_gain(mu, sigma, best=best) == pytest.approx(float(expected), rel=1e-9)


@given(mu=mus, sigma=sigmas)
def test_expected_gain_at_the_ends(mu, sigma):
    assert expected_gain(mu, sigma, best=0.0) == truncnorm.mean(mu, sigma)
    assert expected_gain(mu, sigma, best=1.0) == 0.0


def test_other_settings_out_of_range():
    with pytest.raises(SettingsError, match="target must lie"):
        probability_of_reaching(0.5, 0.1, target=2.0, n=3)
    with pytest.raises(SettingsError, match="at least 0"):
        probability_of_reaching(0.5, 0.1, target=0.5, n=-1)
    with pytest.raises(SettingsError, match="at least 1"):
        expected_best(0.5, 0.1, 0)
    with pytest.raises(SettingsError, match="finite"):
        expected_best(0.5, 0.1, math.inf)
    with pytest.raises(SettingsError, match="best must lie"):
        expected_gain(0.5, 0.1, best=math.nan)
    with pytest.raises(SettingsError, match="positive sigma"):
        expected_gain(0.5, 0.0, best=0.5)
