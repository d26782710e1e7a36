"""Priors at the nodes of a grid, and the weak default.

The weak prior has mu ~ normal(0.75, 0.35) and log sigma ~ normal(log 0.15, 0.8). Its Dirichlet-process component is
uniform except near 0 and 1, where verifiers' scores pile up. `benchmarks/predictive.py` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats._box import Peaks
from langchain_optscale.stats._dirichlet_mixture import EDGES, DirichletMixture
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
    """A prior with its own density and Dirichlet-process component; hashable, since grid values are cached by it."""

    @property
    def dirichlet(self) -> DirichletMixture:
        """The model beside the truncated normal."""
        ...

    def log_density(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """Log density in d mu d log(sigma), up to a constant, elementwise."""
        ...


def believed(prior: ScorePrior) -> tuple[BeliefPrior | Peaks, float]:
    """A prior in hashable form, and its equivalent number of scores, since a sharp one needs a finer grid.

    Raises:
        SettingsError: Its numbers are not finite, or its deviations not positive.
    """
    if hasattr(prior, "log_density"):
        # Questions with the same belief share the values on the grid.
        return cast("BeliefPrior", getattr(prior, "belief", prior)), 0.0
    peaks = Peaks(float(prior.mu), float(prior.sigma), float(prior.mu_std), float(prior.sigma_std))
    scale = min(max(peaks.sigma, grids.SIGMA_LOW), grids.SIGMA_HIGH)
    return peaks, max((scale / peaks.mu_std) ** 2, 0.5 * (scale / peaks.sigma_std) ** 2)


def weak_log_density(mu: FloatArray, log_sigma: FloatArray) -> FloatArray:
    """The weak prior's log density in d mu d log(sigma), up to a constant, elementwise."""
    return -0.5 * (((mu - _MU) / _MU_STD) ** 2 + ((log_sigma - _LOG_SIGMA) / _LOG_SIGMA_STD) ** 2)


@lru_cache(maxsize=16)
def weak_mixture(weight: float) -> DirichletMixture:
    """The weak prior's Dirichlet-process component."""
    base = _UNIFORM * np.diff(EDGES)
    base[[0, 1, -2, -1]] += _NEAR_ENDS
    return DirichletMixture(weight, (_WEAK_STRENGTH,), (1.0,), (tuple(base.tolist()),), EDGES)


@lru_cache(maxsize=64)
def at_nodes(prior: Believed, level: int, dirichlet_weight: float) -> tuple[FloatArray, DirichletMixture]:
    """Log prior probability of each node of a grid, normalised, and the Dirichlet-process component beside it."""
    at = grids.grid(level)
    log_sigma = np.log(at.sigma)
    mixture = weak_mixture(dirichlet_weight)
    if prior is None:
        logs = weak_log_density(at.mu, log_sigma)
    elif isinstance(prior, Peaks):
        logs = -0.5 * (((at.mu - prior.mu) / prior.mu_std) ** 2 + ((at.sigma - prior.sigma) / prior.sigma_std) ** 2)
        # The prior is a density in sigma, the grid's areas are in log sigma.
        logs += log_sigma
    else:
        logs, mixture = prior.log_density(at.mu, at.sigma), prior.dirichlet
    logs = logs + at.log_area
    logs -= logs.max()
    return logs - math.log(np.exp(logs).sum()), mixture


@lru_cache(maxsize=32)
def by_sums(prior: Believed, level: int, dirichlet_weight: float, resolution: float) -> FloatArray:
    """Coefficients of (1, n, sum x, sum x^2) in the log posterior, shape (4, nodes)."""
    log_prior, _ = at_nodes(prior, level, dirichlet_weight)
    return np.vstack([log_prior, grids.by_sums(level, resolution)])
