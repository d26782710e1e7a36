"""From errors to failures: how the record keeps what went wrong, and the error of a search without a single score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from langchain_optscale.errors import OptScaleError
from langchain_optscale.records.endings import refuses, truncation_note
from langchain_optscale.records.types import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.types import Candidate, StopReason, Usage

__all__ = ["AllCandidatesFailed", "Raised", "failure_of"]

_LONGEST_ERROR = 500
_CORE = "langchain_core.exceptions"
_PLAIN = frozenset({"LangChainException", "TracerException"})


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
    if cause is not None and str(cause) and str(cause) not in text:
        text += f" (because of {type(cause).__name__}: {cause})"
    text = "; ".join([text, *map(str, getattr(error, "__notes__", ()))])
    text = text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"
    return Failure(stage, text, raised.attempts, _kind_of(error))


def _kind_of(error: BaseException) -> str | None:
    """The name of langchain-core's error that this is, as other software tells errors apart."""
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == _CORE)
    return next((name for name in names if name not in _PLAIN), None)


class AllCandidatesFailed(OptScaleError, RuntimeError):  # noqa: N818 - a public name
    """Nothing could be drawn, or nothing that was drawn could be verified.

    Where all candidates failed by one error of langchain-core, such as `ContextOverflowError` or `ModelRefusalError`,
    it is an instance of that error as well, so that software which acts on it still does.

    Attributes:
        failures: What went wrong, by candidate index.
        reason: Why the search ended, None where it did not say.
        candidates: What was drawn all the same, by index, and could not be verified.

    Args:
        failures: The same.
        reason: Why the search ended.
        candidates: The same.
    """

    def __new__(cls, failures: Mapping[int, Failure] = MappingProxyType({}), *args: Any, **kwargs: Any) -> Self:
        """An instance that is also the error of langchain-core by which all candidates failed, if there is one."""
        kinds = {failure.kind for failure in failures.values()} if isinstance(failures, Mapping) else set()
        made: type[Any] = _of_kind(frozenset(kinds)) if cls is AllCandidatesFailed else cls
        return cast("Self", super().__new__(made, failures, *args, **kwargs))

    def __init__(
        self,
        failures: Mapping[int, Failure],
        reason: StopReason | None = None,
        candidates: Sequence[Candidate] = (),
    ) -> None:
        self.failures = dict(failures)
        self.reason = reason
        self.candidates = tuple(candidates)
        # What langchain-core's errors have beside their message.
        self.raw_message = next((one.message for one in self.candidates if refuses(one)), None)
        self.observation = self.llm_output = None
        self.send_to_llm = False
        causes = Counter(f"{failure.stage}: {failure.error}" for failure in self.failures.values())
        listed = "; ".join(f"{cause} ({count}x)" for cause, count in causes.most_common())
        why = f" before {reason.value}" if reason else ""
        parts = [f"no candidate could be scored{why}", listed, truncation_note(self.candidates)]
        RuntimeError.__init__(self, "; ".join(filter(None, parts)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (AllCandidatesFailed, (self.failures, self.reason, self.candidates))


@cache
def _of_kind(kinds: frozenset[str | None]) -> type[AllCandidatesFailed]:
    """The class of the error where all candidates failed by errors of these kinds of langchain-core."""
    from langchain_core import exceptions

    base = AllCandidatesFailed
    known: list[type[Any]] = [one for kind in kinds if (one := getattr(exceptions, kind or "", None)) is not None]
    if not known or len(known) < len(kinds):
        return base
    shared = [one for one in known[0].__mro__ if one.__module__ == _CORE and one.__name__ not in _PLAIN]
    common = next((one for one in shared if all(issubclass(other, one) for other in known)), None)
    if common is None:
        return base
    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return cast("type[AllCandidatesFailed]", type(base.__name__, (base, common), names))
