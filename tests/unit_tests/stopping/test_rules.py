"""Each rule on hand-made histories, and all of them under the conformance class."""

import math

import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats import Posterior, ScoreSums
from langchain_optscale.stopping import (
    Deadline,
    Futility,
    History,
    MarginalGain,
    MaxFailures,
    MaxSamples,
    MinSamples,
    OptimalN,
    TargetReached,
    TokenBudget,
    optscale,
    paper,
)
from langchain_optscale.stopping.conformance import RuleConformance


@pytest.mark.parametrize(
    ("scores", "stop"),
    [((), False), ((0.899999,), False), ((0.9,), True), ((0.95, 0.1), True), ((0.1,) * 9, False)],
)
def test_target_reached(scores, stop):
    decision = TargetReached(0.9)(History(scores=scores))
    assert decision.stop == stop
    assert decision.reason == (StopReason.TARGET_REACHED if stop else None)


def test_a_target_of_zero_still_waits_for_a_score():
    assert not TargetReached(0.0)(History()).stop
    assert TargetReached(0.0)(History(scores=(0.0,))).stop


class Known:
    """An estimator that knows the truth: scores uniform on [0, 1], up to a negligible curvature."""

    def __call__(self, scores, prior=None):
        from langchain_optscale.records.decisions import Estimate

        return Estimate(0.5, 1e4, "known", len(getattr(scores, "scores", ())))


@pytest.mark.parametrize(("target", "confidence"), [(0.5, 0.9), (0.9, 0.95), (0.99, 0.5), (0.1, 0.99)])
def test_optimal_n_of_uniform_scores(target, confidence):
    # For the uniform law F(s) = s, so N* = ceil(log(1 - confidence) / log(target)) by hand.
    expected = max(1, math.ceil(math.log(1 - confidence) / math.log(target)))
    rule = OptimalN(target, confidence)
    before = rule(History(scores=(0.3,), estimator=Known()))
    assert before.optimal_n == expected
    if expected > 1:
        assert not before.stop
        assert before.draw == expected - 1
    at = rule(History(scores=(0.3,) * expected, estimator=Known()))
    assert at.stop
    assert at.reason is StopReason.OPTIMAL_N


def test_optimal_n_says_nothing_before_the_first_score():
    decision = OptimalN(0.9, 0.95)(History())
    assert (decision.stop, decision.draw, decision.optimal_n) == (False, None, None)


def test_optimal_n_counts_what_is_pending():
    decision = OptimalN(0.9, 0.95)(History(scores=(0.3, 0.4), pending=5, estimator=Known()))
    assert decision.draw == decision.optimal_n - 7


def test_a_target_out_of_reach_has_no_finite_n():
    decision = OptimalN(0.99, 0.95)(History(scores=(0.1, 0.1, 0.1)))
    assert (decision.stop, decision.draw, decision.optimal_n) == (False, None, None)


def test_min_samples_keeps_an_eager_rule_waiting():
    rule = OptimalN(0.5, 0.9) & MinSamples(4)
    assert not rule(History(scores=(0.9, 0.92, 0.91))).stop
    assert rule(History(scores=(0.9, 0.92, 0.91))).draw == 1
    assert rule(History(scores=(0.9, 0.92, 0.91, 0.93))).stop


def test_max_samples_counts_failures_but_waits_for_what_is_pending():
    assert MaxSamples(4)(History(scores=(0.1, 0.2), pending=1)).draw == 1
    assert not MaxSamples(4)(History(scores=(0.1, 0.2), pending=2)).stop
    assert MaxSamples(4)(History(scores=(0.1, 0.2), failures=2)).reason is StopReason.MAX_SAMPLES


def test_token_budget_draws_what_the_rest_pays_for():
    rule = TokenBudget(1000)
    assert rule(History()).draw is None
    assert rule(History(scores=(0.1, 0.2), tokens=400)).draw == 3
    assert rule(History(scores=(0.1, 0.2), tokens=400, pending=2)).draw == 1
    assert rule(History(scores=(0.1, 0.2), tokens=999)).draw == 1
    assert rule(History(scores=(0.1, 0.2), tokens=1000)).reason is StopReason.TOKEN_BUDGET


def test_deadline_and_failures():
    assert not Deadline(2.0)(History(elapsed_s=1.99)).stop
    assert Deadline(2.0)(History(elapsed_s=2.0)).reason is StopReason.DEADLINE
    assert not MaxFailures(2)(History(failures=1)).stop
    assert MaxFailures(2)(History(failures=2)).reason is StopReason.FAILURES


def test_the_paper_draws_on_after_the_target_was_reached():
    # Weak point 1 of the original: N* is unconditional. The preset keeps to it, our default does not.
    scores = (0.2, 0.99, 0.3, 0.1, 0.4)
    assert not paper(0.95, 0.95, 16, 5)(History(scores=scores)).stop
    assert optscale(0.95, 0.95, 16)(History(scores=scores)).reason is StopReason.TARGET_REACHED


def test_presets_are_made_of_rules():
    assert paper(0.9, 0.95, 8, 3) == (OptimalN(0.9, 0.95) & MinSamples(3)) | MaxSamples(8)
    assert paper(0.9, 0.95, 8, 3).min_samples == 3
    assert optscale(0.9, 0.95, 8).max_samples == 8


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TargetReached(1.1), "target must be a score in"),
        (lambda: TargetReached(math.nan), "target must be a score in"),
        (lambda: OptimalN(-0.1, 0.9), "target must be a score in"),
        (lambda: OptimalN(0.9, 1.0), "confidence must lie strictly between 0 and 1"),
        (lambda: OptimalN(0.9, 0.0), "confidence must lie strictly between 0 and 1"),
        (lambda: OptimalN(0.9, math.nan), "confidence must lie strictly between 0 and 1"),
        (lambda: MaxSamples(0), "max_samples must be a whole number of at least 1"),
        (lambda: MaxSamples(2.5), "max_samples must be a whole number of at least 1"),
        (lambda: MaxSamples(True), "max_samples must be a whole number of at least 1"),
        (lambda: MinSamples(-1), "min_samples must be"),
        (lambda: TokenBudget(0), "token_budget must be"),
        (lambda: MaxFailures(0), "max_failures must be"),
        (lambda: MarginalGain(-0.1), "min_gain must be"),
        (lambda: Futility(0.9, 1.0), "probability must lie strictly between 0 and 1"),
        (lambda: Deadline(0), "finite number of seconds above 0"),
        (lambda: Deadline(math.inf), "finite number of seconds above 0"),
        (
            lambda: paper(max_samples=4, first_round=5),
            r"first_round \(5\) must not be larger than max_samples \(4\)",
        ),
    ],
)
def test_bad_settings(make, sentence):
    with pytest.raises(SettingsError, match=sentence):
        make()


def test_marginal_gain_of_uniform_scores():
    # For the uniform law E[(S - b)+] = (1 - b)^2 / 2.
    history = History(scores=(0.3, 0.8), estimator=Known())
    assert MarginalGain(0.019)(history).figures["gain"] == pytest.approx(0.02, rel=1e-6)
    assert not MarginalGain(0.019)(history).stop
    assert MarginalGain(0.021)(history).reason is StopReason.MARGINAL_GAIN
    assert not MarginalGain(0.5)(History()).stop


def test_rules_under_the_posterior():
    posterior = Posterior()
    scores = (0.62, 0.71, 0.55, 0.8)
    history = History(scores=scores, max_samples=64, estimator=posterior)
    bound = OptimalN(0.82, 0.5)(history).optimal_n
    assert bound == 4 + posterior(scores).least_k(0.82, 0.5, 60)
    assert OptimalN(0.8, 0.9)(history).stop  # the target was seen: the probability is 1
    assert MarginalGain(0.01)(history).figures["gain"] == posterior(scores).expected_gain(0.8)
    capped = History(scores=scores, max_samples=5, estimator=posterior)
    assert OptimalN(0.99, 0.99)(capped).optimal_n is None


def test_the_posterior_is_given_the_scores_themselves():
    steps = (0.9, 0.8, 0.9)
    with_sums = History(scores=steps, sums=ScoreSums.of(steps), estimator=Posterior())
    assert with_sums.estimate.prob_next(0.95) == Posterior()(steps).prob_next(0.95)
    assert with_sums.estimate.prob_next(0.95) != Posterior()(ScoreSums.of(steps)).prob_next(0.95)


def test_without_an_estimator_two_scores_do_not_make_a_rule_that_looks_ahead_sure():
    history = History(scores=(0.2, 0.21), max_samples=16)
    assert not Futility(0.9, 0.05)(history).stop
    assert MarginalGain(0.01)(history).figures["gain"] == Posterior()(history.scores).expected_gain(0.21)
    assert not optscale(0.9, max_samples=16)(history).stop


class TestMarginalGain(RuleConformance):
    def make_rule(self):
        return MarginalGain(0.01)


class TestHopeless(RuleConformance):
    def make_rule(self):
        return Futility(0.9, 0.05)


class TestTargetReached(RuleConformance):
    def make_rule(self):
        return TargetReached(0.9)


class TestOptimalN(RuleConformance):
    def make_rule(self):
        return OptimalN(0.9, 0.95)


class TestMinSamples(RuleConformance):
    def make_rule(self):
        return MinSamples(3)


class TestMaxSamples(RuleConformance):
    def make_rule(self):
        return MaxSamples(7)


class TestTokenBudget(RuleConformance):
    def make_rule(self):
        return TokenBudget(200)


class TestDeadline(RuleConformance):
    def make_rule(self):
        return Deadline(1.0)


class TestMaxFailures(RuleConformance):
    def make_rule(self):
        return MaxFailures(2)


class TestPaper(RuleConformance):
    def make_rule(self):
        return paper(0.9, 0.95, 16, 3)


class TestOptScale(RuleConformance):
    def make_rule(self):
        return optscale(0.9, 0.95, 16)
