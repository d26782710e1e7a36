"""Equal candidates of one search: the first of them is verified, and the others get its verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_optscale.records.candidates import Failure, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.records.candidates import Candidate

__all__ = ["Equals", "shared"]


class Equals:
    """Which candidates of a search are equal, and which of them wait for the verdict of another.

    Args:
        key: Candidates with the same key are equal; None for a key, or in its place, makes a candidate like no other.
        all_texts: Whether equal texts are verified once, too; otherwise tool calls alone are.
    """

    def __init__(self, key: Callable[[Candidate], str | None] | None, *, all_texts: bool) -> None:
        self._key = key
        self._all_texts = all_texts
        self._first_with: dict[str, int] = {}
        self._waiting: dict[int, list[int]] = {}

    def first_like(self, candidate: Candidate) -> int:
        """The index of the first candidate that is equal to this one, which shares its verdict; else its own."""
        shares = self._all_texts or bool(candidate.message.tool_calls)
        key = self._key(candidate) if shares and self._key is not None else None
        return candidate.index if key is None else self._first_with.setdefault(key, candidate.index)

    def wait(self, index: int, first: int) -> None:
        """Note that a candidate waits for the verdict of the first that is equal to it."""
        self._waiting.setdefault(first, []).append(index)

    def waiting_for(self, first: int) -> list[int]:
        """The candidates that have waited for the verdict of this one, which is there now."""
        return self._waiting.pop(first, [])


def shared(known: Verdict | Failure) -> Verdict | Failure:
    """What the first candidate's outcome is for one that is equal to it.

    Example:
        >>> from langchain_optscale import Usage
        >>> shared(Verdict(0.5, usage=Usage(requests=1)))
        Verdict(score=0.5, explanation=None, usage=None, raw=None)
    """
    if isinstance(known, Verdict):
        return replace(known, usage=None)  # the first one's verdict has reported it
    if known.recurrence == "likely":
        # This candidate was not tried by itself, so it says nothing of others.
        return replace(known, recurrence="possible").caused_by(known.cause)
    return known
