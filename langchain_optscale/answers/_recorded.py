"""Recorded candidates as arrays for the fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
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
    """The part of `evaluation.pools.Sample` that the fits read."""

    @property
    def score(self) -> float | None:
        """The verifier's score in [0, 1]."""
        ...

    @property
    def answer(self) -> str | None:
        """The canonical answer, or None."""
        ...

    @property
    def correct(self) -> bool | None:
        """Whether it is right; read by fits with labels only."""
        ...


class RecordedQuestion(Protocol):
    """The part of `evaluation.pools.Question` that the fits read."""

    @property
    def samples(self) -> Sequence[RecordedSample]:
        """The candidates in drawing order."""
        ...


@dataclass(frozen=True, eq=False)
class Column:
    """The candidates of one question, in drawing order.

    Attributes:
        scores: Their scores.
        groups: The index of each candidate's answer; a candidate without one has an index of its own.
        silent: By group, whether it is a candidate without an answer.
        correct: Whether each candidate is right; all False without labels.
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
        with_labels: Whether every sample needs a label.

    Raises:
        SettingsError: They are too few, or lack scores, labels or answers.
    """
    columns = []
    for question in questions:
        samples = question.samples
        if any(sample.score is None for sample in samples):
            raise SettingsError("fitting an answer model needs a score for every sample: score the samples first")
        if with_labels and any(sample.correct is None for sample in samples):
            raise SettingsError(
                "fit_labelled needs `correct` for every sample: use fit_unlabelled for samples without labels"
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
            f"{len(columns)} questions are too few to fit an answer model: record at least {_LEAST_QUESTIONS}, or use "
            "the default model"
        )
    if all(all(column.silent) for column in columns):
        raise SettingsError("no sample has an answer: set an extractor that finds the answers")
    return columns


def histories(
    columns: Sequence[Column], logits: Sequence[FloatArray], size: int | None = None
) -> tuple[Histories, BoolArray]:
    """The first `size` candidates of every question that has at least as many.

    Args:
        columns: The questions.
        logits: The logit of each candidate's score, one array for each question.
        size: At least 1; None takes all candidates of every question.

    Returns:
        The sufficient statistics, and the truth by history and hypothesis, see `Joint.log_truth`.
    """
    long = [place for place, column in enumerate(columns) if size is None or len(column.groups) >= size]
    width = max(max(columns[place].groups[:size]) for place in long) + 2
    counts, sums = np.zeros((len(long), width)), np.zeros((len(long), width))
    silent, truth = np.zeros((len(long), width), np.bool_), np.zeros((len(long), width), np.bool_)
    for row, place in enumerate(long):
        column, groups = columns[place], list(columns[place].groups[:size])
        counts[row] = np.bincount(groups, minlength=width)
        sums[row] = np.bincount(groups, weights=logits[place][:size], minlength=width)
        kinds = max(groups) + 1
        silent[row, :kinds] = column.silent[:kinds]
        np.logical_or.at(truth[row], groups, column.correct[:size])
        truth[row, :kinds] &= ~silent[row, :kinds]
        truth[row, -1] = not truth[row].any()
    return Histories(counts, sums, silent), truth


def logits_of(columns: Sequence[Column], logit: Callable[[float], float]) -> list[FloatArray]:
    """The logit of every candidate's score."""
    cached = cache(logit)
    return [np.array([cached(score) for score in column.scores.tolist()]) for column in columns]
