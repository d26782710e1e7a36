"""Pools: candidates that a model drew for each question, in drawing order, with their verifier's scores.

A pool is a file with one JSON line a question; "gold" is its reference answer:

    {"id": "q1", "prompt": "What is 2 + 2?", "gold": "4", "samples": [{"score": 0.9, "correct": true, "answer": "4"}]}

"gold" and every key of a sample ("score", "logit", "correct", "tokens", "answer", "text") may be missing or null.
Unknown keys are ignored; `write_pool` does not write them back.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.samples import (
    Question,
    Sample,
    name_of,
    question_from_dict,
    question_to_json,
    questions_in,
)
from langchain_optscale.records.files import whole_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Pool", "Question", "Sample", "read_pool", "write_pool"]


@dataclass(frozen=True)
class Pool:
    """Questions with their recorded candidates.

    Attributes:
        questions: In the order of the file; ids are unique and every question has a sample.
        name: Its name in tables, pictures and messages.

    Raises:
        InvalidRecordError: Two questions have the same id, or one has no samples.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> samples = (Sample(score=0.2, correct=False), Sample(score=0.9, correct=True))
        >>> pool = Pool((Question("a", "2 + 2?", samples), Question("b", "3 + 3?", samples)), name="sums")
        >>> len(pool), pool.cap, pool.has_correct, [question.id for question in pool]
        (2, 2, True, ['a', 'b'])
    """

    questions: tuple[Question, ...]
    name: str = "pool"

    def __post_init__(self) -> None:
        counts = Counter(question.id for question in self.questions)
        if duplicates := [id_ for id_, count in counts.items() if count > 1]:
            raise InvalidRecordError(f"several questions have the same id: {_some(duplicates)}")
        if empty := [question.id for question in self.questions if not question.samples]:
            raise InvalidRecordError(f"questions without samples: {_some(empty)}")

    def __len__(self) -> int:
        return len(self.questions)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.questions)

    @property
    def samples(self) -> Iterator[Sample]:
        """Every sample, question by question."""
        return (sample for question in self.questions for sample in question.samples)

    @property
    def cap(self) -> int:
        """The fewest samples of any question, the most that a replay draws; 0 without questions."""
        return min((len(question.samples) for question in self.questions), default=0)

    @property
    def has_scores(self) -> bool:
        """Whether every sample has a score, and there is one."""
        return bool(self.questions) and all(sample.score is not None for sample in self.samples)

    @property
    def has_logits(self) -> bool:
        """Whether every sample has a logit, and there is one."""
        return bool(self.questions) and all(sample.logit is not None for sample in self.samples)

    @property
    def has_correct(self) -> bool:
        """Whether every sample says if it is right, and there is one."""
        return bool(self.questions) and all(sample.correct is not None for sample in self.samples)

    @property
    def has_answers(self) -> bool:
        """Whether any sample has an answer."""
        return any(sample.answer is not None for sample in self.samples)

    def split(self, fraction: float = 0.5, *, seed: int = 0) -> tuple[Pool, Pool]:
        """Part the questions in two, so that what is chosen on one part can be reported on the other.

        A question's side depends on its id, the seed and the other ids, not on the order of the file.

        Args:
            fraction: Share of the questions in the first part, in [0, 1]; rounded to whole questions.
            seed: Another seed gives another split.

        Returns:
            Two disjoint pools that together have all questions, each in the order of this one.

        Raises:
            SettingsError: The fraction is outside [0, 1].
        """
        if not 0 <= fraction <= 1:
            raise SettingsError(f"fraction must be in [0, 1], got {fraction!r}")

        def place(question: Question) -> bytes:
            return hashlib.sha256(f"{seed}:{question.id}".encode("utf-8", "backslashreplace")).digest()

        ranked = sorted(self.questions, key=place)
        first = {question.id for question in ranked[: round(fraction * len(ranked))]}
        return (
            Pool(tuple(question for question in self if question.id in first), f"{self.name}/1"),
            Pool(tuple(question for question in self if question.id not in first), f"{self.name}/2"),
        )

    @classmethod
    def merge(cls, *pools: Pool, prefix: bool = False, name: str = "merged") -> Pool:
        """One pool with the questions of all.

        Args:
            *pools: In this order.
            prefix: Put "<pool name>/" before every id, where pools share ids.
            name: Of the new pool.

        Raises:
            InvalidRecordError: Two questions have the same id; the message names them.
        """
        return cls(
            tuple(
                replace(question, id=f"{pool.name}/{question.id}") if prefix else question
                for pool in pools
                for question in pool
            ),
            name,
        )

    def with_scores(self, function: Callable[[Sample], float]) -> Pool:
        """The same pool with other scores.

        Args:
            function: Gives a sample's new score in [0, 1].

        Raises:
            InvalidRecordError: A new score is no finite number in [0, 1].
        """
        questions = tuple(
            replace(question, samples=tuple(replace(sample, score=function(sample)) for sample in question.samples))
            for question in self
        )
        return replace(self, questions=questions)

    def from_logits(self, location: float = 0.0, scale: float = 1.0) -> Pool:
        """The same pool with scores 1 / (1 + exp(-(logit - location) / scale)).

        Args:
            location: The logit that becomes 0.5.
            scale: In units of the logit, above 0; a larger one spreads the scores less.

        Raises:
            SettingsError: A setting is out of range, or a sample has no logit.

        Example:
            >>> pool = Pool((Question("a", "?", (Sample(logit=-2.0), Sample(logit=2.0))),))
            >>> [round(sample.score, 3) for sample in pool.from_logits(scale=2.0).samples]
            [0.269, 0.731]
        """
        if not (math.isfinite(location) and 0 < scale < math.inf):
            raise SettingsError(f"location must be finite and scale above 0, got {location!r} and {scale!r}")
        if not self.has_logits:
            raise SettingsError(f"pool {self.name!r} has samples without a logit: no scores can be made")
        return self.with_scores(lambda sample: _logistic((cast("float", sample.logit) - location) / scale))

    def scored(self) -> Pool:
        """This pool if its samples have scores, else one whose scores are made of the logits.

        Logits become scores by the logistic law that has their mean and standard deviation; their order stays.

        Example:
            >>> pool = Pool((Question("a", "?", (Sample(logit=-3.0), Sample(logit=1.0))),))
            >>> [round(sample.score, 3) for sample in pool.scored().samples]
            [0.14, 0.86]
        """
        if self.has_scores or not self.has_logits:
            return self
        logits = [sample.logit for sample in self.samples if sample.logit is not None]
        mean = math.fsum(logits) / len(logits)
        deviation = math.sqrt(math.fsum((logit - mean) ** 2 for logit in logits) / len(logits))
        return self.from_logits(mean, (deviation or 1.0) * math.sqrt(3.0) / math.pi)

    def head(self, count: int) -> Pool:
        """The same questions with their first `count` samples.

        Raises:
            SettingsError: Some question has fewer, or `count` is below 1.
        """
        if not 1 <= count <= self.cap:
            raise SettingsError(
                f"of every question of pool {self.name!r} the first 1 to {self.cap} samples can be taken, not {count}"
            )
        return replace(self, questions=tuple(replace(q, samples=q.samples[:count]) for q in self))

    def describe(self) -> dict[str, Any]:
        """The pool in figures, see `langchain_optscale.evaluation.description.describe`."""
        from langchain_optscale.evaluation.description import describe

        return describe(self)


def read_pool(path: str | os.PathLike[str], *, name: str | None = None) -> Pool:
    """Read a pool, line by line.

    Args:
        path: The file; one that ends in ".gz" is unpacked on the way.
        name: Of the pool; None takes the file's name without the ending of its format.

    Raises:
        InvalidRecordError: A line is no valid question, an id stands on two lines, or there is no line at all; the
            message names the file and the line.
        SettingsError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample, write_pool
        >>> pool = Pool((Question("a", "2 + 2?", (Sample(score=0.9, correct=True, answer="4"),), gold="4"),))
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     write_pool(pool, Path(directory, "sums.jsonl"))
        ...     read_pool(Path(directory, "sums.jsonl")) == Pool(pool.questions, "sums")
        True
    """
    questions = questions_in(path, lambda data, lines: _answered(question_from_dict(data), lines))
    return Pool(questions, name_of(path) if name is None else name)


def write_pool(pool: Pool, path: str | os.PathLike[str]) -> None:
    """Write a pool: either the whole file is there afterwards, or what was there before.

    Args:
        pool: Its name is not written; the file's name stands for it.
        path: Where to; one that ends in ".gz" is packed.

    Raises:
        SettingsError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample, read_pool
        >>> pool = Pool((Question("a", "2 + 2?", (Sample(score=0.9, correct=True, answer="4"),), gold="4"),))
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     write_pool(pool, Path(directory, "sums.jsonl.gz"))
        ...     read_pool(Path(directory, "sums.jsonl.gz")).questions == pool.questions
        True
    """
    with whole_file(path) as file:
        # Without a time of its own, so that equal pools make equal files.
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if Path(path).suffix == ".gz" else None
        with packed or contextlib.nullcontext(file) as out:
            out.writelines(question_to_json(question) for question in pool)


def _answered(question: Question, lines: Mapping[str, int]) -> Question:
    if not question.samples:
        raise InvalidRecordError("a question needs at least one sample")
    if question.id in lines:
        raise InvalidRecordError(f"id {question.id!r} is already used on line {lines[question.id]}")
    return question


def _logistic(x: float) -> float:
    # The form whose exponential cannot overflow.
    return 1 / (1 + math.exp(-x)) if x >= 0 else (e := math.exp(x)) / (1 + e)


def _some(names: list[str], most: int = 5) -> str:
    listed = ", ".join(repr(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
