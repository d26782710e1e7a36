"""The JSON form of a session: its settings and its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.types import Failure, Usage
from langchain_optscale.stats.estimators import estimator_fields, known_estimators
from langchain_optscale.stats.priors import prior_from_dict, prior_to_dict
from langchain_optscale.stopping import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_form", "session_form", "usage_of"]

_FORMAT = "langchain-optscale/session"
_VERSION = 1


def session_form(settings: Mapping[str, Any], events: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A session's arguments by name and its events, JSON-ready.

    Raises:
        InvalidRecordError: The prior or the estimator is not one of this package, so that it has no JSON form.
    """
    estimator, prior = settings["estimator"], settings["prior"]
    if type(estimator).__name__ not in known_estimators():
        raise InvalidRecordError(
            f"estimator {estimator!r} has no JSON form; use one of {', '.join(known_estimators())}"
        )
    return {
        "format": _FORMAT,
        "version": _VERSION,
        **settings,
        "stopping": settings["stopping"].to_dict(),
        "estimator": {"estimator": type(estimator).__name__, **asdict(estimator)},
        "prior": None if prior is None else prior_to_dict(prior),
        "events": [[_item_form(item) for item in event] for event in events],
    }


def read_form(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[list[Any]]]:
    """A session's arguments and its events, from what `session_form` wrote.

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
            "estimator": known_estimators()[given.pop("estimator")](**estimator_fields(given)),
            "prior": data["prior"] and prior_from_dict(data["prior"]),
            "max_samples": data["max_samples"],
            "first_round": data["first_round"],
            "round_size": data["round_size"],
        }
        return settings, data["events"]
    except (KeyError, TypeError, ValueError, AttributeError, SettingsError) as error:
        raise InvalidRecordError(f"the session cannot be read: {error}") from error


def _item_form(item: Any) -> Any:
    """A part of an event, JSON-ready; usage as [input tokens, output tokens, requests, details of both if any]."""
    if isinstance(item, Failure):
        return item.to_dict()
    if isinstance(item, Mapping):
        return {role: _counts(consumed) for role, consumed in item.items()}
    return item


def _counts(usage: Usage) -> list[Any]:
    details = [dict(usage.input_token_details), dict(usage.output_token_details)]
    return [usage.input_tokens, usage.output_tokens, usage.requests, *(details if any(details) else ())]


def usage_of(counts: Mapping[str, list[Any]]) -> dict[str, Usage]:
    """Usage by role, as an event has it."""
    return {role: Usage(*numbers) for role, numbers in counts.items()}
