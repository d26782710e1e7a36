"""One writer for each address in a process, and the rows that it deletes as it writes."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from langchain_optscale.learning.entries import Selection
from langchain_optscale.learning.writer import Writer
from langchain_optscale.records.forks import after_fork

if TYPE_CHECKING:
    from langchain_optscale.learning.database import Connection, Database

__all__ = ["Retention", "shared_writer"]

# Rows after which old ones are looked for again, at most, and the share of what is kept after which they are.
_PRUNE_EVERY, _PRUNE_SHARE = 200, 0.1


class Retention(NamedTuple):
    """What is kept.

    Attributes:
        max_rows: The most searches; None keeps all.
        max_age_s: The longest time, in seconds; None keeps them for ever.
    """

    max_rows: int | None
    max_age_s: float | None

    def is_due(self, rows: int, seconds: float) -> bool:
        """Whether old rows are looked for again, so many rows and seconds after the last time.

        A tenth more than `max_rows` may be kept, and a tenth longer than `max_age_s` while rows are written.
        """
        most = _PRUNE_EVERY if self.max_rows is None else min(_PRUNE_EVERY, max(1, int(_PRUNE_SHARE * self.max_rows)))
        return rows >= most or (self.max_age_s is not None and seconds >= _PRUNE_SHARE * self.max_age_s)

    def apply(self, connection: Connection) -> int:
        """Delete what is too old or too much; the number of rows."""
        deleted = 0
        if self.max_age_s is not None:
            deleted += connection.delete(Selection(until=time.time() - self.max_age_s))
        if self.max_rows is not None:
            deleted += connection.keep_newest(self.max_rows)
        return deleted


class _Pruning:
    """Deletes old rows now and then, as the stores of one address ask for."""

    def __init__(self) -> None:
        self._retentions: frozenset[Retention] = frozenset()
        self._written = 0
        # Of each retention, when it was last applied: rows written until then, and the time.
        self._applied: dict[Retention, tuple[int, float]] = {}

    def add(self, retention: Retention) -> None:
        """Also keep to this."""
        self._retentions |= {retention}

    def __call__(self, connection: Connection, written: int) -> None:
        """Count rows that were written, and delete old ones where that is due: at the first, and now and then."""
        self._written += written
        now = time.monotonic()
        for retention in self._retentions:
            rows, then = self._applied.get(retention, (0, -math.inf))
            if math.isinf(then) or retention.is_due(self._written - rows, now - then):
                retention.apply(connection)
                self._applied[retention] = self._written, now


class _Writers:
    """The writers of a process, by address."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Writer, _Pruning]] = {}
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        self._lock = threading.Lock()

    def get(self, database: Database, retention: Retention) -> Writer:
        """The writer for a database, which also keeps to this retention."""
        with self._lock:
            if database.address not in self._known:
                pruning = _Pruning()
                self._known[database.address] = (Writer(database, pruning), pruning)
            writer, pruning = self._known[database.address]
            pruning.add(retention)
            return writer


_writers = _Writers()


def shared_writer(database: Database, retention: Retention) -> Writer:
    """The writer for a database in this process, which also keeps to this retention."""
    return _writers.get(database, retention)
