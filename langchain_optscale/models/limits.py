"""How many requests may be under way at once, over all searches, threads and event loops of the process.

A request that finds a limit full waits in a queue, first in, first out, without polling; verifications go before draws,
since they may save them. Cancelling the task ends its waiting, and `cancel_waiting` that of a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator

__all__ = ["SharedLimit", "limit_at"]


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request in the queue; `wake` is called once, when it is admitted or its waiting is cancelled."""

    capacity: int
    owner: object
    wake: Callable[[], None]
    admitted: bool = False


@dataclass(eq=False)
class _Queue:
    """The requests of one endpoint, under way and waiting. All fields are guarded by `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: int = 0
    urgent: deque[_Waiter] = field(default_factory=deque)
    waiting: deque[_Waiter] = field(default_factory=deque)

    def __post_init__(self) -> None:
        after_fork(self)

    def _after_fork(self) -> None:
        """Nothing of what the parent has under way ends in the child."""
        self.lock = threading.Lock()
        self.taken = 0
        self.urgent, self.waiting = deque(), deque()

    def acquire(self, waiter: _Waiter, *, urgent: bool) -> bool:
        """Admit a request at once, or queue it; whether it was admitted."""
        with self.lock:
            ahead = self.urgent if urgent else self.urgent or self.waiting
            if self.taken < waiter.capacity and not ahead:
                self.taken += 1
                waiter.admitted = True
            else:
                (self.urgent if urgent else self.waiting).append(waiter)
            return waiter.admitted

    def release(self) -> None:
        with self.lock:
            self.taken -= 1
            self._admit()

    def withdraw(self, waiter: _Waiter) -> None:
        """Take a request out of the queue, or release it where it was admitted meanwhile."""
        with self.lock:
            if waiter.admitted:
                self.taken -= 1
            else:
                for queue in (self.urgent, self.waiting):
                    with contextlib.suppress(ValueError):
                        queue.remove(waiter)
            self._admit()

    def cancel_waiting(self, owner: object) -> None:
        with self.lock:
            gone = [waiter for waiter in (*self.urgent, *self.waiting) if waiter.owner is owner]
            self.urgent = deque(waiter for waiter in self.urgent if waiter.owner is not owner)
            self.waiting = deque(waiter for waiter in self.waiting if waiter.owner is not owner)
            self._admit()
        for waiter in gone:
            waiter.wake()

    def _admit(self) -> None:
        while queue := self.urgent or self.waiting:
            waiter = queue[0]
            if self.taken >= waiter.capacity:
                return
            queue.popleft()
            waiter.admitted = True
            self.taken += 1
            try:
                waiter.wake()
            except RuntimeError:  # its event loop is closed
                waiter.admitted = False
                self.taken -= 1


class SharedLimit:
    """At most `n` requests at once, for everything that is given this same object.

    Args:
        n: At least 1. A request with several choices counts as one.
        queue: Of another limit, to count the same requests as it does; by default one of its own.

    Raises:
        SettingsError: `n` is no whole number of at least 1.

    Example:
        >>> gpu = SharedLimit(8)  # policy and judge live on the same card
        >>> settings = {"policy_limit": gpu, "verifier_limit": gpu}
        >>> with gpu.hold():
        ...     gpu.taken
        1
    """

    def __init__(self, n: int, queue: _Queue | None = None) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise SettingsError(f"a limit must be a whole number of at least 1, got {n!r}")
        self.n = n
        self.queue = queue or _Queue()

    def __reduce__(self) -> Any:
        """In another process it counts the requests of that one."""
        return SharedLimit, (self.n,)

    def __repr__(self) -> str:
        return f"SharedLimit({self.n})"

    @property
    def taken(self) -> int:
        """Requests under way."""
        return self.queue.taken

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self.queue.urgent) + len(self.queue.waiting)

    @contextlib.contextmanager
    def hold(self, *, urgent: bool = False, owner: object = None) -> Iterator[None]:
        """Count as a request under way within the block; the thread waits until it is admitted.

        Args:
            urgent: Go before requests that are not.
            owner: `cancel_waiting(owner)` ends the waiting.

        Raises:
            InterruptedError: The waiting was ended by `cancel_waiting`.
        """
        woken = threading.Event()
        waiter = _Waiter(self.n, owner, woken.set)
        try:
            if not self.queue.acquire(waiter, urgent=urgent):
                woken.wait()
        except BaseException:
            self.queue.withdraw(waiter)
            raise
        if not waiter.admitted:
            raise InterruptedError("the request was cancelled while it waited for a concurrency limit")
        try:
            yield
        finally:
            self.queue.release()

    @contextlib.asynccontextmanager
    async def ahold(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """As `hold`, for a task; cancelling the task ends the waiting."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(_finish, woken)

        waiter = _Waiter(self.n, None, wake)
        try:
            if not self.queue.acquire(waiter, urgent=urgent):
                await woken
        except BaseException:
            self.queue.withdraw(waiter)
            raise
        try:
            yield
        finally:
            self.queue.release()

    def cancel_waiting(self, owner: object) -> None:
        """End the waiting of every thread that waits for `owner`."""
        self.queue.cancel_waiting(owner)


_queues: weakref.WeakValueDictionary[Hashable, _Queue] = weakref.WeakValueDictionary()
_queues_lock = threading.Lock()


def _unlock() -> None:
    global _queues_lock
    _queues_lock = threading.Lock()


after_fork(_unlock)


def limit_at(endpoint: Hashable, n: int) -> SharedLimit:
    """A limit of `n` on one endpoint; every limit on an equal `endpoint` counts the same requests.

    Where several numbers are given for an endpoint, each request keeps to its own: it starts when fewer than that are
    under way.
    """
    with _queues_lock:
        limit = SharedLimit(n, _queues.get(endpoint))
        _queues[endpoint] = limit.queue
    return limit


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
