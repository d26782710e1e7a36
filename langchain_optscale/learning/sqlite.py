"""A store in one SQLite file, which many threads and processes may write."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.learning.database import Connection, Database
from langchain_optscale.records.sqlite_files import connect_sqlite

__all__ = ["SQLiteDatabase"]

_BUSY_TIMEOUT_S = 5.0
_PASSING = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_NOMEM",
    "SQLITE_PROTOCOL",
)


class SQLiteDatabase(Database):
    """An SQLite file in write-ahead mode, for its owner only (mode 0600).

    Args:
        path: The file; its directory must exist.

    Raises:
        SettingsError: The file cannot be created, is a symbolic link or no regular file, or is no SQLite file.
    """

    mark = "?"
    types = {"real": "REAL", "blob": "BLOB", "whole": "INTEGER"}  # noqa: RUF012 - of the base class
    finds_table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = {}"
    begin = "BEGIN IMMEDIATE"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if os.fspath(path) == ":memory:":
            raise SettingsError("a store in memory would end with its connection; give the path of a file")
        self.address = os.path.abspath(path)  # noqa: PTH100 - links stay as they are: they are refused
        self._check()

    def __str__(self) -> str:
        return f"the store {self.address}"

    def _check(self) -> None:
        """Open the file once, so that a mistake shows when the store is made; a lock is waited for by the writer."""
        try:
            self.open(timeout_s=0.0).close()
        except sqlite3.Error as error:
            if not self.is_temporary(error):
                raise SettingsError(f"{self.address} cannot be used as a store of searches: {error}") from error
        except (ValueError, SettingsError) as error:
            raise SettingsError(f"{self.address} cannot be used as a store of searches: {error}") from error

    def open(self, timeout_s: float = _BUSY_TIMEOUT_S) -> Connection:
        """A new connection that waits up to `timeout_s` seconds for the locks of others.

        Raises:
            sqlite3.Error: The file is locked or damaged.
            SettingsError: It cannot be opened.
            InvalidRecordError: Its tables are of a later version.
        """
        raw = connect_sqlite(self.address, timeout_s=timeout_s, manual=True)
        try:
            # In write-ahead mode a commit survives the process without this; only a crash of the machine may lose it.
            raw.execute("PRAGMA synchronous=NORMAL")
            # Deleted texts are overwritten, not only marked as free.
            raw.execute("PRAGMA secure_delete=ON")
        except sqlite3.Error:
            raw.close()
            raise
        return Connection(raw, self)

    def is_temporary(self, error: Exception) -> bool:
        """Whether it is a lock, a full disk or an error of the disk."""
        if isinstance(error, OSError) and not isinstance(error, InvalidRecordError):
            return True
        return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "").startswith(_PASSING)

    def is_own(self, error: Exception) -> bool:
        """Whether it is an error of SQLite."""
        return isinstance(error, sqlite3.Error)

    def lock(self, raw: Any) -> None:
        """`BEGIN IMMEDIATE` has locked the file."""

    def roll_back(self, raw: Any) -> None:
        """Take the transaction back; after a full disk SQLite has done so itself."""
        if raw.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                raw.execute("ROLLBACK")

    def erase(self, raw: Any) -> None:
        """Move the write-ahead log into the file and empty it; another reader may delay that until it has ended."""
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
