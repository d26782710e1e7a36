"""`ScoreStore`: where searches leave their rows, and where they are read, labelled and deleted."""

from __future__ import annotations

import hashlib
import math
import os
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.addresses import open_database
from langchain_optscale.learning.database import Opened
from langchain_optscale.learning.entries import Entry, Event, Selection
from langchain_optscale.learning.features import hashed_features
from langchain_optscale.learning.retention import Retention, shared_writer
from langchain_optscale.learning.rows import Label
from langchain_optscale.records.stored import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from langchain_optscale.learning.learned_file import LearnedSettings
    from langchain_optscale.learning.rows import SearchRow
    from langchain_optscale.learning.writer import WriterCounts

__all__ = ["ScoreStore", "as_store"]


class ScoreStore:
    """Where searches leave a row each: `ChatOptScale(..., store=ScoreStore("optscale.db"))`.

    Writing takes a search a few microseconds: a thread of the process writes the rows of all its searches, four times a
    second, and before the process ends. No trouble with the disk or the database ends or delays a search; see `counts`.
    Threads and processes may share a store; after a fork the child has a queue and a connection of its own.

    Args:
        address: The path of an SQLite file, which is created for its owner only, or the URL of a PostgreSQL database
            such as "postgresql://user@host/database" (extra `postgres`).
        keep_text: Whether to keep the text of questions and candidates too. By default neither is kept: of a question
            there are hashed n-grams, of candidates their scores and the numbers of their answers.
        redact: Is given each text before anything is made of it, and returns what may be known of it.
        max_rows: The most searches that are kept, at least 1; the oldest are deleted. None keeps all.
        max_age: How long a search is kept, as a timedelta or in seconds; None keeps it for ever.
        keep_features: Whether to keep the hashed n-grams of questions, from which a prior per question is learned.

    Raises:
        SettingsError: A setting is out of range, or the file cannot be used.
        MissingExtraError: The URL needs psycopg, which is not installed.

    Example:
        >>> import tempfile
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import OptScale
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = ScoreStore(f"{folder.name}/optscale.db")
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> settings = {"verifier": lambda prompt, candidate: "4" in candidate.text, "explore": 0}
        >>> result = OptScale(policy=policy, store=store, **settings).invoke("What is 2 + 2?")
        >>> store.label(result.search_id, correct=True)
        >>> [(sorted(row.scored), row.prompt, row.label.correct) for row in store.rows()]
        [([0.0, 1.0], None, True)]
        >>> store.close(), folder.cleanup()
        (True, None)
    """

    def __init__(
        self,
        address: str | os.PathLike[str],
        *,
        keep_text: bool = False,
        redact: Callable[[str], str] | None = None,
        max_rows: int | None = None,
        max_age: timedelta | float | None = None,
        keep_features: bool = True,
    ) -> None:
        if max_rows is not None and (isinstance(max_rows, bool) or not isinstance(max_rows, int) or max_rows < 1):
            raise SettingsError(f"max_rows must be a whole number of at least 1, got {max_rows!r}")
        for name, flag in (("keep_text", keep_text), ("keep_features", keep_features)):
            if not isinstance(flag, bool):
                raise SettingsError(f"{name} must be True or False, got {flag!r}")
        age_s = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        if age_s is not None and not (is_number(age_s) and 0 < age_s < math.inf):
            raise SettingsError(f"max_age must be a timedelta or a number of seconds above 0, got {max_age!r}")
        if redact is not None and not callable(redact):
            raise SettingsError(f"redact must be a function that takes a text and returns one, got {redact!r}")
        self.keep_text = keep_text
        self.keep_features = keep_features
        self.redact = redact
        self.max_rows = max_rows
        self.max_age_s = age_s
        self._database = open_database(address)
        self._writer = shared_writer(self._database, Retention(max_rows, age_s))

    @property
    def address(self) -> str:
        """The absolute path of the file, or the URL without its password."""
        return self._database.address

    @property
    def counts(self) -> WriterCounts:
        """How many rows of this process were written, wait or were lost, and what the trouble is."""
        return self._writer.counts

    def __repr__(self) -> str:
        given = {name: value for name, value in self.to_dict().items() if name != "address" and value not in (None,)}
        settings = "".join(f", {name}={value!r}" for name, value in given.items() if value != _DEFAULTS.get(name))
        return f"ScoreStore({self.address!r}{settings}{'' if self.redact is None else ', redact=...'})"

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain data, without the database's password and without `redact`."""
        return {
            "address": self.address,
            "keep_text": self.keep_text,
            "max_rows": self.max_rows,
            "max_age": self.max_age_s,
            "keep_features": self.keep_features,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process of the same user: by its address, with `redact` where that can be pickled."""
        address = getattr(self._database, "url", self.address)
        settings = {**self.to_dict(), "redact": self.redact}
        settings.pop("address")
        return partial(ScoreStore, **settings), (address,)

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- writing ---

    def record(self, row: SearchRow, question: str | None = None) -> None:
        """Have a row written; never waits, never raises.

        A row of the same id takes the place of the former one, and keeps its label.

        Args:
            row: The search; its `prompt`, `texts` and `features` are written as `keep_text` and `keep_features` say.
            question: The question's text, of which the features are made.
        """
        kept = (question, *(row.texts or ()))
        self._writer.put(partial(self._entry, row, question), sum(len(text) for text in kept if text))

    def _entry(self, row: SearchRow, question: str | None, salt: bytes) -> Entry:
        """What is written of a row; in the writer's thread."""
        text = self._redacted(question)
        features = row.features
        if features is None and text is not None:
            features = hashed_features(text)
        texts = row.texts if self.keep_text else None
        kept = replace(
            row,
            features=features if self.keep_features else None,
            prompt=text if self.keep_text else None,
            texts=None if texts is None else tuple(map(self._redacted, texts)),
        )
        return Entry(kept, None if text is None else _digest(text, salt))

    def _redacted(self, text: str | None) -> str | None:
        return text if text is None or self.redact is None else self.redact(text)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all rows of this process are written or given up; False where that takes longer.

        Args:
            timeout_s: The most seconds to wait.
        """
        return self._writer.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Flush, and close the connection; a later search opens another. Returns as `flush` does."""
        return self._writer.close(timeout_s)

    def label(self, search_id: str, *, correct: bool | None = None, score: float | None = None) -> None:
        """Say what became known about a search's answer, such as a user's thumb or a unit test's outcome.

        A second label takes the place of the first.

        Args:
            search_id: `OptScaleResult.search_id`, or `response_metadata["optscale"]["search_id"]`.
            correct: Whether the returned answer is right.
            score: How good it is, in [0, 1].

        Raises:
            InvalidRecordError: Neither is given, or one is out of range.
            SettingsError: The store has no such search.
        """
        label = Label(correct, score, time.time())
        with self._open() as connection:
            if not connection.label(search_id, label):
                raise SettingsError(f"{self.address} has no search with the id {search_id!r}")

    async def alabel(self, search_id: str, *, correct: bool | None = None, score: float | None = None) -> None:
        """As `label`, without blocking the event loop."""
        from langchain_optscale.models.daemon_threads import run_in_thread  # imports LangChain, which a reader need not

        await run_in_thread(partial(self.label, search_id, correct=correct, score=score))

    def add_event(self, kind: str, data: dict[str, Any]) -> None:
        """Record that something happened to the store, such as that a prior was learned from it.

        Args:
            kind: Such as "learned" or "drift".
            data: JSON-ready.
        """
        with self._open() as connection:
            connection.add_event(Event(time.time(), kind, data))

    # --- reading ---

    def rows(
        self,
        *,
        pair: tuple[str, str] | None = None,
        since: float | None = None,
        until: float | None = None,
        explored: bool | None = None,
        labelled: bool | None = None,
        limit: int | None = None,
        features: bool = True,
    ) -> Iterator[SearchRow]:
        """The rows in the order of time, read as they are needed.

        Args:
            pair: Those of this pair of policy and verifier, see `SearchRow.pair`.
            since: Searches that ended at this time or later, in seconds since 1970 UTC.
            until: Searches that ended before.
            explored: Those that were explored, or those that were not.
            labelled: Those with a label, or those without.
            limit: The newest ones alone, at most so many.
            features: Whether to read the features too, which are most of a row.

        Raises:
            InvalidRecordError: A row is damaged.
        """
        selection = Selection(pair, since, until, explored, labelled)
        with self._open() as connection:
            yield from connection.rows(selection, limit, features=features)

    def get(self, search_id: str) -> SearchRow | None:
        """The row of a search; None where there is none."""
        with self._open() as connection:
            return next(connection.rows(Selection(id=search_id), 1), None)

    def pairs(self) -> dict[tuple[str, str], int]:
        """The number of searches of each pair of policy and verifier, by their digests."""
        with self._open() as connection:
            return connection.counts()

    def __len__(self) -> int:
        return sum(self.pairs().values())

    def __bool__(self) -> bool:
        return True

    def events(self, kind: str | None = None) -> list[Event]:
        """What happened to the store, in the order of time; of one kind, or all."""
        with self._open() as connection:
            return connection.events(kind)

    def learn(self, former: LearnedSettings | None = None, **settings: Any) -> LearnedSettings:
        """What its searches teach, see `learning.learn`; `save` it, and give the file as `settings=`.

        Args:
            former: What is in use: its parts stay where new ones are worse.
            **settings: The others of `learning.learn`.

        Raises:
            SettingsError: There is no search with a score, or a setting is out of range.
        """
        from langchain_optscale.learning.refit import learn  # imports SciPy

        return learn(self.rows(), former, **settings)

    # --- deleting ---

    def delete(self, search_id: str | None = None, *, question: str | None = None, before: float | None = None) -> int:
        """Delete all that is known of one question, or of old searches; labels and texts too.

        In an SQLite file the deleted bytes are overwritten.

        Args:
            search_id: A search; all searches for the same question are deleted with it.
            question: The question's text, as it was asked.
            before: Searches that ended before this time, in seconds since 1970 UTC.

        Returns:
            The number of deleted rows.

        Raises:
            SettingsError: Not exactly one of the three is given.
        """
        if sum(value is not None for value in (search_id, question, before)) != 1:
            raise SettingsError("give one of search_id, question and before to say what to delete")
        with self._open() as connection:
            if before is not None:
                return connection.delete(Selection(until=before))
            if question is not None:
                return connection.delete(Selection(question=_digest(self._redacted(question) or "", connection.salt)))
            asked = connection.question_of(str(search_id))
            return connection.delete(Selection(question=asked) if asked else Selection(id=search_id))

    def prune(self) -> int:
        """Delete what `max_rows` and `max_age` do not keep, now; the number of rows. The writer does so by itself."""
        with self._open() as connection:
            return Retention(self.max_rows, self.max_age_s).apply(connection)

    def vacuum(self) -> None:
        """Give the space of deleted rows back to the disk."""
        with self._open() as connection:
            connection.vacuum()

    def _open(self) -> Opened:
        self.flush()
        return Opened(self._database)


_DEFAULTS = {"keep_text": False, "keep_features": True}


def as_store(value: Any) -> ScoreStore | None:
    """A store from what the setting `store` takes: a `ScoreStore`, a path or a URL.

    Raises:
        SettingsError: It is none of these, or cannot be used.
    """
    if value is None or isinstance(value, ScoreStore):
        return value
    if isinstance(value, str | os.PathLike):
        return ScoreStore(value)
    wanted = "store must be a path, the URL of a PostgreSQL database or a ScoreStore"
    if any(kind.__module__.partition(".")[0] == "langgraph" for kind in type(value).__mro__):
        raise SettingsError(f"{wanted}; a store of LangGraph's belongs into graph.compile(store=...)")
    raise SettingsError(f"{wanted}, got {value!r}")


def _digest(text: str, salt: bytes) -> bytes:
    """What tells equal questions: keyed, so that the stores of two owners cannot be joined."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=salt).digest()
