"""What goes into a store and what is asked of it: entries, events, and which rows to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from langchain_optscale.learning.rows import SearchRow

__all__ = ["Entry", "Event", "Selection"]


class Entry(NamedTuple):
    """A row to write, and the keyed digest of its question; None where the question is not known."""

    row: SearchRow
    question: bytes | None


class Event(NamedTuple):
    """Something that happened to a store, such as that a prior was learned from it.

    Attributes:
        time: In seconds since 1970 UTC.
        kind: Such as "learned" or "drift".
        data: JSON-ready.
    """

    time: float
    kind: str
    data: dict[str, Any]


class Selection(NamedTuple):
    """Which rows to read; None does not narrow.

    Attributes:
        pair: The digests of policy and verifier.
        since: Searches that ended at this time or later, in seconds since 1970 UTC.
        until: Searches that ended before.
        explored: Whether they were explored.
        labelled: Whether they have a label.
        question: The keyed digest of their question.
        id: Their id.
    """

    pair: tuple[str, str] | None = None
    since: float | None = None
    until: float | None = None
    explored: bool | None = None
    labelled: bool | None = None
    question: bytes | None = None
    id: str | None = None

    def conditions(self) -> list[tuple[str, Any]]:
        """Conditions on `searches s` and `labels l`, each with its argument or without one (None)."""
        policy, verifier = self.pair or (None, None)
        equal = {"s.policy": policy, "s.verifier": verifier, "s.question": self.question, "s.id": self.id}
        found: list[tuple[str, Any]] = [(f"{name} = {{}}", value) for name, value in equal.items() if value is not None]
        limits = ((">=", self.since), ("<", self.until))
        found += [(f"s.time {sign} {{}}", value) for sign, value in limits if value is not None]
        if self.explored is not None:
            found.append(("s.explored = {}", int(self.explored)))
        if self.labelled is not None:
            found.append((f"l.time IS {'NOT ' * self.labelled}NULL", None))
        return found
