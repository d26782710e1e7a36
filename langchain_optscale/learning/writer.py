"""One thread that writes the rows of a process's searches, so that no search waits for a disk.

Rows wait in a bounded queue and are written together, a few times a second. What cannot be written, as on a full disk
or behind a lock, stays in the queue and is tried again; what finds the queue full is dropped and counted. The first
trouble is logged, and when it is over.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import printable
from langchain_optscale.records.forks import after_fork, keep_open

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.learning.database import Connection, Database
    from langchain_optscale.learning.entries import Entry

__all__ = ["Writer", "WriterCounts"]

_logger = logging.getLogger(__name__)
_COMMIT_EVERY_S = 0.25
_MOST_IN_A_COMMIT = 500
_LONGEST_PAUSE_S = 5.0
_AT_EXIT_S = 10.0


@dataclass(frozen=True, slots=True)
class WriterCounts:
    """What became of the rows of this process.

    Attributes:
        written: Rows in the store.
        waiting: Rows in the queue.
        lost: Rows that were dropped, since the queue was full or they could not be written.
        trouble: Why the last attempt to write failed; None where it did not.
    """

    written: int = 0
    waiting: int = 0
    lost: int = 0
    trouble: str | None = None


class Writer:
    """Writes what it is given, in a thread of its own that begins with the first row.

    Args:
        database: Where to.
        after_commit: Called in the thread with the connection after rows were written; it may delete old ones.
        capacity: The most rows that wait.
        most_characters: The most characters of text that wait with them.
    """

    def __init__(
        self,
        database: Database,
        after_commit: Callable[[Connection, int], None],
        *,
        capacity: int = 4096,
        most_characters: int = 64 << 20,
    ) -> None:
        self.database = database
        self.capacity = capacity
        self.most_characters = most_characters
        self._after_commit = after_commit
        self._begin()
        after_fork(self)

    def _begin(self) -> None:
        self._queue: deque[tuple[Callable[[bytes], Entry], int]] = deque()
        self._characters = 0
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._due = threading.Event()
        self._taken = self._written = self._lost = self._done = 0
        self._trouble: str | None = None
        self._full = self._closing = False

    def _after_fork(self) -> None:
        """What waits is the parent's to write, and so is its connection."""
        if self._connection is not None:
            keep_open(self._connection)
        self._begin()

    @property
    def counts(self) -> WriterCounts:
        """What became of the rows so far."""
        return WriterCounts(self._written, self._taken - self._done, self._lost, self._trouble)

    def put(self, make: Callable[[bytes], Entry], characters: int = 0) -> None:
        """Have a row written; it never waits and never raises.

        Args:
            make: Makes the row in the writer's thread, given the store's key for digests of questions.
            characters: How many characters of text wait with it.
        """
        with self._lock:
            full = self._taken - self._done >= self.capacity or self._characters + characters > self.most_characters
            if full or not self._runs():
                self._lost += 1
                first, self._full = not self._full, True
            else:
                self._queue.append((make, characters))
                self._characters += characters
                self._taken += 1
                first = False
                self._lock.notify_all()
        if first:
            waiting = self.counts.waiting
            _logger.warning("%s takes no more rows, %d wait; searches go on without", self.database, waiting)

    def _runs(self) -> bool:
        """Start the thread where it does not run; False where the interpreter ends."""
        if self._thread is not None and self._thread.is_alive():
            return True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="optscale-store", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            return False
        _flush_at_exit(self)
        return True

    def flush(self, timeout_s: float = _AT_EXIT_S) -> bool:
        """Wait until every row that was put before is written or dropped; False after `timeout_s` seconds."""
        with self._lock:
            wanted = self._taken
            if self._done >= wanted:
                return True
            if not self._runs():
                return False
            self._due.set()
            return self._lock.wait_for(lambda: self._done >= wanted, timeout_s)

    def close(self, timeout_s: float = _AT_EXIT_S) -> bool:
        """Flush, and end the thread and its connection; a later row begins another."""
        complete = self.flush(timeout_s)
        with self._lock:
            thread, self._closing = self._thread, True
            self._due.set()
            self._lock.notify_all()
        if not complete:
            _logger.warning("%d searches are not recorded in %s", self.counts.waiting, self.database)
        elif thread is not None:
            thread.join(timeout_s)
        return complete

    def _run(self) -> None:
        pause = _COMMIT_EVERY_S
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._queue or self._closing)
                if self._closing and (not self._queue or self._trouble):
                    self._give_up()
                    return
            if not self._closing:
                self._due.wait(pause)
            self._due.clear()
            try:
                while self._queue:
                    self._commit()
                pause = _COMMIT_EVERY_S
            except Exception as error:  # noqa: BLE001 - whatever a disk or a database does, searches go on
                self._failed(error)
                pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def _give_up(self) -> None:
        """End the thread: the connection is closed, and what still waits is lost."""
        self._count(lost=len(self._queue))
        self._queue.clear()
        self._characters = 0
        self._disconnect()
        self._thread = None

    def _commit(self) -> None:
        """Write the first rows of the queue in one transaction; they leave it when they are written."""
        if self._connection is None:
            self._connection = self.database.open()
        first = [self._queue[place] for place in range(min(len(self._queue), _MOST_IN_A_COMMIT))]
        entries, spoilt = [], 0
        for make, _ in first:
            try:
                entries.append(make(self._connection.salt))
            except Exception as error:  # noqa: BLE001 - such as an error of a `redact` function
                spoilt += self._dropped(error)
        spoilt += self._write(self._connection, entries)
        for _ in first:
            self._queue.popleft()
        if self._trouble is not None:
            _logger.warning("%s takes rows again; %d were lost", self.database, self._lost + spoilt)
            self._trouble, self._full = None, False
        with self._lock:
            self._characters -= sum(characters for _, characters in first)
            self._count(written=len(first) - spoilt, lost=spoilt)
        self._after_commit(self._connection, len(first))

    def _write(self, connection: Connection, entries: list[Entry]) -> int:
        """Write rows; those that the database refuses for what they are, are dropped one by one; their number."""
        try:
            connection.write(entries)
        except Exception as error:
            if self.database.is_temporary(error):
                raise
            if len(entries) == 1:
                return self._dropped(error)
            return sum(self._write(connection, [entry]) for entry in entries)
        return 0

    def _dropped(self, error: Exception) -> int:
        _logger.warning("a search could not be recorded in %s: %s", self.database, _short(error))
        return 1

    def _failed(self, error: Exception) -> None:
        """Note the trouble, and begin with a new connection."""
        if self._trouble is None:
            _logger.warning(
                "%s cannot be written, searches go on and up to %d rows wait: %s",
                self.database,
                self.capacity,
                _short(error),
            )
        self._trouble = _short(error)
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # noqa: BLE001 - it may be broken already
                _logger.debug("the connection to %s could not be closed: %s", self.database, _short(error))

    def _count(self, written: int = 0, lost: int = 0) -> None:
        """Count rows as done; the lock is held."""
        self._written += written
        self._lost += lost
        self._done += written + lost
        self._lock.notify_all()


def _short(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}".splitlines()[0][:300])


# Writers whose rows are written before the process ends.
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
_registered: set[str] = set()


def _flush_at_exit(writer: Writer) -> None:
    """Flush at the end of the process; a child of `multiprocessing` ends without the handlers of `atexit`."""
    _writers.add(writer)
    if "atexit" not in _registered:
        _registered.add("atexit")
        atexit.register(_flush_all)
    process: Any = sys.modules.get("multiprocessing.util")
    if process is not None and "multiprocessing" not in _registered:
        _registered.add("multiprocessing")
        process.Finalize(None, _flush_all, exitpriority=100)


def _forget_multiprocessing() -> None:
    _registered.discard("multiprocessing")  # a child clears the parent's finalizers


after_fork(_forget_multiprocessing)


def _flush_all() -> None:
    ends = time.monotonic() + _AT_EXIT_S
    for writer in list(_writers):
        writer.close(max(0.0, ends - time.monotonic()))
