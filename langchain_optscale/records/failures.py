"""From errors to failures: how the record keeps what went wrong, and the error of a search without a single score."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_optscale.errors import OptScaleError
from langchain_optscale.records.causes import cause_of
from langchain_optscale.records.types import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.records.types import Candidate, StopReason, Usage

__all__ = ["AllCandidatesFailed", "Raised", "failure_of"]

_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Raised:
    """A job whose attempts have all failed.

    Attributes:
        error: The last error.
        attempts: How often the job was tried.
        unreported_usage: What its verification consumed; None for nothing.
    """

    error: BaseException
    attempts: int
    unreported_usage: Usage | None = None


def failure_of(stage: Literal["draw", "verify"], raised: Raised) -> Failure:
    """The failure as the record has it: the error, its notes and what was behind it, shortened where that is long."""
    error, cause = raised.error, raised.error.__cause__
    text = f"{type(error).__name__}: {error}"
    # "Connection error." alone does not name the cause.
    reason = cause_of(error)
    if reason is not None and reason not in text:
        text += f" ({reason})"
    elif cause is not None and str(cause) and str(cause) not in text:
        text += f" (because of {type(cause).__name__}: {cause})"
    text = "; ".join([text, *map(str, getattr(error, "__notes__", ()))])
    return Failure(stage, text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…", raised.attempts)


class AllCandidatesFailed(OptScaleError, RuntimeError):  # noqa: N818 - a public name
    """Nothing could be drawn, or nothing that was drawn could be verified.

    Attributes:
        failures: What went wrong, by candidate index.
        candidates: What was drawn all the same, by index, and could not be verified.

    Args:
        failures: The same.
        reason: Why the search ended.
        candidates: The same.
    """

    def __init__(
        self,
        failures: Mapping[int, Failure],
        reason: StopReason | None = None,
        candidates: Sequence[Candidate] = (),
    ) -> None:
        self.failures = dict(failures)
        self.candidates = tuple(candidates)
        causes = Counter(f"{failure.stage}: {failure.error}" for failure in self.failures.values())
        listed = "; ".join(f"{cause} ({count}x)" for cause, count in causes.most_common())
        why = f" before {reason.value}" if reason else ""
        super().__init__(f"no candidate could be scored{why}" + (f"; {listed}" if listed else ""))
