"""The mean and the standard deviation of past questions' scores, and how well they are predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.stats.chances import reached_counts
from langchain_optscale.stats.reaching import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.learning.ridge import FloatArray

__all__ = ["Moments", "held_out_figures", "scores_with"]

# Scores that stand for a law of which only the moments are known.
_QUANTILES = 16
# A law with these moments is known as well as so many scores would show it.
_KNOWN_AS = 256
_LEAST_WEIGHT = 1e-3
# A mean of n scores counts n / (n + 2), a standard deviation (n - 1) / (n + 3).
_HALF_MEAN, _HALF_STD = 2.0, 3.0


@dataclass(frozen=True, eq=False)
class Moments:
    """What is known of past questions' scores.

    Attributes:
        places: The questions that have scores, as places in what was given.
        values: Mean and standard deviation of each, shape (questions, 2).
        weights: How much each counts, in (0, 1], shape (questions, 2).
        score_lists: The scores of each; where only moments were given, quantiles of the Beta law that has them.
        count: How many scores there are; 0 where only moments were given.
        reached: How many scores of each question reached each of `stats.reaching.TARGETS`, shape (questions, targets).
        sizes: Of how many, shape (questions,).
    """

    places: tuple[int, ...]
    values: FloatArray
    weights: FloatArray
    score_lists: Sequence[Sequence[float]]
    count: int
    reached: FloatArray
    sizes: FloatArray

    @classmethod
    def of(
        cls,
        questions: int,
        means: Sequence[float] | None,
        stds: Sequence[float] | None,
        scores: Sequence[Sequence[float]] | None,
    ) -> Moments:
        """Read moments, or the scores that have them.

        Raises:
            SettingsError: Both or neither are given, their number is another than that of the questions, there is no
                question, or a moment is out of its range.
            InvalidScoreError: A score is nan or outside [0, 1].
        """
        has_moments = means is not None and stds is not None
        if has_moments == (scores is not None) or (means is None) != (stds is None):
            raise SettingsError("give either the scores of each question, or the mean and the standard deviation")
        given = (scores,) if scores is not None else (means, stds)
        for name, one in zip(("scores",) if scores is not None else ("means", "stds"), given, strict=True):
            if one is not None and len(one) != questions:
                raise SettingsError(f"there are {questions} prompts and {len(one)} {name}: give one for each prompt")
        made = cls._of_scores(scores) if scores is not None else cls._of_moments(means, stds)
        if not made.places:
            raise SettingsError("a prior of questions needs at least one question with a score")
        return made

    @classmethod
    def _of_scores(cls, scores: Sequence[Sequence[float]]) -> Moments:
        places = tuple(place for place, one in enumerate(scores) if len(one))
        lists = [np.asarray(scores[place], dtype=np.float64) for place in places]
        for one in lists:
            if not ((one >= 0.0) & (one <= 1.0)).all():
                raise InvalidScoreError("scores must be finite numbers in [0, 1]")
        sizes = np.array([len(one) for one in lists], dtype=np.float64)
        # The factor removes most of the bias of a standard deviation of few scores.
        stds = [one.std(ddof=1) * (1.0 + 0.25 / (len(one) - 1)) if len(one) > 1 else 0.0 for one in lists]
        means = [one.mean() for one in lists]
        typical = float(np.median([std for std, size in zip(stds, sizes, strict=True) if size > 1] or [0.1]))
        stds = [std if size > 1 else typical for std, size in zip(stds, sizes, strict=True)]
        weights = np.column_stack([sizes / (sizes + _HALF_MEAN), (sizes - 1.0) / (sizes + _HALF_STD)])
        values = np.column_stack([means, np.minimum(stds, 0.5)]) if lists else np.empty((0, 2))
        kept = [one.tolist() for one in lists]
        reached = reached_counts(kept)
        return cls(places, values, np.maximum(weights, _LEAST_WEIGHT), kept, int(sizes.sum()), *reached)

    @classmethod
    def _of_moments(cls, means: Any, stds: Any) -> Moments:
        from scipy import special

        values = np.column_stack([np.asarray(means, dtype=np.float64), np.asarray(stds, dtype=np.float64)])
        if not ((values[:, 0] >= 0.0) & (values[:, 0] <= 1.0)).all():
            raise SettingsError("means of scores must be finite numbers in [0, 1]")
        if not ((values[:, 1] >= 0.0) & (values[:, 1] <= 0.5)).all():
            raise SettingsError("standard deviations of scores must be finite numbers in [0, 0.5]")
        lists = scores_with(values[:, 0], values[:, 1], _QUANTILES).tolist()
        a, b = _shapes(values[:, 0], values[:, 1])
        chances = special.betaincc(a[:, None], b[:, None], np.array(TARGETS))
        reached = np.asarray(_KNOWN_AS * chances, dtype=np.float64)
        sizes = np.full(len(values), float(_KNOWN_AS))
        return cls(tuple(range(len(values))), values, np.ones_like(values), lists, 0, reached, sizes)

    def gain(self, predicted: FloatArray) -> float:
        """By how many standard errors predictions of the mean are better than the best constant, by square error."""
        truth, weight = self.values[:, 0], self.weights[:, 0]
        constant = float(weight @ truth / weight.sum())
        gains = weight * ((truth - constant) ** 2 - (truth - predicted[:, 0]) ** 2)
        error = float(gains.std()) / math.sqrt(len(gains))
        return float(gains.mean()) / error if error > 0.0 else 0.0


def scores_with(means: FloatArray, stds: FloatArray, count: int) -> FloatArray:
    """Quantiles, at (i + 1/2) / count, of the Beta laws with some moments, shape (questions, count).

    Args:
        means: In [0, 1].
        stds: At least 0; where no Beta law has so large a one, the largest takes its place.
        count: How many of each.

    Example:
        >>> scores_with(np.array([0.5]), np.array([0.1]), 3).round(3).tolist()
        [[0.401, 0.5, 0.599]]
    """
    from scipy import special

    a, b = _shapes(means, stds)
    return np.asarray(special.betaincinv(a[:, None], b[:, None], (np.arange(count) + 0.5) / count), dtype=np.float64)


def _shapes(means: FloatArray, stds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A and b of the Beta laws with some moments."""
    mean = np.clip(means, 1e-4, 1.0 - 1e-4)
    spread = mean * (1.0 - mean)
    strength = spread / np.clip(stds**2, 1e-8, 0.98 * spread) - 1.0
    return mean * strength, (1.0 - mean) * strength


def held_out_figures(truth: FloatArray, predicted: FloatArray) -> dict[str, dict[str, float]]:
    """How well moments were predicted for questions that were left out.

    Args:
        truth: Mean and standard deviation of each question's scores, shape (questions, 2).
        predicted: The predictions, same shape.

    Returns:
        For "mean" and "std": `mae`, `mae_of_constant` (the median of all) and `rank_correlation` (Spearman).

    Example:
        >>> truth = np.array([[0.9, 0.1], [0.5, 0.2], [0.7, 0.3]])
        >>> held_out_figures(truth, truth)["mean"]["rank_correlation"]
        1.0
    """
    from scipy import stats

    figures = {}
    for column, name in enumerate(("mean", "std")):
        one, guess = truth[:, column], predicted[:, column]
        varies = len(one) > 1 and np.ptp(one) > 0.0 and np.ptp(guess) > 0.0
        figures[name] = {
            "mae": float(np.abs(one - guess).mean()),
            "mae_of_constant": float(np.abs(one - np.median(one)).mean()),
            "rank_correlation": round(float(stats.spearmanr(one, guess).statistic), 12) if varies else 0.0,
        }
    return figures
