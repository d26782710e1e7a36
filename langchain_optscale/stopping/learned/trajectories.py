"""Recorded questions as trajectories: features, the value of stopping, and the amounts that continuing uses."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.answers.evidence import EvidenceVote
from langchain_optscale.answers.selection import SELECTIONS
from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.calibration import IsotonicCalibration
from langchain_optscale.stopping.learned.backward import Paths
from langchain_optscale.stopping.learned.costs import Amounts
from langchain_optscale.stopping.learned.prefix import answer_features, leading, score_features, selection_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_optscale.stats.calibration import Calibration
    from langchain_optscale.stopping.learned.backward import FloatArray
    from langchain_optscale.stopping.learned.costs import Labels

__all__ = ["FOLDS", "Recording", "in_errors"]

FOLDS = 5
"""Of the questions, by their numbers: calibrating features and validating a fit leave out the same ones."""


class Recording:
    """Recorded questions, with the value of returning each of their samples.

    Args:
        questions: Each with `samples`, every sample with a score.
        labels: As in `FittedStopping.fit`.
        select: The same.

    Raises:
        SettingsError: Right and wrong are asked for and not recorded, or all samples are alike.
    """

    def __init__(self, questions: tuple[Any, ...], labels: Labels = "gold", select: str | None = None) -> None:
        samples = [sample for question in questions for sample in question.samples]
        labelled = labels == "gold" and all(sample.correct is not None for sample in samples)
        self.questions = questions
        self.with_answers = any(sample.answer is not None for sample in samples)
        if labels == "gold" and not labelled and self.with_answers:
            raise SettingsError("labels='gold' needs a pool that says which samples are right; use labels='none'")
        self.labelled = labelled
        self._valued = labels == "worth"
        self.worths = [self._worths(question) for question in questions]
        self.calibration = self._calibration(range(len(questions))) if labelled or self.with_answers else None
        self._calibrations = [] if self.calibration is None else self._without_each_fold()
        name = select or ("evidence" if self.with_answers else "best")
        self.select = EvidenceVote(self.calibration) if name == "evidence" else name
        self._counted = all(sample.tokens is not None for sample in samples)

    def best_of(self, cap: int) -> float | None:
        """Mean worth of the best score of `cap` samples, over all ways to draw them; None where worths are scores.

        Of S samples in groups of equal scores, b of them above group g, the best of `cap` lies in g with probability
        (C(S - b, cap) - C(S - b - |g|, cap)) / C(S, cap).
        """
        if not (self.labelled or self.with_answers):
            return None
        means = []
        for question, worths in zip(self.questions, self.worths, strict=True):
            groups: dict[float, list[float]] = {}
            for sample, worth in zip(question.samples, worths, strict=True):
                groups.setdefault(sample.score, []).append(worth)
            left, mean = len(worths), 0.0
            for score in sorted(groups, reverse=True):
                group = groups[score]
                ways = math.comb(left, cap) - math.comb(left - len(group), cap)
                mean += ways / math.comb(len(worths), cap) * math.fsum(group) / len(group)
                left -= len(group)
            means.append(mean)
        return math.fsum(means) / len(means)

    def signal(self) -> float:
        """The mean covariance of score and worth within a question, in standard errors over questions."""
        covariances = []
        for question, worths in zip(self.questions, self.worths, strict=True):
            scores = np.array([sample.score for sample in question.samples], dtype=np.float64)
            covariances.append(float((scores - scores.mean()) @ np.array(worths)))
        return in_errors(np.array(covariances))

    def calibrated(self, group: int, scores: list[float]) -> list[float]:
        """A question's scores as a fit to the questions of *other* folds calibrates them.

        Features that were calibrated by a question's own labels know them: on scores that tell nothing, right samples
        would still stand above wrong ones, and neither the fit nor its validation would notice. The rule itself carries
        `calibration`, which is fitted to all questions and meets only new ones.
        """
        if self.calibration is None:
            return scores
        return [self._calibrations[group % FOLDS](score) for score in scores]

    def orders(self, cap: int, orders: int, seed: int) -> Iterator[tuple[int, list[int]]]:
        """Trajectories: a question's number and the places of `cap` samples in random order, `orders` for each."""
        generator = np.random.default_rng(seed)
        for group, question in enumerate(self.questions):
            for _ in range(orders):
                yield group, generator.permutation(len(question.samples))[:cap].tolist()

    def paths(self, points: tuple[int, ...], orders: int, seed: int) -> tuple[Paths, Amounts]:
        """Every question in random orders, observed at the decision points (ascending numbers of candidates)."""
        features, values, groups, tokens = [], [], [], []
        for group, order in self.orders(points[-1], orders, seed):
            rows, worths = self._observed(group, order, points)
            features.append(rows)
            values.append(worths)
            groups.append(group)
            tokens.append([self.questions[group].samples[place].tokens or 0 for place in order])
        steps = np.tile(np.diff(np.array(points, dtype=np.float64)), (len(groups), 1))
        amounts = Amounts(steps, None, None)
        if self._counted:
            spent = np.array(tokens, dtype=np.float64)
            parts = [spent[:, low:high] for low, high in pairwise(points)]
            total = np.stack([part.sum(axis=1) for part in parts], axis=1)
            amounts = Amounts(steps, total, np.stack([part.max(axis=1) for part in parts], axis=1))
        return Paths(np.array(features), np.array(values), np.array(groups)), amounts

    def _observed(self, group: int, order: list[int], points: tuple[int, ...]) -> tuple[list[list[float]], list[float]]:
        """Features and worth at every decision point of one trajectory."""
        samples, worths = self.questions[group].samples, self.worths[group]
        answers = [samples[place].answer for place in order]
        scores = [samples[place].score for place in order]
        known = self.calibrated(group, scores)
        selection = selection_of(self.select)
        rows, values = [], []
        for n in points:
            leader = leading(selection, answers[:n], scores[:n], known[:n])
            rows.append(
                answer_features(answers[:n], known[:n], leader) if self.with_answers else score_features(known[:n])
            )
            values.append(worths[order[leader]])
        return rows, values

    def _worths(self, question: Any) -> list[float]:
        """Of each sample: what is known of it, agreement with the vote of all samples, or its graded score."""
        if self._valued:
            return [float(sample.worth) for sample in question.samples]
        if self.labelled:
            return [float(bool(sample.correct)) for sample in question.samples]
        if not self.with_answers:
            return [float(sample.score) for sample in question.samples]
        answers = [sample.answer for sample in question.samples]
        chosen = answers[SELECTIONS["vote"].position(answers, [sample.score for sample in question.samples])]
        return [float(answer is not None and answer == chosen) for answer in answers]

    def _calibration(self, groups: Iterable[int]) -> Calibration:
        """P(right | score), fitted to the questions with these numbers."""
        scores, labels = [], []
        for group in groups:
            scores += [float(sample.score) for sample in self.questions[group].samples]
            labels += [worth > 0.5 for worth in self.worths[group]]
        if len(set(labels)) < 2:
            raise SettingsError("all recorded samples are right, or all wrong: record questions with both")
        return IsotonicCalibration.fit(scores, labels)

    def _without_each_fold(self) -> list[Calibration]:
        """Fitted to all questions but those of each fold; where these are all right or all wrong, to all questions."""
        numbers = range(len(self.questions))
        fitted = []
        for fold in range(FOLDS):
            others = [group for group in numbers if group % FOLDS != fold]
            mixed = len({worth > 0.5 for group in others for worth in self.worths[group]}) == 2
            fitted.append(self._calibration(others if mixed else numbers))
        return fitted


def in_errors(values: FloatArray) -> float:
    """The mean in its standard errors, 0 where all values are equal.

    Args:
        values: Shape (Q,), one for each question.
    """
    deviation = float(values.std(ddof=1))
    return float(values.mean()) * math.sqrt(len(values)) / deviation if deviation > 0 else 0.0
