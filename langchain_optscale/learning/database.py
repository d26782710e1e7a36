"""What is done with the tables of a store, in the SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

import json
import logging
import secrets
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.learning import schema
from langchain_optscale.learning.entries import Event
from langchain_optscale.learning.schema import COLUMNS, READ_COLUMNS, row_of, values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_optscale.learning.entries import Entry, Selection
    from langchain_optscale.learning.rows import Label, SearchRow

__all__ = ["Connection", "Database", "Opened"]

_logger = logging.getLogger(__name__)
_PAGE = 500
_SALT_BYTES = 16
# What a reader may do without; it is most of a row.
_LEFT_OUT = {"s.features": "NULL"}


class Connection:
    """One connection to the tables of a store; for one thread at a time.

    Args:
        raw: A connection of Python's database interface that commits only what `BEGIN` and `COMMIT` enclose.
        database: Its database.

    Raises:
        InvalidRecordError: The tables are of a later version, or no store's.
    """

    def __init__(self, raw: Any, database: Database) -> None:
        self._raw = raw
        self._database = database
        self._mark = database.mark
        try:
            self._migrate()
            self.salt = bytes.fromhex(self._about("salt") or "")
        except BaseException:
            raw.close()
            raise

    @property
    def raw(self) -> Any:
        """The connection itself."""
        return self._raw

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    # --- the tables ---

    def _migrate(self) -> None:
        """Create the tables, or bring those of an earlier version to this one, in one transaction."""
        if self._version() == schema.VERSION:
            return
        with self.transaction():
            self._database.lock(self._raw)
            found = self._version()  # another process may have done it meanwhile
            if found > schema.VERSION:
                raise InvalidRecordError(
                    f"{self._database} has tables of version {found} and this package knows {schema.VERSION}; "
                    "update langchain-optscale"
                )
            for step in schema.STEPS[found:]:
                for statement in step:
                    self._execute(statement.format(**self._database.types))
            if not found:
                self._execute("CREATE TABLE optscale_about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
                self._execute("INSERT INTO optscale_about VALUES ('salt', {})", secrets.token_hex(_SALT_BYTES))
            self._execute("DELETE FROM optscale_about WHERE name = 'version'")
            self._execute("INSERT INTO optscale_about VALUES ('version', {})", str(schema.VERSION))
        if 0 < found < schema.VERSION:
            _logger.warning(
                "%s was migrated from version %s of its tables to %s", self._database, found, schema.VERSION
            )

    def _version(self) -> int:
        """The version of the tables, 0 where there are none."""
        if self._execute(self._database.finds_table, "optscale_about").fetchone() is None:
            return 0
        found = self._about("version") or ""
        if not found.isdecimal():
            raise InvalidRecordError(f"{self._database} is not a store of searches: its version is {found[:20]!r}")
        return int(found)

    def _about(self, name: str) -> str | None:
        found = self._execute("SELECT value FROM optscale_about WHERE name = {}", name).fetchone()
        return None if found is None else str(found[0])

    # --- writing ---

    def write(self, entries: Sequence[Entry]) -> None:
        """Write rows in one transaction; a row of a known id takes the place of the former one."""
        parts = {part.digest: part for entry in entries for part in (entry.row.policy, entry.row.verifier)}
        texts = [
            (row.id, _storable(row.prompt), None if row.texts is None else json.dumps(row.texts))
            for row, _ in entries
            if row.prompt is not None or row.texts is not None
        ]
        with self.transaction():
            self._insert("searches", COLUMNS, [values_of(*entry) for entry in entries])
            facts = [(digest, json.dumps(dict(part.facts), default=str)) for digest, part in parts.items()]
            self._insert("parts", ("digest", "facts"), facts)
            self._insert("texts", ("id", "prompt", "candidates"), texts)

    def label(self, id: str, label: Label) -> bool:  # noqa: A002 - the column's name
        """Label a search; False where there is none of this id."""
        with self.transaction():
            if self._execute("SELECT 1 FROM optscale_searches WHERE id = {}", id).fetchone() is None:
                return False
            correct = None if label.correct is None else int(label.correct)
            self._insert("labels", ("id", "correct", "score", "time"), [(id, correct, label.score, label.time)])
        return True

    def add_event(self, event: Event) -> None:
        """Record that something happened."""
        with self.transaction():
            data = json.dumps(event.data, allow_nan=False)
            self._execute("INSERT INTO optscale_events VALUES ({}, {}, {})", event.time, event.kind, data)

    def _insert(self, table: str, columns: Sequence[str], lines: Sequence[tuple[Any, ...]]) -> None:
        """Insert lines; one whose first unique column is known is replaced."""
        if not lines:
            return
        key = "digest" if table == "parts" else "id"
        marks = ", ".join([self._mark] * len(columns))
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
        statement = (
            f"INSERT INTO optscale_{table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
            f" ON CONFLICT ({key}) DO UPDATE SET {updates}"
        )
        self._raw.cursor().executemany(statement, lines)

    # --- reading ---

    def rows(self, selection: Selection, limit: int | None = None, *, features: bool = True) -> Iterator[SearchRow]:
        """Rows in the order of time, read a page at a time; the newest ones where there is a limit."""
        columns = ", ".join(READ_COLUMNS if features else [_LEFT_OUT.get(name, name) for name in READ_COLUMNS])
        if limit is not None:
            yield from reversed(self._page(columns, selection.conditions(), newest=True, most=limit))
            return
        conditions = selection.conditions()
        page: list[SearchRow] = []
        while page := self._page(columns, conditions, after=page[-1] if page else None):
            yield from page

    def _page(
        self,
        columns: str,
        conditions: list[tuple[str, Any]],
        *,
        after: SearchRow | None = None,
        newest: bool = False,
        most: int = _PAGE,
    ) -> list[SearchRow]:
        arguments = [value for _, value in conditions if value is not None]
        where = [condition for condition, _ in conditions]
        if after is not None:
            where.append("(s.time > {} OR (s.time = {} AND s.id > {}))")
            arguments += [after.time, after.time, after.id]
        order = "DESC" if newest else "ASC"
        lines = self._execute(
            f"SELECT {columns} FROM optscale_searches s"  # noqa: S608 - our own names
            " JOIN optscale_parts p ON p.digest = s.policy JOIN optscale_parts v ON v.digest = s.verifier"
            " LEFT JOIN optscale_texts t ON t.id = s.id LEFT JOIN optscale_labels l ON l.id = s.id"
            f" WHERE {' AND '.join(where) or '1 = 1'} ORDER BY s.time {order}, s.id {order} LIMIT {{}}",
            *arguments,
            most,
        )
        return [row_of(line) for line in lines.fetchall()]

    def question_of(self, id: str) -> bytes | None:  # noqa: A002 - the column's name
        """The keyed digest of a search's question; None where it is not known."""
        found = self._execute("SELECT question FROM optscale_searches WHERE id = {}", id).fetchone()
        return None if found is None or found[0] is None else bytes(found[0])

    def counts(self) -> dict[tuple[str, str], int]:
        """The number of searches of each pair of policy and verifier."""
        found = self._execute(
            "SELECT policy, verifier, COUNT(*) FROM optscale_searches GROUP BY policy, verifier"
        ).fetchall()
        return {(policy, verifier): count for policy, verifier, count in found}

    def events(self, kind: str | None = None) -> list[Event]:
        """What happened, in the order of time."""
        where, given = ("", ()) if kind is None else (" WHERE kind = {}", (kind,))
        found = self._execute(f"SELECT time, kind, data FROM optscale_events{where} ORDER BY time", *given)  # noqa: S608
        return [Event(time, kind, json.loads(data)) for time, kind, data in found.fetchall()]

    # --- deleting ---

    def delete(self, selection: Selection) -> int:
        """Delete rows with their texts and labels; the number of rows."""
        conditions = selection.conditions()
        where = " AND ".join(condition for condition, _ in conditions) or "1 = 1"
        arguments = [value for _, value in conditions if value is not None]
        chosen = f"SELECT s.id FROM optscale_searches s LEFT JOIN optscale_labels l ON l.id = s.id WHERE {where}"  # noqa: S608
        return self._delete(chosen, arguments)

    def keep_newest(self, most: int) -> int:
        """Delete all but the newest rows; the number of those that are deleted."""
        return self._delete(
            "SELECT id FROM optscale_searches ORDER BY time DESC, id DESC LIMIT {} OFFSET {}", [2**31 - 1, most]
        )

    def _delete(self, chosen: str, arguments: Iterable[Any]) -> int:
        with self.transaction():
            ids = [(line[0],) for line in self._execute(chosen, *arguments).fetchall()]
            if not ids:
                return 0
            for table in ("texts", "labels", "searches"):
                statement = f"DELETE FROM optscale_{table} WHERE id = {self._mark}"  # noqa: S608 - our own names
                self._raw.cursor().executemany(statement, ids)
            self._execute(
                "DELETE FROM optscale_parts WHERE digest NOT IN (SELECT policy FROM optscale_searches)"
                " AND digest NOT IN (SELECT verifier FROM optscale_searches)"
            )
        self._database.erase(self._raw)
        return len(ids)

    def vacuum(self) -> None:
        """Give the space of deleted rows back to the disk."""
        self._execute("VACUUM")
        self._database.erase(self._raw)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in the block, or nothing."""
        self._execute(self._database.begin)
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            self._database.roll_back(self._raw)
            raise

    def _execute(self, statement: str, *arguments: Any) -> Any:
        """Execute a statement whose arguments stand as {}."""
        marked = statement.format(*[self._mark] * len(arguments)) if arguments else statement
        cursor = self._raw.cursor()
        return cursor.execute(marked, arguments) or cursor


class Database(ABC):
    """Where the tables of a store are, and what is particular to its kind."""

    mark: ClassVar[str]
    """How an argument stands in a statement."""

    types: ClassVar[dict[str, str]]
    """The types of columns that databases call differently."""

    finds_table: ClassVar[str]
    """A statement that finds a line where there is a table of this name."""

    begin: ClassVar[str]
    """The statement that begins a transaction that writes."""

    address: str

    @abstractmethod
    def open(self) -> Connection:
        """A new connection.

        Raises:
            Exception: Anything that the database's driver raises.
        """

    @abstractmethod
    def is_temporary(self, error: Exception) -> bool:
        """Whether an error of a write may pass, as a lock or a full disk does; other errors are the row's own."""

    @abstractmethod
    def is_own(self, error: Exception) -> bool:
        """Whether the database's driver raised it."""

    @abstractmethod
    def lock(self, raw: Any) -> None:
        """Within a transaction: let no other process change the tables."""

    @abstractmethod
    def roll_back(self, raw: Any) -> None:
        """Take the transaction back, if there is one."""

    @abstractmethod
    def erase(self, raw: Any) -> None:
        """See to it that what was deleted is nowhere in the files any more, as far as the database can."""


class Opened:
    """A connection for one block, whose errors are sentences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Connection:
        try:
            self._connection = self._database.open()
        except Exception as error:
            raise self._explained(error) from error
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, Exception) and (explained := self._explained(error)) is not error:
            raise explained from error

    def _explained(self, error: Exception) -> Exception:
        """The error as a sentence that names the store; other people's errors stay as they are."""
        sentence = f"{self._database}: {error}"
        if self._database.is_own(error):
            return SettingsError(sentence)
        if isinstance(error, InvalidRecordError) and self._database.address not in str(error):
            return InvalidRecordError(sentence)
        return error


def _storable(text: str | None) -> str | None:
    """A text as every database takes it: a lone surrogate, and the character of number 0, stand as escapes."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
