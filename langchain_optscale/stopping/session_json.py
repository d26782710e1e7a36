"""The JSON form of a session: its settings and its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.records.stored import MOST_CANDIDATES, Fields, check_plain, reading
from langchain_optscale.records.usage import Usage
from langchain_optscale.stats.estimators import estimator_fields, known_estimators
from langchain_optscale.stats.priors import prior_from_dict, prior_to_dict
from langchain_optscale.stopping.base import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_form", "replay_event", "session_form"]

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
    known = data if isinstance(data, Mapping) else {}
    if known.get("format") != _FORMAT or known.get("version") != _VERSION:
        raise InvalidRecordError(f"not a session of format {_FORMAT!r}, version {_VERSION}")
    fields = Fields(data, "a session")
    sizes = {name: fields.whole(name, most=MOST_CANDIDATES) for name in ("max_samples", "first_round", "round_size")}
    check_plain(fields.get("estimator"), "the estimator of a session")
    with reading("the session"):
        given: dict[str, Any] = {}
        for key, value in fields.mapping("estimator").items():
            given[key] = tuple(value) if isinstance(value, list) else value
        settings = {
            "stopping": Rule.from_dict(data["stopping"]),
            "estimator": known_estimators()[given.pop("estimator")](**estimator_fields(given)),
            "prior": None if fields.is_null("prior") else prior_from_dict(data["prior"]),
            **sizes,
        }
        return settings, [_event(event) for event in fields.items("events")]


def replay_event(session: Any, kind: str, values: Sequence[Any]) -> None:
    """Apply a recorded event to a session.

    Raises:
        InvalidRecordError: The session asks for another number of candidates than it did when it was recorded.
    """
    if kind == "ask":
        if session.ask(ahead="ahead" in values) != values[0]:
            raise InvalidRecordError(f"the events do not fit the settings: {values[0]} candidates were asked for")
    elif kind == "adopt":
        session.adopt(values[0])
    elif kind == "tell":
        index, outcome, answer, tokens, elapsed_s, usage, mark = values
        session.tell(index, outcome, answer=answer, tokens=tokens, usage=usage, elapsed_s=elapsed_s, fingerprint=mark)
    elif kind == "spend":
        session.spend(values[0], values[1])
    elif kind == "end":
        session.end(values[0])
    else:
        session.tick(values[0])


# What an event has after its kind; a reader accepts no other length and no other types.
_EVENT_SIZES = {"ask": (1, 2), "adopt": (1, 1), "tell": (6, 8), "spend": (2, 2), "tick": (1, 1), "end": (1, 1)}


def _event(data: Any) -> list[Any]:
    """An event with its parts read: failures and usage as objects.

    Raises:
        InvalidRecordError: It is no event.
    """
    if not isinstance(data, list | tuple) or not data or not isinstance(data[0], str):
        raise InvalidRecordError("an event of a session must be a list that begins with its kind")
    kind, *values = data
    least, most = _EVENT_SIZES.get(kind, (0, -1))
    if not least <= len(values) <= most:
        raise InvalidRecordError(f"unknown event {kind[:40]!r} of {len(values)} parts")
    part = Fields(dict(enumerate(values)), f"the event {kind!r}")
    if kind in {"ask", "adopt"}:
        part.whole(0, least=1, most=MOST_CANDIDATES)
    elif kind == "tick":
        part.real(0)
    elif kind == "end":
        return [kind, _reason(part.text(0))]
    elif kind == "spend":
        return [kind, _usage_of(values[0]), part.real(1)]
    else:
        part.whole(0)
        part.whole(4)
        part.real(5)
        part.optional_text(3)
        outcome: Verdict | Failure = Failure.from_dict(values[2]) if values[1] is None else Verdict(part.real(1))
        usage = _usage_of(values[6]) if values[6:] else None
        mark = part.optional_text(7)
        return [kind, values[0], outcome, values[3], values[4], values[5], usage, mark]
    return [kind, *values]


def _reason(name: str) -> StopReason:
    """The reason of that name.

    Raises:
        InvalidRecordError: There is none.
    """
    try:
        return StopReason.of(name)
    except KeyError as error:
        raise InvalidRecordError(f"unknown reason {name[:40]!r} in the events of a session") from error


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


def _usage_of(counts: object) -> dict[str, Usage]:
    """Usage by role, as an event has it.

    Raises:
        InvalidRecordError: It is no usage.
    """
    names = ("input_tokens", "output_tokens", "requests", "input_token_details", "output_token_details")
    usage = {}
    for role, numbers in Fields({"usage": counts}, "an event").mapping("usage").items():
        if not isinstance(numbers, list | tuple) or len(numbers) > len(names):
            raise InvalidRecordError("the usage of an event must be a list of numbers")
        usage[role] = Usage.from_dict(dict(zip(names, numbers, strict=False)))
    return usage
