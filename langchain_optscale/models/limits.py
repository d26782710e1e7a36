"""How many requests may be under way at once, over all searches, threads and event loops of the process.

Whoever finds a limit full waits in line, first come first served, without polling; a verification goes before every
draw, since it may save them. A place in line is given up by cancelling the task, or by `abandon`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator

    from langchain_core.runnables import RunnableConfig

__all__ = ["SharedLimit", "at_once", "limit_at"]


@dataclass(eq=False, slots=True)
class _Waiter:
    """Someone in line; `wake` is called once, by whoever serves or abandons it."""

    capacity: int
    owner: object
    wake: Callable[[], None]
    served: bool = False


@dataclass(eq=False)
class _Line:
    """The count of one endpoint, and who waits for it. All fields are guarded by `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: int = 0
    urgent: deque[_Waiter] = field(default_factory=deque)
    waiting: deque[_Waiter] = field(default_factory=deque)

    def enter(self, waiter: _Waiter, *, urgent: bool) -> bool:
        """Take a place at once, or stand in line; whether a place was taken."""
        with self.lock:
            ahead = self.urgent if urgent else self.urgent or self.waiting
            if self.taken < waiter.capacity and not ahead:
                self.taken += 1
                waiter.served = True
            else:
                (self.urgent if urgent else self.waiting).append(waiter)
            return waiter.served

    def leave(self) -> None:
        """Give a place back, and the places that are free to those next in line."""
        with self.lock:
            self.taken -= 1
            self._serve()

    def give_up(self, waiter: _Waiter) -> None:
        """Stand in line no longer; a place that was given in the meantime is given back."""
        with self.lock:
            if waiter.served:
                self.taken -= 1
            else:
                for line in (self.urgent, self.waiting):
                    with contextlib.suppress(ValueError):
                        line.remove(waiter)
            self._serve()

    def abandon(self, owner: object) -> None:
        """Send home everyone in line who belongs to `owner`."""
        with self.lock:
            gone = [waiter for waiter in (*self.urgent, *self.waiting) if waiter.owner is owner]
            self.urgent = deque(waiter for waiter in self.urgent if waiter.owner is not owner)
            self.waiting = deque(waiter for waiter in self.waiting if waiter.owner is not owner)
            self._serve()
        for waiter in gone:
            waiter.wake()

    def _serve(self) -> None:
        while line := self.urgent or self.waiting:
            waiter = line[0]
            if self.taken >= waiter.capacity:
                return
            line.popleft()
            waiter.served = True
            self.taken += 1
            try:
                waiter.wake()
            except RuntimeError:  # its event loop is closed: nobody is there any more
                waiter.served = False
                self.taken -= 1


class SharedLimit:
    """At most `n` requests at once, for everything that is given this same object.

    Args:
        n: At least 1. A request with several choices counts as one.
        line: Of another limit, to count the same requests as it does; by default one of its own.

    Raises:
        SettingsError: `n` is no whole number of at least 1.

    Example:
        >>> gpu = SharedLimit(8)  # policy and judge live on the same card
        >>> settings = {"policy_limit": gpu, "verifier_limit": gpu}
        >>> with gpu.hold():
        ...     gpu.taken
        1
    """

    def __init__(self, n: int, line: _Line | None = None) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise SettingsError(f"a limit must be a whole number of at least 1, got {n!r}")
        self.n = n
        self.line = line or _Line()

    def __repr__(self) -> str:
        return f"SharedLimit({self.n})"

    @property
    def taken(self) -> int:
        """Requests under way."""
        return self.line.taken

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self.line.urgent) + len(self.line.waiting)

    @contextlib.contextmanager
    def hold(self, *, urgent: bool = False, owner: object = None) -> Iterator[None]:
        """Have a place for the length of the block; the thread waits for it.

        Args:
            urgent: Go before everyone who is not.
            owner: For whom; `abandon(owner)` ends the waiting.

        Raises:
            InterruptedError: The waiting was ended by `abandon`.
        """
        woken = threading.Event()
        waiter = _Waiter(self.n, owner, woken.set)
        try:
            if not self.line.enter(waiter, urgent=urgent):
                woken.wait()
        except BaseException:
            self.line.give_up(waiter)
            raise
        if not waiter.served:
            raise InterruptedError("the search ended while this request waited in line")
        try:
            yield
        finally:
            self.line.leave()

    @contextlib.asynccontextmanager
    async def ahold(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """As `hold`, for a task; cancelling the task gives the place in line up."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(_finish, woken)

        waiter = _Waiter(self.n, None, wake)
        try:
            if not self.line.enter(waiter, urgent=urgent):
                await woken
        except BaseException:
            self.line.give_up(waiter)
            raise
        try:
            yield
        finally:
            self.line.leave()

    def abandon(self, owner: object) -> None:
        """End the waiting of every thread that waits for `owner`."""
        self.line.abandon(owner)


def at_once(config: RunnableConfig) -> int | None:
    """The "max_concurrency" of a config; None where it sets none.

    Raises:
        SettingsError: It is no whole number of at least 1.
    """
    limit = config.get("max_concurrency")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SettingsError(f"max_concurrency must be a whole number of at least 1, got {limit!r}")
    return limit


_lines: weakref.WeakValueDictionary[Hashable, _Line] = weakref.WeakValueDictionary()
_lines_lock = threading.Lock()


def limit_at(endpoint: Hashable, n: int) -> SharedLimit:
    """A limit of `n` on one endpoint; every limit on an equal `endpoint` counts the same requests.

    Where several numbers are given for an endpoint, each request keeps to its own: it starts when fewer than that are
    under way.
    """
    with _lines_lock:
        line = _lines.get(endpoint)
        limit = SharedLimit(n, line)
        _lines[endpoint] = limit.line
    return limit


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
