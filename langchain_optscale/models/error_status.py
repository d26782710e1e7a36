"""Which HTTP status an error means, wherever its client keeps it.

Most clients keep the status on the error or its response. Some servers, and gateways such as OpenRouter, answer with
status 200 and name the real status in the body, `{"error": {"code": 502, "message": ...}}`; a stream that has begun can
only tell so as well. Clients then raise an error that carries the body.

    >>> status_of(ValueError({"message": "Provider returned error", "code": 502}))
    502
    >>> status_in_body({"error": {"type": "overloaded_error", "message": "Overloaded"}})
    503
"""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Mapping
from typing import Any

__all__ = ["error_in_body", "passes", "refuses", "status_in_body", "status_of"]

_NUMBERS = ("status_code", "http_status", "status", "code", "http_code")
_WORDS = ("code", "type", "status", "reason", "error")
_LONGEST_BODY = 20_000
_DEEPEST = 4
_PASSING = frozenset({408, 409, 429})
_REFUSING = frozenset({401, 402, 403, 404})

_NAMES = {
    400: "invalidrequesterror invalidrequest badrequest badrequesterror invalidargument contextlengthexceeded",
    401: "authenticationerror unauthenticated unauthorized invalidapikey",
    402: "insufficientquota billingerror insufficientbalance paymentrequired",
    403: "permissionerror permissiondenied forbidden",
    404: "notfound notfounderror modelnotfound",
    409: "aborted conflict",
    429: (
        "ratelimiterror ratelimitexceeded ratelimit resourceexhausted toomanyrequests throttling throttlingexception "
        "throttled"
    ),
    500: "servererror internalservererror internalerror internal apierror",
    502: "badgateway upstreamerror providererror",
    503: "unavailable serviceunavailable overloaded overloadederror modeloverloaded serveroverloaded engineoverloaded",
    504: "timeout timeouterror deadlineexceeded gatewaytimeout",
}
_STATUS = {name: status for status, names in _NAMES.items() for name in names.split()}


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error means, from 400 to 599; None where it does not say."""
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status_code", "status", "code"):  # most clients; aiohttp; Google's
            status = getattr(holder, name, None)
            if isinstance(status, int) and 400 <= status < 600:
                return int(status)
    if isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")  # AWS
        if isinstance(status, int):
            return status
    return status_in_body(getattr(error, "body", None)) or status_in_body(next(iter(error.args), None))


def passes(status: int | None) -> bool:
    """Whether a request that met this status may succeed later: 408, 409, 429 and 5xx."""
    return status is not None and (status in _PASSING or 500 <= status < 600)


def refuses(status: int | None) -> bool:
    """Whether a status refuses every request by the same key, model and address: 401, 402, 403 and 404."""
    return status in _REFUSING


def error_in_body(body: Any) -> Any:
    """What a body that arrived with status 200 says is wrong; None where it is no error."""
    if not isinstance(body, Mapping):
        return None
    if error := body.get("error"):
        return error
    return dict(body) if body.get("object") == "error" or body.get("type") == "error" else None


def status_in_body(body: Any, depth: int = 0) -> int | None:
    """The status that the body of a response names, by number or by name; None where it names none."""
    about = _mapping(body) if depth < _DEEPEST else None
    if about is None:
        return None
    if (inner := status_in_body(about.get("error"), depth + 1)) is not None:
        return inner
    for key in _NUMBERS:
        if (status := _number(about.get(key))) is not None:
            return status
    names = (re.sub(r"[^a-z0-9]", "", value.lower()) for key in _WORDS if isinstance(value := about.get(key), str))
    return next((_STATUS[name] for name in names if name in _STATUS), None)


def _number(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
        value = int(value)
    return value if type(value) is int and 400 <= value < 600 else None


def _mapping(body: Any) -> Mapping[str, Any] | None:
    """A body as a mapping: it may be text, as some clients put it into their message, or an object of the client's."""
    if isinstance(body, Mapping):
        return body
    if isinstance(body, str):
        return _read(body[body.find("{") :]) if "{" in body[:200] and len(body) <= _LONGEST_BODY else None
    if callable(dump := getattr(body, "model_dump", None)):
        dumped = dump()
        return dumped if isinstance(dumped, Mapping) else None
    return None


def _read(text: str) -> Mapping[str, Any] | None:
    for reader in (json.loads, literal_eval):
        try:
            found = reader(text[: text.rfind("}") + 1])
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(found, Mapping):
            return found
    return None
