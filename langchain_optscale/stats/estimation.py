"""Estimating the score distribution, a normal truncated to [0, 1], from observed scores.

Symbols: `mu`, `sigma` as in `truncnorm`; x a score, z = (x - mu) / sigma; averages over the data carry a bar,
moments under the model are written E and Var. The log likelihood needs the scores only through `ScoreSums`:

    l(mu, sigma) / n = log f(0) + mu bar(x) / sigma^2 - bar(x^2) / (2 sigma^2)

In mu / sigma^2 and -1 / (2 sigma^2) it is concave, and a box of mu and sigma is a convex polygon there.
So its maximum over the box is unique, though for saturated or constant scores it lies on the edge: without
bounds the likelihood has no maximum. Source: OptScale, arXiv 2506.22376.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeAlias

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.decisions import Estimate
from langchain_optscale.stats._box import Box, Peaks
from langchain_optscale.stats._maximisation import maximise

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Estimator", "MaximumAPosteriori", "MaximumLikelihood", "ScorePrior", "ScoreSums", "Scores"]

# The estimate without scores, as in the paper.
_PAPER_START = (0.8, 0.2)


class ScorePrior(Protocol):
    """A prior of mu and sigma: independent normal laws.

    Attributes:
        mu: Centre of mu.
        sigma: Centre of sigma.
        mu_std: Standard deviation of mu, > 0; 0.1 in the paper.
        sigma_std: Standard deviation of sigma, > 0; 0.1 in the paper.

    Example:
        >>> from langchain_optscale import FixedPrior
        >>> from langchain_optscale.stats import MaximumAPosteriori
        >>> prior: ScorePrior = FixedPrior(mu=0.9, sigma=0.1)
        >>> 0.5 < MaximumAPosteriori()([0.5, 0.6], prior).mu < prior.mu
        True
    """

    @property
    def mu(self) -> float: ...  # noqa: D102 - described above
    @property
    def sigma(self) -> float: ...  # noqa: D102
    @property
    def mu_std(self) -> float: ...  # noqa: D102
    @property
    def sigma_std(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """The sufficient statistics of scores, updated by Welford's method: sums of squares would cancel.

    Attributes:
        n: How many scores.
        mean: Their mean, 0 where there are none.
        m2: The sum of their squared deviations from the mean.

    Example:
        >>> ScoreSums.of([0.5, 1.0])
        ScoreSums(n=2, mean=0.75, m2=0.125)
        >>> ScoreSums().add(0.5).add(1.0) == ScoreSums.of([0.5, 1.0])
        True
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, scores: Sequence[float]) -> ScoreSums:
        """Sums over a sequence, the same for every order of it.

        Raises:
            InvalidScoreError: A score is nan or outside [0, 1].
        """
        values = [_as_score(score) for score in scores]
        if not values:
            return cls()
        mean = math.fsum(values) / len(values)
        return cls(len(values), mean, math.fsum((value - mean) ** 2 for value in values))

    def add(self, score: float) -> ScoreSums:
        """Sums that include one more score.

        Raises:
            InvalidScoreError: The score is nan or outside [0, 1].
        """
        value = _as_score(score)
        deviation = value - self.mean
        mean = self.mean + deviation / (self.n + 1)
        return ScoreSums(self.n + 1, mean, self.m2 + deviation * (value - mean))


def _as_score(score: float) -> float:
    value = float(score)
    if not 0.0 <= value <= 1.0:
        raise InvalidScoreError(f"a score must be a finite number in [0, 1], got {score!r}")
    return value


Scores: TypeAlias = "Sequence[float] | ScoreSums"


class Estimator(Protocol):
    """Estimates the distribution of scores from those observed.

    Example:
        >>> from langchain_optscale.stats import MaximumLikelihood
        >>> estimator: Estimator = MaximumLikelihood()
        >>> estimator([0.4, 0.5, 0.6]).n
        3
    """

    def __call__(self, scores: Scores, prior: ScorePrior | None = None) -> Estimate:
        """Estimate mu and sigma.

        Args:
            scores: The scores, each in [0, 1], or their sums.
            prior: The prior, None for none.

        Returns:
            The estimate; it exists for every list of scores, the empty one included.
        """
        ...


@lru_cache(maxsize=16)
def _box(mu_low: float, mu_high: float, sigma_low: float, sigma_high: float) -> Box:
    return Box(mu_low, mu_high, sigma_low, sigma_high)


@dataclass(frozen=True)
class _Bounded:
    """The bounds that both estimators share."""

    mu_bounds: tuple[float, float] = (-1.0, 2.0)
    sigma_bounds: tuple[float, float] = (1e-3, 1.0)

    def __post_init__(self) -> None:
        _box(*self.mu_bounds, *self.sigma_bounds)

    def _maximise(self, method: str, scores: Scores, without: tuple[float, float], peaks: Peaks | None) -> Estimate:
        """The highest point of the box, or the one nearest to `without` where there are no scores."""
        box = _box(*self.mu_bounds, *self.sigma_bounds)
        sums = scores if isinstance(scores, ScoreSums) else ScoreSums.of(scores)
        found = maximise(box, sums.n, sums.mean, sums.m2, peaks) if sums.n else box.nearest(*without)
        return Estimate(*found, method=method, n=sums.n, at_bound=box.has_on_edge(*found))


@dataclass(frozen=True)
class MaximumLikelihood(_Bounded):
    """Bounded maximum likelihood: the paper's training-free OptScale^0, with bounds on mu and sigma.

    Maximises sum_i log f(x_i; mu, sigma) over a box. Without scores it returns the paper's start,
    mu = 0.8 and sigma = 0.2. Source: OptScale, arXiv 2506.22376.

    Attributes:
        mu_bounds: Least and largest mu.
        sigma_bounds: Least and largest sigma, > 0.

    Raises:
        SettingsError: Bounds are not finite, not in order, or not positive for sigma.

    Example:
        >>> estimate = MaximumLikelihood()([0.62, 0.71, 0.55, 0.8])
        >>> round(estimate.mu, 3), round(estimate.sigma, 3), estimate.at_bound
        (0.67, 0.094, False)
        >>> MaximumLikelihood()([1.0, 1.0, 1.0]).at_bound
        True
    """

    def __call__(self, scores: Scores, prior: ScorePrior | None = None) -> Estimate:
        """Estimate mu and sigma from scores alone.

        Args:
            scores: The scores, each in [0, 1], or their sums.
            prior: Must be None.

        Returns:
            The unique maximum over the box; `at_bound` where it lies on the edge.

        Raises:
            InvalidScoreError: A score is nan or outside [0, 1].
            SettingsError: There is a prior.
        """
        if prior is not None:
            raise SettingsError("MaximumLikelihood does not use a prior; use MaximumAPosteriori")
        return self._maximise("maximum likelihood", scores, _PAPER_START, None)


@dataclass(frozen=True)
class MaximumAPosteriori(_Bounded):
    """Bounded maximum a posteriori: the paper's OptScale^t.

    Maximises sum_i log f(x_i; mu, sigma) + log N(mu; prior.mu, prior.mu_std) + log N(sigma; prior.sigma,
    prior.sigma_std) over a box. Without scores it returns the prior's centre. Source: OptScale, arXiv
    2506.22376.

    Attributes:
        mu_bounds: Least and largest mu.
        sigma_bounds: Least and largest sigma, > 0.

    Raises:
        SettingsError: Bounds are not finite, not in order, or not positive for sigma.

    Example:
        >>> from types import SimpleNamespace
        >>> prior = SimpleNamespace(mu=0.9, sigma=0.1, mu_std=0.1, sigma_std=0.1)
        >>> estimate = MaximumAPosteriori()([0.62, 0.71, 0.55, 0.8], prior)
        >>> round(estimate.mu, 3), round(estimate.sigma, 3), estimate.method
        (0.725, 0.11, 'maximum a posteriori')
    """

    def __call__(self, scores: Scores, prior: ScorePrior | None = None) -> Estimate:
        """Estimate mu and sigma from scores and a prior.

        Args:
            scores: The scores, each in [0, 1], or their sums.
            prior: The prior.

        Returns:
            The highest maximum over the box; `at_bound` where it lies on the edge.

        Raises:
            InvalidScoreError: A score is nan or outside [0, 1].
            SettingsError: There is no prior, or its numbers are not finite or its deviations not positive.
        """
        if prior is None:
            raise SettingsError("MaximumAPosteriori needs a prior; without one use MaximumLikelihood")
        peaks = Peaks(prior.mu, prior.sigma, prior.mu_std, prior.sigma_std)
        return self._maximise("maximum a posteriori", scores, (prior.mu, prior.sigma), peaks)
