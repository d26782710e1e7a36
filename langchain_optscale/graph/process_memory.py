"""What this process alone knows of its searches, and no checkpoint keeps.

The exceptions behind failures, of which a checkpoint stores the text, and how long answers have been compared: one
budget for all tasks that work on a search.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from langchain_optscale.answers._math_turns import Spent
from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.records.candidates import Failure

__all__ = ["Causes", "spent_by"]

_MOST_CAUSES = 1024
_MOST_SEARCHES = 1024


class Causes:
    """The exception of each failed candidate, by search and index; the latest ones, for the error of a search."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], Exception] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, search: str, failures: Mapping[int, Failure]) -> None:
        """Keep the exceptions of failures, by candidate index."""
        with self._lock:
            for index, failure in failures.items():
                if failure.cause is not None:
                    self._kept[search, index] = failure.cause
            while len(self._kept) > _MOST_CAUSES:
                self._kept.popitem(last=False)

    def of(self, search: str, failures: Mapping[int, Failure]) -> dict[int, Failure]:
        """The failures of a search that has ended, with the exceptions that this process has; they are dropped here."""
        with self._lock:
            causes = {index: self._kept.pop((search, index), None) for index in failures}
        return {index: failure.caused_by(causes[index]) for index, failure in failures.items()}


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
