"""What a search asks for, what comes of it, and what it says of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_optscale.records.types import Candidate, Usage

__all__ = ["Choice", "Done", "Draw", "Event", "Job", "Verify"]


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
class Choice:
    """One choice that the policy gave."""

    message: AIMessage
    usage: Usage


@dataclass(frozen=True, slots=True)
class Done:
    """A job that went well: what it gave, and how many seconds it took."""

    value: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for whoever watches the search; the data is JSON-ready."""

    name: str
    data: dict[str, Any]
