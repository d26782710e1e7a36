"""Persistent stores of verdicts as JSON: any LangChain cache, or an SQLite file."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING, Any

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.outputs import Generation

from langchain_optscale.errors import InvalidRecordError, SettingsError, printable
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.forks import after_fork, keep_open
from langchain_optscale.records.sqlite_files import connect_sqlite
from langchain_optscale.records.stored import Fields, reading

if TYPE_CHECKING:
    import os

__all__ = ["SQLiteStore", "VerdictStore"]

_logger = logging.getLogger(__name__)
_BUSY_TIMEOUT_S = 5.0
_MOST_VALUE = 1 << 24
# What SQLite calls a file that is damaged; others, such as a lock or a full disk, say nothing of its content.
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_MISMATCH", "SQLITE_TOOBIG", "SQLITE_SCHEMA")


class SQLiteStore(BaseCache):
    """A LangChain cache of verdicts in one SQLite file, shared by threads and processes.

    Args:
        path: The file; created if missing, for its owner only (mode 0600).

    Raises:
        SettingsError: It cannot be opened, is a symbolic link, no regular file or no SQLite file, or has a view or a
            trigger, by which a file from elsewhere could act.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._open()
        after_fork(self)

    def _after_fork(self) -> None:
        """A connection must not be carried over a fork; closing it here would disturb the parent's."""
        if self._connection is not None:
            self._closing.detach()
            keep_open(self._connection)
        self._lock = threading.Lock()
        self._connection = None

    def __reduce__(self) -> Any:
        """In another process it opens the file of this path."""
        return SQLiteStore, (self.path,)

    def _open(self) -> sqlite3.Connection:
        path = self.path
        try:
            connection = connect_sqlite(path, timeout_s=_BUSY_TIMEOUT_S)
        except (sqlite3.Error, SettingsError, ValueError) as error:
            raise SettingsError(f"{path} cannot be used as a store of verdicts: {error}") from error
        try:
            self._create_table(connection)
        except sqlite3.Error as error:
            connection.close()
            raise SettingsError(f"{path} cannot be used as a store of verdicts: {error}") from error
        self._connection = connection
        # A store that nobody closes closes its connection when it is collected.
        self._closing = weakref.finalize(self, connection.close)
        return connection

    @staticmethod
    def _create_table(connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (key TEXT, verifier TEXT, value TEXT, PRIMARY KEY (key, verifier))"
            )

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r})"

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """The value under both strings, or None.

        Raises:
            InvalidRecordError: The file is damaged; the message names it.
        """
        with self._lock:
            try:
                row = (
                    (self._connection or self._open())
                    .execute(
                        "SELECT substr(value, 1, ?) FROM verdicts WHERE key = ? AND verifier = ?",
                        (_MOST_VALUE + 1, prompt, llm_string),
                    )
                    .fetchone()
                )
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorname", "SQLITE_CORRUPT").startswith(_DAMAGED):
                    raise InvalidRecordError(f"{self.path} is damaged: {error}") from error
                raise
        if row is None:
            return None
        if not isinstance(row[0], str) or len(row[0]) > _MOST_VALUE:
            raise InvalidRecordError(f"{self.path} is damaged: a verdict is not text, or longer than {_MOST_VALUE:,}")
        return [Generation(text=row[0])]

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Store the first generation's text."""
        with self._lock, self._connection or self._open() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)", (prompt, llm_string, return_val[0].text)
            )

    def clear(self, **kwargs: Any) -> None:
        """Delete all verdicts."""
        with self._lock, self._connection or self._open() as connection:
            connection.execute("DELETE FROM verdicts")

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection = None
                self._closing()


class VerdictStore:
    """Verdicts in a LangChain cache; its errors are logged and count as cache misses.

    Args:
        cache: The cache.
        identity: Distinguishes this verifier's verdicts from others in the cache.
    """

    def __init__(self, cache: BaseCache, identity: str) -> None:
        self.cache = cache
        self.identity = identity

    def get(self, key: str) -> Verdict | None:
        """The stored verdict; None if it is missing or damaged."""
        try:
            return _from_generations(self.cache.lookup(key, self.identity))
        except Exception as error:  # noqa: BLE001 - a cache error counts as a miss
            self._failed("read", error)
            return None

    async def aget(self, key: str) -> Verdict | None:
        """As `get`, without blocking the event loop."""
        try:
            return _from_generations(await self._alookup(key))
        except Exception as error:  # noqa: BLE001 - a cache error counts as a miss
            self._failed("read", error)
            return None

    def put(self, key: str, verdict: Verdict) -> None:
        """Store a verdict."""
        try:
            self.cache.update(key, self.identity, [Generation(text=_to_json(verdict))])
        except Exception as error:  # noqa: BLE001 - a cache error counts as a miss
            self._failed("written", error)

    async def aput(self, key: str, verdict: Verdict) -> None:
        """As `put`, without blocking the event loop."""
        try:
            await self._aupdate(key, [Generation(text=_to_json(verdict))])
        except Exception as error:  # noqa: BLE001 - a cache error counts as a miss
            self._failed("written", error)

    async def _alookup(self, key: str) -> RETURN_VAL_TYPE | None:
        # LangChain's default would hold a thread of the application's executor.
        if type(self.cache).alookup is BaseCache.alookup:
            return await run_in_thread(self.cache.lookup, key, self.identity)
        return await self.cache.alookup(key, self.identity)

    async def _aupdate(self, key: str, value: RETURN_VAL_TYPE) -> None:
        if type(self.cache).aupdate is BaseCache.aupdate:
            await run_in_thread(self.cache.update, key, self.identity, value)
        else:
            await self.cache.aupdate(key, self.identity, value)

    def _failed(self, what: str, error: Exception) -> None:
        _logger.warning("a cached verdict could not be %s: %s: %s", what, type(error).__name__, printable(str(error)))


def _to_json(verdict: Verdict) -> str:
    content = {"score": verdict.score, "explanation": verdict.explanation, "raw": verdict.raw}
    try:
        return json.dumps(content, allow_nan=False)
    except (TypeError, ValueError):
        # `raw` may have no JSON form.
        return json.dumps({**content, "raw": None})


def _from_generations(generations: RETURN_VAL_TYPE | None) -> Verdict | None:
    if not generations:
        return None
    with reading("a verdict in the store"):
        content = Fields(json.loads(generations[0].text), "a verdict in the store")
        explanation = content.get("explanation")
        return Verdict(
            content.real("score"),
            None if explanation is None else content.text("explanation"),
            raw=content.get("raw"),
        )
