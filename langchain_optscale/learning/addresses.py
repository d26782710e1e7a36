"""Which database an address names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.postgres import PostgresDatabase, is_postgres
from langchain_optscale.learning.sqlite import SQLiteDatabase

if TYPE_CHECKING:
    from langchain_optscale.learning.database import Database

__all__ = ["open_database"]


def open_database(address: str | os.PathLike[str]) -> Database:
    """The database that an address names: the path of an SQLite file, or the URL of a PostgreSQL database.

    Args:
        address: As a store takes it.

    Raises:
        SettingsError: It is neither, or cannot be used.
        MissingExtraError: The URL needs psycopg, which is not installed.

    Example:
        >>> try:
        ...     open_database("mysql://host/db")
        ... except SettingsError as error:
        ...     print(error)
        a store is a file or a postgresql:// database, got an address of mysql://
    """
    if not isinstance(address, str | os.PathLike) or not os.fspath(address).strip():
        raise SettingsError(f"a store needs the path of a file or the URL of a PostgreSQL database, got {address!r}")
    if isinstance(address, str) and is_postgres(address):
        return PostgresDatabase(address)
    if isinstance(address, str) and "://" in address:
        scheme = address.partition("://")[0]
        raise SettingsError(f"a store is a file or a postgresql:// database, got an address of {scheme}://")
    return SQLiteDatabase(address)
