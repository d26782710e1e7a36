"""Which errors are worth another try, and how long to wait before it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

    import tenacity

__all__ = ["is_rejection", "is_transient", "patient", "patient_async"]

_TRANSIENT_STATUS = frozenset({408, 409, 429})
_LONGEST_WAIT_S = 20.0
_FIRST_WAIT_S = 0.25


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later.

    True for connection errors, timeouts, and HTTP status 408, 409, 429 and 5xx, read from the error's `status_code`
    or its response's; False for everything else, such as a rejected key or a malformed request.
    """
    import httpx
    import openai

    if isinstance(error, openai.APIConnectionError | httpx.TransportError | ConnectionError | TimeoutError):
        return True
    status = _status_of(error)
    return status is not None and (status in _TRANSIENT_STATUS or 500 <= status < 600)


def is_rejection(error: BaseException) -> bool:
    """Whether the server understood the request and refuses this form of it (HTTP 400 or 422)."""
    return _status_of(error) in {400, 422}


def _status_of(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _policy(max_retries: int) -> dict[str, Any]:
    import tenacity  # with its event loops it takes longer to import than this whole package

    return {
        "retry": tenacity.retry_if_exception(is_transient),
        "wait": tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
        "stop": tenacity.stop_after_attempt(max_retries + 1),
        "reraise": True,
    }


def patient(max_retries: int, give_up: threading.Event) -> tenacity.Retrying:
    """Retries in a thread; `give_up` ends the waiting and forbids further tries."""
    import tenacity

    policy = _policy(max_retries)
    policy["stop"] |= tenacity.stop_when_event_set(give_up)
    return tenacity.Retrying(**policy, sleep=tenacity.sleep_using_event(give_up))


def patient_async(max_retries: int) -> tenacity.AsyncRetrying:
    """Retries in a task; cancelling the task ends the waiting."""
    import tenacity

    return tenacity.AsyncRetrying(**_policy(max_retries), sleep=asyncio.sleep)
