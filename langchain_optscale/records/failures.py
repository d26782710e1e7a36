"""From errors to failures: how the record keeps what went wrong, and the error of a search without a single score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from langchain_optscale.errors import OptScaleError, SettingsError
from langchain_optscale.records.types import Failure, Usage, without_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.records.types import Candidate, StopReason

__all__ = ["AllCandidatesFailed", "Raised", "all_failed", "failure_of"]

_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Raised:
    """A job that failed for good.

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
    # "Connection error." alone tells nobody what to do.
    if cause is not None and str(cause) and str(cause) not in text:
        text += f" (because of {type(cause).__name__}: {cause})"
    text = "; ".join([text, *map(str, getattr(error, "__notes__", ()))])
    return Failure(stage, text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…", raised.attempts)


class AllCandidatesFailed(OptScaleError, RuntimeError):  # noqa: N818 - a public name
    """Nothing could be drawn, or nothing that was drawn could be verified.

    Its `__cause__` is the exception of the candidates, or an `ExceptionGroup` where they differ. Where all of them
    share an error of `langchain_core.exceptions` such as `ContextOverflowError`, or a `SettingsError`, what is raised is
    an instance of that, too, so that handlers of such errors work.

    Attributes:
        failures: What went wrong, by candidate index.
        candidates: What was drawn all the same, by index, and could not be verified.
        usage: What was consumed, under "policy" and "verifier".
        cost: What that cost in the currency of the prices; None where no price is known.

    Args:
        failures: The same.
        reason: Why the search ended.
        candidates: The same.
        usage: The same.
        cost: The same.
        roles: The policy and the verifier by stage, as a sentence names them.
        advice: What to do, by the index of a failed candidate.
    """

    def __init__(
        self,
        failures: Mapping[int, Failure],
        reason: StopReason | None = None,
        candidates: Sequence[Candidate] = (),
        usage: Mapping[str, Usage] | None = None,
        cost: float | None = None,
        roles: Mapping[str, str] | None = None,
        advice: Mapping[int, str] | None = None,
    ) -> None:
        self.failures = dict(failures)
        self.candidates = tuple(candidates)
        self.usage = dict(usage or {})
        self.cost = cost
        self._arguments = (self.failures, reason, self.candidates, self.usage, cost, roles, advice)
        # Otherwise the sentences below say why.
        why = "" if reason is None or self.is_recurrent else f" before {reason.value}"
        listed = [_sentence(group, roles or {}, advice or {}) for group in _groups(self.failures)]
        super().__init__("; ".join([f"no candidate could be scored{why}", *listed]))

    @property
    def is_recurrent(self) -> bool:
        """Whether another search with the same settings would fail in the same way: its errors are no accidents."""
        outcomes = list(self.failures.values())
        if any(failure.recurrence == "certain" for failure in outcomes):
            return True
        alike = all(failure.resembles(outcomes[0]) for failure in outcomes)
        return bool(outcomes) and alike and outcomes[0].recurrence != "possible"

    @property
    def total_usage(self) -> Usage:
        """What policy and verifier consumed together."""
        return Usage.total(self.usage.values())

    def __reduce__(self) -> tuple[Any, ...]:
        shared = next((kind for kind in type(self).__bases__ if kind is not AllCandidatesFailed), None)
        return _rebuilt, (shared if type(self) is not AllCandidatesFailed else None, self._arguments, _message_in(self))


def all_failed(failures: Mapping[int, Failure], *arguments: Any, **named: Any) -> AllCandidatesFailed:
    """The error of a search without a score, with its causes chained; arguments as of `AllCandidatesFailed`."""
    causes = _distinct([failure.cause for failure in failures.values() if failure.cause is not None])
    shared = _shared(causes) if all(failure.cause is not None for failure in failures.values()) else None
    error = _kind(shared)(failures, *arguments, **named)
    _add_message(error, next((message for cause in causes if (message := _message_in(cause)) is not None), None))
    if len(causes) == 1:
        error.__cause__ = causes[0]
    elif causes:
        error.__cause__ = ExceptionGroup("the candidates failed for different reasons", causes)
    return error


def _distinct(causes: Sequence[Exception]) -> list[Exception]:
    """The first exception of each type and, apart from numbers, message."""
    first: dict[tuple[type, str], Exception] = {}
    for cause in causes:
        first.setdefault((type(cause), without_numbers(str(cause))), cause)
    return list(first.values())


def _shared(causes: Sequence[Exception]) -> type[Exception] | None:
    """The most specific error that handlers know and that all exceptions are instances of."""
    from langchain_core.exceptions import ModelError

    known = [
        kind
        for kind in (type(causes[0]).__mro__ if causes else ())
        if kind is SettingsError or (issubclass(kind, ModelError) and kind.__module__ == ModelError.__module__)
    ]
    return next((kind for kind in known if all(isinstance(cause, kind) for cause in causes)), None)


@cache
def _kind(shared: type[Exception] | None) -> type[AllCandidatesFailed]:
    """`AllCandidatesFailed`, as a subclass of another error as well."""
    if shared is None:
        return AllCandidatesFailed
    about = {"__doc__": AllCandidatesFailed.__doc__, "__module__": AllCandidatesFailed.__module__}
    return type("AllCandidatesFailed", (AllCandidatesFailed, shared), about)


def _rebuilt(shared: type[Exception] | None, arguments: tuple[Any, ...], message: Any) -> AllCandidatesFailed:
    error = _kind(shared)(*arguments)
    _add_message(error, message)
    return error


def _message_in(error: BaseException) -> Any:
    """The message that a refusal carries."""
    return getattr(error, "raw_message", None)


def _add_message(error: AllCandidatesFailed, message: Any) -> None:
    from langchain_core.exceptions import ModelRefusalError

    if isinstance(error, ModelRefusalError):
        error.raw_message = message


def _groups(failures: Mapping[int, Failure]) -> list[dict[int, Failure]]:
    """The failures that resemble each other, the most frequent ones first."""
    groups: list[dict[int, Failure]] = []
    for index, failure in failures.items():
        group = next((one for one in groups if next(iter(one.values())).resembles(failure)), None)
        if group is None:
            groups.append({index: failure})
        else:
            group[index] = failure
    return sorted(groups, key=len, reverse=True)


def _sentence(group: Mapping[int, Failure], roles: Mapping[str, str], advice: Mapping[int, str]) -> str:
    index, first = next(iter(group.items()))
    where = first.stage if first.stage not in roles else f"{first.stage} ({roles[first.stage]})"
    said = f"{where}: {first.error}" + (f" ({len(group)}x)" if len(group) > 1 else "")
    return f"{said}; {advice[index]}" if index in advice else said
