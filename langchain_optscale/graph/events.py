"""What the graph says of itself while it runs: typed events for `stream_mode="custom"`, every one of them JSON-ready.

A task that was finished before a crash is not run again after it, so its events are not repeated on resuming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.records.types import Candidate, Decision, Estimate, Failure, Verdict

__all__ = [
    "AnswerEvent",
    "CandidateEvent",
    "DecisionEvent",
    "EstimateEvent",
    "Events",
    "FailureEvent",
    "GraphEvent",
    "RoundStartedEvent",
    "VerdictEvent",
]


class RoundStartedEvent(TypedDict):
    """A round was asked for: these candidates are drawn now."""

    type: Literal["round_started"]
    round: int
    indexes: list[int]


class CandidateEvent(TypedDict):
    """A candidate arrived; its verification begins."""

    type: Literal["candidate"]
    index: int
    round: int
    text: str
    answer: str | None
    latency_s: float


class VerdictEvent(TypedDict):
    """A candidate was scored."""

    type: Literal["verdict"]
    index: int
    score: float
    explanation: str | None


class FailureEvent(TypedDict):
    """A candidate could not be drawn or not be verified, after all retries."""

    type: Literal["failure"]
    index: int
    stage: str
    error: str
    attempts: int


class EstimateEvent(TypedDict):
    """What is thought of the score distribution after a round; `mu` and `sigma` are of the untruncated normal."""

    type: Literal["estimate"]
    n: int
    best: float
    mu: float
    sigma: float
    method: str


class DecisionEvent(TypedDict):
    """Whether the search goes on after a round, and why."""

    type: Literal["decision"]
    stop: bool
    reason: str | None
    draw: int | None
    optimal_n: int | None
    rule: str
    figures: dict[str, float]
    sentence: str


class AnswerEvent(TypedDict):
    """The search is over: the chosen text, and `OptScaleResult.summary` under `summary`."""

    type: Literal["answer"]
    index: int
    score: float
    text: str
    summary: dict[str, Any]


GraphEvent: TypeAlias = (
    RoundStartedEvent | CandidateEvent | VerdictEvent | FailureEvent | EstimateEvent | DecisionEvent | AnswerEvent
)


class Events:
    """Writes events to the stream of one node's run.

    Args:
        write: LangGraph's stream writer; it does nothing where nobody asked for custom events.
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write: Callable[[GraphEvent], None] = write

    def round_started(self, number: int, indexes: list[int]) -> None:
        """Say which candidates are drawn now."""
        self._write({"type": "round_started", "round": number, "indexes": indexes})

    def candidate(self, candidate: Candidate) -> None:
        """Say what was drawn."""
        self._write(
            {
                "type": "candidate",
                "index": candidate.index,
                "round": candidate.round,
                "text": candidate.text,
                "answer": candidate.answer,
                "latency_s": candidate.latency_s,
            }
        )

    def verdict(self, index: int, verdict: Verdict) -> None:
        """Say how it was scored."""
        self._write({"type": "verdict", "index": index, "score": verdict.score, "explanation": verdict.explanation})

    def failure(self, index: int, failure: Failure) -> None:
        """Say what went wrong with it."""
        self._write(
            {
                "type": "failure",
                "index": index,
                "stage": failure.stage,
                "error": failure.error,
                "attempts": failure.attempts,
            }
        )

    def estimate(self, estimate: Estimate, best: float) -> None:
        """Say what is thought of the scores."""
        self._write(
            {
                "type": "estimate",
                "n": estimate.n,
                "best": best,
                "mu": estimate.mu,
                "sigma": estimate.sigma,
                "method": estimate.method,
            }
        )

    def decision(self, decision: Decision) -> None:
        """Say what follows from them."""
        self._write(
            {
                "type": "decision",
                "stop": decision.stop,
                "reason": decision.reason and decision.reason.name,
                "draw": decision.draw,
                "optimal_n": decision.optimal_n,
                "rule": decision.rule,
                "figures": dict(decision.figures),
                "sentence": str(decision),
            }
        )

    def answer(self, result: OptScaleResult) -> None:
        """Say which candidate was chosen."""
        self._write(
            {
                "type": "answer",
                "index": result.best.index,
                "score": result.score,
                "text": result.text,
                "summary": result.summary(),
            }
        )
