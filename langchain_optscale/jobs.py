"""What a search asks for, what comes of it, and what it says of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_optscale.records import Candidate, Failure

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_optscale.records import Usage

__all__ = ["Done", "Draw", "Drawn", "Event", "Job", "Raised", "Verify", "failure_of"]

_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Draw:
    """A job: draw one candidate for each index, in one request."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verify:
    """A job: verify one candidate."""

    candidate: Candidate


Job: TypeAlias = Draw | Verify


@dataclass(frozen=True, slots=True)
class Drawn:
    """One choice that the policy gave."""

    message: AIMessage
    usage: Usage


@dataclass(frozen=True, slots=True)
class Done:
    """A job that went well: what it gave, and how many seconds it took."""

    value: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Raised:
    """A job that failed for good: its last error, and how often it was tried."""

    error: BaseException
    attempts: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for whoever watches the search; the data is JSON-ready."""

    name: str
    data: dict[str, Any]


def failure_of(stage: Literal["draw", "verify"], raised: Raised) -> Failure:
    """The failure as the record has it: the error, its notes and what was behind it, shortened where that is long."""
    error, cause = raised.error, raised.error.__cause__
    text = f"{type(error).__name__}: {error}"
    # "Connection error." alone tells nobody what to do.
    if cause is not None and str(cause) and str(cause) not in text:
        text += f" (because of {type(cause).__name__}: {cause})"
    text = "; ".join([text, *map(str, getattr(error, "__notes__", ()))])
    return Failure(stage, text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…", raised.attempts)
