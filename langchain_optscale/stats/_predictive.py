"""The posterior predictive of the next scores.

Symbols: D the observed scores, n their number, F the CDF of the next scores' law (P(S < s), where a step at s matters),
E the posterior mean over F. The posterior has weighted truncated normals at some nodes and weighted Dirichlet
processes; all weights sum to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats._dirichlet_mixture import LEAST_PSEUDO
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.stats._dirichlet_mixture import DirichletMixture
    from langchain_optscale.stats._masses import FloatArray

# On a continuous scale a score is taken to be known to 0.01: 1.0 is what lies within half of that.
_ENDS = 0.995

_QUANTILE_STEPS = 40
_CUTS = 16
# Up to so many counts are all evaluated at once.
_COUNTS_AT_ONCE = 1024
_DIGITS: FloatArray = np.arange(_COUNTS_AT_ONCE + 1.0)
_TIE = 1e-12
# Log Gamma of larger counts has too few digits behind the point.
_FEW = 1000.0


@dataclass(frozen=True, eq=False, slots=True)
class Predictive:
    """The posterior predictive.

    Attributes:
        level: The grid's level.
        nodes: Indexes of the grid's nodes that matter.
        weights: Posterior probability of each of them.
        mixture: The Dirichlet-process component.
        mixture_weights: Posterior probability of each of its processes.
        scores: D, ascending.
        steps: How many steps the scale has, 0 where it is continuous.
        cache: Log F and its Beta laws by score: rules ask for few scores, and for each several times.
    """

    level: int
    nodes: NDArray[np.intp]
    weights: FloatArray
    mixture: DirichletMixture
    mixture_weights: tuple[float, ...]
    scores: FloatArray
    steps: int
    cache: dict[float, tuple[FloatArray, list[_Beta]]] = field(default_factory=dict)

    def misses(self, score: float, counts: FloatArray) -> FloatArray:
        """E[F(score)^k] for each of `counts`: that none of the next k scores reaches `score`."""
        edge = self._edge(score)
        if edge <= 0.0:
            return np.where(counts > 0.0, 0.0, 1.0)
        logs, laws = self._at(score, edge)
        missed: FloatArray = np.exp(counts[:, None] * logs) @ self.weights
        for law in laws:
            missed += law.weight * law.moments(counts)
        return np.clip(missed, 0.0, 1.0)

    def miss(self, score: float, count: float) -> float:
        """E[F(score)^k] for one k."""
        edge = self._edge(score)
        if edge <= 0.0:
            return 0.0 if count > 0.0 else 1.0
        logs, laws = self._at(score, edge)
        return self._miss(logs, laws, count)

    def _miss(self, logs: FloatArray, laws: list[_Beta], count: float) -> float:
        missed = float(np.exp(count * logs) @ self.weights)
        for law in laws:
            missed += law.weight * law.moment(count)
        return min(max(missed, 0.0), 1.0)

    def _edge(self, score: float) -> float:
        """The least score before rounding that counts as `score` or more."""
        if not self.steps:
            return min(score, _ENDS)
        return float((np.ceil(score * self.steps - 1e-6) - 0.5) / self.steps)

    def _at(self, score: float, edge: float) -> tuple[FloatArray, list[_Beta]]:
        """The log of F(score) at the nodes, and the law of F(score) under each process."""
        known = self.cache.get(score)
        if known is None:
            known = self.cache[score] = grids.log_below(self.level, edge).take(self.nodes), self._laws(score, edge)
        return known

    def _laws(self, score: float, edge: float) -> list[_Beta]:
        if not self.mixture_weights:
            return []
        n_below = int(self.scores.searchsorted(score - (1e-6 if self.steps else 0.0)))
        n_above = len(self.scores) - n_below
        return [
            _Beta(weight, low + n_below, high + n_above)
            for weight, (low, high) in zip(self.mixture_weights, _pseudo(self.mixture, edge), strict=True)
        ]

    def least_count(self, score: float, missed: float, most: int) -> int | None:
        """The least k <= `most` with E[F(score)^k] <= `missed`; None where there is none."""
        if self.miss(score, float(most)) > missed:
            return None
        if most > _COUNTS_AT_ONCE:
            return self._least_by_bisection(score, missed, most)
        below = self._misses_up_to(score, most)
        first = int(np.argmax(below <= missed + _TIE))
        # The two ways to sum differ in the last digits: `miss` at the returned k must agree.
        return next(
            k for k in range(max(first, 1), most + 1) if below[k] < missed - _TIE or self.miss(score, k) <= missed
        )

    def _misses_up_to(self, score: float, most: int) -> FloatArray:
        """E[F(score)^k] for k = 0 .. `most`, as one product of matrices: F^(i + m j) = F^i F^(m j)."""
        edge = self._edge(score)
        if edge <= 0.0:
            return np.concatenate([[1.0], np.zeros(most)])
        logs, laws = self._at(score, edge)
        side = math.isqrt(most) + 1
        digits = _DIGITS[:side, None]
        units, tens = np.exp(digits * logs), np.exp((side * digits) * logs)
        missed: FloatArray = ((tens * self.weights) @ units.T).ravel()[: most + 1]
        for law in laws:
            missed += law.weight * law.moments_up_to(most)
        return missed

    def _least_by_bisection(self, score: float, missed: float, most: int) -> int:
        """The same for large `most`: E[F^k] falls in k, so the bracket is cut at several places at once."""
        low, high = 0, most
        while high - low > 1:
            if high - low <= _CUTS:
                cuts = np.arange(low + 1, high, dtype=np.float64)
            else:
                cuts = np.unique(np.rint(np.geomspace(low + 1, high, _CUTS + 1)[:-1]))
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
        total = float(grids.mean_gain(best, grids.grid(self.level), self.nodes) @ self.weights)
        if self.mixture_weights:
            is_best = not len(self.scores) or best >= self.scores[-1]
            seen = 0.0 if is_best else float(np.maximum(self.scores - best, 0.0).sum())
            n = len(self.scores)
            gains = zip(self.mixture_weights, self.mixture.strengths, self.mixture.mean_gains(best), strict=True)
            total += sum([weight * (pseudo + seen) / (strength + n) for weight, strength, pseudo in gains])
        return min(max(total, 0.0), 1.0 - best)

    def _of_steps(self, places: NDArray[np.intp]) -> FloatArray:
        """P(S = j / steps | D) for each j of `places`, ascending and up to the last."""
        shares: FloatArray = np.exp(grids.by_step(self.level, self.steps)[places][:, self.nodes]) @ self.weights
        if self.mixture_weights:
            strength = np.array(self.mixture.strengths)
            seen = np.bincount((self.scores * self.steps + 0.5).astype(np.intp), minlength=self.steps + 1)[places]
            pseudo = self.mixture.of_steps(self.steps)[:, places]
            shares += ((pseudo + seen) / (strength + len(self.scores))[:, None]).T @ np.array(self.mixture_weights)
        return shares

    def quantile_of_best(self, count: int, q: float) -> float:
        """The least score that the best of the next `count` stays at or below with probability `q`."""
        if self.steps:
            above = range(1, self.steps + 1)
            return next(((j - 1) / self.steps for j in above if self.miss(j / self.steps, count) >= q), 1.0)
        low, high = 0.0, 1.0
        if self.miss(1.0, count) < q:
            return 1.0
        at = grids.grid(self.level)
        for _ in range(_QUANTILE_STEPS):
            middle = 0.5 * (low + high)
            edge = self._edge(middle)
            # Each is needed once: in the cache they would only replace the target.
            logs = grids.log_of_rest(grids.tail(edge, at.mu[self.nodes], at.sigma[self.nodes], at.mass[self.nodes]))
            if self._miss(logs, self._laws(middle, edge), count) >= q:
                high = middle
            else:
                low = middle
        return high


class _Beta(NamedTuple):
    """The law of F(score) under one Dirichlet process: Beta(low, high), with a weight."""

    weight: float
    low: float
    high: float

    def moment(self, count: float) -> float:
        """E[F^count]."""
        if count > _FEW:
            return float(self.moments(np.array([count]))[0])
        whole = self.low + self.high
        log = math.lgamma(self.low + count) - math.lgamma(self.low) + math.lgamma(whole) - math.lgamma(whole + count)
        return math.exp(log)

    def moments(self, counts: FloatArray) -> FloatArray:
        """E[F^k] for each of `counts`."""
        logs = special.betaln(self.low + counts, self.high) - special.betaln(self.low, self.high)
        moments: FloatArray = np.exp(logs)
        return moments

    def moments_up_to(self, most: int) -> FloatArray:
        """E[F^k] for k = 0 .. `most`, by E[F^(k + 1)] = E[F^k] (low + k) / (low + high + k)."""
        places = _DIGITS[:most]
        moments: FloatArray = np.ones(most + 1)
        np.multiply.accumulate((self.low + places) / ((self.low + self.high) + places), out=moments[1:])
        return moments


@lru_cache(maxsize=256)
def _pseudo(mixture: DirichletMixture, edge: float) -> list[tuple[float, float]]:
    """For each process a G(edge) and a (1 - G(edge))."""
    below = zip(mixture.strengths, mixture.below(edge), strict=True)
    return [(max(share, LEAST_PSEUDO), max(strength - share, LEAST_PSEUDO)) for strength, share in below]
