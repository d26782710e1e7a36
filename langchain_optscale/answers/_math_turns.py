"""Which search may use the process that compares expressions next, and for how long.

All searches share one process. Each has a budget of its seconds, so that one with hostile expressions cannot keep the
others waiting; of those that wait, the one that has used the least goes first; and what a search that has ended still
waits for is withdrawn.
"""

from __future__ import annotations

import contextlib
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BUDGET_S", "Comparisons", "Spent", "Turns", "comparing"]

BUDGET_S = 15.0
"""Seconds of comparing that one search may take."""


@dataclass(eq=False)
class Spent:
    """Seconds of comparing that one search has taken, shared by all of its parts."""

    seconds: float = 0.0


class Comparisons:
    """The comparisons of one search, or of one part of it, such as a task in a graph.

    Args:
        used_s: Seconds of comparing so far.
        spent: The same, where other parts of the search share it.

    Attributes:
        withdrawn: Whether this part has ended, so that no outcome is needed any more.
        on_withdrawal: Called when it ends while a comparison of it is under way.
    """

    def __init__(self, used_s: float = 0.0, spent: Spent | None = None) -> None:
        self._spent = Spent(used_s) if spent is None else spent
        self.withdrawn = False
        self.on_withdrawal: Callable[[], None] | None = None

    @property
    def used_s(self) -> float:
        """Seconds of comparing that the search has taken so far."""
        return self._spent.seconds

    def spend(self, seconds: float) -> None:
        """Count seconds of comparing; negative ones correct the count."""
        self._spent.seconds += seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 where the search has ended."""
        return 0.0 if self.withdrawn else max(0.0, BUDGET_S - self.used_s)

    def withdraw(self) -> None:
        """The search has ended: what waits is cancelled, and what is under way is ended."""
        self.withdrawn = True
        if (stop := self.on_withdrawal) is not None:
            stop()


comparing: ContextVar[Comparisons | None] = ContextVar("comparing", default=None)
"""For which search an equivalence is asked; None for a question outside of a search."""


class Turns:
    """One turn at a time, for the search that has used the least."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._taken = False
        self._waiting: list[Comparisons] = []

    @contextlib.contextmanager
    def turn(self, comparisons: Comparisons) -> Iterator[bool]:
        """Wait for a turn and have it for the length of the block.

        Yields:
            Whether there is a turn: none where the search ended in the meantime, or has used up its budget.
        """
        # Several threads of one search may wait at once; each has its own entry.
        with self._free:
            self._waiting.append(comparisons)
            try:
                while comparisons.left_s and (self._taken or self._next() is not comparisons):
                    # Withdrawals are rare and are noticed within a moment.
                    self._free.wait(timeout=0.1)
                if got := bool(comparisons.left_s):
                    self._taken = True
            finally:
                self._waiting.remove(comparisons)
                self._free.notify_all()
        if not got:
            yield False
            return
        began = time.monotonic()
        try:
            yield True
        finally:
            comparisons.spend(time.monotonic() - began)
            with self._free:
                self._taken = False
                self._free.notify_all()

    def _next(self) -> Comparisons:
        return min(self._waiting, key=lambda one: one.used_s)
