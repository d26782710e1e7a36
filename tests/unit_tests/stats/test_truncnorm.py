import math

import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats import truncnorm
from tests.unit_tests.stats import exact

LAWS = ["logpdf", "pdf", "logcdf", "logsf", "cdf", "sf", "ppf", "isf", "mean_excess"]
ORDINARY = [(0.5, 0.1), (0.8, 0.2), (1.1, 0.15), (-0.3, 0.4), (0.0, 1.0), (1.0, 0.05), (0.3, 3.0)]
EXTREME = [
    (40.0, 1.2),
    (-40.0, 1.2),
    (3.0, 0.05),
    (0.4, 1e-6),
    (1e-9, 1e-6),
    (1.5, 1e-6),
    (-0.5, 1e-6),
    (0.7, 1e6),
    (40.0, 1e6),
    (1.0, 1e-3),
    (2.0, 1e-3),
    (-1.0, 30.0),
    (1e6, 1e3),
]
POINTS = [1e-12, 1e-6, 0.01, 0.3, 0.4, 0.400001, 0.5, 0.79, 0.9, 0.99, 1.0 - 1e-6, 1.0 - 1e-12]

mus = st.floats(-60.0, 60.0)
sigmas = st.floats(-6.0, 6.0).map(lambda power: 10.0**power)
scores = st.floats(0.0, 1.0)


def relative_error(value, reference):
    return float(abs(mp.mpf(value) - reference) / abs(reference))


@pytest.mark.parametrize(("mu", "sigma"), ORDINARY)
def test_agrees_with_scipy(mu, sigma):
    law = scipy.stats.truncnorm((0.0 - mu) / sigma, (1.0 - mu) / sigma, loc=mu, scale=sigma)
    x = np.arange(-8, 49) / 40.0
    with np.errstate(divide="ignore"):
        for name in ("pdf", "cdf", "sf", "logpdf", "logcdf", "logsf"):
            expected = getattr(law, name)(x)
            np.testing.assert_allclose(getattr(truncnorm, name)(x, mu, sigma), expected, rtol=1e-9, atol=1e-13)
    q = np.linspace(0.0, 1.0, 41)
    np.testing.assert_allclose(truncnorm.ppf(q, mu, sigma), law.ppf(q), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(truncnorm.isf(q, mu, sigma), law.isf(q), rtol=1e-9, atol=1e-12)
    assert truncnorm.mean(mu, sigma) == pytest.approx(law.mean(), rel=1e-9)
    assert truncnorm.std(mu, sigma) == pytest.approx(law.std(), rel=1e-8)


@pytest.mark.parametrize(("mu", "sigma"), ORDINARY + EXTREME)
@pytest.mark.parametrize("name", ["logpdf", "logcdf", "logsf"])
def test_logs_keep_their_digits(name, mu, sigma):
    law, reference = getattr(truncnorm, name), getattr(exact, name)
    with mp.workdps(exact.DIGITS):
        for x in POINTS:
            expected = reference(x, mu, sigma)
            for value in (law(x, mu, sigma), law(np.array([x]), mu, sigma)[0]):
                # A log density is a sum of terms that cancel where it passes zero.
                is_near_zero = name == "logpdf" and abs(value - expected) < 1e-13
                is_below_doubles = abs(expected) < 1e-300 and abs(value) < 1e-300
                assert is_near_zero or is_below_doubles or relative_error(value, expected) < 1e-11, (x, value)


@pytest.mark.parametrize(("mu", "sigma"), ORDINARY + EXTREME)
def test_moments_keep_their_digits(mu, sigma):
    with mp.workdps(exact.DIGITS):
        mean, std = exact.moments(mu, sigma)
        assert relative_error(truncnorm.mean(mu, sigma), mean) < 1e-11
        assert relative_error(truncnorm.std(mu, sigma), std) < 1e-11
        for x in (0.2, 0.9):
            excess = exact.moments(mu, sigma, x)[0] - mp.mpf(x)
            assert relative_error(truncnorm.mean_excess(x, mu, sigma), excess) < 1e-11


def test_a_flat_density_is_uniform():
    assert truncnorm.mean(0.8, 1e9) == pytest.approx(0.5, rel=1e-14)
    assert truncnorm.std(0.8, 1e9) == pytest.approx(1.0 / math.sqrt(12.0), rel=1e-14)
    assert truncnorm.cdf(0.3, 0.8, 1e9) == pytest.approx(0.3, rel=1e-14)
    assert truncnorm.ppf(0.3, 0.8, 1e9) == pytest.approx(0.3, rel=1e-14)


def test_a_far_tail_is_exponential():
    rate = 1e8
    x = np.array([1e-9, 1e-8, 5e-8])
    np.testing.assert_allclose(truncnorm.logsf(x, -1e8, 1.0), -rate * x, rtol=1e-7)
    assert truncnorm.std(-1e8, 1.0) == pytest.approx(1.0 / rate, rel=1e-7)


@pytest.mark.parametrize(("mu", "sigma"), ORDINARY + EXTREME)
def test_quantiles_invert_the_tails(mu, sigma):
    q = np.concatenate([10.0 ** -np.linspace(0.5, 300.0, 40), np.linspace(0.02, 0.98, 25)])
    for inverse, tail in ((truncnorm.ppf, truncnorm.cdf), (truncnorm.isf, truncnorm.sf)):
        x = inverse(q, mu, sigma)
        beside = tail(np.nextafter(x, 0.0), mu, sigma), tail(np.nextafter(x, 1.0), mu, sigma)
        # No x meets q better than its neighbours allow.
        resolution = np.abs(beside[1] - beside[0])
        assert np.all(np.abs(tail(x, mu, sigma) - q) <= 1e-11 * q + 2.0 * resolution)


@given(q=st.floats(0.0, 1.0), mu=st.floats(-2.0, 3.0), sigma=st.floats(0.01, 100.0))
def test_cdf_of_ppf_is_the_probability(q, mu, sigma):
    x = truncnorm.ppf(q, mu, sigma)
    resolution = truncnorm.pdf(x, mu, sigma) * 4.0 * math.ulp(x)
    assert truncnorm.cdf(x, mu, sigma) == pytest.approx(q, rel=1e-9, abs=1e-12 + resolution)


@given(x=scores, y=scores, mu=mus, sigma=sigmas)
def test_logcdf_rises_and_logsf_falls(x, y, mu, sigma):
    low, high = min(x, y), max(x, y)
    # Neighbouring doubles may round the wrong way round; the logs are negative.
    slack = 1.0 - 1e-11
    assert truncnorm.logcdf(low, mu, sigma) <= truncnorm.logcdf(high, mu, sigma) * slack
    assert truncnorm.logsf(high, mu, sigma) <= truncnorm.logsf(low, mu, sigma) * slack


@given(x=scores, mu=mus, sigma=sigmas)
def test_scalars_and_arrays_agree(x, mu, sigma):
    for name in ("logcdf", "logsf", "cdf", "sf"):
        law = getattr(truncnorm, name)
        scalar, array = law(x, mu, sigma), law(np.array([x]), mu, sigma)
        assert isinstance(scalar, float)
        np.testing.assert_allclose(scalar, array[0], rtol=1e-11, atol=1e-300)


@given(x=scores, mu=mus, sigma=sigmas)
def test_the_tails_sum_to_one(x, mu, sigma):
    assert truncnorm.cdf(x, mu, sigma) + truncnorm.sf(x, mu, sigma) == pytest.approx(1.0, rel=1e-14)


@given(mu=mus, sigma=sigmas)
def test_moments_lie_where_they_must(mu, sigma):
    mean, std = truncnorm.mean(mu, sigma), truncnorm.std(mu, sigma)
    assert 0.0 < mean <= 1.0
    assert 0.0 < std <= min(0.5, sigma) * (1.0 + 1e-12)
    assert truncnorm.mean_excess(0.0, mu, sigma) == mean


def test_outside_the_unit_interval():
    assert truncnorm.logcdf(-0.1, 0.5, 0.1) == truncnorm.logcdf(0.0, 0.5, 0.1) == -math.inf
    assert truncnorm.logcdf(1.1, 0.5, 0.1) == truncnorm.logcdf(1.0, 0.5, 0.1) == 0.0
    assert truncnorm.logsf(-0.1, 0.5, 0.1) == 0.0
    assert truncnorm.sf(1.1, 0.5, 0.1) == 0.0
    assert truncnorm.logpdf(1.1, 0.5, 0.1) == -math.inf
    assert truncnorm.pdf(-0.1, 0.5, 0.1) == 0.0
    assert truncnorm.ppf(0.0, 0.5, 0.1) == 0.0
    assert truncnorm.ppf(1.0, 0.5, 0.1) == 1.0
    assert truncnorm.mean_excess(1.0, 0.5, 0.1) == 0.0


def test_broadcasts():
    x, mu = np.linspace(0.1, 0.9, 3)[:, None], np.array([0.2, 0.8])
    values = truncnorm.logcdf(x, mu, 0.3)
    assert values.shape == (3, 2)
    assert values[2, 1] == pytest.approx(truncnorm.logcdf(0.9, 0.8, 0.3))
    assert truncnorm.mean(mu, 0.3).shape == (2,)
    assert truncnorm.logpdf(np.empty((0, 2)), 0.5, 0.1).shape == (0, 2)
    assert isinstance(truncnorm.logcdf(1, 0, 2), float)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(
    ("mu", "sigma"), [(math.nan, 0.1), (math.inf, 0.1), (0.5, 0.0), (0.5, -1.0), (0.5, math.nan), (0.5, math.inf)]
)
def test_rejects_parameters_out_of_range(name, mu, sigma):
    law = getattr(truncnorm, name)
    with pytest.raises(SettingsError, match="finite mu and a positive sigma"):
        law(0.5, mu, sigma)
    with pytest.raises(SettingsError, match="finite mu and a positive sigma"):
        law(np.array([0.5, 0.6]), mu, sigma)


@pytest.mark.parametrize("name", LAWS)
def test_rejects_nan(name):
    with pytest.raises(SettingsError, match="nan"):
        getattr(truncnorm, name)(math.nan, 0.5, 0.1)


@pytest.mark.parametrize("q", [-1e-9, 1.0 + 1e-9])
def test_rejects_what_is_no_probability(q):
    for inverse in (truncnorm.ppf, truncnorm.isf):
        with pytest.raises(SettingsError, match=r"probability must lie in \[0, 1\]"):
            inverse(q, 0.5, 0.1)
    with pytest.raises(SettingsError, match=r"points in \[0, 1\]"):
        truncnorm.mean_excess(q, 0.5, 0.1)
