"""A store in a PostgreSQL database, by the extra `postgres`."""

from __future__ import annotations

import contextlib
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from langchain_optscale.errors import MissingExtraError, SettingsError
from langchain_optscale.learning.database import Connection, Database

__all__ = ["PostgresDatabase", "is_postgres", "without_password"]

_SCHEMES = ("postgresql", "postgres")
_CONNECT_TIMEOUT_S = 10
# A number of our own, for the lock that lets one process at a time change the tables.
_LOCK = 7_216_340_591
_PASSWORD = re.compile(r"([?&])(password|sslpassword)=[^&]*&?")


class PostgresDatabase(Database):
    """A PostgreSQL database, by its URL.

    The tables stand in the first schema of the connection's search path; `?options=-csearch_path%3Dname` sets another.

    Args:
        url: Such as "postgresql://user@host:5432/database". The password is better given by PGPASSWORD or a password
            file, since a store's serialised form leaves it out.

    Raises:
        MissingExtraError: psycopg is not installed.
        SettingsError: It is no such URL.
    """

    mark = "%s"
    types = {"real": "DOUBLE PRECISION", "blob": "BYTEA", "whole": "BIGINT"}  # noqa: RUF012 - of the base class
    finds_table = "SELECT 1 WHERE to_regclass({}) IS NOT NULL"
    begin = "BEGIN"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError("a store in PostgreSQL", 'pip install "langchain-optscale[postgres]"') from error
        self._psycopg = psycopg
        self.url = url
        self.address = without_password(url)
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            # psycopg's own words may repeat the password.
            raise SettingsError(f"{self.address} is not the URL of a PostgreSQL database") from None

    def __str__(self) -> str:
        return f"the store {self.address}"

    def open(self) -> Connection:
        """A new connection.

        Raises:
            psycopg.Error: The database cannot be reached, or refuses.
        """
        raw = self._psycopg.connect(self.url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
        return Connection(raw, self)

    def is_temporary(self, error: Exception) -> bool:
        """Whether it is an error of the connection, of locks or of resources."""
        return isinstance(error, (self._psycopg.OperationalError, self._psycopg.InterfaceError, OSError))

    def is_own(self, error: Exception) -> bool:
        """Whether it is an error of psycopg."""
        return isinstance(error, self._psycopg.Error)

    def lock(self, raw: Any) -> None:
        """Take a lock that ends with the transaction."""
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))

    def roll_back(self, raw: Any) -> None:
        """Take the transaction back; a broken connection has none."""
        with contextlib.suppress(self._psycopg.Error):
            raw.execute("ROLLBACK")

    def erase(self, raw: Any) -> None:
        """PostgreSQL overwrites deleted rows when it vacuums, by itself or after `vacuum`."""


def is_postgres(address: str) -> bool:
    """Whether an address is the URL of a PostgreSQL database."""
    return address.partition("://")[0] in _SCHEMES and "://" in address


def without_password(url: str) -> str:
    """The URL without a password, for messages and serialised forms.

    Example:
        >>> without_password("postgresql://ann:secret@db/scores?sslmode=require")
        'postgresql://ann@db/scores?sslmode=require'
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}{at}{host}"
    query = _PASSWORD.sub(r"\1", f"?{parts.query}").strip("?&")
    return urlunsplit(parts._replace(netloc=netloc, query=query))
