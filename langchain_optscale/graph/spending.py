"""How long the answers of a search have been compared: one budget for all tasks that work on the search."""

from __future__ import annotations

import threading
from collections import OrderedDict

from langchain_optscale.answers._math_turns import Spent
from langchain_optscale.records.forks import after_fork

__all__ = ["spent_by"]

_MOST_SEARCHES = 1024


class _Searches:
    """The latest searches of this process; one that is resumed in another begins its budget anew."""

    def __init__(self) -> None:
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        self._spent: OrderedDict[str, Spent] = OrderedDict()
        self._lock = threading.Lock()

    def spent_by(self, search: str) -> Spent:
        with self._lock:
            spent = self._spent.setdefault(search, Spent())
            self._spent.move_to_end(search)
            while len(self._spent) > _MOST_SEARCHES:
                self._spent.popitem(last=False)
        return spent


_SEARCHES = _Searches()


def spent_by(search: str) -> Spent:
    """What a search has spent on comparing answers in this process, by the search's id."""
    return _SEARCHES.spent_by(search)
