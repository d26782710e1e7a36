"""The exceptions behind the failures of searches that this process runs; a checkpoint stores their text alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.records.candidates import Failure

__all__ = ["Causes"]

_LARGEST = 1024


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
            while len(self._kept) > _LARGEST:
                self._kept.popitem(last=False)

    def of(self, search: str, failures: Mapping[int, Failure]) -> dict[int, Failure]:
        """The failures of a search that has ended, with the exceptions that this process has; they are dropped here."""
        with self._lock:
            causes = {index: self._kept.pop((search, index), None) for index in failures}
        return {index: failure.caused_by(causes[index]) for index, failure in failures.items()}
