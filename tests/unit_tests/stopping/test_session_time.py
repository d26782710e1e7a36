"""What passing time may decide, and what it may not."""

from langchain_optscale import Session, StopReason, Usage, Verdict
from langchain_optscale.stopping import Deadline, TargetReached, TokenBudget


def test_time_alone_lets_no_budget_end_a_session_before_its_first_score():
    session = Session(TargetReached(0.9) | TokenBudget(10) | Deadline(5.0), max_samples=2)
    session.ask()
    assert not session.spend({"policy": Usage(20, 20, 1)}, elapsed_s=1.0).stop
    assert not session.tick(2.0).stop
    assert session.tell(0, Verdict(0.95)).reason is StopReason.TARGET_REACHED


def test_a_deadline_ends_a_session_that_has_no_score_yet():
    for late in (lambda session: session.tick(5.0), lambda session: session.spend({}, elapsed_s=5.0)):
        session = Session(TargetReached(0.9) | Deadline(5.0), max_samples=2)
        session.ask()
        assert late(session).reason is StopReason.DEADLINE
