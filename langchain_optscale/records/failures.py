"""From errors to failures: how the record keeps what went wrong, and the error of a search without a single score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from langchain_optscale.errors import OptScaleError, SettingsError, notes_of, printable
from langchain_optscale.records.candidates import Failure, without_numbers
from langchain_optscale.records.causes import cause_of
from langchain_optscale.records.endings import EndReason
from langchain_optscale.records.shortcomings import truncation_note
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.records.decisions import StopReason

__all__ = ["AllCandidatesFailed", "Raised", "chain_causes", "failure_of"]

_LONGEST_ERROR = 500
_CORE = "langchain_core.exceptions"
_REFUSING = frozenset({EndReason.REFUSAL, EndReason.CONTENT_FILTER})
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
    reason = cause_of(error)
    if reason is not None and reason not in text:
        text += f" ({reason})"
    elif cause is not None and str(cause) and str(cause) not in text:
        text += f" (because of {type(cause).__name__}: {cause})"
    # Servers write these texts, and terminals show them.
    text = printable("; ".join([text, *notes_of(error)]))
    text = text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"
    return Failure(stage, text, raised.attempts, _kind_of(error))


def _kind_of(error: BaseException) -> str | None:
    """The name of langchain-core's error that this is, as other software tells errors apart; or "SettingsError"."""
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == _CORE or kind is SettingsError)
    return next((name for name in names if name not in _PLAIN), None)


class AllCandidatesFailed(OptScaleError, RuntimeError):  # noqa: N818 - a public name
    """Nothing could be drawn, or nothing that was drawn could be verified.

    Where all candidates failed by one error of langchain-core, such as `ContextOverflowError` or `ModelRefusalError`,
    or by a `SettingsError`, it is an instance of that error as well, so that software which acts on it still does. Its
    `__cause__` is the exception of the candidates, or an `ExceptionGroup` where they differ.

    Attributes:
        failures: What went wrong, by candidate index.
        reason: Why the search ended, None where it did not say.
        candidates: What was drawn all the same, by index, and could not be verified.
        usage: What was consumed, under "policy" and "verifier".
        cost: What that cost, in the currency of the prices; None where no price is known.

    Args:
        failures: The same.
        reason: Why the search ended.
        candidates: The same.
        usage: The same.
        cost: The same.
        roles: The policy and the verifier by stage, as a sentence names them.
        advice: What to do, by the index of a failed candidate.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import OptScale
        >>> search = OptScale(policy=FakeListChatModel(responses=[""]), verifier=lambda prompt, candidate: 1.0)
        >>> try:
        ...     search.invoke("What is 2 + 2?")
        ... except AllCandidatesFailed as error:
        ...     print(error.failures[0].error)
        EmptyCandidateError: the policy answered with neither text nor a tool call
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
        usage: Mapping[str, Usage] = MappingProxyType({}),
        cost: float | None = None,
        roles: Mapping[str, str] = MappingProxyType({}),
        advice: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.failures = dict(failures)
        self.reason = reason
        self.candidates = tuple(candidates)
        self.usage = dict(usage)
        self.cost = cost
        self._roles, self._advice = dict(roles), dict(advice)
        # What langchain-core's errors have beside their message.
        refused = (one.message for one in self.candidates if one.end_reason in _REFUSING)
        self.raw_message = next(refused, None)
        self.observation = self.llm_output = None
        self.send_to_llm = False
        # Where others would fail alike, that is why the search ended.
        why = "" if reason is None or self.is_recurrent else f" before {reason.value}"
        listed = [self._sentence(group) for group in _groups(self.failures)]
        parts = [f"no candidate could be scored{why}", *listed, truncation_note(self.candidates)]
        RuntimeError.__init__(self, "; ".join(filter(None, parts)))

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

    def _sentence(self, group: Mapping[int, Failure]) -> str:
        index, first = next(iter(group.items()))
        where = first.stage if first.stage not in self._roles else f"{first.stage} ({self._roles[first.stage]})"
        said = f"{where}: {first.error}" + (f" ({len(group)}x)" if len(group) > 1 else "")
        return f"{said}; {self._advice[index]}" if index in self._advice else said

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.failures, self.reason, self.candidates, self.usage, self.cost, self._roles, self._advice)
        return AllCandidatesFailed, arguments


def chain_causes(error: AllCandidatesFailed) -> AllCandidatesFailed:
    """The error with the exceptions of its candidates as its cause, a group of them where they differ."""
    first: dict[tuple[type, str], Exception] = {}
    for failure in error.failures.values():
        if (cause := failure.cause) is not None:
            first.setdefault((type(cause), without_numbers(str(cause))), cause)
    causes = list(first.values())
    if error.raw_message is None:
        error.raw_message = next((one for cause in causes if (one := getattr(cause, "raw_message", None))), None)
    if len(causes) == 1:
        error.__cause__ = causes[0]
    elif causes:
        error.__cause__ = ExceptionGroup("the candidates failed for different reasons", causes)
    return error


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


@cache
def _of_kind(kinds: frozenset[str | None]) -> type[AllCandidatesFailed]:
    """The class of the error where all candidates failed by errors of these kinds of langchain-core."""
    from langchain_core import exceptions

    base = AllCandidatesFailed
    ours = {SettingsError.__name__: SettingsError}
    known: list[type[Any]] = [
        one for kind in kinds if (one := ours.get(kind or "") or getattr(exceptions, kind or "", None)) is not None
    ]
    if not known or len(known) < len(kinds):
        return base
    listed = [one for one in known[0].__mro__ if one.__module__ == _CORE or one is SettingsError]
    shared = [one for one in listed if one.__name__ not in _PLAIN]
    common = next((one for one in shared if all(issubclass(other, one) for other in known)), None)
    if common is None:
        return base
    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return cast("type[AllCandidatesFailed]", type(base.__name__, (base, common), names))
