"""The two files of `optscale batch`: the questions, read lazily, and the answers, appended one by one.

Every answer is one line, written at once and flushed to disk before its concurrency slot takes the next question. A
killed run leaves whole lines and at most one incomplete line, which the next run cuts off; questions with a line are
not asked again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, InvalidScoreError, SettingsError
from langchain_optscale.evaluation._recording import id_of
from langchain_optscale.evaluation.samples import json_lines
from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.records.files import append, open_to_append, read_back, whole_file
from langchain_optscale.records.stored import Fields
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.engine.result import OptScaleResult

__all__ = ["Answers", "Questions"]

_LINE_START = b'{"id": '


def _key(id_: str) -> bytes:
    """A short hash of an id, since files may have millions of them."""
    return hashlib.blake2b(id_.encode("utf-8", "backslashreplace"), digest_size=12).digest()


class Questions:
    """The questions of a file: each line a prompt, or {"prompt": ..., "id"?: ...}, or {"messages": [...], "id"?: ...}.

    The file is read once to check it and to count, and again as its questions are asked, never as a whole. A question
    without an id gets one that is made of its prompt; where a prompt stands there several times, they are numbered.

    Args:
        path: The file.

    Raises:
        InvalidRecordError: A line is no question, an id stands there twice, or the file is empty.
        SettingsError: The file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
            raise SettingsError(
                f"{path} is not a regular file: write the questions to a file, since they are read twice"
            )
        self.count = sum(1 for _ in self)
        if not self.count:
            raise InvalidRecordError(f"{path}: the file has no questions")

    def __iter__(self) -> Iterator[tuple[str, PromptValue]]:
        given: set[bytes] = set()
        made: Counter[bytes] = Counter()
        for number, data in json_lines(self._path):
            place = f"{self._path}, line {number}"
            data = {"prompt": data} if isinstance(data, str) else data
            if not isinstance(data, dict) or not isinstance(
                asked := data.get("prompt", data.get("messages")), str | list
            ):
                raise InvalidRecordError(f'{place}: a question is a string, or has a "prompt" or "messages"')
            try:
                prompt = to_prompt(asked)
            except SettingsError as error:
                raise InvalidRecordError(f"{place}: {error}") from error
            id_ = data.get("id")
            if id_ is None:
                id_ = id_of(asked if isinstance(asked, str) else json.dumps(asked, sort_keys=True))
                made[_key(id_)] += 1
                again = made[_key(id_)]
                id_ = id_ if again == 1 else f"{id_}-{again}"
            if isinstance(id_, int) and not isinstance(id_, bool):
                id_ = str(id_)
            if not isinstance(id_, str):
                raise InvalidRecordError(f"{place}: an id must be a string or a whole number, got {id_!r}")
            if _key(id_) in given:
                raise InvalidRecordError(f"{place}: id {id_!r} is already used on an earlier line")
            given.add(_key(id_))
            yield id_, prompt


class Answers:
    """The file of answers and its totals. A context manager that locks the file.

    Args:
        path: The file; continued if it exists.
        asked: The settings of the run; a file made with others is not continued.
        retry_failed: Whether questions without an answer are asked again: their lines are removed.

    Raises:
        InvalidRecordError: The file is damaged elsewhere than at its end, or is none of ours.
        SettingsError: It cannot be written, is being written by another process, or was made with other settings.
    """

    def __init__(self, path: str, asked: Mapping[str, Any], *, retry_failed: bool = False) -> None:
        self._path = Path(path)
        self._asked = dict(asked)
        self._there: set[bytes] = set()
        self.answered = self.failed = self.candidates = self.tokens = 0
        self._scores = 0.0
        self._cost: float | None = 0.0
        self._saved_tokens = 0
        self._reasons: Counter[str] = Counter()
        # Answers are for the eyes of the user who asked.
        self._file = open_to_append(self._path, private=True)
        try:
            self._continue(retry_failed=retry_failed)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def __contains__(self, id_: str) -> bool:
        return _key(id_) in self._there

    def __len__(self) -> int:
        return len(self._there)

    def keep(self, id_: str, outcome: OptScaleResult | AllCandidatesFailed, *, record: bool = False) -> None:
        """Append a question's outcome; on disk when this returns."""
        line: dict[str, Any] = {"id": id_}
        if isinstance(outcome, AllCandidatesFailed):
            line["error"] = str(outcome)
        else:
            line |= {"answer": outcome.text, **outcome.summary()}
            if outcome.message.tool_calls:
                line["tool_calls"] = [dict(call) for call in outcome.message.tool_calls]
            if record:
                line["record"] = outcome.to_dict()
        line["asked"] = self._asked
        self._write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
        self._count(line)

    def summary(self) -> dict[str, Any]:
        """Totals of the file, earlier runs included; `mean_score` is None without answers, `cost` without prices."""
        return {
            "output": str(self._path),
            "questions": len(self),
            "answered": self.answered,
            "failed": self.failed,
            "mean_score": self._scores / self.answered if self.answered else None,
            "candidates": self.candidates,
            "tokens": self.tokens,
            "saved_tokens": self._saved_tokens,
            "cost": self._cost if self.answered else None,
            "stop_reasons": dict(self._reasons.most_common()),
        }

    def _write(self, line: bytes) -> None:
        append(self._file, self._path, line)

    def _count(self, line: Mapping[str, Any]) -> None:
        self._there.add(_key(line["id"]))
        if "error" in line:
            self.failed += 1
            return
        self.answered += 1
        self._scores = math.fsum((self._scores, line["score"]))
        self._reasons[line["stop_reason"]] += 1
        self.candidates += line["drawn"]
        cost = line.get("cost")  # not in lines of 0.1.0
        self._cost = self._cost + cost if isinstance(cost, int | float) and self._cost is not None else None
        saved = line.get("saved")
        tokens = saved.get("tokens") if isinstance(saved, dict) else None
        self._saved_tokens += tokens if isinstance(tokens, int) else 0
        self.tokens += sum(Usage.from_dict(usage).total_tokens for usage in line["usage"].values())

    def _continue(self, *, retry_failed: bool) -> None:
        """Read the existing lines; afterwards the file ends with a whole line."""
        failed = False

        def read(line: bytes, place: str) -> bool:
            nonlocal failed
            data = self._read_back(line, place)
            if data is None:
                return False
            if retry_failed and "error" in data:
                failed = True
            else:
                self._count(data)
            return True

        read_back(self._file, self._path, read)
        if failed:
            self._drop_failed()

    def _read_back(self, line: bytes, place: str) -> dict[str, Any] | None:
        """The data of a line; None for an incomplete last line, as a crash leaves it."""
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            # After a crash of the machine, unwritten blocks may read as zeros.
            begun = line.rstrip(b"\0")
            if not line.endswith(b"\n") and begun.startswith(_LINE_START[: len(begun)]):
                return None
            raise InvalidRecordError(
                f"{place}: not JSON: {error}; remove the line, and its question is asked again"
            ) from error
        if not isinstance(data, dict) or not isinstance(data.get("id"), str) or not isinstance(data.get("asked"), dict):
            raise InvalidRecordError(f"{place}: not a line of a batch; choose another file")
        if data["id"] in self:
            raise InvalidRecordError(f"{place}: id {data['id']!r} is already used on an earlier line")
        for name, ours in self._asked.items():
            if data["asked"].get(name) != ours:
                theirs = data["asked"].get(name)
                raise SettingsError(f"{place}: asked with {name} {theirs!r}, not {ours!r}; choose another file")
        if "error" not in data:
            _check_answered(data, place)
        return data

    def _drop_failed(self) -> None:
        """Replace the file, in one step, by one without the lines of failed questions."""
        with whole_file(self._path, private=True) as new, self._path.open("rb") as old:
            new.writelines(line for line in old if "error" not in json.loads(line))
        # The former file stays locked until the new one is.
        file = open_to_append(self._path, private=True)
        os.close(self._file)
        self._file = file


def _check_answered(data: Mapping[str, Any], place: str) -> None:
    """Check what is added up of the line of an answered question.

    Raises:
        InvalidRecordError: A field is missing, or of another type.
    """
    try:
        fields = Fields(data, "the line of a batch")
        fields.text("stop_reason")
        fields.whole("drawn")
        Verdict(fields.real("score"))
        for usage in fields.mapping("usage").values():
            Usage.from_dict(usage)
        if data.get("cost") is not None:
            fields.real("cost")
        if data.get("saved") is not None:
            Fields(fields.mapping("saved"), "what was saved").whole("tokens", 0, least=-(2**53))
    except (InvalidRecordError, InvalidScoreError) as error:
        raise InvalidRecordError(f"{place}: {error}; choose another file") from error
