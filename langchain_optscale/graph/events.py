"""Typed, JSON-ready events of a running search for `stream_mode="custom"`.

A task that finished before a crash is not run again on resuming, so its events are not repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.records.candidates import Candidate, Failure, Verdict
    from langchain_optscale.records.comparisons import Comparison, FailedComparison
    from langchain_optscale.records.decisions import Decision, Estimate

__all__ = [
    "AnswerEvent",
    "CandidateEvent",
    "ComparisonEvent",
    "DecisionEvent",
    "EstimateEvent",
    "Events",
    "FailureEvent",
    "GraphEvent",
    "RoundStartedEvent",
    "VerdictEvent",
]


class RoundStartedEvent(TypedDict):
    """A round began: these candidates are being drawn.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> question = {"messages": [("user", "What is 2 + 2?")]}
        >>> events = graph.stream(question, stream_mode="custom")
        >>> event: RoundStartedEvent = next(one for one in events if one["type"] == "round_started")
        >>> event["round"], event["indexes"]
        (0, [0, 1])
    """

    type: Literal["round_started"]
    round: int
    indexes: list[int]


class CandidateEvent(TypedDict):
    """A candidate arrived; its verification begins.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> question = {"messages": [("user", "What is 2 + 2?")]}
        >>> events = graph.stream(question, stream_mode="custom")
        >>> event: CandidateEvent = next(one for one in events if one["type"] == "candidate")
        >>> event["text"], event["answer"]
        ('4', None)
    """

    type: Literal["candidate"]
    index: int
    round: int
    text: str
    answer: str | None
    latency_s: float


class VerdictEvent(TypedDict):
    """A candidate was scored.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> question = {"messages": [("user", "What is 2 + 2?")]}
        >>> events = graph.stream(question, stream_mode="custom")
        >>> event: VerdictEvent = next(one for one in events if one["type"] == "verdict")
        >>> event["score"]
        1.0
    """

    type: Literal["verdict"]
    index: int
    score: float
    explanation: str | None


class FailureEvent(TypedDict):
    """A candidate could not be drawn or verified, after all retries.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["", "4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> events = graph.stream({"messages": [("user", "What is 2 + 2?")]}, stream_mode="custom")
        >>> event: FailureEvent = next(one for one in events if one["type"] == "failure")
        >>> event["stage"], event["error"]
        ('draw', 'EmptyCandidateError: the policy answered with neither text nor a tool call')
    """

    type: Literal["failure"]
    index: int
    stage: str
    error: str
    attempts: int


class ComparisonEvent(TypedDict):
    """Leading candidates were compared in one order: each one's share of the win, or the error; the other is None.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import PairwiseJudge, create_optscale_graph
        >>> from langchain_optscale.stopping import MaxSamples
        >>> draws = {"policy": FakeListChatModel(responses=["four", "4"]), "stopping": MaxSamples(2)}
        >>> judge = PairwiseJudge(FakeListChatModel(responses=["A"]))
        >>> graph = create_optscale_graph(**draws, verifier=lambda prompt, candidate: 0.5, select=judge).compile()
        >>> events = graph.stream({"messages": [("user", "What is 2 + 2?")]}, stream_mode="custom")
        >>> event: ComparisonEvent = next(one for one in events if one["type"] == "comparison")
        >>> event["order"], event["shares"], event["error"].partition(":")[0]
        ([0, 1], None, 'InvalidReplyError')
    """

    type: Literal["comparison"]
    number: int
    order: list[int]
    shares: list[float] | None
    explanation: str | None
    error: str | None


class EstimateEvent(TypedDict):
    """The estimated score distribution after a round; `mu` and `sigma` are those of the untruncated normal.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> question = {"messages": [("user", "What is 2 + 2?")]}
        >>> events = graph.stream(question, stream_mode="custom")
        >>> event: EstimateEvent = next(one for one in events if one["type"] == "estimate")
        >>> event["n"], event["best"]
        (2, 1.0)
    """

    type: Literal["estimate"]
    n: int
    best: float
    mu: float
    sigma: float
    method: str


class DecisionEvent(TypedDict):
    """Whether the search stops after a round, and why (`explanation`, in words).

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> question = {"messages": [("user", "What is 2 + 2?")]}
        >>> events = graph.stream(question, stream_mode="custom")
        >>> event: DecisionEvent = next(one for one in events if one["type"] == "decision")
        >>> event["stop"], event["reason"]
        (True, 'MARGINAL_GAIN')
    """

    type: Literal["decision"]
    stop: bool
    reason: str | None
    draw: int | None
    optimal_n: int | None
    rule: str
    figures: dict[str, float]
    explanation: str


class AnswerEvent(TypedDict):
    """The search is over: the chosen text, and `OptScaleResult.summary` under `summary`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 1.0).compile()
        >>> question = {"messages": [("user", "What is 2 + 2?")]}
        >>> events = graph.stream(question, stream_mode="custom")
        >>> event: AnswerEvent = next(one for one in events if one["type"] == "answer")
        >>> event["text"], event["score"]
        ('4', 1.0)
    """

    type: Literal["answer"]
    index: int
    score: float
    text: str
    summary: dict[str, Any]


GraphEvent: TypeAlias = (
    RoundStartedEvent
    | CandidateEvent
    | VerdictEvent
    | FailureEvent
    | ComparisonEvent
    | EstimateEvent
    | DecisionEvent
    | AnswerEvent
)


class Events:
    """Writes events to the stream of one node's run.

    Args:
        write: LangGraph's stream writer; it does nothing where no caller asked for custom events.

    Example:
        >>> written = []
        >>> Events(written.append).round_started(0, [0, 1])
        >>> written
        [{'type': 'round_started', 'round': 0, 'indexes': [0, 1]}]
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write = write

    def round_started(self, number: int, indexes: list[int]) -> None:
        """A round begins with these candidates."""
        self._write(RoundStartedEvent(type="round_started", round=number, indexes=indexes))

    def candidate(self, candidate: Candidate) -> None:
        """A candidate was drawn."""
        self._write({"type": "candidate", **_fields(CandidateEvent, candidate)})

    def verdict(self, index: int, verdict: Verdict) -> None:
        """A candidate was scored."""
        self._write(VerdictEvent(type="verdict", index=index, score=verdict.score, explanation=verdict.explanation))

    def failure(self, index: int, failure: Failure) -> None:
        """A candidate failed."""
        self._write({"type": "failure", **_fields(FailureEvent, failure, index=index)})

    def comparison(self, number: int, made: Comparison | FailedComparison) -> None:
        """Candidates were compared, or could not be."""
        data: dict[str, Any] = {"shares": None, "explanation": None, "error": None, **made.to_dict(), "number": number}
        self._write(
            {"type": "comparison", **{name: data[name] for name in ComparisonEvent.__annotations__.keys() - {"type"}}}
        )

    def estimate(self, estimate: Estimate, best: float) -> None:
        """The score distribution was estimated."""
        self._write({"type": "estimate", **_fields(EstimateEvent, estimate, best=best)})

    def decision(self, decision: Decision) -> None:
        """The stopping rule decided."""
        changed = {
            "reason": decision.reason and decision.reason.name,
            "figures": dict(decision.figures),
            "explanation": str(decision),
        }
        self._write({"type": "decision", **_fields(DecisionEvent, decision, **changed)})

    def answer(self, result: OptScaleResult) -> None:
        """The search has chosen a candidate."""
        index, summary = result.best.index, result.summary()
        self._write(AnswerEvent(type="answer", index=index, score=result.score, text=result.text, summary=summary))


def _fields(kind: type, source: object, **given: Any) -> dict[str, Any]:
    """An event's data: what is given, and the attributes of `source` that have the names of its other keys."""
    return {
        name: given[name] if name in given else getattr(source, name) for name in kind.__annotations__ if name != "type"
    }
