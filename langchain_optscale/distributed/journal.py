"""Answers of many workers in one directory: each appends to a file of its own, and all of them can be read.

A line is written at once and flushed to the disk. A worker that is killed leaves whole lines and at most one incomplete
line, which readers skip; a question with a line is not asked again.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import FileError, InvalidRecordError, SettingsError
from langchain_optscale.records.files import append, open_to_append

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Journal", "read_lines"]

_NAME = "answers-{}.jsonl"


def read_lines(directory: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of all files of a directory that a `Journal` wrote, in no particular order.

    Args:
        directory: Where the workers write; it may be missing.

    Raises:
        InvalidRecordError: A line that is followed by others is no line of a journal.
        SettingsError: A file cannot be read.
    """
    for path in sorted(Path(directory).glob(_NAME.format("*"))):
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.endswith(b"\n"):
                        break  # a worker was killed while it wrote this line
                    yield _read(line, f"{path}, line {number}")
        except OSError as error:
            raise FileError.of(f"{path} cannot be read", error) from error


def _read(line: bytes, place: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(
            f"{place}: not JSON: {error}; remove the line, and its question is asked again"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("id"), str) or not isinstance(data.get("asked"), dict):
        raise InvalidRecordError(f"{place}: not a line of a batch; choose another directory")
    return data


class Journal:
    """The file of one worker, and the ids of all questions that have a line.

    Args:
        directory: Where all workers write; on more than one machine a file system that they share. Created if missing.
        asked: The settings of the run; a directory with answers of others is not continued.

    Raises:
        InvalidRecordError: A file of the directory is damaged.
        SettingsError: The directory cannot be written, or its answers were made with other settings.
    """

    def __init__(self, directory: str | Path, asked: Mapping[str, Any]) -> None:
        self._asked = dict(asked)
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError.of(f"{directory} cannot be written", error) from error
        self._there = {_key(line["id"]) for line in read_lines(directory) if self._check(line, directory)}
        self._path = Path(directory, _NAME.format(uuid.uuid4().hex))
        self._file: int | None = None

    def _check(self, line: Mapping[str, Any], directory: str | Path) -> bool:
        for name, ours in self._asked.items():
            theirs = line["asked"].get(name)
            if theirs != ours:
                raise SettingsError(
                    f"{directory}: question {line['id']!r} was asked with {name} {theirs!r}, not {ours!r}; "
                    "choose another directory"
                )
        return True

    def __contains__(self, id_: str) -> bool:
        return _key(id_) in self._there

    def __len__(self) -> int:
        return len(self._there)

    def keep(self, line: Mapping[str, Any]) -> None:
        """Append the line of a question; on disk when this returns.

        Raises:
            SettingsError: It cannot be written.
        """
        if self._file is None:
            self._file = open_to_append(self._path, private=True)
        text = json.dumps({**line, "asked": self._asked}, ensure_ascii=False) + "\n"
        append(self._file, self._path, text.encode("utf-8", "backslashreplace"))
        self._there.add(_key(line["id"]))

    def close(self) -> None:
        """Close the file; a worker that ends does so by itself."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _key(id_: str) -> bytes:
    """A short hash of an id, since there may be millions of them."""
    return hashlib.blake2b(id_.encode("utf-8", "backslashreplace"), digest_size=12).digest()
