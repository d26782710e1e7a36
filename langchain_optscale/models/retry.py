"""Which errors are worth a retry, and how long to wait before it.

This is the one place that decides: the clients' own retries are off for our requests (see `clients`), since two layers
that retry multiply.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

    import tenacity

__all__ = [
    "attempts",
    "is_broken_connection",
    "is_rejection",
    "is_transient",
    "make_async_retrying",
    "make_retrying",
    "retry_after_s",
    "status_of",
]

_TRANSIENT_STATUS = frozenset({408, 409, 429})
_LONGEST_WAIT_S = 20.0
_FIRST_WAIT_S = 0.25
# A longer Retry-After ends the retries.
_LONGEST_RETRY_AFTER_S = 60.0


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later.

    True for connection errors, timeouts, and HTTP status 408, 409, 429 and 5xx, read from the error or its response,
    in whichever form its client keeps it; False for everything else, such as a rejected key or a malformed request, and
    where the server's `Retry-After` is more than a minute.
    """
    status = status_of(error)
    if status is not None:
        passing = status in _TRANSIENT_STATUS or 500 <= status < 600
        return passing and (retry_after_s(error) or 0.0) <= _LONGEST_RETRY_AFTER_S
    if isinstance(error, RuntimeError) and str(error) == "Event loop is closed":
        return True  # a pooled connection of an event loop that has ended; the next attempt opens a new one
    return isinstance(error, TimeoutError) or is_broken_connection(error)


def is_rejection(error: BaseException) -> bool:
    """Whether the server understood the request and refuses this form of it (HTTP 400 or 422)."""
    return status_of(error) in {400, 422}


def retry_after_s(error: BaseException) -> float | None:
    """The seconds of the server's `Retry-After`; None without one.

    A date is compared with the server's own `Date` where there is one.
    """
    headers = _headers_of(error)
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        then = _moment(value)
        if then is None:
            return None
        now = _moment(headers.get("date"))
        seconds = then - (time.time() if now is None else now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _moment(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    if moment is None:
        return None
    # HTTP dates are in UTC even without a zone.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _headers_of(error: BaseException) -> dict[str, str]:
    """The headers of the response, by lower-case name."""
    response = getattr(error, "response", None)
    for holder in (response, error):
        headers = getattr(holder, "headers", None)
        if isinstance(headers, Mapping):
            return {str(name).lower(): str(value).strip() for name, value in headers.items()}
    if isinstance(response, Mapping):
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})  # AWS
        return {str(name).lower(): str(value).strip() for name, value in headers.items()}
    return {}


def is_broken_connection(error: BaseException) -> bool:
    """Whether the connection failed, in whichever form the client says so."""
    if isinstance(error, ConnectionError):
        return True
    # By name, since clients differ in which HTTP library they use, and none of them needs to be installed.
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    return not names.isdisjoint(_BROKEN)


_BROKEN = frozenset(
    {
        "openai.APIConnectionError",
        "anthropic.APIConnectionError",
        "groq.APIConnectionError",
        "httpx.TransportError",
        "httpx2.TransportError",
        "requests.ConnectionError",
        "requests.Timeout",
        "aiohttp.ClientConnectionError",
        "aiohttp.ClientPayloadError",
    }
)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error, from 400 to 599, in whichever form its client keeps it; None without one."""
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status_code", "status", "code"):  # most clients; aiohttp; Google's
            status = getattr(holder, name, None)
            if isinstance(status, int) and 400 <= status < 600:
                return int(status)
    if isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")  # AWS
        return status if isinstance(status, int) else None
    return None


@cache
def _policy(max_retries: int) -> dict[str, Any]:
    import tenacity  # with its event loops it takes longer to import than this whole package

    backoff = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S)

    def wait_s(state: tenacity.RetryCallState) -> float:
        """Full jitter on top of `Retry-After`, so that the clients do not all return at once."""
        error = state.outcome.exception() if state.outcome else None
        return float(backoff(state)) + ((retry_after_s(error) or 0.0) if error else 0.0)

    return {
        "retry": tenacity.retry_if_exception(is_transient),
        "wait": wait_s,
        "stop": tenacity.stop_after_attempt(max_retries + 1),
        "reraise": True,
    }


def make_retrying(max_retries: int, cancelled: threading.Event) -> tenacity.Retrying:
    """Retries in a thread; `cancelled` ends the waiting and forbids further attempts."""
    import tenacity

    policy = _policy(max_retries)
    stop = policy["stop"] | tenacity.stop_when_event_set(cancelled)
    return tenacity.Retrying(**{**policy, "stop": stop}, sleep=tenacity.sleep_using_event(cancelled))


def make_async_retrying(max_retries: int) -> tenacity.AsyncRetrying:
    """Retries in a task; cancelling the task ends the waiting."""
    import tenacity

    return tenacity.AsyncRetrying(**_policy(max_retries), sleep=asyncio.sleep)


def attempts(statistics: Mapping[str, Any]) -> int:
    """The number of attempts, by tenacity's statistics."""
    return int(statistics.get("attempt_number", 1))
