import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping import History, MaxSamples, Rule, TargetReached, TokenBudget, optscale
from langchain_optscale.stopping.exploration import Exploration, explored_stop
from langchain_optscale.stopping.session import Session

RULE = Exploration(TargetReached(0.8) | TokenBudget(100) | MaxSamples(4))


def test_it_goes_on_where_the_rule_would_stop():
    decision = RULE(History(scores=(0.9,)))
    assert (decision.stop, decision.reason, decision.draw) == (False, StopReason.TARGET_REACHED, None)
    assert str(decision).startswith("draw more")


def test_it_decides_as_the_rule_before_that():
    history = History(scores=(0.1,))
    assert RULE(history) == RULE.inner(history)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (History(scores=(0.9,), tokens=100), StopReason.TOKEN_BUDGET),
        (History(scores=(0.9, 0.1, 0.1, 0.1)), StopReason.TARGET_REACHED),
        (History(scores=(0.9, 0.1, 0.1), failures=1), StopReason.TARGET_REACHED),
        (History(scores=(0.1, 0.1, 0.1, 0.1)), StopReason.MAX_SAMPLES),
    ],
)
def test_limits_and_the_cap_end_it(history, reason):
    decision = RULE(history)
    assert (decision.stop, decision.reason) == (True, reason)


def test_it_begins_as_the_rule_begins():
    rule = optscale(max_samples=16) | MaxSamples(16)
    start = History(max_samples=16)
    explored = Exploration(rule)
    assert explored.first_draw(start) == rule.first_draw(start)
    assert (explored.max_samples, explored.min_samples) == (rule.max_samples, rule.min_samples)
    assert explored.deadlines == rule.deadlines
    assert Rule.from_dict(explored.to_dict()) == explored


def test_it_needs_a_rule():
    with pytest.raises(SettingsError, match="needs a rule"):
        Exploration(3)


def run(rule, scores):
    session = Session(rule, max_samples=len(scores), first_round=1, round_size=1)
    for index, score in enumerate(scores):
        if not session.ask():
            break
        session.tell(index, Failure("draw", "no") if score is None else Verdict(score))
    return session


@pytest.mark.parametrize("scores", [(0.9, 0.1, 0.2, 0.3), (0.1, 0.9, 0.2, 0.3), (0.1, None, 0.85, 0.99), (0.1,) * 4])
def test_where_it_would_have_ended_is_where_the_rule_ends(scores):
    rule = TargetReached(0.8) | MaxSamples(4)
    plain, explored = run(rule, scores), run(Exploration(rule), scores)
    outcomes = plain.history.n + plain.history.failures
    assert explored.history.n + explored.history.failures == 4
    if outcomes == 4:
        assert explored_stop(explored.rounds) is None
    else:
        assert explored_stop(explored.rounds) == (outcomes, plain.decision)
