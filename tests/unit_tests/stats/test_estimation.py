import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.stats import MaximumAPosteriori, MaximumLikelihood, ScoreSums, truncnorm


@dataclass(frozen=True)
class Prior:
    mu: float = 0.9
    sigma: float = 0.1
    mu_std: float = 0.1
    sigma_std: float = 0.1


LOW, HIGH = (-1.0, 1e-3), (2.0, 1.0)

a_score = st.one_of(
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.5, 0.9, 0.95, 1.0]),
    st.floats(0.0, 1e-12).map(lambda jitter: 1.0 - jitter),
    st.floats(-1e-9, 1e-9).map(lambda jitter: 0.7 + jitter),
)
lists_of_scores = st.lists(a_score, max_size=40)
priors = st.builds(
    Prior,
    mu=st.floats(-2.0, 3.0),
    sigma=st.floats(-1.0, 3.0),
    mu_std=st.floats(0.001, 10.0),
    sigma_std=st.floats(0.001, 10.0),
)


def log_normaliser(mu, sigma):
    """Log of Phi((1 - mu) / sigma) - Phi(-mu / sigma), by SciPy alone."""
    a, b = -mu / sigma, (1.0 - mu) / sigma
    if a > 0.0:
        a, b = -b, -a
    upper, lower = special.log_ndtr(b), special.log_ndtr(a)
    return upper + math.log(-math.expm1(lower - upper))


def log_posterior(mu, sigma, scores, prior=None):
    """The objective per score, straight from its definition."""
    n = len(scores)
    squares = math.fsum(((score - mu) / sigma) ** 2 for score in scores)
    value = -0.5 * squares - n * (math.log(sigma * math.sqrt(2.0 * math.pi)) + log_normaliser(mu, sigma))
    if prior is not None:
        value -= 0.5 * ((mu - prior.mu) / prior.mu_std) ** 2 + 0.5 * ((sigma - prior.sigma) / prior.sigma_std) ** 2
    return value / n


def best_by_scipy(scores, prior=None):
    """The highest value that L-BFGS-B finds in the box from many starts."""

    def loss(point):
        mu, log_sigma = point.tolist()
        return -log_posterior(mu, math.exp(log_sigma), scores, prior)

    bounds = [(LOW[0], HIGH[0]), (math.log(LOW[1]), math.log(HIGH[1]))]
    starts = [(mu, log_sigma) for mu in (-0.5, 0.5, 1.5) for log_sigma in (-4.0, -1.0)]
    starts.append((np.mean(scores), math.log(min(max(np.std(scores), 1e-3), 1.0))))
    found = [optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    return -min(result.fun for result in found)


def samples():
    rng = np.random.default_rng(20)
    for n in (1, 3, 32):
        yield rng.beta(8.0, 1.5, n)
        yield rng.beta(2.0, 5.0, n)
        yield rng.beta(0.5, 0.5, n)
        yield np.clip(rng.normal(0.7, 0.01, n), 0.0, 1.0)
        yield np.round(rng.beta(8.0, 1.0, n), 1)
        yield 1.0 - np.minimum(rng.exponential(0.01, n), 1.0)
        yield np.minimum(rng.exponential(0.2, n), 1.0)


@pytest.mark.parametrize("scores", [pytest.param(s.tolist(), id=f"{i}-{s.size}") for i, s in enumerate(samples())])
@pytest.mark.parametrize(
    "prior", [None, Prior(), Prior(0.3, 0.5, 0.05, 0.02), Prior(1.4, 0.01, 1.0, 0.05)], ids=["none", "a", "b", "c"]
)
def test_is_as_high_as_scipys_best(scores, prior):
    estimator = MaximumLikelihood() if prior is None else MaximumAPosteriori()
    estimate = estimator(scores, prior)
    reached = log_posterior(estimate.mu, estimate.sigma, scores, prior)
    assert reached >= best_by_scipy(scores, prior) - 1e-6


@pytest.mark.parametrize(
    ("scores", "corner"),
    [([1.0] * 5, (2.0, 1e-3)), ([0.0] * 5, (-1.0, 1e-3)), ([0.5] * 5, (0.5, 1e-3)), ([0.3], (0.3, 1e-3))],
)
def test_constant_scores_end_at_the_bound(scores, corner):
    estimate = MaximumLikelihood()(scores)
    assert (estimate.mu, estimate.sigma) == pytest.approx(corner, abs=1e-9)
    assert estimate.at_bound


def test_scores_without_a_slope_fill_the_box():
    estimate = MaximumLikelihood()(np.linspace(0.0, 1.0, 200))
    assert (estimate.mu, estimate.sigma, estimate.at_bound) == (pytest.approx(0.5), 1.0, True)


def test_an_interior_maximum_matches_the_moments():
    # The likelihood equations of an exponential family: model moments equal sample moments.
    scores = [0.62, 0.71, 0.55, 0.8, 0.97, 0.9]
    estimate = MaximumLikelihood()(scores)
    assert not estimate.at_bound
    assert truncnorm.mean(estimate.mu, estimate.sigma) == pytest.approx(np.mean(scores), rel=1e-9)
    assert truncnorm.std(estimate.mu, estimate.sigma) == pytest.approx(np.std(scores), rel=1e-8)


@pytest.mark.parametrize(("mu", "sigma"), [(0.8, 0.1), (0.95, 0.2), (1.1, 0.2), (-0.1, 0.3), (0.5, 0.02)])
def test_recovers_the_parameters_of_simulated_scores(mu, sigma):
    rng = np.random.default_rng(3)
    scores = truncnorm.ppf(rng.uniform(size=40_000), mu, sigma)
    estimate = MaximumLikelihood()(scores)
    assert estimate.mu == pytest.approx(mu, abs=0.03)
    assert estimate.sigma == pytest.approx(sigma, rel=0.05)
    posterior = MaximumAPosteriori()(scores, Prior())
    assert posterior.mu == pytest.approx(mu, abs=0.03)


def test_the_prior_rules_few_scores_and_yields_to_many():
    prior = Prior(0.4, 0.2, 0.02, 0.02)
    few, many = (MaximumAPosteriori()([0.8, 0.9, 0.85] * times, prior).mu for times in (1, 300))
    assert abs(few - 0.4) < 0.1
    assert abs(many - 0.85) < 0.02


@given(scores=lists_of_scores)
def test_maximum_likelihood_answers_every_list(scores):
    estimate = MaximumLikelihood()(scores)
    assert LOW[0] <= estimate.mu <= HIGH[0]
    assert LOW[1] <= estimate.sigma <= HIGH[1]
    assert estimate.n == len(scores)
    assert estimate.method == "maximum likelihood"
    on_edge = estimate.mu in (LOW[0], HIGH[0]) or estimate.sigma in (LOW[1], HIGH[1])
    assert estimate.at_bound == on_edge


def test_no_estimate_ends_a_hair_inside_the_edge():
    rng = np.random.default_rng(0)
    at_bounds = 0
    for _ in range(150):
        spread, n = 10.0 ** rng.uniform(-5.0, 0.0), rng.integers(1, 30)
        estimate = MaximumLikelihood()(np.clip(1.0 - rng.exponential(spread, n), 0.0, 1.0))
        to_mu_edge = min(estimate.mu - LOW[0], HIGH[0] - estimate.mu)
        to_edge = min(to_mu_edge, estimate.sigma - LOW[1], HIGH[1] - estimate.sigma)
        assert estimate.at_bound == (to_edge < 1e-12)
        at_bounds += estimate.at_bound
    assert 20 < at_bounds < 130


@given(scores=lists_of_scores, prior=priors)
def test_maximum_a_posteriori_answers_every_list(scores, prior):
    estimate = MaximumAPosteriori()(scores, prior)
    assert LOW[0] <= estimate.mu <= HIGH[0]
    assert LOW[1] <= estimate.sigma <= HIGH[1]
    assert estimate.n == len(scores)
    assert estimate.method == "maximum a posteriori"


@given(scores=st.lists(a_score, min_size=1, max_size=30), data=st.data())
def test_the_order_of_scores_is_irrelevant(scores, data):
    shuffled = data.draw(st.permutations(scores))
    assert ScoreSums.of(shuffled) == ScoreSums.of(scores)
    assert MaximumLikelihood()(shuffled) == MaximumLikelihood()(scores)
    assert MaximumAPosteriori()(shuffled, Prior()) == MaximumAPosteriori()(scores, Prior())


@given(scores=st.lists(a_score, max_size=40))
def test_added_sums_equal_those_of_the_whole(scores):
    sums = ScoreSums()
    for score in scores:
        sums = sums.add(score)
    whole = ScoreSums.of(scores)
    assert sums.n == whole.n
    assert sums.mean == pytest.approx(whole.mean, rel=1e-13, abs=1e-300)
    assert sums.m2 == pytest.approx(whole.m2, rel=1e-12, abs=1e-15 * (1 + whole.mean**2))


def test_sums_do_not_cancel():
    jitter = [0.9 + step * 1e-10 for step in range(5)]
    assert ScoreSums.of(jitter).m2 == pytest.approx(10.0e-20, rel=1e-5)


def test_sums_and_sequences_give_one_estimate():
    scores = [0.7, 0.9, 1.0, 0.85]
    sums = ScoreSums.of(scores)
    assert MaximumLikelihood()(sums) == MaximumLikelihood()(scores)
    assert MaximumAPosteriori()(sums, Prior()) == MaximumAPosteriori()(np.array(scores), Prior())


def test_without_scores():
    start = MaximumLikelihood()([])
    assert (start.mu, start.sigma, start.n, start.at_bound) == (0.8, 0.2, 0, False)
    centre = MaximumAPosteriori()([], Prior(0.6, 0.3))
    assert (centre.mu, centre.sigma, centre.n, centre.at_bound) == (0.6, 0.3, 0, False)
    outside = MaximumAPosteriori()([], Prior(5.0, 0.0))
    assert (outside.mu, outside.sigma, outside.at_bound) == (2.0, 1e-3, True)


def test_bounds_can_be_chosen():
    estimate = MaximumLikelihood(mu_bounds=(0.2, 0.6), sigma_bounds=(0.05, 0.5))([0.9, 1.0, 0.95])
    assert (estimate.mu, estimate.at_bound) == (0.6, True)
    # These scores lie flatter than any truncated normal: the ridge mu ~ sigma^2 rises to the last bound.
    scores = [1.0, 0.99, 0.9, 0.7, 0.3]
    wide = MaximumLikelihood(mu_bounds=(-100.0, 100.0), sigma_bounds=(1e-4, 100.0))(scores)
    along = optimize.minimize_scalar(lambda sigma: -log_posterior(100.0, sigma, scores), bounds=(0.1, 100.0))
    assert (wide.mu, wide.at_bound) == (100.0, True)
    assert wide.sigma == pytest.approx(along.x, rel=1e-3)


def test_estimators_compare_by_value():
    assert MaximumLikelihood() == MaximumLikelihood(mu_bounds=(-1.0, 2.0))
    assert repr(MaximumAPosteriori()) == "MaximumAPosteriori(mu_bounds=(-1.0, 2.0), sigma_bounds=(0.001, 1.0))"


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_rejects_what_is_no_score(score):
    with pytest.raises(InvalidScoreError, match=r"finite number in \[0, 1\]"):
        MaximumLikelihood()([0.5, score])
    with pytest.raises(InvalidScoreError, match=r"finite number in \[0, 1\]"):
        ScoreSums().add(score)


def test_each_estimator_insists_on_its_kind_of_prior():
    with pytest.raises(SettingsError, match="does not use a prior; use MaximumAPosteriori"):
        MaximumLikelihood()([0.5], Prior())
    with pytest.raises(SettingsError, match="needs a prior"):
        MaximumAPosteriori()([0.5])


@pytest.mark.parametrize("prior", [Prior(mu=math.nan), Prior(sigma=math.inf), Prior(mu_std=0.0), Prior(sigma_std=-1.0)])
def test_rejects_an_improper_prior(prior):
    with pytest.raises(SettingsError, match="a prior"):
        MaximumAPosteriori()([0.5], prior)


@pytest.mark.parametrize("estimator", [MaximumLikelihood, MaximumAPosteriori])
@pytest.mark.parametrize(
    "bounds",
    [
        {"mu_bounds": (1.0, 0.0)},
        {"mu_bounds": (0.0, math.inf)},
        {"sigma_bounds": (0.0, 1.0)},
        {"sigma_bounds": (0.5, 0.1)},
        {"sigma_bounds": (0.5, math.nan)},
    ],
)
def test_rejects_improper_bounds(estimator, bounds):
    with pytest.raises(SettingsError, match=next(iter(bounds))):
        estimator(**bounds)
