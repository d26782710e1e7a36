"""Scores that follow no truncated normal: a Dirichlet process around a histogram.

Right and wrong candidates, or a judge's fondness for 1.0, give a question two peaks, which no truncated normal has.
So the posterior keeps a second model of any shape: the law of a question's scores is drawn from a Dirichlet process
with strength a and base measure G, a histogram. Seen at the resolution of the histogram it is a Dirichlet-multinomial,

    P(counts) = Gamma(a) / Gamma(a + n) prod_b Gamma(a G_b + c_b) / Gamma(a G_b),

and below any score s the law has a share ~ Beta(a G(s) + #{x < s}, a (1 - G(s)) + #{x >= s}) given n scores x.
Source: Ferguson, A Bayesian analysis of some nonparametric problems, Annals of Statistics 1 (1973).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.stats._masses import FloatArray

# Scores of 0 and 1 have bins of their own, about as narrow as the steepest truncated normal is there. The other edges
# are no round numbers, so that no jitter moves a round score across one.
END = 0.005
EDGES: FloatArray = np.array([0.0, END, *((j - 0.5) / 10 + 0.0037 for j in range(1, 11)), 1.0 - END, 1.0])
WIDTHS: FloatArray = np.diff(EDGES)
_INNER_EDGES = EDGES[1:-1]
_PLACES = np.arange(64)


@dataclass(frozen=True)
class AnyShape:
    """The second model's prior.

    Attributes:
        weight: Prior probability that a question's scores follow it, in [0, 1].
        strengths: Values of a, each > 0.
        shares: Their prior probabilities, which sum to one.
        base: G, the mass of each of the bins between `EDGES`, all > 0, with sum one.
    """

    weight: float
    strengths: tuple[float, ...]
    shares: tuple[float, ...]
    base: tuple[float, ...]

    @cached_property
    def strength(self) -> FloatArray:
        """The strengths as an array."""
        return np.array(self.strengths)

    @cached_property
    def log_odds(self) -> FloatArray:
        """Log prior odds of each strength against the truncated normal, with what their probabilities share."""
        odds = self.weight * np.array(self.shares) / (1.0 - self.weight)
        with np.errstate(divide="ignore"):
            return np.log(odds)

    @cached_property
    def _cumulated(self) -> FloatArray:
        return np.concatenate([[0.0], np.cumsum(self.base)])

    def below(self, score: float | FloatArray) -> FloatArray:
        """G(score), in [0, 1]."""
        share: FloatArray = np.asarray(np.interp(score, EDGES, self._cumulated))
        return share

    def mean_gain(self, best: float) -> float:
        """The integral of 1 - G from `best` to 1."""
        points = np.concatenate([[best], EDGES[best < EDGES]])
        above = 1.0 - np.asarray(self.below(points))
        return float(0.5 * np.diff(points) @ (above[1:] + above[:-1]))

    def log_density(self, scores: FloatArray) -> FloatArray:
        """Log joint density of the scores under each strength, shape (strengths,)."""
        counts = np.bincount(_INNER_EDGES.searchsorted(scores, side="right"), minlength=len(WIDTHS))
        return self._log_probability(counts, 0)

    def log_probability(self, counts: NDArray[np.intp], steps: int) -> FloatArray:
        """Log joint probability of scores on steps, `counts` of them at each j / steps, shape (strengths,)."""
        return self._log_probability(counts, steps)

    def of_steps(self, steps: int) -> FloatArray:
        """For each strength a and value j / steps: a times the mass of G that rounds to it."""
        edges = np.concatenate([[0.0], (np.arange(1, steps + 1) - 0.5) / steps, [1.0]])
        mass: FloatArray = self.strength[:, None] * np.diff(self.below(edges))
        return mass

    def _log_probability(self, counts: NDArray[np.intp], steps: int) -> FloatArray:
        n = int(counts.sum())
        # Powers of two keep the number of tables small.
        parts, wholes = _log_factors(self, steps, 1 << n.bit_length())
        total: FloatArray = parts[:, _PLACES[: len(counts)], counts].sum(axis=1) - wholes[:, n]
        return total


@lru_cache(maxsize=64)
def _log_factors(shape: AnyShape, steps: int, most: int) -> tuple[FloatArray, FloatArray]:
    """The factors of P(counts) for every count up to `most`: of each bin (strengths, bins, counts), and of the total.

    A bin's width counts with them, so that the product over a continuous scale's bins is a density.
    """
    pseudo = shape.of_steps(steps) if steps else shape.strength[:, None] * np.array(shape.base)
    widths = np.zeros(steps + 1) if steps else np.log(WIDTHS)
    counts = np.arange(most + 1.0)
    parts = special.gammaln(pseudo[:, :, None] + counts) - special.gammaln(pseudo)[:, :, None]
    strength = shape.strength[:, None]
    return parts - counts * widths[:, None], special.gammaln(strength + counts) - special.gammaln(strength)
