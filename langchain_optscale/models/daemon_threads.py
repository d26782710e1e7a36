"""Synchronous work of others in daemon threads of our own.

A verifier, a policy or a judge without an async method may hang. In the event loop's default executor it would then
take a thread from the application for ever, and `asyncio.run` and the interpreter would wait for it at their end. The
threads here are shared with nothing else, are bounded in number, and keep nothing from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_optscale.errors import HungWorkError
from langchain_optscale.models.eager_cancel import is_cancelled
from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["DaemonThreads", "as_finished", "run_in_thread"]

T = TypeVar("T")

_MOST_CALLS = 512
_IDLE_S = 10.0


class DaemonThreads:
    """Threads that are reused while there is work, and end a while after it.

    Args:
        most: The most calls at once. Work beyond that is refused rather than queued: so many calls that do not
            return mean that something hangs.
    """

    def __init__(self, most: int = _MOST_CALLS) -> None:
        self._most = most
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []
        self._calls = 0

    @property
    def calls(self) -> int:
        """Calls that have not returned, awaited or not."""
        return self._calls

    def submit(self, work: Callable[[], Any]) -> None:
        """Do something in a thread that sees the caller's context variables; `work` must not raise.

        Raises:
            HungWorkError: Too many calls have not returned.
        """
        context = contextvars.copy_context()
        lock = self._lock

        def call() -> None:
            try:
                context.run(work)
            finally:
                with lock:
                    self._calls -= 1

        with lock:
            if self._calls >= self._most:
                raise HungWorkError(
                    f"{self._most} synchronous calls of verifiers, policies or judges have not returned, so no other "
                    "is begun: give their clients a timeout, or write them asynchronously"
                )
            self._calls += 1
            inbox = self._idle.pop() if self._idle else None
        if inbox is not None:
            inbox.put(call)
            return
        inbox = queue.SimpleQueue()
        inbox.put(call)
        threading.Thread(target=self._serve, args=(inbox,), name="optscale", daemon=True).start()

    def _serve(self, inbox: queue.SimpleQueue[Callable[[], None]]) -> None:
        while True:
            try:
                call = inbox.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                continue
            try:
                call()
            finally:
                del call  # what it holds must not live for as long as the thread is idle
                with self._lock:
                    self._idle.append(inbox)


_THREADS = DaemonThreads()


async def run_in_thread(function: Callable[..., T], *args: Any) -> T:
    """Await a blocking function that runs in a daemon thread, within the caller's context variables.

    Cancelling ends the waiting at once; the function goes on in its thread until it returns, and its outcome is
    dropped.

    Raises:
        HungWorkError: Too many such calls have not returned.
        Exception: Whatever the function raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        is_cancelled.set(future.done)  # a model that streams is closed at its next chunk
        try:
            value = function(*args)
        except BaseException as error:  # noqa: BLE001 - handed to the one who awaits
            # A future takes no StopIteration.
            raised = RuntimeError(f"StopIteration: {error}") if isinstance(error, StopIteration) else error
            _deliver(loop, future, None, raised)
        else:
            _deliver(loop, future, value, None)

    _THREADS.submit(work)
    return await future


def _deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], value: Any, error: BaseException | None
) -> None:
    def set_outcome() -> None:
        if future.done():
            return  # cancelled: no caller waits for it
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    # The event loop may be closed by now.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(set_outcome)


def as_finished(calls: Sequence[Callable[[], T]], limit: int | None = None) -> Iterator[tuple[int, T | BaseException]]:
    """Make blocking calls at the same time, each in a daemon thread.

    Leaving the iteration begins no further call, and leaves those under way to themselves.

    Args:
        calls: What to call.
        limit: The most calls under way at once; None sets no limit.

    Yields:
        The place of each call and what it returned or raised, in the order in which they end.
    """
    finished: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    waiting = list(enumerate(calls))[::-1]
    running = 0
    while waiting or running:
        while waiting and (limit is None or running < limit):
            _THREADS.submit(partial(_report, finished, *waiting.pop()))
            running += 1
        yield finished.get()
        running -= 1


def _report(finished: queue.SimpleQueue[tuple[int, T | BaseException]], place: int, call: Callable[[], T]) -> None:
    try:
        finished.put((place, call()))
    except BaseException as error:  # noqa: BLE001 - handed to the one who waits
        finished.put((place, error))
