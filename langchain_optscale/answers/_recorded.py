"""Recorded candidates as the fits read them: histories of several sizes, in a few orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from langchain_optscale.answers._joint import Histories
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_optscale.answers._joint import BoolArray, FloatArray

__all__ = ["Column", "RecordedQuestion", "RecordedSample", "columns_of", "histories", "logits_of"]

_LEAST_QUESTIONS = 10


class RecordedSample(Protocol):
    """What the fits read of a candidate; `evaluation.pools.Sample` has it."""

    @property
    def score(self) -> float | None:
        """The verifier's score in [0, 1]."""
        ...

    @property
    def answer(self) -> str | None:
        """The canonical answer, None where it has none."""
        ...

    @property
    def correct(self) -> bool | None:
        """Whether it is right; only fits with labels read it."""
        ...


class RecordedQuestion(Protocol):
    """What the fits read of a question; `evaluation.pools.Question` has it."""

    @property
    def samples(self) -> Sequence[RecordedSample]:
        """The candidates in drawing order."""
        ...


@dataclass(frozen=True, eq=False)
class Column:
    """The candidates of one question, in drawing order.

    Attributes:
        scores: Their scores.
        groups: The number of each candidate's answer, from 0; one without an answer has a number of its own.
        silent: By group, whether it is a candidate without an answer.
        correct: Whether each candidate is right; all False where that is not known.
    """

    scores: FloatArray
    groups: tuple[int, ...]
    silent: tuple[bool, ...]
    correct: BoolArray

    def ordered(self, order: Sequence[int]) -> Column:
        """The same candidates in another order, groups numbered by appearance."""
        names: dict[int, int] = {}
        groups = tuple(names.setdefault(self.groups[place], len(names)) for place in order)
        silent = tuple(self.silent[name] for name in names)
        index = list(order)
        return Column(self.scores[index], groups, silent, self.correct[index])


def columns_of(questions: Iterable[RecordedQuestion], *, with_labels: bool) -> list[Column]:
    """Read the questions.

    Args:
        questions: The recorded candidates.
        with_labels: Whether every sample must say if it is right.

    Raises:
        SettingsError: They are too few, or lack scores, labels or answers.
    """
    columns = []
    for question in questions:
        samples = question.samples
        if any(sample.score is None for sample in samples):
            raise SettingsError("fitting an answer model needs a score for every sample")
        if with_labels and any(sample.correct is None for sample in samples):
            raise SettingsError(
                "fitting with labels needs samples that say whether they are right; use fit_unlabelled without labels"
            )
        names: dict[str | int, int] = {}
        groups = tuple(
            names.setdefault(place if sample.answer is None else sample.answer, len(names))
            for place, sample in enumerate(samples)
        )
        columns.append(
            Column(
                np.array([sample.score for sample in samples], dtype=np.float64),
                groups,
                tuple(not isinstance(name, str) for name in names),
                np.array([bool(sample.correct) for sample in samples]),
            )
        )
    if len(columns) < _LEAST_QUESTIONS:
        raise SettingsError(
            f"{len(columns)} questions are too few to fit an answer model; record at least {_LEAST_QUESTIONS}, "
            "or use the untrained default"
        )
    if all(all(column.silent) for column in columns):
        raise SettingsError("no sample has an answer: there is nothing to fit an answer model to")
    return columns


def histories(
    columns: Sequence[Column], logits: Sequence[FloatArray], size: int | None = None
) -> tuple[Histories, BoolArray]:
    """The first `size` candidates of every question that has as many.

    Args:
        columns: The questions.
        logits: The logit of each candidate's score, one array for each question.
        size: At least 1; None takes all candidates of every question.

    Returns:
        The sufficient statistics, and by history and hypothesis what is true, see `Joint.log_truth`.
    """
    long = [place for place, column in enumerate(columns) if size is None or len(column.groups) >= size]
    width = max(max(columns[place].groups[:size]) for place in long) + 2
    counts, sums = np.zeros((len(long), width)), np.zeros((len(long), width))
    silent, truth = np.zeros((len(long), width), np.bool_), np.zeros((len(long), width), np.bool_)
    for row, place in enumerate(long):
        column, groups = columns[place], list(columns[place].groups[:size])
        counts[row] = np.bincount(groups, minlength=width)
        sums[row] = np.bincount(groups, weights=logits[place][:size], minlength=width)
        seen = max(groups) + 1
        silent[row, :seen] = column.silent[:seen]
        np.logical_or.at(truth[row], groups, column.correct[:size])
        truth[row, :seen] &= ~silent[row, :seen]
        truth[row, -1] = not truth[row].any()
    return Histories(counts, sums, silent), truth


def logits_of(columns: Sequence[Column], logit: Callable[[float], float]) -> list[FloatArray]:
    """The logit of every candidate's score; equal scores are looked up once."""
    known: dict[float, float] = {}
    made = []
    for column in columns:
        scores = column.scores.tolist()
        for score in scores:
            if score not in known:
                known[score] = logit(score)
        made.append(np.array([known[score] for score in scores]))
    return made
