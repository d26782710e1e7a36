"""The records of a pool, a question and its samples, and their form as a line of a file."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from langchain_optscale.errors import DamagedFileError, FileError, InvalidRecordError
from langchain_optscale.records.files import lines_of, open_regular

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from langchain_core.messages import BaseMessage

__all__ = [
    "Question",
    "QuestionSet",
    "Sample",
    "json_lines",
    "name_of",
    "question_from_dict",
    "question_to_json",
    "questions_in",
]

# Candidates of one question pack by a factor of 5 to 50; a file of which a few bytes stand for gigabytes is no pool.
_MOST_RATIO = 200
_MOST_UNCHECKED = 1 << 22
_BLOCK = 1 << 20
_MOST_TOKENS = 10**12
_SAMPLE_FIELDS = ("score", "correct", "tokens", "answer", "text", "logit", "state")


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded candidate; None stands for what was not recorded.

    Attributes:
        score: The verifier's score, a finite number in [0, 1].
        correct: Whether the candidate is right.
        tokens: Tokens generated for it, at least 0; the prompt is not counted.
        answer: The canonical answer found in it; an empty string counts as none.
        text: What the model said.
        logit: A raw, finite verifier output of any range, higher is better; `Pool.from_logits` makes scores of it.
        state: What a policy that is an agent or another graph ended in, as plain data: the JSON form of
            `Candidate.state`. Not compared.

    Raises:
        InvalidRecordError: A field has a wrong type or is out of range.
    """

    score: float | None = None
    correct: bool | None = None
    tokens: int | None = None
    answer: str | None = None
    text: str | None = None
    logit: float | None = None
    state: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.score is not None and not (_is_real(self.score) and 0 <= self.score <= 1):
            raise InvalidRecordError(f"score must be a finite number in [0, 1], got {self.score!r}")
        if self.logit is not None and not (_is_real(self.logit) and abs(self.logit) <= sys.float_info.max):
            raise InvalidRecordError(f"logit must be a finite number, got {self.logit!r}")
        if self.correct is not None and not isinstance(self.correct, bool):
            raise InvalidRecordError(f"correct must be true or false, got {self.correct!r}")
        if self.tokens is not None and (isinstance(self.tokens, bool) or not isinstance(self.tokens, int)):
            raise InvalidRecordError(f"tokens must be a whole number, got {self.tokens!r}")
        if self.tokens is not None and self.tokens < 0:
            raise InvalidRecordError(f"tokens must be at least 0, got {self.tokens!r}")
        if self.tokens is not None and self.tokens > _MOST_TOKENS:
            raise InvalidRecordError(f"tokens must be at most {_MOST_TOKENS:,}")
        _check_strings(self, "answer", "text")
        if self.state is not None and not isinstance(self.state, Mapping):
            raise InvalidRecordError(f"state must be an object, got {type(self.state).__name__}")
        if not self.answer:
            object.__setattr__(self, "answer", None)

    @property
    def trajectory(self) -> tuple[BaseMessage, ...]:
        """The conversation of the state, as `Candidate.trajectory`; needs LangChain, as nothing else here does.

        Raises:
            InvalidRecordError: A message of the state cannot be read.

        Example:
            >>> Sample(text="4").trajectory
            ()
        """
        if self.state is None:
            return ()
        from langchain_optscale.records.states import MESSAGES, messages_in, state_from_json

        try:
            return messages_in({MESSAGES: state_from_json(self.state.get(MESSAGES))})
        except Exception as error:
            raise InvalidRecordError(f"the messages of a recorded state cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what was drawn for it.

    Attributes:
        id: Its name, unique within a pool, not empty.
        prompt: What the model was asked.
        samples: The candidates in drawing order; empty for a question that is still to be asked.
        gold: The reference (gold) answer, None where it is not known.

    Raises:
        InvalidRecordError: A field has a wrong type, or the id is empty.
    """

    id: str
    prompt: str
    samples: tuple[Sample, ...] = ()
    gold: str | None = None

    def __post_init__(self) -> None:
        for name in ("id", "prompt"):
            if not isinstance(getattr(self, name), str):
                raise InvalidRecordError(f"{name} must be a string, got {getattr(self, name)!r}")
        if not self.id:
            raise InvalidRecordError("id must not be empty")
        _check_strings(self, "gold")


class QuestionSet(Protocol):
    """Questions with recorded candidates; `Pool` is one, and says what each property means."""

    @property
    def name(self) -> str: ...
    @property
    def samples(self) -> Iterator[Sample]: ...
    @property
    def cap(self) -> int: ...
    @property
    def has_scores(self) -> bool: ...
    @property
    def has_logits(self) -> bool: ...
    @property
    def has_correct(self) -> bool: ...
    @property
    def has_answers(self) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Question]: ...


def questions_in(
    path: str | os.PathLike[str], read: Callable[[Any, Mapping[str, int]], Question]
) -> tuple[Question, ...]:
    """The questions of a file of JSON lines.

    Args:
        path: The file.
        read: Makes a question of a line, given the lines of the earlier questions by their ids.

    Raises:
        InvalidRecordError: As `json_lines` and `read`, or there is no question; the message names file and line.
        SettingsError: The file cannot be read.
    """
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for number, data in json_lines(path):
        try:
            question = read(data, lines)
        except InvalidRecordError as error:
            raise InvalidRecordError(f"{path}, line {number}: {error}") from error
        lines[question.id] = number
        questions.append(question)
    if not questions:
        raise InvalidRecordError(f"{path}: the file has no questions")
    return tuple(questions)


def name_of(path: str | os.PathLike[str]) -> str:
    """What a pool is called after its file: the file's name without the ending of its format and packing.

    >>> name_of("runs/gsm8k.v1.5.jsonl.gz")
    'gsm8k.v1.5'
    """
    name = Path(path).name
    for ending in (".gz", ".jsonl", ".json"):
        # A name that is nothing but an ending stays.
        name = name.removesuffix(ending) or name
    return name


def json_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """The numbers, from 1, and the values of a file's JSON lines; empty lines are skipped.

    Raises:
        InvalidRecordError: It is no regular file, a line is no JSON or too long, or it is packed and damaged or unpacks
            to far too much; the message names the file, and the line if there is one.
        SettingsError: The file cannot be read.
    """
    with open_regular(path) as file:
        try:
            for number, line in lines_of(_unpacked(file, path), path):
                if line.strip():
                    yield number, _json(line, f"{path}, line {number}")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DamagedFileError(f"{path} cannot be read: {error}") from error
        except OSError as error:
            raise FileError.of(f"{path} cannot be read", error) from error


def _json(line: bytes, place: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{place}: not JSON: {error}") from error


def question_from_dict(data: Any) -> Question:
    """Read what one line of a pool holds.

    Raises:
        InvalidRecordError: It is not a question; the message names the field, and the sample by its number from 1.
    """
    if not isinstance(data, dict):
        raise InvalidRecordError(f"a question must be a JSON object, got {type(data).__name__}")
    if missing := [name for name in ("id", "prompt") if name not in data]:
        raise InvalidRecordError(f"{' and '.join(missing)} missing")
    listed = data.get("samples", [])
    if not isinstance(listed, list):
        raise InvalidRecordError(f"samples must be a list, got {type(listed).__name__}")
    samples = []
    for number, sample in enumerate(listed, 1):
        try:
            samples.append(_sample_from_dict(sample))
        except InvalidRecordError as error:
            raise InvalidRecordError(f"sample {number}: {error}") from error
    return Question(data["id"], data["prompt"], tuple(samples), data.get("gold"))


def question_to_json(question: Question, notes: Mapping[str, Any] | None = None) -> bytes:
    """One line of a pool, with its line end; readers ignore the further keys of `notes`."""
    data: dict[str, Any] = {"id": question.id, "prompt": question.prompt}
    if question.gold is not None:
        data["gold"] = question.gold
    data |= notes or {}
    data["samples"] = [
        {name: value for name in _SAMPLE_FIELDS if (value := getattr(sample, name)) is not None}
        for sample in question.samples
    ]
    # "backslashreplace" writes a lone surrogate, which has no UTF-8 form, as JSON's own escape.
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def _sample_from_dict(data: Any) -> Sample:
    if not isinstance(data, dict):
        raise InvalidRecordError(f"must be a JSON object, got {type(data).__name__}")
    return Sample(**{name: data[name] for name in _SAMPLE_FIELDS if name in data})


def _unpacked(file: BinaryIO, path: str | os.PathLike[str]) -> BinaryIO:
    """The file, unpacked on the way where it is packed; one that unpacks to far more than text does is refused."""
    if Path(path).suffix != ".gz":
        return file
    unpacked = 0
    with gzip.GzipFile("", "rb", fileobj=file) as packed:
        while block := packed.read(_BLOCK):
            unpacked += len(block)
            if unpacked > _MOST_UNCHECKED and unpacked > _MOST_RATIO * file.tell():
                raise DamagedFileError(
                    f"{path} cannot be read: it unpacks to more than {_MOST_RATIO} times its size; unpack it "
                    "yourself if you trust it"
                )
    file.seek(0)
    return cast("BinaryIO", gzip.GzipFile("", "rb", fileobj=file))


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_strings(record: Sample | Question, *names: str) -> None:
    for name in names:
        if (value := getattr(record, name)) is not None and not isinstance(value, str):
            raise InvalidRecordError(f"{name} must be a string, got {value!r}")
