"""The JSON-ready form of a session: its settings, and the events that it is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.estimators import known_estimators
from langchain_optscale.priors import prior_from_dict, prior_to_dict
from langchain_optscale.records import Failure, Usage, Verdict
from langchain_optscale.stopping import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.session import Session

__all__ = ["counts_of", "form_of", "read_form", "replay"]

_FORMAT = "langchain-optscale/session"
_VERSION = 1


def form_of(session: Session, events: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A session and what it was told, JSON-ready.

    Raises:
        InvalidRecordError: The prior or the estimator is not one of this package, so that it has no JSON form.
    """
    if type(session.estimator).__name__ not in known_estimators():
        raise InvalidRecordError(
            f"estimator {session.estimator!r} has no JSON form; use one of {', '.join(known_estimators())}"
        )
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "stopping": session.stopping.to_dict(),
        "estimator": {"estimator": type(session.estimator).__name__, **asdict(session.estimator)},  # type: ignore[call-overload]
        "prior": None if session.prior is None else prior_to_dict(session.prior),
        "max_samples": session.max_samples,
        "first_round": session.first_round,
        "round_size": session.round_size,
        "events": [list(event) for event in events],
    }


def read_form(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[list[Any]]]:
    """A session's arguments and its events, from what `form_of` wrote.

    Raises:
        InvalidRecordError: The data is not a session, of a later version, or damaged.
    """
    if data.get("format") != _FORMAT or data.get("version") != _VERSION:
        raise InvalidRecordError(f"not a session of format {_FORMAT!r}, version {_VERSION}")
    try:
        given: dict[str, Any] = {}
        for key, value in data["estimator"].items():
            given[key] = tuple(value) if isinstance(value, list) else value
        settings = {
            "stopping": Rule.from_dict(data["stopping"]),
            "estimator": known_estimators()[given.pop("estimator")](**given),
            "prior": data["prior"] and prior_from_dict(data["prior"]),
            "max_samples": data["max_samples"],
            "first_round": data["first_round"],
            "round_size": data["round_size"],
        }
        return settings, data["events"]
    except (KeyError, TypeError, ValueError, AttributeError, SettingsError) as error:
        raise InvalidRecordError(f"the session cannot be read: {error}") from error


def replay(session: Session, kind: str, values: list[Any]) -> None:
    """Let a session live through one event again.

    Raises:
        InvalidRecordError: The event is unknown, or does not fit what came before.
    """
    if kind == "ask":
        if session.ask(ahead="ahead" in values) != values[0]:
            raise InvalidRecordError(f"the events do not fit the settings: {values[0]} candidates were asked for")
    elif kind == "adopt":
        session.adopt(values[0])
    elif kind == "tell":
        index, score, failure, answer, tokens, elapsed_s, *usage = values
        outcome = Failure(**failure) if score is None else Verdict(score)
        spent = _usage(usage[0]) if usage else None
        session.tell(index, outcome, answer=answer, tokens=tokens, usage=spent, elapsed_s=elapsed_s)
    elif kind == "spend":
        session.spend(_usage(values[0]), values[1])
    elif kind == "tick":
        session.tick(values[0])
    else:
        raise InvalidRecordError(f"unknown event {kind!r}")


def counts_of(usage: Mapping[str, Usage] | None) -> dict[str, list[Any]]:
    """Usage by role as lists: tokens in and out, requests, and kinds of tokens where a server told them."""
    return {role: _counts(consumed) for role, consumed in (usage or {}).items()}


def _counts(usage: Usage) -> list[Any]:
    details = [dict(usage.input_token_details), dict(usage.output_token_details)]
    return [usage.input_tokens, usage.output_tokens, usage.requests, *(details if any(details) else ())]


def _usage(counts: Mapping[str, list[Any]]) -> dict[str, Usage]:
    return {role: Usage(*numbers) for role, numbers in counts.items()}
