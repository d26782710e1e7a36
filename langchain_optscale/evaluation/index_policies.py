"""Index policies on scores alone: draw on while the best score is below an index of what is known about the law.

Both minimise *best score - price x samples*; each says what is taken from its paper and what had to be assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, TypeAlias, cast

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import _Baseline
from langchain_optscale.evaluation.methods import Outcome
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.answers.selection import SelectionLike
    from langchain_optscale.evaluation.samples import Question

__all__ = ["Beacon", "PandoraBox"]

FloatArray: TypeAlias = "NDArray[np.float64]"

# Of the backward induction: standardised best score z, price in standard deviations, and nodes of the predictive law.
_Z = np.sinh(np.linspace(-2.0, 3.6, 90))
_PRICES = np.concatenate([[0.0], np.geomspace(1e-5, 3.0, 60)])
_NODES = 64
_FEWEST = 3


class _Sequential(_Baseline):
    """One sample after another until `_stops` says so."""

    price: float
    select: SelectionLike

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw while the index is above the best score."""
        samples = question.samples[:max_samples]
        scores = [cast("float", sample.score) for sample in samples]
        drawn = next((n for n in range(_FEWEST, max_samples) if self._stops(scores[:n], max_samples)), max_samples)
        reason = StopReason.MARGINAL_GAIN if drawn < max_samples else StopReason.MAX_SAMPLES
        return Outcome(drawn, drawn, drawn, place_of(self.select, samples[:drawn]), reason)

    def _stops(self, scores: list[float], cap: int) -> bool:
        raise NotImplementedError

    def __post_init__(self) -> None:
        if isinstance(self.price, bool) or not 0.0 < self.price < math.inf:
            raise SettingsError(f"price must be a finite number above 0, got {self.price!r}")


@dataclass(frozen=True)
class Beacon(_Sequential):
    """BEACON's index policy: optimal stopping with recall for a normal law of unknown moments (arXiv 2510.15945).

    From the paper and its code: a normal-inverse-gamma prior of mean and variance, so that the next score is Student's
    t with location mu_n and scale sigma_n; the search stops when price / sigma_n exceeds an index h(n, z) of the
    standardised best score z = (best - mu_n) / sigma_n, which backward induction from the cap gives once for all
    questions; at least three scores are drawn. Assumed: the improper Jeffreys prior, under which the t has n - 1
    degrees of freedom and mu_n and sigma_n come from the scores alone (the code's comparison has an informative one);
    our own quadrature; and scores in [0, 1] as they are, where the paper's rewards are not bounded.

    Attributes:
        price: What a sample costs, in score.
        select: What to return; the paper takes the best score.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "?", tuple(Sample(score=s) for s in (0.2, 0.4, 0.9, 0.3, 0.5, 0.1)))
        >>> Beacon(price=0.2).run(question, 6).drawn, Beacon(price=0.001).run(question, 6).drawn
        (3, 6)
    """

    price: float = 0.01
    select: SelectionLike = "best"
    name: ClassVar[str] = "beacon"
    needs: ClassVar[frozenset[str]] = frozenset({"scores"})

    def _stops(self, scores: list[float], cap: int) -> bool:
        n = len(scores)
        mean = math.fsum(scores) / n
        deviation = math.sqrt((1.0 + 1.0 / n) * math.fsum((score - mean) ** 2 for score in scores) / (n - 1))
        if deviation <= 0.0:
            return True
        index = float(np.interp((max(scores) - mean) / deviation, _Z, _indices(cap)[n]))
        return self.price / deviation >= index


@lru_cache(maxsize=16)
def _indices(cap: int) -> dict[int, FloatArray]:
    """h(n, z) on the grid of z, for n from 3 to one below the cap, by backward induction.

    G_n(z, c) is the gain of drawing at least once more over stopping, in units of sigma_n, the price c in the same:

        G_n(z, c) = E[(U - z)+] + E[ s(U) max(0, G_(n+1)(z', c / s(U))) ] - c,    U ~ t with n - 1 degrees of freedom
        z' = (max(z, U) - U / (n + 1)) / s(U),    s(U) = sigma_(n+1) / sigma_n

    since a score U moves the mean by U / (n + 1) and changes the scale by s(U). The index is the c at which G_n(z, c) =
    0.
    """
    found: dict[int, FloatArray] = {}
    later = np.zeros((len(_Z), len(_PRICES)))  # max(0, G) at the cap: no further sample is allowed
    for n in range(cap - 1, _FEWEST - 1, -1):
        u, weights = _quadrature(n - 1)
        # After a score u in units of sigma_n: the mean moves by u / (n + 1), the squared deviations grow.
        inner = 1.0 + 1.0 / n  # sigma_n^2 = inner x SS / (n - 1), here 1
        squares = (n - 1) / inner + u**2 * n / (n + 1)
        scale = np.sqrt((1.0 + 1.0 / (n + 1)) * squares / n)
        best = np.maximum(_Z[:, None], u)
        z_next = (best - u / (n + 1)) / scale
        direct = (weights * np.maximum(u - _Z[:, None], 0.0)).sum(axis=1)
        total = np.empty((len(_Z), len(_PRICES)))
        for place, price in enumerate(_PRICES):
            total[:, place] = direct - price + (weights * scale * _look_up(later, z_next, price / scale)).sum(axis=1)
        found[n] = np.array([_root(row) for row in total])
        later = np.maximum(total, 0.0)
    return found


def _quadrature(degrees: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of Student's t: Gauss-Legendre on its quantiles."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    values: FloatArray = np.asarray(special.stdtrit(float(degrees), (nodes + 1.0) / 2.0), dtype=np.float64)
    return values, weights / 2.0


def _look_up(table: FloatArray, z: FloatArray, price: FloatArray) -> FloatArray:
    """Bilinear interpolation of max(0, G); beyond the grid its edge."""
    row = np.clip(np.searchsorted(_Z, z) - 1, 0, len(_Z) - 2)
    column = np.clip(np.searchsorted(_PRICES, price) - 1, 0, len(_PRICES) - 2)
    across = np.clip((z - _Z[row]) / (_Z[row + 1] - _Z[row]), 0.0, 1.0)
    along = np.clip((price - _PRICES[column]) / (_PRICES[column + 1] - _PRICES[column]), 0.0, 1.0)
    low = table[row, column] * (1.0 - across) + table[row + 1, column] * across
    high = table[row, column + 1] * (1.0 - across) + table[row + 1, column + 1] * across
    return np.asarray(low * (1.0 - along) + high * along)


def _root(gains: FloatArray) -> float:
    """The price at which the gain is 0; gains fall with the price."""
    place = int(np.argmax(gains <= 0.0)) if (gains <= 0.0).any() else -1
    if place < 0:
        return float(_PRICES[-1])
    if place == 0:
        return 0.0
    low, high = gains[place - 1], gains[place]
    return float(_PRICES[place - 1] + (_PRICES[place] - _PRICES[place - 1]) * low / (low - high))


@dataclass(frozen=True)
class PandoraBox(_Sequential):
    """Stop when the best score exceeds an upper bound of the fair cap (UCB Pandora's box, arXiv 2510.01394).

    From the paper: the fair cap tau solves E[(S - tau)+] = price (Weitzman 1979); it is not known, so the search stops
    once the best score is at least an upper confidence bound of it, which falls as scores arrive. Assumed: the scores
    above their median have an exponential tail, so that tau = median + m log(m / (2 price))
    with m its mean; the bound of m is the exact one of an exponential mean, 2 k mean / chi^2_(2k, error), at every
    sample anew, without a correction for that; and scores in [0, 1] as they are, where the paper passes rewards through
    a Bradley-Terry win rate.

    Attributes:
        price: What a sample costs, in score.
        error: Of the upper bound, in (0, 1).
        select: What to return; the paper takes the best score.

    Example:
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> question = Question("a", "?", tuple(Sample(score=s) for s in (0.2, 0.4, 0.9, 0.3, 0.5, 0.1)))
        >>> PandoraBox(price=0.3).run(question, 6).drawn, PandoraBox(price=0.001).run(question, 6).drawn
        (4, 6)
    """

    price: float = 0.01
    error: float = 0.2
    select: SelectionLike = "best"
    name: ClassVar[str] = "pandora"
    needs: ClassVar[frozenset[str]] = frozenset({"scores"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.error < 1.0:
            raise SettingsError(f"error must lie strictly between 0 and 1, got {self.error!r}")

    def _stops(self, scores: list[float], cap: int) -> bool:
        median = float(np.median(scores))
        above = [score - median for score in scores if score > median]
        if not above:
            return True
        bound = math.fsum(above) / float(special.gammaincinv(len(above), self.error))
        # P(S above the median) is 1/2: E[(S - tau)+] = m / 2 exp(-(tau - median) / m).
        fair = median + bound * math.log(max(bound / (2.0 * self.price), 1e-12))
        return max(scores) >= fair
