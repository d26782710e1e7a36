"""The rule about answers: when it stops, how many candidates it requests, and the rules conformance."""

import json

import pytest

from langchain_optscale.answers import AnswerModel, AnswerPosterior
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats import IsotonicCalibration
from langchain_optscale.stopping import AnswerConfidence, History, MaxSamples, Rule, TargetReached
from langchain_optscale.stopping.answer_rules import answer_model
from langchain_optscale.stopping.conformance import RuleConformance
from langchain_optscale.stopping.session import Session

FITTED = AnswerModel(concentration=8.0, calibration=IsotonicCalibration((0.2, 0.9), (0.1, 0.8)))


def history(answers, scores=None, **more):
    return History(scores=tuple(scores or [0.7] * len(answers)), answers=tuple(answers), **{"max_samples": 16} | more)


def test_it_stops_when_the_leader_is_sure():
    sure, unsure = history("aaaaaa"), history("aab")
    probability = AnswerPosterior.of(sure.answers, sure.scores).probability
    decision = AnswerConfidence(probability - 1e-6)(sure)
    assert (decision.stop, decision.reason, decision.optimal_n) == (True, StopReason.ANSWER_CONFIDENT, 6)
    assert decision.figures["probability"] == probability
    assert decision.figures["votes"] == 6
    assert decision.figures["answers"] == 1
    assert not AnswerConfidence(probability + 1e-6)(sure).stop
    assert not AnswerConfidence(0.95)(unsure).stop
    json.dumps(decision.to_dict())


def test_the_leader_is_named_by_its_best_candidate():
    decision = AnswerConfidence(0.99)(history(["b", "a", "a", None], [0.6, 0.6, 0.9, 0.95]))
    assert decision.figures["leader"] == 2


def test_without_an_answer_it_has_no_say():
    rule = AnswerConfidence(0.9, min_gain=0.1)
    for silent in (history([None, None]), History(scores=(0.9, 0.2)), History()):
        decision = rule(silent)
        assert (decision.stop, decision.draw, decision.optimal_n) == (False, None, None)
    # So joined rules go by the scores alone, candidate by candidate.
    joined = rule | TargetReached(0.9)
    for scores in ([0.2, 0.95], [0.2, 0.5]):
        both, alone = (one(history([None, None], scores)) for one in (joined, TargetReached(0.9)))
        assert (both.stop, both.reason, both.draw) == (alone.stop, alone.reason, alone.draw)


def test_its_price_ends_what_will_not_become_surer():
    futile = history("abcdefgh", [0.2] * 8)
    rises = AnswerPosterior.of(futile.answers, futile.scores).expected_rise()
    best = max(rise / k for k, rise in rises.items())
    assert not AnswerConfidence(0.95)(futile).stop
    assert not AnswerConfidence(0.95, min_gain=best * 0.99)(futile).stop
    ended = AnswerConfidence(0.95, min_gain=best * 1.01)(futile)
    assert (ended.stop, ended.reason, ended.optimal_n) == (True, StopReason.ANSWER_SETTLED, 8)
    assert ended.figures["gain"] == pytest.approx(best)


def test_its_price_sees_several_candidates_ahead():
    # One more candidate cannot depose the leader, so it is worth nothing; two or more together may be worth something.
    close = history("aab", [0.7, 0.7, 0.7])
    rises = AnswerPosterior.of(close.answers, close.scores).expected_rise()
    assert rises[1] < 0.005 < max(rises[k] / k for k in (2, 4, 8))
    assert not AnswerConfidence(0.999, min_gain=0.005)(close).stop
    # Where only one may still be drawn, that is what counts.
    assert AnswerConfidence(0.999, min_gain=0.005)(history("aab", [0.7] * 3, max_samples=4)).stop


def test_its_optimal_n():
    unsure = history("ab", [0.8, 0.3], max_samples=64)
    posterior = AnswerPosterior.of(unsure.answers, unsure.scores)
    rises = posterior.expected_rise()
    priced = AnswerConfidence(0.99, min_gain=0.002)(unsure)
    best = max(rises, key=lambda k: rises[k] - 0.002 * k)
    assert (priced.optimal_n, priced.draw) == (2 + best, best)
    assert AnswerConfidence(0.99, min_gain=0.002)(history("ab", [0.8, 0.3], pending=3)).draw == max(0, best - 3)
    reachable = posterior.probability + rises[4] - 1e-9
    assert AnswerConfidence(reachable)(unsure).optimal_n == 6
    out_of_reach = AnswerConfidence(0.9999)(unsure)
    assert (out_of_reach.optimal_n, out_of_reach.draw) == (None, None)


def test_a_session_drives_it_and_resumes_with_its_model():
    session = Session(AnswerConfidence(0.8, min_gain=0.01, model=FITTED), max_samples=12, first_round=1, round_size=1)
    while session.ask():
        index = session.pending[0]
        session.tell(index, Verdict(0.6), answer="4" if index != 1 else "5")
    again = Session.from_dict(json.loads(json.dumps(session.to_dict())))
    assert again.decision == session.decision
    assert session.decision.rule == "AnswerConfidence"


def test_the_model_of_a_rule():
    rule = MaxSamples(4) & (TargetReached(0.9) | AnswerConfidence(0.9, model=FITTED))
    assert answer_model(rule) == FITTED
    assert answer_model(MaxSamples(4) | AnswerConfidence(0.9)) is None
    assert answer_model(TargetReached(0.9)) is None


@pytest.mark.parametrize(
    ("make", "about"),
    [
        (lambda: AnswerConfidence(1.0), "confidence"),
        (lambda: AnswerConfidence(float("nan")), "confidence"),
        (lambda: AnswerConfidence(0.9, min_gain=-0.1), "min_gain"),
        (lambda: AnswerConfidence(0.9, min_gain=float("nan")), "min_gain"),
        (lambda: AnswerConfidence(0.9, model={"format": "?"}), "not an answer model"),
        (lambda: AnswerConfidence(0.9, model="default"), "model must be an AnswerModel"),
    ],
)
def test_what_is_refused(make, about):
    with pytest.raises(SettingsError, match=about):
        make()


def test_a_damaged_model_makes_a_damaged_rule():
    data = AnswerConfidence(0.9, model=FITTED).to_dict()
    data["model"]["version"] = 9
    with pytest.raises(InvalidRecordError, match="answer model"):
        Rule.from_dict(data)


class AnswerRuleConformance(RuleConformance):
    def histories(self):
        told = [
            History(scores=one.scores, answers=answers, pending=one.pending, failures=one.failures, max_samples=cap)
            for one in super().histories()
            for answers in (tuple("ab"[place % 2] for place in range(one.n)), (None,) * one.n, ("a",) * one.n)
            for cap in (16, None)
        ]
        return super().histories() + told


class TestAnswerConfidence(AnswerRuleConformance):
    def make_rule(self):
        return AnswerConfidence(0.9)


class TestAnswerConfidenceWithAPrice(AnswerRuleConformance):
    def make_rule(self):
        return AnswerConfidence(0.95, min_gain=0.01, model=FITTED)
