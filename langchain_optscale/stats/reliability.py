"""How far predicted probabilities of being right are from observed frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ReliabilityBin", "expected_calibration_error", "labelled_predictions", "reliability_table"]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions that are close together, and their observed frequency.

    Attributes:
        low: Smallest prediction in the bin.
        high: Largest prediction in the bin.
        count: How many there are.
        predicted: Their mean.
        observed: The share of them that was right.
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float


def reliability_table(predicted: Sequence[float], correct: Sequence[bool], *, bins: int = 10) -> list[ReliabilityBin]:
    """Compare predictions with outcomes, in bins of about equally many predictions.

    Equal predictions always share a bin, so that atoms (a judge that says 1.0 for a third of all candidates) are not
    split at random; there may then be fewer bins than asked for.

    Args:
        predicted: Probabilities in [0, 1].
        correct: Whether each came true; as long as `predicted`.
        bins: The most bins, at least 1.

    Returns:
        The bins in ascending order.

    Raises:
        SettingsError: The lengths differ, there is nothing to compare, or a prediction lies outside [0, 1].

    Example:
        >>> [(b.count, b.observed) for b in reliability_table([0.1, 0.2, 0.9, 0.9], [0, 0, 1, 0], bins=2)]
        [(2, 0.0), (2, 0.5)]
    """
    values, labels = labelled_predictions(predicted, correct)
    if bins < 1:
        raise SettingsError(f"bins must be at least 1, got {bins!r}")
    order = np.argsort(values, kind="stable")
    values, labels = values[order], labels[order]
    # Quantile edges move to the next place where the prediction changes.
    quantiles = np.linspace(0, len(values), min(bins, len(values)) + 1).astype(int)
    edges = np.unique(np.searchsorted(values, values[np.minimum(quantiles[:-1], len(values) - 1)], side="left"))
    table = []
    for start, stop in pairwise([*edges.tolist(), len(values)]):
        part, right = values[start:stop], labels[start:stop]
        table.append(
            ReliabilityBin(float(part[0]), float(part[-1]), len(part), float(part.mean()), float(right.mean()))
        )
    return table


def expected_calibration_error(predicted: Sequence[float], correct: Sequence[bool], *, bins: int = 10) -> float:
    """How far predictions are from observed frequencies, on average over the predictions.

    ECE = sum_b (n_b / n) |mean predicted in b - share correct in b|, over the bins b of `reliability_table` (Naeini et
    al. 2015, with bins of equal mass). It is above 0 for a perfect predictor too, by the noise of finitely many labels.

    Returns:
        A number in [0, 1].

    Raises:
        SettingsError: As `reliability_table`.

    Example:
        >>> expected_calibration_error([0.5, 0.5], [1, 0])
        0.0
    """
    table = reliability_table(predicted, correct, bins=bins)
    total = sum(one.count for one in table)
    return math.fsum(one.count * abs(one.predicted - one.observed) for one in table) / total


def labelled_predictions(
    predicted: Sequence[float], correct: Sequence[bool]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictions in [0, 1] and labels 0 or 1 as arrays of one shape (n,), n at least 1.

    Raises:
        SettingsError: They are not.
    """
    values, labels = np.asarray(predicted, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if values.ndim != 1 or values.shape != labels.shape or not values.size:
        raise SettingsError(
            f"scores and labels must be two lists of one length of at least 1, got {values.shape} and {labels.shape}"
        )
    if not np.all((values >= 0.0) & (values <= 1.0)):
        raise SettingsError("scores and predictions must be finite numbers in [0, 1]")
    if not np.all((labels == 0.0) | (labels == 1.0)):
        raise SettingsError("labels must say whether each candidate is right: True or False")
    return values, labels
