"""The likelihood of scores under every law that is considered."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import InvalidScoreError
from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats.estimation import ScoreSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_optscale.stats._dirichlet_mixture import DirichletMixture
    from langchain_optscale.stats._masses import FloatArray
    from langchain_optscale.stats.estimation import Scores

# Steps finer than this enter through sums alone: rounding adds r^2 / 12 to the variance.
_FINEST_STEPS = 40
_EMPTY: FloatArray = np.empty(0)
# A score this close to a step is on it: floating point and JSON leave errors of about 1e-9.
_TOLERANCE = 1e-6
_FINE, _COARSE = 20, 10
# Under steps of 0.05, so many distinct values would all be multiples of 0.1 by chance in about one case of 32.
_DISTINCT_FOR_COARSE = 5


def steps_of(resolution: float) -> int:
    """How many steps of a resolution the scale has; 0 where they are so fine that it counts as continuous."""
    return round(1.0 / resolution) if resolution > 1.0 / _FINEST_STEPS else 0


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """Scores in the form that the likelihoods need.

    Attributes:
        n: How many.
        values: The scores, ascending; None where only their sums are known.
        steps: How many steps the scale has, 0 where it is continuous.
        resolution: r of a continuous scale, 0 where scores are exact.
        sums: 1, n, sum x and sum x^2.
    """

    n: int
    values: FloatArray | None
    steps: int
    resolution: float
    sums: FloatArray

    @classmethod
    def of(cls, scores: Scores, resolution: float | None) -> Evidence:
        """Read scores or their sums.

        Raises:
            InvalidScoreError: A score is nan or outside [0, 1].
        """
        if isinstance(scores, ScoreSums):
            total = scores.n * scores.mean
            sums = np.array([1.0, scores.n, total, scores.m2 + total * scores.mean])
            return cls(scores.n, None, 0, resolution or 0.0, sums)
        values = np.array(scores, dtype=np.float64)
        values.sort()
        # nan sorts last and compares false.
        if len(values) and not (values[0] >= 0.0 and values[-1] <= 1.0):
            raise InvalidScoreError(f"a score must be a finite number in [0, 1], got {values[0]} to {values[-1]}")
        steps = infer_steps(scores) if resolution is None else steps_of(resolution)
        sums = _EMPTY if steps else np.array([1.0, len(values), np.add.reduce(values), values @ values])
        return cls(len(values), values, steps, 0.0 if steps else resolution or 0.0, sums)

    def level(self, worth: float = 0.0) -> int:
        """The coarsest grid that resolves the posterior of the scores, and of a prior worth so many; or the finest."""
        return min(bisect_left(grids.LARGEST_N, self.n + worth), len(grids.LARGEST_N) - 1)

    def log_likelihood(self, level: int) -> FloatArray | float:
        """Log probability (density) of the scores under the truncated normal at each node of a grid."""
        if not self.n:
            return 0.0
        if self.steps:
            counts = self._counts()
            places = counts.nonzero()[0]
            return counts[places].astype(np.float64) @ grids.by_step(level, self.steps)[places]
        return self.sums[1:] @ grids.by_sums(level, self.resolution)

    def log_dirichlet(self, mixture: DirichletMixture) -> FloatArray | float:
        """Log probability (density) of the scores under each Dirichlet process."""
        if not self.n or self.values is None:
            return 0.0
        if self.steps:
            return mixture.log_probability(self._counts(), self.steps)
        return mixture.log_density(self.values)

    def _counts(self) -> NDArray[np.intp]:
        """How often each step occurs, shape (steps + 1,)."""
        assert self.values is not None  # noqa: S101 - sums alone never have steps
        return np.bincount((self.values * self.steps + 0.5).astype(np.intp), minlength=self.steps + 1)


def infer_steps(scores: Sequence[float]) -> int:
    """The number of steps of the scale from 0 to 1, inferred from scores; 0 for a continuous scale.

    Conservative: steps of 0.05 are assumed where every score is a multiple of it and at least one is neither 0 nor 1,
    since these two are also the ends of a continuous scale. Steps of 0.1 need five distinct values besides.

    Args:
        scores: Scores in [0, 1].

    Returns:
        0, 10 or 20.

    Example:
        >>> infer_steps([0.9, 0.85, 1.0]), infer_steps([0.9, 0.8731]), infer_steps([1.0, 1.0])
        (20, 0, 0)
        >>> infer_steps([0.2, 0.3, 0.7, 0.8, 0.9])
        10
    """
    places = set()
    for score in scores:
        scaled = score * _FINE
        place = round(scaled)
        if abs(scaled - place) > _TOLERANCE * _FINE:
            return 0
        places.add(place)
    if places <= {0, _FINE}:
        return 0
    is_coarse = len(places) >= _DISTINCT_FOR_COARSE and all(place % 2 == 0 for place in places)
    return _COARSE if is_coarse else _FINE
