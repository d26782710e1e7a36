"""Strengths from comparisons: the Bradley-Terry model, with the effect of the place in which each was shown.

In a comparison of candidates i shown at places p(i), candidate i wins with probability

    P(i) = exp(theta_i + beta_p(i)) / sum_j exp(theta_j + beta_p(j)),

which for two is the model of Bradley and Terry (Biometrika 39, 1952) with the order effect of Davidson and Beaver
(Biometrics 33, 1977), for more Luce's choice model. A comparison gives each candidate a share of the win: 1 and 0,
equal shares for a tie, or a judge's probabilities. Strengths and places have independent normal priors, so that a few
comparisons, or those that one candidate always wins, have a finite maximum. The uncertainty is Laplace's: the inverse
of the negative Hessian at the maximum. A tie counts as a part of a win for each, with the information of a decided
comparison; the outcome of a tie varies less, so the uncertainty is not understated.

Legend: theta strengths [n], beta place effects [m], in logits; shares [c, m].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Contest", "Strengths", "fit_strengths"]

_MOST_STEPS = 100
_LEAST_GAIN = 1e-15
_DRAWS = 4096


@dataclass(frozen=True, slots=True)
class Contest:
    """One comparison.

    Attributes:
        order: The candidates, by their numbers from 0, in the order in which they were shown; at least two.
        shares: The share of the win of each, at least 0, in total 1.

    Raises:
        SettingsError: A candidate occurs twice, or the shares are none.
    """

    order: tuple[int, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.order) < 2 or len(set(self.order)) < len(self.order) or min(self.order) < 0:
            raise SettingsError(f"a comparison needs at least two different candidates, got {list(self.order)}")
        whole = math.fsum(self.shares)
        if len(self.shares) != len(self.order) or not all(share >= 0 for share in self.shares) or abs(whole - 1) > 1e-6:
            raise SettingsError(f"the shares of a comparison must add up to 1, got {list(self.shares)}")


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths of candidates, and the effect of the place, from `fit_strengths`.

    Attributes:
        means: Posterior means of the strengths in logits [n].
        covariance: Their covariance [n, n].
        places: Posterior means of the effects of the places in logits [m]; their differences alone have a meaning.
        place_covariance: Their covariance [m, m].
    """

    means: FloatArray
    covariance: FloatArray
    places: FloatArray
    place_covariance: FloatArray

    @property
    def stds(self) -> FloatArray:
        """Posterior standard deviations of the strengths [n]."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def place_bias(self) -> float:
        """How much the judge prefers the first place to the last, in logits; above 0 it prefers the first."""
        return float(self.places[0] - self.places[-1])

    @property
    def place_bias_std(self) -> float:
        """The standard deviation of `place_bias`."""
        return math.sqrt(max(0.0, _variance_of_difference(self.place_covariance, 0, len(self.places) - 1)))

    def better(self, one: int, other: int) -> float:
        """P(candidate `one` is stronger than `other`), in [0, 1]."""
        if one == other:
            return 0.5
        deviation = math.sqrt(max(_variance_of_difference(self.covariance, one, other), 1e-300))
        return 0.5 * math.erfc((self.means[other] - self.means[one]) / (deviation * math.sqrt(2.0)))

    def best(self) -> FloatArray:
        """P(each is the strongest) [n], from equal draws of the posterior every time."""
        normal = np.random.default_rng(0).standard_normal((_DRAWS, len(self.means)))
        root = np.linalg.cholesky(self.covariance + 1e-12 * np.eye(len(self.means)))
        winners = np.argmax(self.means + normal @ root.T, axis=1)
        return np.bincount(winners, minlength=len(self.means)) / _DRAWS


def fit_strengths(
    contests: Sequence[Contest],
    count: int,
    *,
    means: Sequence[float] | None = None,
    std: float = 2.0,
    place_std: float = 2.0,
) -> Strengths:
    """Fit strengths to comparisons by maximum a posteriori.

    The objective is concave, so that Newton's method with step halving finds its only maximum.

    Args:
        contests: The comparisons, in any order; may be empty.
        count: How many candidates there are, at least 1.
        means: Prior mean of each strength; 0 by default.
        std: Prior standard deviation of each strength, above 0.
        place_std: Prior standard deviation of each place's effect, above 0.

    Raises:
        SettingsError: A comparison has a candidate beyond `count`, or a number is out of range.

    Example:
        >>> strengths = fit_strengths([Contest((0, 1), (1.0, 0.0)), Contest((1, 0), (0.0, 1.0))], 2)
        >>> strengths.better(0, 1) > 0.7, round(strengths.place_bias, 6)
        (True, 0.0)
    """
    prior = np.zeros(count) if means is None else np.asarray(means, dtype=float)
    if prior.shape != (count,) or not np.all(np.isfinite(prior)) or not std > 0 or not place_std > 0:
        raise SettingsError(f"means must be {count} finite numbers, and std and place_std above 0")
    if any(player >= count for contest in contests for player in contest.order):
        raise SettingsError(f"a comparison names a candidate beyond the {count} that are compared")
    width = max((len(contest.order) for contest in contests), default=2)
    design, shares, shown = _arrays(contests, count, width)
    centre = np.concatenate([prior, np.zeros(width)])
    precision = np.concatenate([np.full(count, std**-2.0), np.full(width, place_std**-2.0)])
    at = centre.copy()
    value = _objective(at, design, shares, shown, centre, precision)
    for _ in range(_MOST_STEPS):
        gradient, information = _derivatives(at, design, shares, shown, centre, precision)
        step = np.linalg.solve(information, gradient)
        if float(gradient @ step) < _LEAST_GAIN:
            break  # nothing is left to gain
        scale = 1.0
        while True:
            reached = _objective(at + scale * step, design, shares, shown, centre, precision)
            if reached >= value or scale < 1e-8:
                break
            scale /= 2.0
        at, value = at + scale * step, reached
    _, information = _derivatives(at, design, shares, shown, centre, precision)
    covariance: FloatArray = np.linalg.inv(information).astype(np.float64)
    return Strengths(at[:count], covariance[:count, :count], at[count:], covariance[count:, count:])


def _arrays(contests: Sequence[Contest], count: int, width: int) -> tuple[Any, Any, Any]:
    """Design [c, width, count + width], shares [c, width], and which places were shown [c, width]."""
    design = np.zeros((len(contests), width, count + width))
    shares = np.zeros((len(contests), width))
    shown = np.zeros((len(contests), width), dtype=bool)
    for row, contest in enumerate(contests):
        for place, (player, share) in enumerate(zip(contest.order, contest.shares, strict=True)):
            # The last one shown is at the last place, however many there are.
            column = width - 1 if place == len(contest.order) - 1 else place
            design[row, place, player] = design[row, place, count + column] = 1.0
            shares[row, place], shown[row, place] = share, True
    return design, shares, shown


def _log_chances(at: FloatArray, design: FloatArray, shown: Any) -> FloatArray:
    logits = np.where(shown, design @ at, -np.inf)
    top = logits.max(axis=1, keepdims=True, initial=-np.inf)
    with np.errstate(divide="ignore"):
        return np.asarray(logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))


def _objective(
    at: FloatArray, design: FloatArray, shares: FloatArray, shown: Any, centre: FloatArray, precision: FloatArray
) -> float:
    penalty = 0.5 * float(np.sum(precision * (at - centre) ** 2))
    if not len(shares):
        return -penalty
    logs = np.where(shares > 0, _log_chances(at, design, shown), 0.0)
    return float(np.sum(shares * logs)) - penalty


def _derivatives(
    at: FloatArray, design: FloatArray, shares: FloatArray, shown: Any, centre: FloatArray, precision: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The gradient, and the negative Hessian, which is positive definite by the priors."""
    gradient = -precision * (at - centre)
    information = np.diag(precision)
    if len(shares):
        chances = np.exp(_log_chances(at, design, shown))
        gradient = gradient + np.einsum("cp,cpk->k", shares - chances, design)
        mean = np.einsum("cp,cpk->ck", chances, design)
        information = information + np.einsum("cp,cpk,cpl->kl", chances, design, design) - mean.T @ mean
    return gradient, information


def _variance_of_difference(covariance: FloatArray, one: int, other: int) -> float:
    return float(covariance[one, one] + covariance[other, other] - 2.0 * covariance[one, other])
