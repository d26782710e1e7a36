"""What a failure means for the rest of a search, and what its user can do about it."""

from __future__ import annotations

from dataclasses import replace
from socket import gaierror
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

from langchain_core.exceptions import ContextOverflowError, ModelError, ModelRefusalError

from langchain_optscale.errors import EmptyCandidateError, MissingLogprobsError, OptScaleError, SettingsError
from langchain_optscale.models.clients import address_of, models_in
from langchain_optscale.models.error_status import refuses, status_of
from langchain_optscale.models.policy import policy_name
from langchain_optscale.models.retry import is_broken_connection, is_transient
from langchain_optscale.records.causes import chain_of
from langchain_optscale.records.failures import AllCandidatesFailed, chain_causes, failure_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.records.candidates import Candidate, Failure, Recurrence
    from langchain_optscale.records.decisions import StopReason
    from langchain_optscale.records.failures import Raised
    from langchain_optscale.records.usage import Usage

__all__ = ["failure_in", "has_worked", "nothing_scored", "record_work"]

_Stage = Literal["draw", "verify"]

# What a chain fetches by these need not be its model: another candidate may name another page.
_GENERAL_CLIENTS = frozenset({"aiohttp", "httpx", "httpx2", "requests", "urllib", "urllib3"})
# A candidate may cause these by what it says.
_OF_CONTENT = (ValueError, LookupError, ArithmeticError, AssertionError, ModelRefusalError)

# What the wrappers of verifiers/ call the thing that the user gave.
_GIVEN = ("function", "runnable", "evaluator")

_worked: WeakValueDictionary[int, Any] = WeakValueDictionary()


def record_work(thing: Any) -> None:
    """A policy or a verifier has done its work once: what fails later may be an accident."""
    thing = _origin(thing)
    if has_worked(thing):
        return
    try:
        _worked[id(thing)] = thing
    except TypeError:
        return  # of a class without weak references: treated as untried


def has_worked(thing: Any) -> bool:
    """Whether a policy or a verifier has done its work in this process before."""
    thing = _origin(thing)
    return _worked.get(id(thing)) is thing


def _origin(thing: Any) -> Any:
    """What the user gave: a function or a Runnable is wrapped anew for every `OptScale`."""
    parts = getattr(type(thing), "__dictoffset__", 0) and vars(thing)  # a configurable model makes up other attributes
    return next((parts[name] for name in _GIVEN if parts.get(name) is not None), thing) if parts else thing


def failure_in(settings: SearchSettings, stage: _Stage, raised: Raised, thing: Any = None) -> Failure:
    """The failure of a candidate, and whether others would fail in the same way.

    Args:
        settings: What is searched with.
        stage: Where it went wrong.
        raised: What went wrong.
        thing: What raised it; by default the policy or the verifier, by stage.
    """
    failure, error = failure_of(stage, raised), raised.error
    if not isinstance(error, Exception):
        return failure
    if settings.max_failures is not None:
        tried = has_worked((settings.policy if stage == "draw" else settings.verifier) if thing is None else thing)
        failure = replace(failure, recurrence=_recurrence(error, tried=tried))
    return failure.caused_by(error)


def _recurrence(error: Exception, *, tried: bool) -> Recurrence:
    if isinstance(error, SettingsError):
        return "certain"
    if isinstance(error, MissingLogprobsError):
        return "possible" if tried else "certain"
    if refuses(status_of(error)):
        if type(error).__module__.partition(".")[0] in _GENERAL_CLIENTS:
            return "possible" if tried else "likely"
        return "likely" if tried else "certain"  # what has answered may be refused once by a gateway before it
    if is_transient(error):
        # Retries have not helped, and nothing has ever answered there.
        absent = any(isinstance(one, ConnectionRefusedError | gaierror) for one in chain_of(error))
        return "likely" if absent and not tried else "possible"
    if isinstance(error, ModelError) and error.is_retryable:
        return "possible"
    if isinstance(error, _OF_CONTENT):
        return "possible" if tried else "likely"
    return "likely"


def nothing_scored(
    settings: SearchSettings,
    reason: StopReason | None,
    candidates: Sequence[Candidate],
    failures: Mapping[int, Failure],
    usage: Mapping[str, Usage],
    cost: float | None,
) -> AllCandidatesFailed:
    """The error of a search that ended without a score: what failed, where, and what to do."""
    roles = {"draw": _named(settings.policy), "verify": settings.verifier.name}
    advice = {
        index: text
        for index, failure in failures.items()
        if failure.cause is not None and (text := _advice(failure.cause, failure.stage, settings))
    }
    return chain_causes(AllCandidatesFailed(failures, reason, candidates, usage, cost, roles, advice))


def _named(policy: Any) -> str:
    models = list(models_in(policy))
    address = address_of(models[0]) if len(models) == 1 else ""
    name = policy_name(models[0]) if len(models) == 1 else policy_name(policy)
    return f"{name} at {address}" if address else name


def _advice(error: Exception, stage: _Stage, settings: SearchSettings) -> str:
    """What to do about an error, as the end of a sentence; empty where its own message says so."""
    role = "policy" if stage == "draw" else "verifier"
    status = status_of(error)
    if isinstance(error, SettingsError):
        return ""
    if status == 401:
        return f"check the API key of the {role}"
    if status == 402:
        return f"pay for the {role}'s account, or take another key"
    if status == 403:
        return f"check that the API key of the {role} may use this model"
    if status == 404:
        return f"check the address and the name of the {role}'s model"
    if isinstance(error, ContextOverflowError):
        return "shorten the conversation, or take a model with a larger context"
    if status == 429:
        return f"set {role}_limit= to send fewer requests at once"
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "raise candidate_timeout_s or the model's timeout, or lower max_tokens"
    if is_broken_connection(error):
        models = list(models_in(settings.policy)) if stage == "draw" else []
        address = address_of(models[0]) if models else ""
        examine = f"; `optscale doctor --policy-url {address}` examines it" if address else ""
        return f"start the {role}'s server or correct its address{examine}"
    if isinstance(error, EmptyCandidateError):
        return "raise the policy's max_tokens, which thoughts may have used up"
    if stage == "verify" and not isinstance(error, OptScaleError) and not isinstance(error, ModelError):
        return f"correct the verifier {settings.verifier.name}: the traceback is in __cause__"
    return ""
