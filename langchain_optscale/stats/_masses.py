"""Masses of the truncated normal: the integrals from which its laws are made.

Symbols as in `truncnorm`. The mass of a part [l, h] of [0, 1] is scaled to one at that part's own peak p:

    mass(l, h) = integral_l^h exp(-((x - mu)^2 - (p - mu)^2) / (2 sigma^2)) dx,   p = min(max(mu, l), h)

Such masses neither underflow nor cancel, however far mu lies outside. The masses of the two parts of [0, 1]
at x give the log odds of S <= x, and the odds give the CDF and the survival function, exact in either tail.

Everything stands twice: for plain floats, without the overhead of arrays, and for flat arrays of one length.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from langchain_optscale.stats._scipy import special

FloatArray: TypeAlias = NDArray[np.float64]

_ROOT_2 = math.sqrt(2.0)
_ROOT_HALF_PI = math.sqrt(math.pi / 2.0)

# Below this exponent the closed form of a mass cancels, and eight nodes integrate it to double precision.
_FLAT = 0.5


def unit_nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)  # NumPy's, since SciPy is only imported when it is used
    return 0.5 * (nodes + 1.0), 0.5 * weights


_NODES, _WEIGHTS = unit_nodes(8)
_SCALAR_RULE = tuple(zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True))


def _mass_of_one(lower: float, upper: float, mu: float, sigma: float) -> float:
    if lower < mu < upper:
        scale = sigma * _ROOT_2
        return sigma * _ROOT_HALF_PI * (math.erf((mu - lower) / scale) + math.erf((upper - mu) / scale))
    distance = (lower - mu if mu <= lower else mu - upper) / sigma
    width = (upper - lower) / sigma
    exponent = width * (distance + 0.5 * width)
    if exponent < _FLAT:
        total = 0.0
        for node, weight in _SCALAR_RULE:
            step = node * width
            total += weight * math.exp(-step * (distance + 0.5 * step))
        return (upper - lower) * total
    near, far = float(special.erfcx(distance / _ROOT_2)), float(special.erfcx((distance + width) / _ROOT_2))
    return sigma * _ROOT_HALF_PI * (near - math.exp(-exponent) * far)


def log_odds_of_one(x: float, mu: float, sigma: float) -> float:
    """log(P(S <= x) / P(S > x)): -inf for x <= 0, inf for x >= 1."""
    if not 0.0 < x < 1.0:
        return -math.inf if x <= 0.0 else math.inf
    nearest = min(max(mu, 0.0), 1.0)
    tilt = 0.5 * ((x - nearest) / sigma) * (abs((x - mu) + (nearest - mu)) / sigma)
    return math.log(_mass_of_one(0.0, x, mu, sigma) / _mass_of_one(x, 1.0, mu, sigma)) + tilt


def mass(lower: FloatArray, upper: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Mass of [lower, upper]; see the head of the module."""
    width = (upper - lower) / sigma
    distance = np.maximum(np.maximum(lower - mu, mu - upper), 0.0) / sigma
    exponent = width * (distance + 0.5 * width)
    is_inside = (lower < mu) & (mu < upper)
    is_flat = (exponent < _FLAT) & ~is_inside

    masses = np.empty_like(mu)
    inside = np.flatnonzero(is_inside)
    scale = sigma[inside] * _ROOT_2
    below, above = (mu[inside] - lower[inside]) / scale, (upper[inside] - mu[inside]) / scale
    masses[inside] = sigma[inside] * _ROOT_HALF_PI * (special.erf(below) + special.erf(above))

    flat = np.flatnonzero(is_flat)
    steps = width[flat, None] * _NODES
    densities = np.exp(-steps * (distance[flat, None] + 0.5 * steps))
    masses[flat] = (upper - lower)[flat] * (densities * _WEIGHTS).sum(axis=1)

    steep = np.flatnonzero(~(is_inside | is_flat))
    near, far = special.erfcx(distance[steep] / _ROOT_2), special.erfcx((distance + width)[steep] / _ROOT_2)
    masses[steep] = sigma[steep] * _ROOT_HALF_PI * (near - np.exp(-exponent[steep]) * far)
    return masses


def log_odds(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """log(P(S <= x) / P(S > x)): -inf for x <= 0, inf for x >= 1."""
    odds = np.where(x <= 0.0, -np.inf, np.inf)
    within = np.flatnonzero((x > 0.0) & (x < 1.0))
    x, mu, sigma = x[within], mu[within], sigma[within]
    nearest = np.clip(mu, 0.0, 1.0)
    tilt = 0.5 * ((x - nearest) / sigma) * (np.abs((x - mu) + (nearest - mu)) / sigma)
    below, above = mass(np.zeros_like(x), x, mu, sigma), mass(x, np.ones_like(x), mu, sigma)
    odds[within] = np.log(below / above) + tilt
    return odds


def log_density(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Log density of points that lie in [0, 1]."""
    nearest = np.clip(mu, 0.0, 1.0)
    tilt = 0.5 * ((x - nearest) / sigma) * (((x - mu) + (nearest - mu)) / sigma)
    total: FloatArray = mass(np.zeros_like(x), np.ones_like(x), mu, sigma)
    return -tilt - np.log(total)
