"""SessionMethod: the same decisions as a session that is told by hand, and what is counted."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale import FixedPrior, Session, Verdict
from langchain_optscale.answers import WeightedVote
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.stats.estimation import MaximumAPosteriori
from langchain_optscale.stopping import MaxSamples, MinSamples, OptimalN, Rule, TargetReached, optscale, paper
from tests.unit_tests.evaluation.replayed import question

scores = st.lists(st.floats(0, 1).map(lambda score: round(score, 2)), min_size=12, max_size=12)
rules = st.sampled_from(
    [
        TargetReached(0.9),
        optscale(0.9, 0.9),
        paper(0.8, 0.9, 12, 3),
        OptimalN(0.7, 0.8) & MinSamples(4) | MaxSamples(9),
    ]
)


@given(scores, rules, st.integers(1, 5), st.integers(1, 5), st.integers(1, 12))
def test_decides_as_a_session_told_by_hand(listed, rule, first_round, round_size, cap):
    session = Session(rule, max_samples=cap, first_round=first_round, round_size=round_size)
    while session.ask():
        for index in session.pending:
            if session.tell(index, Verdict(listed[index])).stop:
                break
    method = SessionMethod(rule, "it", first_round=first_round, round_size=round_size)
    outcome = method.run(question(scores=listed), cap)
    assert outcome.drawn == len(session.scores)
    assert outcome.asked == outcome.drawn + len(session.pending)
    assert outcome.rounds == len(session.rounds)
    assert outcome.chosen == session.best
    assert outcome.stop_reason is session.decision.reason


def test_drawn_and_asked_by_hand():
    asked = question(scores=[0.1, 0.2, 0.3, 0.95, 0.2, 0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 0.1])
    outcome = SessionMethod(TargetReached(0.9), "it", first_round=2, round_size=4).run(asked, 12)
    assert (outcome.drawn, outcome.asked, outcome.rounds, outcome.chosen) == (4, 6, 2, 3)
    one_by_one = SessionMethod(TargetReached(0.9), "it", first_round=1, round_size=1).run(asked, 12)
    assert (one_by_one.drawn, one_by_one.asked, one_by_one.rounds, one_by_one.chosen) == (4, 4, 4, 3)


def test_promises():
    reached = SessionMethod(TargetReached(0.9), "it").run(question(scores=[0.95, 0.1]), 2)
    # What was observed already cannot fail, so it is no claim.
    assert (reached.stop_reason, reached.reached, reached.kept) == (StopReason.TARGET_REACHED, True, None)
    # Between 0.88 and 0.9 the bound promises 0.9 after few samples, and is wrong here.
    promised = SessionMethod(OptimalN(0.9, 0.5), "it", first_round=3).run(question(scores=[0.7, 0.899, 0.8] * 4), 12)
    assert (promised.stop_reason, promised.reached, promised.kept) == (StopReason.OPTIMAL_N, False, False)
    capped = SessionMethod(TargetReached(0.9), "it").run(question(scores=[0.1, 0.2]), 2)
    assert (capped.stop_reason, capped.reached, capped.kept) == (StopReason.MAX_SAMPLES, False, None)
    assert SessionMethod(MaxSamples(2), "it").run(question(scores=[0.1, 0.2]), 2).reached is None


def test_a_promise_is_judged_by_the_target_of_the_rule_that_made_it():
    rule = TargetReached(0.99) | OptimalN(0.6, 0.5)
    outcome = SessionMethod(rule, "it").run(question(scores=[0.7, 0.65, 0.7]), 3)
    assert (outcome.stop_reason, outcome.kept, outcome.reached) == (StopReason.OPTIMAL_N, True, False)


@dataclass(frozen=True)
class SeenTwice(Rule):
    """Stops when an answer was given twice."""

    def __call__(self, history):
        answers = [answer for answer in history.answers if answer is not None]
        stop = len(set(answers)) < len(answers)
        return Decision(stop, StopReason.ANSWER_CONFIDENT if stop else None)


def test_answers_and_tokens_reach_the_rule():
    asked = question(scores=[0.1, 0.9, 0.2], answers="343", correct=[True, False, True])
    best = SessionMethod(SeenTwice(), "it", first_round=1).run(asked, 3)
    assert (best.drawn, best.chosen, best.kept) == (3, 1, False)
    voted = SessionMethod(SeenTwice(), "it", first_round=1, select="vote").run(asked, 3)
    assert (voted.chosen, voted.kept) == (2, True)


def test_selections():
    asked = question(scores=[0.9, 0.5, 0.6], answers="344")
    chosen = {
        select: SessionMethod(MaxSamples(3), "it", select=select).run(asked, 3).chosen
        for select in ("best", "vote", "weighted_vote")
    }
    assert chosen == {"best": 0, "vote": 2, "weighted_vote": 2}
    squared = SessionMethod(MaxSamples(3), "it", select=WeightedVote(4.0))
    assert squared.run(asked, 3).chosen == 0
    assert squared.needs == {"scores", "answers"}
    assert SessionMethod(MaxSamples(3), "it").needs == {"scores"}


def test_settings_tell_what_was_set():
    plain = SessionMethod(optscale(), "it")
    assert plain.settings == {"stopping": optscale().to_dict()}
    method = SessionMethod(optscale(), "it", estimator=MaximumAPosteriori(), prior=FixedPrior(0.8, 0.1), round_size=1)
    written = json.loads(json.dumps(method.settings))
    assert Rule.from_dict(written["stopping"]) == optscale()
    assert written["prior"] == {"kind": "FixedPrior", "mu": 0.8, "sigma": 0.1, "mu_std": 0.1, "sigma_std": 0.1}
    assert written["estimator"]["kind"] == "MaximumAPosteriori"
    assert written["round_size"] == 1


def test_what_is_refused():
    with pytest.raises(SettingsError, match="select"):
        SessionMethod(MaxSamples(3), "it", select="worst")
    with pytest.raises(SettingsError, match="'q' has no score"):
        SessionMethod(MaxSamples(3), "it").run(question(answers="344"), 3)
    with pytest.raises(SettingsError, match="round_size"):
        SessionMethod(MaxSamples(3), "it", round_size=0).run(question(scores=[0.5]), 1)
