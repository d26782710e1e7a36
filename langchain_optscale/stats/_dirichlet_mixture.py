"""Scores that follow no truncated normal: Dirichlet processes around histograms.

Right and wrong candidates, or a judge's many scores of 1.0, give a question two peaks, which no truncated normal has.
So the posterior has a second component: the law of a question's scores is drawn from one of a few Dirichlet processes,
one for each kind of question, each with a strength a and a base measure G, a histogram. At the resolution of the
histogram it is a Dirichlet-multinomial,

    P(counts) = Gamma(a) / Gamma(a + n) prod_b Gamma(a G_b + c_b) / Gamma(a G_b),

and below any score s the law has a share ~ Beta(a G(s) + #{x < s}, a (1 - G(s)) + #{x >= s}) given n scores x.
Source: Ferguson, A Bayesian analysis of some nonparametric problems, Annals of Statistics 1 (1973).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.records.forks import cached_property
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.stats._masses import FloatArray

# Where nothing is known of the scores, 0 and 1 have bins of their own, about as narrow as the steepest truncated normal
# is there. The other edges are no round numbers, so that no jitter moves a round score across one.
END = 0.005
EDGES = (0.0, END, *((j - 0.5) / 10 + 0.0037 for j in range(1, 11)), 1.0 - END, 1.0)
# The log of the Gamma function is infinite at 0 and, below this, as good as infinite.
LEAST_PSEUDO = 1e-12
_PLACES = np.arange(64)


@dataclass(frozen=True)
class DirichletMixture:
    """The prior of the Dirichlet-process component.

    Attributes:
        weight: Prior probability that a question's scores follow it, in [0, 1].
        strengths: a of each process, > 0.
        shares: Their prior probabilities, which sum to one.
        bases: G of each process: the mass of each of the bins between `edges`, all > 0, with sum one.
        edges: Ascending from 0 to 1.
    """

    weight: float
    strengths: tuple[float, ...]
    shares: tuple[float, ...]
    bases: tuple[tuple[float, ...], ...]
    edges: tuple[float, ...]

    @cached_property
    def pseudo(self) -> FloatArray:
        """For each process and bin a times G, shape (processes, bins)."""
        pseudo: FloatArray = np.array(self.strengths)[:, None] * np.array(self.bases)
        return pseudo

    @cached_property
    def widths(self) -> FloatArray:
        """The widths of the bins."""
        widths: FloatArray = np.diff(self.edges)
        return widths

    @cached_property
    def log_odds(self) -> FloatArray:
        """Log prior odds of each process against the truncated normal, with what their probabilities share."""
        odds = self.weight * np.array(self.shares) / (1.0 - self.weight)
        with np.errstate(divide="ignore"):
            return np.log(odds)

    @cached_property
    def _hash(self) -> int:
        return hash((self.weight, self.strengths, self.shares, self.bases, self.edges))

    def __hash__(self) -> int:
        # Tables are looked up by it at every score, and the tuples are long.
        return self._hash

    @cached_property
    def _inner_edges(self) -> FloatArray:
        return np.array(self.edges[1:-1])

    def counts(self, scores: FloatArray) -> NDArray[np.intp]:
        """How many scores lie in each bin."""
        return np.bincount(self._inner_edges.searchsorted(scores, side="right"), minlength=len(self.edges) - 1)

    def below(self, score: float) -> list[float]:
        """For each process a G(score), in [0, a]."""
        place = min(bisect_right(self.edges, score), len(self.edges) - 1)
        part = (score - self.edges[place - 1]) / (self.edges[place] - self.edges[place - 1])
        return [
            cumulated[place - 1] + part * (cumulated[place] - cumulated[place - 1]) for cumulated in self._cumulated
        ]

    @cached_property
    def _cumulated(self) -> list[list[float]]:
        return [[0.0, *np.cumsum(row).tolist()] for row in self.pseudo]

    @cached_property
    def _gains(self) -> list[list[float]]:
        """For each process the integral of a (1 - G) from each edge to 1."""
        gains = []
        for strength, cumulated in zip(self.strengths, self._cumulated, strict=True):
            above = strength - np.array(cumulated)
            parts = 0.5 * self.widths * (above[1:] + above[:-1])
            gains.append([*np.cumsum(parts[::-1])[::-1].tolist(), 0.0])
        return gains

    def mean_gains(self, best: float) -> list[float]:
        """The integral of a (1 - G) from `best` to 1 of each process."""
        place = min(bisect_right(self.edges, best), len(self.edges) - 1)
        until = 0.5 * (self.edges[place] - best)
        # 1 - G is linear within a bin.
        return [
            gains[place] + until * (2.0 * strength - below - cumulated[place])
            for gains, strength, below, cumulated in zip(
                self._gains, self.strengths, self.below(best), self._cumulated, strict=True
            )
        ]

    def log_density(self, scores: FloatArray) -> FloatArray:
        """Log joint density of the scores under each process, shape (processes,)."""
        return self._log_probability(self.counts(scores), len(scores), 0)

    def log_probability(self, counts: NDArray[np.intp], steps: int) -> FloatArray:
        """Log joint probability of scores on steps, `counts` of them at each j / steps, shape (processes,)."""
        return self._log_probability(counts, int(counts.sum()), steps)

    def of_steps(self, steps: int) -> FloatArray:
        """For each process and value j / steps: a times the mass of G that rounds to it."""
        edges = [0.0, *((j - 0.5) / steps for j in range(1, steps + 1)), 1.0]
        return np.diff([self.below(edge) for edge in edges], axis=0).T

    def _log_probability(self, counts: NDArray[np.intp], n: int, steps: int) -> FloatArray:
        # Powers of two keep the number of tables small.
        rows = 1 << n.bit_length()
        parts, wholes = _log_factors(self, steps, rows)
        total: FloatArray = np.add.reduce(parts.take(_PLACES[: len(counts)] * (rows + 1) + counts, axis=0))
        total -= wholes[n]
        return total


@lru_cache(maxsize=64)
def _log_factors(mixture: DirichletMixture, steps: int, most: int) -> tuple[FloatArray, FloatArray]:
    """The factors of P(counts) for every count up to `most`: of each bin (bins * counts, processes), and of the total.

    A bin's width counts with them, so that the product over a continuous scale's bins is a density.
    """
    pseudo = np.maximum(mixture.of_steps(steps), LEAST_PSEUDO) if steps else mixture.pseudo
    widths = np.zeros(steps + 1) if steps else np.log(mixture.widths)
    counts = np.arange(most + 1.0)
    parts = special.gammaln(pseudo[:, :, None] + counts) - special.gammaln(pseudo)[:, :, None]
    parts -= counts * widths[:, None]
    strength = np.array(mixture.strengths)
    wholes = special.gammaln(strength + counts[:, None]) - special.gammaln(strength)
    return np.ascontiguousarray(parts.reshape(len(strength), -1).T), wholes
