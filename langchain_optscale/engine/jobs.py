"""What a search asks for, what comes of it, and the events that it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_optscale.records.candidates import Candidate, Failure
    from langchain_optscale.records.reasoning_marks import ReasoningTag
    from langchain_optscale.records.usage import Usage

__all__ = ["Cancelled", "Choice", "Compare", "Done", "Draw", "Event", "Job", "Verify"]


@dataclass(frozen=True, slots=True)
class Draw:
    """A job: draw one candidate for each index, in one request."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verify:
    """A job: verify one candidate."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Compare:
    """A job: compare candidates in this order.

    Attributes:
        number: Of the comparison within its search, from 0.
        candidates: At least two.
    """

    number: int
    candidates: tuple[Candidate, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The candidates' indexes."""
        return tuple(candidate.index for candidate in self.candidates)

    @property
    def key(self) -> str:
        """What tells it apart from the other jobs of its search that verify or compare."""
        return f"comparison {self.number}"


Job: TypeAlias = Draw | Verify | Compare


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a policy's response.

    Attributes:
        message: What the policy answered.
        usage: What it consumed.
        answer: Its answer, once the worker has read it.
        failure: Why it cannot be verified, likewise.
        reasoning: The reasoning that was taken out of the message.
        reasoning_tags: Tags around reasoning that is still in it.
        parsed: The object that a policy with structured output answers with.
        state: What a policy that is a graph ended in.
    """

    message: AIMessage
    usage: Usage
    answer: str | None = None
    failure: Failure | None = None
    reasoning: str | None = None
    reasoning_tags: tuple[ReasoningTag, ...] = ()
    parsed: Any = None
    state: Any = None


@dataclass(frozen=True, slots=True)
class Done:
    """A finished job.

    Attributes:
        value: A list of `Choice`, a `Verdict` or a `Comparison`.
        seconds: How long the request took.
        unreported_usage: What a verification or a comparison consumed beyond what it reports; None for nothing.
    """

    value: Any
    seconds: float
    unreported_usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job that was cancelled without a result; what its models consumed until then counts."""

    unreported_usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for callbacks; the data is JSON-ready."""

    name: str
    data: dict[str, Any]
