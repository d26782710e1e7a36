"""A bounded memory in which each thing is worked out once, however many ask for it at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator

__all__ = ["Memory"]

T = TypeVar("T")
_Lock = TypeVar("_Lock", threading.Lock, asyncio.Lock)


class Memory(Generic[T]):
    """The most recently used values by key, and turns for working them out.

    Whoever wants a value takes a turn for its key, looks again, and only then works it out: threads wait for threads,
    tasks for tasks of the same event loop. Where the one in front fails or is cancelled, the next one tries.

    Args:
        size: The most values that are kept, at least 0.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._turns: dict[Hashable, tuple[Any, list[None]]] = {}
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> T | None:
        """What is kept for the key, None where nothing is."""
        with self._mutex:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: T) -> None:
        """Keep a value; the one that was used least recently may have to go."""
        with self._mutex:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    @contextmanager
    def turn(self, key: Hashable) -> Iterator[None]:
        """Wait in this thread until no other thread has a turn for the key, and have it."""
        with self._queue((None, key), threading.Lock) as lock, lock:
            yield

    @asynccontextmanager
    async def aturn(self, key: Hashable) -> AsyncIterator[None]:
        """Wait until no other task of this event loop has a turn for the key, and have it."""
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
