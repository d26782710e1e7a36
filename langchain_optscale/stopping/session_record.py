"""What a session has recorded: its rounds, and what became of their candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_optscale.records.decisions import Round

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.records.candidates import Failure
    from langchain_optscale.records.decisions import Estimate, Observation
    from langchain_optscale.stopping.history import History

__all__ = ["SessionRecord"]


class SessionRecord:
    """The record behind a `Session`, to be read."""

    history: History

    def _clear(self) -> None:
        self._rounds: list[tuple[tuple[int, ...], list[Observation]]] = []
        self._round_of: dict[int, int] = {}
        self._pending: set[int] = set()
        self._scores: dict[int, float] = {}
        self._failed: dict[int, Failure] = {}

    @property
    def pending(self) -> tuple[int, ...]:
        """Indexes of the candidates that were asked for and not told yet, ascending."""
        return tuple(sorted(self._pending))

    @property
    def asked(self) -> tuple[int, ...]:
        """Indexes of the candidates that were asked for last, ascending."""
        return self._rounds[-1][0] if self._rounds else ()

    @property
    def scores(self) -> Mapping[int, float]:
        """Score by candidate index, in order of arrival."""
        return dict(self._scores)

    @property
    def best(self) -> int | None:
        """Index of the candidate with the highest score, the earliest of equals; None before the first score."""
        return max(self._scores, key=lambda index: (self._scores[index], -index), default=None)

    @property
    def estimate(self) -> Estimate:
        """The estimated distribution of all scores so far."""
        return self.history.estimate

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds so far, each with an observation for every candidate of it whose outcome is known."""
        return tuple(Round(number, indexes, tuple(seen)) for number, (indexes, seen) in enumerate(self._rounds))

    def round_of(self, index: int) -> int:
        """The number of the round in which a candidate was asked for, from 0."""
        return self._round_of[index]
