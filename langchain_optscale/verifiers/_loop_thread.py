"""Coroutines on the sync path, in one event loop for all of them.

A loop for each call would break clients that keep connections, which belong to the loop that opened them.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["LoopThread", "as_coroutine", "run_awaitable"]


class LoopThread:
    """An event loop in a daemon thread, started by the first call."""

    def __init__(self) -> None:
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Await it within the caller's context variables, and block the caller until it is done.

        Raises:
            Exception: What it raises.
        """
        future = asyncio.run_coroutine_threadsafe(as_coroutine(awaitable), self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="optscale-loop", daemon=True).start()
            return self._loop


async def as_coroutine(awaitable: Awaitable[Any]) -> Any:
    """Any awaitable as a coroutine, of which a task can be made."""
    return await awaitable


_LOOP = LoopThread()


def run_awaitable(awaitable: Awaitable[Any]) -> Any:
    """`LoopThread.run` in the loop that the whole process shares."""
    return _LOOP.run(awaitable)
