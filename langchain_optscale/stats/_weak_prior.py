"""Priors at the nodes of a grid, and the weak one that stands where none is given.

The weak prior has mu ~ normal(0.75, 0.35) and log sigma ~ normal(log 0.15, 0.8). Its model of any shape is uniform but
for 0 and 1 and their neighbourhoods, where verifiers' scores pile up. `benchmarks/predictive.py` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats._any_shape import EDGES, AnyShape
from langchain_optscale.stats._box import Peaks
from langchain_optscale.stats.estimation import ScorePrior

if TYPE_CHECKING:
    from typing import TypeAlias

    from langchain_optscale.stats._masses import FloatArray

    Believed: TypeAlias = "BeliefPrior | Peaks | None"

_MU, _MU_STD = 0.75, 0.35
_LOG_SIGMA, _LOG_SIGMA_STD = math.log(0.15), 0.8

_WEAK_STRENGTH = 2.0
_UNIFORM, _NEAR_ENDS = 0.6, (0.08, 0.07, 0.12, 0.13)


class BeliefPrior(ScorePrior, Hashable, Protocol):
    """A prior that is more than two normal laws: it has a density and a model of any shape of its own.

    It must be hashable, since what it says at the nodes of a grid is computed once.
    """

    @property
    def any_shape(self) -> AnyShape:
        """The model beside the truncated normal."""
        ...

    def log_density(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """Log density in d mu d log(sigma), up to a constant, elementwise."""
        ...


def believed(prior: ScorePrior) -> tuple[BeliefPrior | Peaks, float]:
    """A prior in hashable form, and how many scores it is worth: a sharp one needs a finer grid.

    Raises:
        SettingsError: Its numbers are not finite, or its deviations not positive.
    """
    if hasattr(prior, "log_density"):
        return cast("BeliefPrior", prior), 0.0
    peaks = Peaks(float(prior.mu), float(prior.sigma), float(prior.mu_std), float(prior.sigma_std))
    scale = min(max(peaks.sigma, grids.SIGMA_LOW), grids.SIGMA_HIGH)
    return peaks, max((scale / peaks.mu_std) ** 2, 0.5 * (scale / peaks.sigma_std) ** 2)


def weak_log_density(mu: FloatArray, log_sigma: FloatArray) -> FloatArray:
    """The weak prior's log density in d mu d log(sigma), up to a constant, elementwise."""
    return -0.5 * (((mu - _MU) / _MU_STD) ** 2 + ((log_sigma - _LOG_SIGMA) / _LOG_SIGMA_STD) ** 2)


@lru_cache(maxsize=16)
def weak_shape(weight: float) -> AnyShape:
    """The weak prior's model of any shape."""
    base = _UNIFORM * np.diff(EDGES)
    base[[0, 1, -2, -1]] += _NEAR_ENDS
    return AnyShape(weight, (_WEAK_STRENGTH,), (1.0,), (tuple(base.tolist()),), EDGES)


@lru_cache(maxsize=64)
def at_nodes(prior: Believed, level: int, any_shape: float) -> tuple[FloatArray, AnyShape]:
    """Log prior probability of each node of a grid, normalised, and the model of any shape beside it."""
    at = grids.grid(level)
    log_sigma = np.log(at.sigma)
    shape = weak_shape(any_shape)
    if prior is None:
        logs = weak_log_density(at.mu, log_sigma)
    elif isinstance(prior, Peaks):
        logs = -0.5 * (((at.mu - prior.mu) / prior.mu_std) ** 2 + ((at.sigma - prior.sigma) / prior.sigma_std) ** 2)
        # The prior is a density in sigma, the grid's areas are in log sigma.
        logs += log_sigma
    else:
        logs, shape = prior.log_density(at.mu, at.sigma), prior.any_shape
    logs = logs + at.log_area
    logs -= logs.max()
    return logs - math.log(np.exp(logs).sum()), shape


@lru_cache(maxsize=32)
def by_sums(prior: Believed, level: int, any_shape: float, resolution: float) -> FloatArray:
    """What the log posterior multiplies with (1, n, sum x, sum x^2), shape (4, nodes)."""
    log_prior, _ = at_nodes(prior, level, any_shape)
    return np.vstack([log_prior, grids.by_sums(level, resolution)])
