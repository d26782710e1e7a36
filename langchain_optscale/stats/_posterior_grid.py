"""Fixed grids on which the posterior of (mu, sigma) is summed, and the truncated normal at their nodes.

The region is sigma in [0.015, 1] and -4 sigma <= mu <= 1 + 4 sigma. Further out the law on [0, 1] is an exponential
that a smaller sigma gives as well, and scores do not resolve a smaller sigma than 0.015. In the region the mass Z of
[0, 1] is at least 3e-5, so that plain differences of Phi keep eleven digits.

A posterior of n scores is about sigma / sqrt(n) wide in mu and 1 / sqrt(2 n) in log sigma. The trapezoid rule needs a
step below 1.4 of these widths for four digits, so there is one grid for every fourfold n. The rule's ends carry
Gregory's corrections, since a posterior may lean on the edge of the region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_optscale.stats._masses import FloatArray

SIGMA_LOW, SIGMA_HIGH = 0.015, 1.0
REACH = 4.0

LARGEST_N = (4, 16, 64, 256, 1024)
"""The most scores whose posterior the grid of each level resolves."""

_STEP_IN_WIDTHS = 1.4
_LARGEST_MU_STEP = 0.12
_LARGEST_LOG_STEP = 0.17
_GREGORY = (3.0 / 8.0, 7.0 / 6.0, 23.0 / 24.0)

_LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)
_ROOT_2_PI_INVERSE = 1.0 / math.sqrt(2.0 * math.pi)
# A score's interval may have no mass at a node, and log 0 times a count of 0 is nan.
_LEAST_MASS = 1e-300


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """Nodes of the region.

    Attributes:
        mu: Location at each node, shape (nodes,).
        sigma: Scale at each node.
        log_area: Log of the quadrature weight in d mu d log(sigma).
        mass: Z, the untruncated normal's mass on [0, 1].
        averaged: 1, mu and sigma, shape (3, nodes): what every posterior averages.
        gained: mu, sigma, the mass above 1, sigma phi((1 - mu) / sigma) and Z, shape (5, nodes): see `mean_gain`.
    """

    mu: FloatArray
    sigma: FloatArray
    log_area: FloatArray
    mass: FloatArray
    averaged: FloatArray
    gained: FloatArray

    def above(self, score: float) -> FloatArray:
        """P(S >= score) at each node."""
        return tail(score, self.mu, self.sigma, self.mass)


def tail(score: float, mu: FloatArray, sigma: FloatArray, mass: FloatArray) -> FloatArray:
    """P(S >= score) = (Phi((mu - score) / sigma) - Phi((mu - 1) / sigma)) / Z, elementwise."""
    share: FloatArray = _between(score, 1.0, mu, sigma) / mass
    return np.clip(share, 0.0, 1.0)


def mean_gain(best: float, at: Grid, nodes: NDArray[np.intp]) -> FloatArray:
    """E[(S - best)+] = ((mu - best) (Phi(a) - Phi(a1)) + sigma (phi(a) - phi(a1))) / Z at some nodes.

    a = (mu - best) / sigma and a1 = (mu - 1) / sigma. No a1 exceeds `REACH`, so that the differences keep
    their digits; where there is no gain, rounding may leave as little as -1e-11.
    """
    mu, sigma, beyond, at_one, mass = at.gained.take(nodes, axis=1)
    lead = mu - best
    a = lead / sigma
    gains: FloatArray = special.ndtr(a)
    gains -= beyond
    gains *= lead
    a *= a
    a *= -0.5
    np.exp(a, a)
    a *= sigma
    a *= _ROOT_2_PI_INVERSE
    gains += a
    gains -= at_one
    gains /= mass
    return gains


def _between(low: float, high: float, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Phi at high less Phi at low, taken in the tail where both are small."""
    a, b = (low - mu) / sigma, (high - mu) / sigma
    is_upper = a + b > 0.0
    part: FloatArray = special.ndtr(np.where(is_upper, -a, b)) - special.ndtr(np.where(is_upper, -b, a))
    return np.maximum(part, 0.0)


def _gregory(count: int) -> FloatArray:
    """Weights of the trapezoid rule on `count` >= 6 nodes at unit distance, corrected at both ends."""
    weights = np.ones(count)
    weights[:3] = _GREGORY
    weights[-3:] = _GREGORY[::-1]
    return weights


@lru_cache(maxsize=len(LARGEST_N))
def grid(level: int) -> Grid:
    """The grid of a level, from 0 (up to 4 scores) to 4 (up to 1,024)."""
    step = _STEP_IN_WIDTHS / math.sqrt(LARGEST_N[level])
    span = math.log(SIGMA_HIGH / SIGMA_LOW)
    rows = math.ceil(span / min(step / math.sqrt(2.0), _LARGEST_LOG_STEP)) + 1
    mus, sigmas, areas = [], [], []
    for sigma, weight in zip(np.geomspace(SIGMA_LOW, SIGMA_HIGH, rows), _gregory(rows), strict=True):
        width = 1.0 + 2.0 * REACH * sigma
        columns = math.ceil(width / min(step * sigma, _LARGEST_MU_STEP)) + 1
        mus.append(np.linspace(-REACH * sigma, 1.0 + REACH * sigma, columns))
        sigmas.append(np.full(columns, sigma))
        areas.append(_gregory(columns) * (weight * width / (columns - 1) * span / (rows - 1)))
    mu, sigma = np.concatenate(mus), np.concatenate(sigmas)
    mass = _between(0.0, 1.0, mu, sigma)
    a1 = (mu - 1.0) / sigma
    averaged = np.stack([np.ones_like(mu), mu, sigma])
    gained = np.stack([mu, sigma, special.ndtr(a1), sigma * np.exp(-0.5 * a1 * a1) * _ROOT_2_PI_INVERSE, mass])
    return Grid(mu, sigma, np.log(np.concatenate(areas)), mass, averaged, gained)


@lru_cache(maxsize=64)
def log_below(level: int, score: float) -> FloatArray:
    """Log of P(S < score) at each node of a level; a search uses one target repeatedly."""
    return log_of_rest(grid(level).above(score))


def log_of_rest(share: FloatArray) -> FloatArray:
    """log(1 - share), kept finite so that a zero exponent gives one."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log1p(-share), -1e9)


@lru_cache(maxsize=32)
def by_sums(level: int, resolution: float) -> FloatArray:
    """Coefficients of (n, sum x, sum x^2) in the log likelihood of points, shape (3, nodes).

    A score rounded to `resolution` r has the variance sigma^2 + r^2 / 12 (Sheppard), which also bounds its likelihood.
    """
    at = grid(level)
    variance = at.sigma * at.sigma + resolution * resolution / 12.0
    constant = -np.log(at.mass) - 0.5 * np.log(variance) - _LOG_ROOT_2_PI - 0.5 * at.mu * at.mu / variance
    return np.stack([constant, at.mu / variance, -0.5 / variance])


@lru_cache(maxsize=16)
def by_step(level: int, steps: int) -> FloatArray:
    """Log probability of each value j / steps, shape (steps + 1, nodes): the mass of all scores that round to it."""
    at = grid(level)
    edges = [0.0, *((j - 0.5) / steps for j in range(1, steps + 1)), 1.0]
    parts = [_between(low, high, at.mu, at.sigma) for low, high in pairwise(edges)]
    return np.log(np.maximum(np.stack(parts) / at.mass, _LEAST_MASS))
