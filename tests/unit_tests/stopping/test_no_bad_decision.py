"""No input of scores in [0, 1], in any order or number, gives a nan, a warning, or a decision out of range."""

import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_optscale import FixedPrior, Session, optscale, paper
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.stats import MaximumAPosteriori, MaximumLikelihood, Posterior
from langchain_optscale.stats.priors import EmpiricalPrior
from langchain_optscale.stopping import Futility, MarginalGain, OptimalN, TargetReached

LEARNED = EmpiricalPrior.fit([[0.91, 0.93, 0.92], [0.31, 0.35, 0.33], [1.0, 1.0], [0.0, 0.97, 1.0]] * 5)
FAR = FixedPrior(mu=-3.0, sigma=2.5, mu_std=1e-3, sigma_std=1e-3)
ESTIMATORS = {
    "maximum likelihood": (MaximumLikelihood(), None),
    "maximum a posteriori": (MaximumAPosteriori(), FixedPrior(0.8, 0.1)),
    "maximum a posteriori, far off": (MaximumAPosteriori(), FAR),
    "maximum a posteriori, learned": (MaximumAPosteriori(), LEARNED),
    "posterior": (Posterior(), None),
    "posterior, far off": (Posterior(), FAR),
    "posterior, learned": (Posterior(), LEARNED),
    "posterior, plain": (Posterior(dirichlet_weight=0.0), None),
    "posterior, steps of 0.1": (Posterior(resolution=0.1), None),
    "posterior, steps of 0.1, learned": (Posterior(resolution=0.1), LEARNED),
    "posterior, resolution 0.01": (Posterior(resolution=0.01), None),
}
a_score = st.one_of(
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 1.0, 0.5, 0.9, 0.95, 5e-324, 2.0**-1074, 1.0 - 2.0**-53]),
    st.integers(0, 20).map(lambda step: step / 20),
    st.floats(0.0, 1e-9).map(lambda jitter: 1.0 - jitter),
)
lists_of_scores = st.one_of(
    st.lists(a_score, min_size=1, max_size=80),
    st.builds(lambda score, n: [score] * n, a_score, st.integers(1, 80)),
)
levels = st.one_of(st.sampled_from([0.0, 0.9, 0.95, 1.0]), st.floats(0.0, 1.0))
chances = st.one_of(st.sampled_from([0.5, 0.95, 1e-9, 1.0 - 1e-9]), st.floats(1e-6, 1.0 - 1e-6))


@st.composite
def rules(draw, cap):
    target, confidence, price = draw(levels), draw(chances), draw(levels)
    first = draw(st.integers(1, cap))
    return draw(
        st.sampled_from(
            [
                optscale(target, confidence, cap, first),
                paper(target, confidence, cap, first),
                OptimalN(target, confidence) | TargetReached(target),
                TargetReached(target) | (Futility(target, confidence) & MarginalGain(price)),
                OptimalN(target, confidence) | Futility(target, 1.0 - confidence) | MarginalGain(price),
            ]
        )
    )


@pytest.mark.parametrize("name", ESTIMATORS)
@settings(max_examples=25, deadline=None)
@given(st.data(), lists_of_scores, st.integers(1, 80), st.integers(1, 16), st.randoms(use_true_random=False))
def test_no_bad_decision(name, data, scores, cap, round_size, random):
    estimator, prior = ESTIMATORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = Session(
            data.draw(rules(cap)), estimator=estimator, prior=prior, max_samples=cap, round_size=round_size
        )
        drawn = 0
        while count := session.ask():
            drawn += count
            assert 1 <= count <= drawn <= cap
            for index in random.sample(session.pending, count):
                is_lost = random.random() < 0.05
                session.tell(index, Failure("draw", "lost") if is_lost else Verdict(scores[index % len(scores)]))
                decision = session.decision
                assert decision.draw is None or 0 <= decision.draw <= cap
                assert decision.optimal_n is None or decision.optimal_n >= 1
                assert all(math.isfinite(figure) for figure in decision.figures.values())
        assert session.decision.stop
        assert session.decision.reason is not None
        assert 1 <= drawn <= cap
        estimate = session.estimate
    assert math.isfinite(estimate.mu)
    assert 0.0 < estimate.sigma < math.inf
