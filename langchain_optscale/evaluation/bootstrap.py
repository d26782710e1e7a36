"""Intervals by resampling questions: for means and differences. Symbols: Q questions, B resamples, K figures.

A share near 0 or 1, and a ratio of two shares, needs `stats.binomial.clustered_share`: where every observed trial
counts, every resample agrees, and percentiles know no uncertainty.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from langchain_optscale.errors import SettingsError

__all__ = ["Interval", "bootstrap_means", "interval_of"]

FloatArray: TypeAlias = NDArray[np.float64]

_LEVEL = (2.5, 97.5)


class Interval(NamedTuple):
    """A 95 % bootstrap interval: percentiles 2.5 and 97.5 of the resampled figure."""

    low: float
    high: float


def bootstrap_means(values: FloatArray, repeats: int, seed: int) -> FloatArray:
    """Column means over resampled rows.

    Args:
        values: Shape (Q, K), one row for each question.
        repeats: Number of resamples B, at least 1.
        seed: The same seed and Q give the same resamples.

    Returns:
        Shape (B, K); nan where a column has one.

    Raises:
        SettingsError: `repeats` is below 1, or there are no rows.

    Example:
        >>> bootstrap_means(np.array([[1.0, 5.0], [1.0, 5.0]]), repeats=2, seed=0).tolist()
        [[1.0, 5.0], [1.0, 5.0]]
    """
    if repeats < 1 or not len(values):
        raise SettingsError(f"a bootstrap needs at least one resample and one row, got {repeats} and {len(values)}")
    generator = np.random.default_rng(seed)
    count = len(values)
    means = np.empty((repeats, values.shape[1]))
    for repeat in range(repeats):
        times = np.bincount(generator.integers(0, count, count), minlength=count)
        means[repeat] = times @ values
    return means / count


def interval_of(resampled: FloatArray) -> Interval:
    """The 95 % interval of a resampled mean or difference, nan where it is unknown in every resample."""
    known = resampled[~np.isnan(resampled)]
    return Interval(*np.percentile(known, _LEVEL).tolist()) if known.size else Interval(np.nan, np.nan)
