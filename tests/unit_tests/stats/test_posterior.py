"""The posterior against numerical integration, its own definitions by brute force, and its invariants."""

import json
import math
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.decisions import Estimate
from langchain_optscale.stats import ScoreSums, optimal_n, probability_of_reaching, truncnorm
from langchain_optscale.stats.posterior import Posterior
from langchain_optscale.stats.priors import FixedPrior

PLAIN = Posterior(dirichlet_weight=0.0)

# The model as it is documented, written down once more.
SIGMA_LOW, SIGMA_HIGH, REACH = 0.015, 1.0, 4.0


def weak(mu, sigma):
    return stats.norm.logpdf(mu, 0.75, 0.35) + stats.norm.logpdf(np.log(sigma), math.log(0.15), 0.8)


def fixed(prior):
    def log_density(mu, sigma):
        by_sigma = stats.norm.logpdf(sigma, prior.sigma, prior.sigma_std) + np.log(sigma)
        return stats.norm.logpdf(mu, prior.mu, prior.mu_std) + by_sigma

    return log_density


def log_mass(low, high, mu, sigma):
    """Log of Phi((high - mu) / sigma) - Phi((low - mu) / sigma)."""
    a, b = (low - mu) / sigma, (high - mu) / sigma
    a, b = np.where(a > 0.0, -b, a), np.where(a > 0.0, -a, b)
    upper = special.log_ndtr(b)
    return upper + np.log(-np.expm1(special.log_ndtr(a) - upper))


def log_likelihood(scores, resolution, mu, sigma):
    whole = log_mass(0.0, 1.0, mu, sigma)
    if resolution:
        edges = [(max(x - resolution / 2, 0.0), min(x + resolution / 2, 1.0)) for x in scores]
        return sum((log_mass(low, high, mu, sigma) - whole for low, high in edges), np.zeros_like(mu))
    n, mean, variance = len(scores), np.mean(scores or [0.5]), np.var(scores or [0.5])
    squares = n * (variance + (mean - mu) ** 2) / sigma**2
    return -0.5 * squares - n * (math.log(sigma * math.sqrt(2.0 * math.pi)) + whole)


def integrals(of, scores, log_prior, resolution=None, log_scale=0.0):
    """Integrals of the values of `of(mu, sigma)` over prior times likelihood: adaptive in log sigma, Gauss in mu."""
    nodes, weights = special.roots_legendre(16)

    def over_mu(log_sigma):
        sigma = math.exp(log_sigma)
        panels = np.linspace(-REACH * sigma, 1 + REACH * sigma, 2 + math.ceil((1 + 8 * sigma) / min(sigma, 0.1)))
        half = 0.5 * np.diff(panels)[:, None]
        mu = (0.5 * (panels[1:] + panels[:-1])[:, None] + half * nodes).ravel()
        area = (half * weights).ravel()
        density = np.exp(log_prior(mu, sigma) + log_likelihood(scores, resolution, mu, sigma) - log_scale)
        return np.array([float((area * density * values).sum()) for values in of(mu, sigma)])

    spread = math.log(max(float(np.std(scores)) if scores else 0.2, 1.1 * SIGMA_LOW))
    points = [spread - 0.3, spread, spread + 0.3]
    return integrate.quad_vec(over_mu, math.log(SIGMA_LOW), 0.0, epsabs=0.0, epsrel=1e-6, points=points)[0]


PAPERS = FixedPrior(0.85, 0.15)
CASES = [
    ((), None, None),
    ((0.72, 0.81), None, None),
    ((0.72, 0.81), PAPERS, None),
    ((0.62, 0.71, 0.55, 0.8, 0.78, 0.69), None, None),
    ((0.99, 1.0, 0.97), PAPERS, None),
    ((0.9, 0.8, 1.0, 1.0), None, 0.1),
    ((0.6, 0.61), FixedPrior(0.6, 0.2, 0.02, 0.03), None),
]


def quantiles(n, mu, sigma):
    return np.round(np.asarray(truncnorm.ppf((np.arange(n) + 0.5) / n, np.float64(mu), np.float64(sigma))), 6).tolist()


# Numbers of scores on both sides of every change of the grid, and laws inside, at the edge of and outside [0, 1].
CASES += [
    (tuple(quantiles(n, *law)), prior, None)
    for n, law, prior in [
        (5, (0.8, 0.02), PAPERS),
        (16, (0.7, 0.1), None),
        (17, (1.1, 0.2), PAPERS),
        (64, (0.8, 0.02), None),
        (65, (0.3, 0.5), None),
        (256, (0.7, 0.1), PAPERS),
        (300, (1.1, 0.2), None),
    ]
]


@pytest.mark.parametrize(("scores", "prior", "resolution"), CASES)
def test_agrees_with_adaptive_integration(scores, prior, resolution):
    log_prior = weak if prior is None else fixed(prior)
    estimate = Posterior(resolution=resolution, dirichlet_weight=0.0)(scores, prior)
    # Reported in steps of 0.1, 0.9 is what lies above 0.85.
    edge = 0.85 if resolution else 0.9

    def of(mu, sigma):
        above = np.exp(log_mass(edge, 1.0, mu, sigma) - log_mass(0.0, 1.0, mu, sigma))
        return np.ones_like(mu), 1 - above, (1 - above) ** 8, mu, np.full_like(mu, sigma)

    scale = len(scores) * -math.log(max(float(np.std(scores)), 0.015)) if scores and not resolution else 0.0
    whole, *others = integrals(of, scores, log_prior, resolution, scale)
    missed, missed_8, mu, sigma = (value / whole for value in others)
    assert estimate.prob_next(0.9) == pytest.approx(1.0 - missed, abs=1e-4)
    assert estimate.prob_reach(0.9, 8) == pytest.approx(1.0 - missed_8, abs=1e-4)
    assert (estimate.mu, estimate.sigma) == pytest.approx((mu, sigma), abs=1e-4)


def base(below):
    """The weak base measure of the Dirichlet-process component: uniform with 0.6, and 0.4 near the ends."""
    points = [0.0, 0.005, 0.0537, 0.9537, 0.995, 1.0]
    return 0.6 * below + float(np.interp(below, points, [0.0, 0.08, 0.15, 0.15, 0.27, 0.4]))


def urn(scores, bins):
    """Density of the scores under a Polya urn of strength 2, draw by draw."""
    density, seen = 1.0, []
    for score in scores:
        low, high = next((a, b) for a, b in bins if a <= score < b or (b == 1.0 and score == 1.0))
        mass = 2.0 * (base(high) - base(low)) + sum(low <= x < high or (high == 1.0 == x) for x in seen)
        density *= mass / (2.0 + len(seen)) / (high - low)
        seen.append(score)
    return density


def one(mu, sigma):
    return (np.ones_like(mu),)


def test_weighs_the_two_models_by_bayes_rule():
    scores = (0.31, 0.97, 0.96, 0.28)
    edges = [0.0, 0.005, *(0.0537 + 0.1 * j for j in range(10)), 0.995, 1.0]
    by_urn = urn(scores, list(pairwise(edges)))
    by_normal = integrals(one, scores, weak)[0] / integrals(one, (), weak)[0]
    share_of_urn = 0.2 * by_urn / (0.2 * by_urn + 0.8 * by_normal)
    below = 2.0 * base(0.9) + 2.0
    missed_by_urn = math.prod((below + j) / (6.0 + j) for j in range(5))
    missed = share_of_urn * missed_by_urn + (1 - share_of_urn) * (1 - PLAIN(scores).prob_reach(0.9, 5))
    assert Posterior()(scores).prob_reach(0.9, 5) == pytest.approx(1 - missed, abs=1e-4)


@pytest.mark.parametrize(
    "scores", [(0.62, 0.71, 0.55, 0.8), (0.31, 0.97, 0.96, 0.28), (0.9, 0.85, 1.0), (1.0, 1.0), ()]
)
@pytest.mark.parametrize("best", [0.0, 0.5, 0.9, 1.0])
def test_gain_is_the_integral_of_the_tail(scores, best):
    estimate = Posterior()(scores)
    points = np.linspace(best, 1.0, 401)[:-1] + (1.0 - best) / 800
    tail = float(np.mean([estimate.prob_next(float(x)) for x in points])) * (1.0 - best)
    # Up to half of the 0.01 in which 1.0 is known on a continuous scale.
    assert estimate.expected_gain(best) == pytest.approx(tail, abs=3e-3)


@pytest.mark.parametrize("scores", [(0.62, 0.71, 0.55, 0.8), (0.9, 0.85, 1.0), (0.5, 0.5), ()])
def test_least_k_is_the_least(scores):
    estimate = Posterior()(scores)
    for target in (0.6, 0.8, 0.9, 1.0):
        for confidence in (0.3, 0.9, 0.99):
            k = estimate.least_k(target, confidence, 10**6)
            if k is None:
                assert estimate.prob_reach(target, 10**6) < confidence
            else:
                assert estimate.prob_reach(target, k) >= confidence
                assert k == 1 or estimate.prob_reach(target, k - 1) < confidence
                assert estimate.least_k(target, confidence, k) == k
                assert estimate.least_k(target, confidence, k - 1) is None


def test_quantile_of_best_inverts_the_probability_of_reaching():
    estimate = Posterior()((0.62, 0.71, 0.55, 0.8))
    for k, q in ((1, 0.1), (1, 0.5), (8, 0.5), (8, 0.9)):
        score = estimate.quantile_of_best(k, q)
        assert 1 - estimate.prob_reach(score + 1e-6, k) >= q - 1e-6
        assert 1 - estimate.prob_reach(score - 1e-6, k) <= q + 1e-6
    steps = Posterior()((0.9, 0.85, 0.95))
    score = steps.quantile_of_best(4, 0.5)
    assert score * 20 == pytest.approx(round(score * 20))
    assert 1 - steps.prob_reach(score + 0.05, 4) >= 0.5 > 1 - steps.prob_reach(score, 4)


@pytest.mark.parametrize("law", [(0.7, 0.1), (0.9, 0.2)])
def test_many_scores_agree_with_the_true_law(law):
    scores = np.asarray(truncnorm.ppf((np.arange(1000) + 0.5) / 1000, *map(np.float64, law))).tolist()
    estimate = Posterior()(scores)
    assert (estimate.mu, estimate.sigma) == pytest.approx(law, abs=0.02)
    truth = probability_of_reaching(*law, target=0.85, n=4)
    assert estimate.prob_reach(0.85, 4) == pytest.approx(truth, abs=0.02)
    bound = optimal_n(*law, target=0.85, confidence=0.95)
    assert abs(estimate.least_k(0.85, 0.95) - bound) <= 1 + 0.08 * bound


@pytest.mark.parametrize(
    ("scores", "low", "high"),
    [((), 0.05, 0.4), ((1.0,), 0.4, 0.8), ((1.0, 1.0), 0.5, 0.9), ((0.9, 0.9, 0.9), 0.1, 0.5), ((0.5,) * 20, 0.0, 0.1)],
)
def test_little_evidence_leaves_much_open(scores, low, high):
    estimate = Posterior()(scores)
    assert low < estimate.prob_next(0.95) < high
    assert estimate.sigma >= SIGMA_LOW


def test_steps_are_intervals():
    # With steps of 0.1 the next 1.0 covers [0.95, 1], so that 0.95 asks for no more than 1.0 does.
    coarse = Posterior(resolution=0.1)((0.9, 0.9, 0.9))
    assert coarse.prob_next(0.91) == coarse.prob_next(0.95) == coarse.prob_next(1.0) > 0.05
    fine = Posterior(resolution=1e-4)((0.9, 0.9, 0.9))
    assert fine.prob_next(0.95) < coarse.prob_next(0.95)


def test_sums_suffice_for_the_truncated_normal_alone():
    scores = (0.62, 0.71, 0.55, 0.8123)
    by_sums, by_scores = PLAIN(ScoreSums.of(scores)), PLAIN(scores)
    assert by_sums.prob_reach(0.9, 4) == pytest.approx(by_scores.prob_reach(0.9, 4), rel=1e-9)
    assert by_sums.n == by_scores.n == 4


def test_is_a_record_among_records():
    estimate = Posterior()((0.62, 0.71))
    assert isinstance(estimate, Estimate)
    assert Estimate(**json.loads(json.dumps(asdict(estimate)))) == estimate == estimate.summary()
    assert hash(estimate) == hash(estimate.summary())
    assert estimate != Posterior()((0.62, 0.72))
    assert "posterior" in repr(estimate)


a_score = st.one_of(
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.5, 0.85, 0.9, 0.95, 1.0]),
    st.floats(0.0, 1e-12).map(lambda jitter: 1.0 - jitter),
)
lists_of_scores = st.lists(a_score, max_size=70)
priors = st.none() | st.builds(
    FixedPrior, st.floats(-2.0, 3.0), st.floats(0.001, 3.0), st.floats(0.001, 10.0), st.floats(0.001, 10.0)
)
estimators = st.sampled_from([Posterior(), PLAIN, Posterior(resolution=0.1), Posterior(resolution=0.01)])


@settings(max_examples=60, deadline=None)
@given(estimators, lists_of_scores, priors, st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.randoms())
def test_every_list_of_scores_gives_probabilities(estimator, scores, prior, target, other, shuffler):
    estimate = estimator(scores, prior)
    low, high = sorted((target, other))
    chances = [estimate.prob_reach(score, k) for score in (low, high) for k in (0, 1, 2, 7, 10**6)]
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    for rising in (chances[:5], chances[5:]):
        assert all(b >= a - 1e-12 for a, b in pairwise(rising))
    assert all(a >= b - 1e-9 for a, b in zip(chances[:5], chances[5:], strict=True))
    assert 0.0 <= estimate.expected_gain(high) <= estimate.expected_gain(low) + 1e-9 <= 1.0 - low + 2e-9
    assert 0.0 <= estimate.quantile_of_best(3, 0.5) <= 1.0
    k = estimate.least_k(target, 0.9, 64)
    assert k is None or 1 <= k <= 64
    assert math.isfinite(estimate.mu)
    assert estimate.sigma > 0.0
    shuffled = estimator(shuffler.sample(scores, len(scores)), prior)
    assert shuffled == estimate
    assert shuffled.prob_reach(target, 7) == estimate.prob_reach(target, 7)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.05 * j for j in range(21)]) | st.floats(0.06, 0.99), min_size=1, max_size=20), st.data()
)
def test_jitter_changes_nothing(scores, data):
    jitter = data.draw(st.lists(st.floats(-1e-9, 1e-9), min_size=len(scores), max_size=len(scores)))
    moved = [min(max(score + by, 0.0), 1.0) for score, by in zip(scores, jitter, strict=True)]
    one, other = PLAIN(scores), PLAIN(moved)
    # No score lies within the jitter of this target.
    for k in (1, 8):
        assert other.prob_reach(0.9234567, k) == pytest.approx(one.prob_reach(0.9234567, k), abs=1e-5)
    assert other.expected_gain(0.4) == pytest.approx(one.expected_gain(0.4), abs=1e-5)


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.1, math.inf])
def test_refuses_what_is_no_score(score):
    with pytest.raises(InvalidScoreError):
        Posterior()([0.5, score])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Posterior(resolution=0.3),
        lambda: Posterior(resolution=0.0),
        lambda: Posterior(dirichlet_weight=1.0),
        lambda: Posterior()([]).prob_reach(1.2, 3),
        lambda: Posterior()([]).prob_reach(0.5, -1),
        lambda: Posterior()([]).least_k(0.5, 1.0),
        lambda: Posterior()([]).quantile_of_best(0, 0.5),
        lambda: Posterior()([]).quantile_of_best(1, 1.0),
        lambda: Posterior()([]).expected_gain(math.nan),
    ],
)
def test_refuses_settings_out_of_range(make):
    with pytest.raises(SettingsError):
        make()
