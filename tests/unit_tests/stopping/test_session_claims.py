"""What a session claims once it has ended, and by which candidates."""

from langchain_optscale.records.candidates import Verdict
from langchain_optscale.stopping import Objective
from langchain_optscale.stopping.session import Session


def ended(texts: str, scores: list[float], **settings: float) -> Session:
    session = Session(Objective(**settings), max_samples=len(texts), first_round=len(texts))  # type: ignore[arg-type]
    session.ask()
    for place, (text, score) in enumerate(zip(texts, scores, strict=True)):
        session.tell(place, Verdict(score), answer=None if text == "-" else text)
    return session


def test_figures_are_those_of_all_candidates_that_count() -> None:
    session = ended("aaaaaaaabb", [0.5] * 10)
    assert session.decision.stop
    stopped_at = session.decision.figures["votes"]
    final = session.final_decision
    assert final.figures["votes"] == 8 > stopped_at
    assert (final.reason, final.stop) == (session.decision.reason, True)


def test_a_claim_is_withdrawn_where_later_candidates_contradict_it() -> None:
    session = ended("aaaaaabbbbb-----", [0.5] * 16, confidence=0.6)
    assert session.decision.claim == "stable"
    assert session.history.n == 16
    final = session.final_decision
    assert (final.claim, final.probability) == ("not sure", None)


def test_nothing_changes_where_nothing_came_after_the_end() -> None:
    session = Session(Objective(0.9), max_samples=4, first_round=1)
    session.ask()
    session.tell(0, Verdict(0.95))
    assert session.final_decision is session.decision
