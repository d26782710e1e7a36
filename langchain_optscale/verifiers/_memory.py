"""A bounded LRU cache with a lock for each key, so that concurrent callers compute a value once."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator

__all__ = ["Memory"]

T = TypeVar("T")
_Lock = TypeVar("_Lock", threading.Lock, asyncio.Lock)


class Memory(Generic[T]):
    """The most recently used values by key, and locks for computing them.

    A caller takes the key's turn, calls `get` again, and computes the value only if it is still missing. Threads wait
    for threads, tasks for tasks of the same event loop; after a failure or a cancellation the next caller computes.

    Args:
        size: The largest number of values, at least 0.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        """What a forked child begins with as well: no turn of the parent's threads ends in it."""
        self._turns: dict[Hashable, tuple[Any, list[None]]] = {}
        self._mutex = threading.Lock()

    def __reduce__(self) -> Any:
        """Sent to another process it is empty."""
        return type(self), (self._size,)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> T | None:
        """The value of the key, or None."""
        with self._mutex:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: T) -> None:
        """Store a value and evict the least recently used ones beyond the size."""
        with self._mutex:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    @contextmanager
    def turn(self, key: Hashable) -> Iterator[None]:
        """Hold the key's lock among threads."""
        with self._queue((None, key), threading.Lock) as lock, lock:
            yield

    @asynccontextmanager
    async def aturn(self, key: Hashable) -> AsyncIterator[None]:
        """Hold the key's lock among the tasks of this event loop."""
        with self._queue((asyncio.get_running_loop(), key), asyncio.Lock) as lock:
            async with lock:
                yield

    @contextmanager
    def _queue(self, key: Hashable, lock: Callable[[], _Lock]) -> Iterator[_Lock]:
        with self._mutex:
            own, users = self._turns.setdefault(key, (lock(), []))
            users.append(None)
        try:
            yield own
        finally:
            with self._mutex:
                users.pop()
                if not users:
                    del self._turns[key]
