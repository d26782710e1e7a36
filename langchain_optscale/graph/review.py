"""Human review of a search that ended below its target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.types import interrupt

from langchain_optscale.errors import SettingsError
from langchain_optscale.graph.state import candidates_in, verdicts_in
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.decisions import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.stopping.session import Session

__all__ = ["REVIEWABLE", "missed_target", "request_review"]

REVIEWABLE = ("target", "confidence", "max_samples", "token_budget", "cost_budget", "deadline_s")
"""What a reviewer may change: plain numbers only."""

# How a caller's own rule, whose target is not known here, ends a search that met it.
_TARGET_MET = frozenset({StopReason.TARGET_REACHED, StopReason.ANSWER_CONFIDENT})


def missed_target(settings: SearchSettings, session: Session) -> bool:
    """Whether a finished search is below its target, or not sure where it has none.

    Under a rule of the caller's own the rule's reason tells.
    """
    if settings.stopping is None:
        if settings.target is None:
            return session.decision.claim == "not sure"
        return session.history.best < settings.target
    return session.decision.reason not in _TARGET_MET


def request_review(
    settings: SearchSettings,
    session: Session,
    record: Mapping[str, Any],
    objection: Callable[[Mapping[str, Any]], str | None],
) -> dict[str, Any]:
    """Interrupt the run until a reviewer has decided; asks again, with the reason, after an unusable answer.

    Args:
        settings: The settings of the search.
        session: The finished session.
        record: Its record in the state.
        objection: Why changed settings cannot be used, in one sentence; None where they can.

    Returns:
        The settings that the reviewer changed; empty where the best candidate is accepted.
    """
    problem: str | None = None
    while True:
        answer = interrupt(_question(settings, session, record, problem))
        try:
            changes = _changes(answer)
        except SettingsError as error:
            problem = str(error)
            continue
        if not changes:
            return {}
        problem = objection(changes)
        if problem is None:
            return changes


def _question(
    settings: SearchSettings, session: Session, record: Mapping[str, Any], problem: str | None
) -> dict[str, Any]:
    best: dict[str, Any] | None = None
    if (index := session.best) is not None:
        text = Candidate.from_dict(candidates_in(record)[index]).text
        best = {"index": index, "score": verdicts_in(record)[index].score, "text": text}
    reason = session.decision.reason
    return {
        "question": "The search ended below its target. Accept the best candidate, raise the budget, or change the "
        "target?",
        "problem": problem,
        "reason": reason and reason.name,
        "explanation": str(session.decision),
        "target": settings.target if settings.stopping is None else None,
        "best": best,
        "spent": {
            "candidates": session.history.drawn,
            "tokens": session.history.tokens,
            "seconds": session.history.elapsed_s,
        },
        "answers": ["accept", *({name: f"a new {name}"} for name in REVIEWABLE)],
    }


def _changes(answer: Any) -> dict[str, Any]:
    if answer == "accept" or answer == {"accept": True}:
        return {}
    if isinstance(answer, dict) and answer and answer.keys() <= set(REVIEWABLE):
        return dict(answer)
    raise SettingsError(
        f"answer 'accept', or with new values for some of {', '.join(REVIEWABLE)}, such as "
        f"{{'max_samples': 32}}; got {answer!r}"
    )
