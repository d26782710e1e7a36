"""What the next scores will be, given a posterior over laws of scores.

Symbols: D the scores seen, n their number, F the CDF of the next scores' law (P(S < s), where a step at s matters), E
the posterior mean over F. A belief has a truncated normal at each of some nodes, with a weight, and Dirichlet processes
with a weight each; all weights sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.stats._any_shape import AnyShape
    from langchain_optscale.stats._masses import FloatArray

# On a continuous scale a score is taken to be known to 0.01: 1.0 is what lies within half of that.
_ENDS = 0.995

_QUANTILE_STEPS = 40
# The log of the Beta function is infinite at 0 and, below this, as good as infinite.
_LEAST_PSEUDO = 1e-12
_COUNTS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Predictive:
    """The posterior predictive.

    Attributes:
        level: The grid's level.
        nodes: Indexes of the grid's nodes that matter.
        weights: Posterior probability of each of them.
        shape: The model of any shape.
        shape_weights: Posterior probability of each of its strengths.
        scores: D, ascending.
        steps: How many steps the scale has, 0 where it is continuous.
    """

    level: int
    nodes: NDArray[np.intp]
    weights: FloatArray
    shape: AnyShape
    shape_weights: FloatArray
    scores: FloatArray
    steps: int

    @cached_property
    def at_nodes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """mu, sigma and Z at the nodes that matter."""
        at = grids.grid(self.level)
        return at.mu[self.nodes], at.sigma[self.nodes], at.mass[self.nodes]

    def _edge(self, score: float) -> float:
        """The least score before rounding that counts as `score` or more."""
        if not self.steps:
            return min(score, _ENDS)
        return float((np.ceil(score * self.steps - 1e-6) - 0.5) / self.steps)

    def misses(self, score: float, counts: FloatArray) -> FloatArray:
        """E[F(score)^k] for each of `counts`: that none of the next k scores reaches `score`."""
        edge = self._edge(score)
        return self._misses(score, edge, counts, grids.log_below(self.level, edge)[self.nodes])

    def _misses(self, score: float, edge: float, counts: FloatArray, logs: FloatArray) -> FloatArray:
        if edge <= 0.0:
            return np.where(counts > 0.0, 0.0, 1.0)
        missed: FloatArray = np.exp(counts[:, None] * logs) @ self.weights
        if len(self.shape_weights):
            missed += self._misses_of_any_shape(score, edge, counts) @ self.shape_weights
        return np.clip(missed, 0.0, 1.0)

    def _misses_of_any_shape(self, score: float, edge: float, counts: FloatArray) -> FloatArray:
        """E[F(score)^k] under each strength, shape (counts, strengths): moments of a Beta law."""
        below = _share_below(self.shape, edge)
        n_below = int(self.scores.searchsorted(score - (1e-6 if self.steps else 0.0)))
        low = np.maximum(self.shape.strength * below + n_below, _LEAST_PSEUDO)
        high = self.shape.strength * (1.0 - below) + (len(self.scores) - n_below)
        missed: FloatArray = np.exp(special.betaln(low + counts[:, None], high) - special.betaln(low, high))
        return missed

    def least_count(self, score: float, missed: float, most: int) -> int | None:
        """The least k <= `most` with E[F(score)^k] <= `missed`; None where there is none.

        E[F^k] falls in k, so the bracket is cut at several places at once.
        """
        low, high = 0, most
        if self.misses(score, np.array([float(most)]))[0] > missed:
            return None
        while high - low > 1:
            if high - low <= _COUNTS_AT_ONCE:
                cuts = np.arange(low + 1, high, dtype=np.float64)
            else:
                cuts = np.unique(np.rint(np.geomspace(low + 1, high, _COUNTS_AT_ONCE + 1)[:-1]))
            reached = np.flatnonzero(self.misses(score, cuts) <= missed)
            if len(reached):
                first = int(reached[0])
                low, high = int(cuts[first - 1]) if first else low, int(cuts[first])
            else:
                low = int(cuts[-1])
        return high

    def gain(self, best: float) -> float:
        """E[(S - best)+] of the next score S."""
        if self.steps:
            # A rounded score exceeds `best` by whole steps.
            places = np.arange(int(best * self.steps + 1e-6) + 1, self.steps + 1)
            return float(self._of_steps(places) @ (places / self.steps - best)) if len(places) else 0.0
        total = float(grids.mean_gain(best, *self.at_nodes) @ self.weights)
        if len(self.shape_weights):
            seen = float(np.maximum(self.scores - best, 0.0).sum())
            strength = self.shape.strength
            gains = (strength * self.shape.mean_gain(best) + seen) / (strength + len(self.scores))
            total += float(gains @ self.shape_weights)
        return min(max(total, 0.0), 1.0)

    def _of_steps(self, places: NDArray[np.intp]) -> FloatArray:
        """P(S = j / steps | D) for each j of `places`, ascending and up to the last."""
        shares: FloatArray = np.exp(grids.by_step(self.level, self.steps)[places][:, self.nodes]) @ self.weights
        if len(self.shape_weights):
            strength = self.shape.strength
            seen = np.bincount((self.scores * self.steps + 0.5).astype(np.intp), minlength=self.steps + 1)[places]
            pseudo = self.shape.of_steps(self.steps)[:, places]
            shares += ((pseudo + seen) / (strength + len(self.scores))[:, None]).T @ self.shape_weights
        return shares

    def quantile_of_best(self, count: int, q: float) -> float:
        """The least score that the best of the next `count` stays at or below with probability `q`."""
        counts = np.array([float(count)])
        if self.steps:
            above = range(1, self.steps + 1)
            return next(((j - 1) / self.steps for j in above if self.misses(j / self.steps, counts)[0] >= q), 1.0)
        low, high = 0.0, 1.0
        if self.misses(1.0, counts)[0] < q:
            return 1.0
        for _ in range(_QUANTILE_STEPS):
            middle = 0.5 * (low + high)
            edge = self._edge(middle)
            # Asked once each, these scores would only push the target out of the cache.
            logs = grids.log_of_rest(grids.tail(edge, *self.at_nodes))
            if self._misses(middle, edge, counts, logs)[0] >= q:
                high = middle
            else:
                low = middle
        return high


@lru_cache(maxsize=256)
def _share_below(shape: AnyShape, edge: float) -> float:
    return float(shape.below(edge))
