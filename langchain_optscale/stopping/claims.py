"""What a search promises about the candidate that it returns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.stopping.session import Session

__all__ = ["CLAIMS", "claim_about", "final_decision"]

CLAIMS = ("stable", "target reached", "target out of reach", "not sure")
"""What can be claimed without labels; a certificate adds "right"."""


def claim_about(
    decision: Decision, answers: Sequence[str | None], scores: Sequence[float], place: int
) -> tuple[str, float | None]:
    """The claim of a decision, and its probability, as it holds for the candidate that is returned.

    A claim of stability speaks of the answer that the rule found leading, and is withdrawn where a selection returns
    another one; "target reached" speaks of the returned candidate's score.

    Args:
        decision: What ended the search.
        answers: The canonical answer of each scored candidate, in order of arrival.
        scores: As many.
        place: The place of the returned candidate among them.

    Example:
        >>> from langchain_optscale.records.decisions import Decision
        >>> stable = Decision(True, figures={"leader": 0}, claim="stable", probability=0.97)
        >>> claim_about(stable, ["4", "5"], [0.6, 0.9], 0), claim_about(stable, ["4", "5"], [0.6, 0.9], 1)
        (('stable', 0.97), ('not sure', None))
    """
    leader = decision.figures.get("leader")
    if leader is not None and answers[int(leader)] != answers[place]:
        return "not sure", None
    target = decision.figures.get("target")
    if decision.claim == "target reached" and target is not None and scores[place] < target:
        return "not sure", None
    return decision.claim, decision.probability


def final_decision(session: Session) -> Decision:
    """The decision that ended a session, with the figures and the claim of all candidates that count for its result.

    Candidates of the same round may be verified after the one that ended the search. They may be returned, so what is
    said about the result has to include them: where the rule would now go on, nothing is claimed. Why the search ended
    stays as it was.

    Args:
        session: One that has ended, or not.

    Example:
        >>> from langchain_optscale.records.candidates import Verdict
        >>> from langchain_optscale.stopping import Objective
        >>> from langchain_optscale.stopping.session import Session
        >>> session = Session(Objective(0.9), first_round=2)
        >>> session.ask(), session.tell(0, Verdict(0.92)).stop, session.tell(1, Verdict(0.97)).figures["best"]
        (2, True, 0.92)
        >>> final_decision(session).figures["best"]
        0.97
    """
    decision = session.decision
    since = sum(one.decision.stop for each in session.rounds for one in each.observations)
    if since < 2:  # nothing came after the one that ended it
        return decision
    now = session.stopping(session.history)
    figures = {**decision.figures, **now.figures}
    if now.stop:
        return replace(decision, figures=figures, claim=now.claim, probability=now.probability)
    # What the rule looks at in order to go on is no reason of the end.
    return replace(
        decision, figures={name: figures[name] for name in decision.figures}, claim="not sure", probability=None
    )
