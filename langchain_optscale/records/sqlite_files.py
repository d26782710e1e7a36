"""Opening an SQLite file: for its owner only, shared by processes, and without a schema that could act by itself."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from langchain_optscale.records.files import create_private

if TYPE_CHECKING:
    import os

__all__ = ["connect_sqlite"]


def connect_sqlite(path: str | os.PathLike[str], *, timeout_s: float, manual: bool = False) -> sqlite3.Connection:
    """A connection in write-ahead mode, for any thread; the file is created where it is missing (mode 0600).

    Args:
        path: The file, or ":memory:".
        timeout_s: Seconds that a statement waits for another connection's lock.
        manual: Whether the caller begins transactions; else Python's driver does so before a change.

    Raises:
        SettingsError: The file cannot be created, or is a symbolic link or no regular file.
        sqlite3.Error: It is no SQLite file, or is locked.
        ValueError: It has a view or a trigger, by which a file from elsewhere could act.
    """
    if str(path) != ":memory:":
        create_private(path)
    connection = sqlite3.connect(
        path, timeout=timeout_s, check_same_thread=False, isolation_level=None if manual else "DEFERRED"
    )
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema=OFF")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone():
        raise ValueError("it has a view or a trigger, which no store has")
    connection.execute("PRAGMA journal_mode=WAL")
