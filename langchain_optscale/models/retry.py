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
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import ContextOverflowError, ModelAuthenticationError, ModelPermissionDeniedError

from langchain_optscale.errors import ErrorReplyError, OptScaleError, ResponseTooLargeError
from langchain_optscale.models.error_status import passes, refuses, status_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    import tenacity

__all__ = [
    "attempts",
    "is_broken_connection",
    "is_rejection",
    "is_transient",
    "make_async_retrying",
    "make_retrying",
    "may_be_the_number",
    "retry_after_s",
]

_OTHER_LOOP = ("Event loop is closed", "is bound to a different event loop", "attached to a different loop")
_LONGEST_CHAIN = 8
_LONGEST_WAIT_S = 20.0
_FIRST_WAIT_S = 0.25
# A longer Retry-After ends the retries.
_LONGEST_RETRY_AFTER_S = 60.0


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later.

    True for HTTP status 408, 409, 429 and 5xx, wherever the client keeps it or the body of the response names it; for
    connection errors and timeouts; for whatever says `is_retryable`, as langchain-core's `ModelError` does; and for an
    error that was raised from one of these. False for everything else, such as a rejected key or a malformed request,
    and where the server's `Retry-After` is more than a minute.
    """
    if any(isinstance(one, ResponseTooLargeError) for one in _with_causes(error)):
        return False  # clients of openai below 3 call it a connection error
    for one in _with_causes(error):
        if (retry_after_s(one) or 0.0) > _LONGEST_RETRY_AFTER_S:
            return False
        status = status_of(one)
        if status is not None:
            return passes(status)
        if isinstance(one, OptScaleError):
            return False  # its causes have been retried, or cannot pass
        if getattr(one, "is_retryable", False) is True or is_broken_connection(one) or _is_of_another_loop(one):
            return True
    return False


def is_rejection(error: BaseException) -> bool:
    """Whether the server understood the request and refuses this form of it (HTTP 400 or 422)."""
    return status_of(error) in {400, 422}


def may_be_the_number(error: BaseException) -> bool:
    """Whether a request for several choices may have failed because it asked for several.

    Clients and servers tell this in many ways: an unknown argument, a rejected value, a response that cannot be read.
    So it may be anything but a passing error and what a request for one choice would meet as well: a rejected key, an
    unknown model, a conversation that is too long, settings that do not fit.
    """
    if isinstance(error, OptScaleError) and not isinstance(error, ErrorReplyError):
        return False
    if refuses(status_of(error)) or not isinstance(error, Exception) or is_transient(error):
        return False
    return not isinstance(error, ContextOverflowError | ModelAuthenticationError | ModelPermissionDeniedError)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__


def _is_of_another_loop(error: BaseException) -> bool:
    """Whether the client had kept a connection of another event loop; it will open a new one."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OTHER_LOOP)


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
    """Whether the connection failed or timed out, in whichever form the client says so."""
    if isinstance(error, ConnectionError | TimeoutError):
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
