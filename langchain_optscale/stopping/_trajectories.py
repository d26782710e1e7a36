"""Recorded questions as trajectories: what a learned rule sees, what stopping is worth, what going on consumes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_optscale.answers.selection import SELECTIONS
from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.calibration import IsotonicCalibration
from langchain_optscale.stopping._backward import Paths
from langchain_optscale.stopping._prefix import answer_features, score_features

if TYPE_CHECKING:
    from langchain_optscale.stats.calibration import Calibration
    from langchain_optscale.stopping._backward import FloatArray
    from langchain_optscale.stopping.fitted import CandidatePrice

__all__ = ["Amounts", "Recording"]


@dataclass(frozen=True, eq=False)
class Amounts:
    """What going on to the next decision point consumes, each of shape (T, P - 1).

    Attributes:
        samples: Candidates.
        tokens: Their tokens, None where a sample has none.
        longest: Tokens of the longest of them, None likewise.
    """

    samples: FloatArray
    tokens: FloatArray | None
    longest: FloatArray | None

    def costs(self, price: CandidatePrice) -> FloatArray:
        """What that costs, shape (T, P - 1).

        Raises:
            SettingsError: The price is of tokens or seconds, and there are no tokens.
        """
        costs = price.sample * self.samples
        if not (price.token or price.second):
            return costs
        if self.tokens is None or self.longest is None:
            raise SettingsError("a price of tokens or seconds needs a pool whose samples have tokens")
        return costs + price.token * self.tokens + price.second * price.seconds_per_token * self.longest


class Recording:
    """Recorded questions, with what returning each of their samples is worth.

    Args:
        questions: Each with `samples`, every sample with a score.
        labels: As in `FittedStopping.fit`.

    Raises:
        SettingsError: Right and wrong are asked for and not recorded, or all samples are alike.
    """

    def __init__(self, questions: tuple[Any, ...], labels: Literal["gold", "none"]) -> None:
        samples = [sample for question in questions for sample in question.samples]
        labelled = labels == "gold" and all(sample.correct is not None for sample in samples)
        self.questions = questions
        self.with_answers = any(sample.answer is not None for sample in samples)
        if labels == "gold" and not labelled and self.with_answers:
            raise SettingsError("labels='gold' needs a pool that says which samples are right; use labels='none'")
        self.labelled = labelled
        self.worths = [self._worths(question) for question in questions]
        self.calibration = self._calibration(samples) if labelled or self.with_answers else None
        self._counted = all(sample.tokens is not None for sample in samples)

    def paths(self, points: tuple[int, ...], select: str, orders: int, seed: int) -> tuple[Paths, Amounts]:
        """Every question in random orders, seen at the decision points by a search that selects in this manner.

        Args:
            points: Numbers of candidates, ascending.
            select: A name of `SELECTIONS`.
            orders: For each question.
            seed: Of the orders.
        """
        generator = np.random.default_rng(seed)
        features, values, groups, tokens = [], [], [], []
        for group, question in enumerate(self.questions):
            for _ in range(orders):
                order = generator.permutation(len(question.samples))[: points[-1]].tolist()
                rows, worths = self._seen(group, order, points, select)
                features.append(rows)
                values.append(worths)
                groups.append(group)
                tokens.append([question.samples[place].tokens or 0 for place in order])
        steps = np.tile(np.diff(np.array(points, dtype=np.float64)), (len(groups), 1))
        amounts = Amounts(steps, None, None)
        if self._counted:
            spent = np.array(tokens, dtype=np.float64)
            parts = [spent[:, low:high] for low, high in pairwise(points)]
            total = np.stack([part.sum(axis=1) for part in parts], axis=1)
            amounts = Amounts(steps, total, np.stack([part.max(axis=1) for part in parts], axis=1))
        return Paths(np.array(features), np.array(values), np.array(groups)), amounts

    def _seen(
        self, group: int, order: list[int], points: tuple[int, ...], select: str
    ) -> tuple[list[list[float]], list[float]]:
        """Features and worth at every decision point of one trajectory."""
        samples, worths = self.questions[group].samples, self.worths[group]
        answers = [samples[place].answer for place in order]
        scores = [samples[place].score for place in order]
        known = scores if self.calibration is None else [self.calibration(score) for score in scores]
        rows, values = [], []
        for n in points:
            leader = SELECTIONS[select].position(answers[:n], scores[:n])
            rows.append(
                answer_features(answers[:n], known[:n], leader) if self.with_answers else score_features(known[:n])
            )
            values.append(worths[order[leader]])
        return rows, values

    def _worths(self, question: Any) -> list[float]:
        """Of each sample: right or wrong, whether the whole budget's vote agrees with it, or its graded score."""
        if self.labelled:
            return [float(bool(sample.correct)) for sample in question.samples]
        if not self.with_answers:
            return [float(sample.score) for sample in question.samples]
        answers = [sample.answer for sample in question.samples]
        chosen = answers[SELECTIONS["vote"].position(answers, [sample.score for sample in question.samples])]
        return [float(answer is not None and answer == chosen) for answer in answers]

    def _calibration(self, samples: list[Any]) -> Calibration:
        labels = [worth > 0.5 for worths in self.worths for worth in worths]
        if len(set(labels)) < 2:
            raise SettingsError("all recorded samples are alike, right or wrong: there is nothing to learn from them")
        return IsotonicCalibration.fit([float(sample.score) for sample in samples], labels)
