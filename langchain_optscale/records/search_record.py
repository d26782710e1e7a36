"""What a picture of a finished search needs to know: the part of `OptScaleResult` that the plot and the card read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.records.savings import Saved
    from langchain_optscale.records.types import (
        Candidate,
        Decision,
        Estimate,
        Failure,
        Round,
        StopReason,
        Usage,
        Verdict,
    )

__all__ = ["SearchRecord"]


class SearchRecord(Protocol):
    """The record of a finished search, as far as it is shown; `OptScaleResult` says what each part means."""

    @property
    def best(self) -> Candidate: ...
    @property
    def candidates(self) -> tuple[Candidate, ...]: ...
    @property
    def verdicts(self) -> Mapping[int, Verdict]: ...
    @property
    def failures(self) -> Mapping[int, Failure]: ...
    @property
    def rounds(self) -> tuple[Round, ...]: ...
    @property
    def decision(self) -> Decision: ...
    @property
    def estimate(self) -> Estimate: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def saved(self) -> Saved | None: ...
    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def optimal_n(self) -> int | None: ...
    @property
    def stop_reason(self) -> StopReason: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def total_usage(self) -> Usage: ...
