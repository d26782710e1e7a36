"""The normal distribution truncated to [0, 1], in log space.

`mu` and `sigma` are location and scale of the *untruncated* normal, so `mu` may lie far outside [0, 1].
`Phi` is the standard normal CDF. S is a score that follows the law, F(x) = P(S <= x).

Every function broadcasts its arguments and returns an array, or a plain `float` for plain numbers. `logcdf`,
`logsf`, `cdf` and `sf` take plain floats without touching an array, since they stand in hot loops. The
values keep their digits in far tails (mu = 40, sigma = 1.2) and at extreme scales (1e-6, 1e6). `mu` must be
finite and `sigma` positive, neither beyond 1e100.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats._elementwise import of_odds, of_parameters, of_point
from langchain_optscale.stats._masses import FloatArray, log_density, log_odds, mass, unit_nodes
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "mean", "mean_excess", "pdf", "ppf", "sf", "std"]

# Moments are integrated where the density exceeds exp(-40) of its peak; so many nodes give double precision.
_DEPTH = 40.0
_MOMENT_NODES, _MOMENT_WEIGHTS = unit_nodes(64)

# Quantiles: the step after a log tail is met to 1e-8 meets it to double precision.
_NEWTON_STEPS = 64
_NEWTON_TOLERANCE = 1e-8
# Caps the log of a Newton step where the density vanishes; the bracket cuts such a step anyway.
_LARGEST_LOG_STEP = 100.0
_SPACING = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).smallest_subnormal)
_LOG_FIRST = math.log(_TINY)
_LOG_LAST = math.log1p(-0.5 * _SPACING)


def _log_expit_of_one(odds: float) -> float:
    return -math.log1p(math.exp(-odds)) if odds > 0.0 else odds - math.log1p(math.exp(odds))


def _expit_of_one(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds)) if odds > 0.0 else math.exp(odds) / (1.0 + math.exp(odds))


@of_point
def logpdf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Log density, -inf outside [0, 1].

    f(x) = phi((x - mu) / sigma) / (sigma (Phi((1 - mu) / sigma) - Phi(-mu / sigma))),   phi = Phi'

    Args:
        x: Points.
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.

    Returns:
        A float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: A point is nan, or the parameters are not finite or not in range.

    Example:
        >>> round(logpdf(0.9, 0.8, 0.2), 6)
        0.738291
        >>> logpdf(1.1, 0.8, 0.2)
        -inf
    """
    outside = (x < 0.0) | (x > 1.0)
    return np.where(outside, -np.inf, log_density(np.clip(x, 0.0, 1.0), mu, sigma))


@of_point
def pdf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Density, zero outside [0, 1]; arguments, shapes and errors as for `logpdf`.

    Example:
        >>> round(pdf(0.5, 0.8, 1e6), 6)
        1.0
    """
    outside = (x < 0.0) | (x > 1.0)
    return np.where(outside, 0.0, np.exp(log_density(np.clip(x, 0.0, 1.0), mu, sigma)))


@of_odds(_log_expit_of_one)
def logcdf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Log of F(x): -inf for x <= 0 and 0 for x >= 1; arguments, shapes and errors as for `logpdf`.

    It keeps its digits in both tails, so that log F is usable where F rounds to one.

    Example:
        >>> round(logcdf(0.9, 0.8, 0.2), 6)
        -0.196201
    """
    return special.log_expit(log_odds(x, mu, sigma))


@of_odds(lambda odds: _log_expit_of_one(-odds))
def logsf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Log of 1 - F(x): 0 for x <= 0 and -inf for x >= 1; arguments, shapes and errors as for `logpdf`.

    Example:
        >>> round(logsf(0.9, 0.3, 0.05), 4)
        -75.4107
    """
    return special.log_expit(-log_odds(x, mu, sigma))


@of_odds(_expit_of_one)
def cdf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """The CDF, F(x) = P(S <= x); arguments, shapes and errors as for `logpdf`.

    F(x) = (Phi((x - mu) / sigma) - Phi(-mu / sigma)) / (Phi((1 - mu) / sigma) - Phi(-mu / sigma))

    Source: OptScale, arXiv 2506.22376.

    Example:
        >>> cdf(0.5, 0.5, 0.1)
        0.5
    """
    return special.expit(log_odds(x, mu, sigma))


@of_odds(lambda odds: _expit_of_one(-odds))
def sf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """1 - F(x), without the cancellation of the difference; arguments, shapes and errors as for `logpdf`.

    Example:
        >>> f"{sf(0.9, 0.3, 0.05):.4e}"
        '1.7765e-33'
    """
    return special.expit(-log_odds(x, mu, sigma))


def _quantile(log_tail: FloatArray, is_lower: NDArray[np.bool_], mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """The point with the given log mass, at most log(1/2), below it (`is_lower`) or above it.

    Newton's method, bracketed, on the log of that tail over log x. It starts from two bounds: the density is
    at most one over the whole mass, and where it rises away from the tail's end of [0, 1], the tail is at
    most the ratio of the density to its peak.
    """
    sign = np.where(is_lower, 1.0, -1.0)
    end = np.where(is_lower, 0.0, 1.0)
    to_mu = sign * (mu - end)
    to_peak = np.clip(to_mu, 0.0, 1.0)
    beyond = np.abs(to_mu - to_peak)
    drop = sigma * np.sqrt(-2.0 * log_tail)
    whole = mass(np.zeros_like(mu), np.ones_like(mu), mu, sigma)
    tail = np.exp(log_tail)
    start = np.maximum(tail * whole, to_peak - drop * (drop / (np.hypot(beyond, drop) + beyond)))
    # The ends themselves have empty tails, whose logs are infinite: the outermost points are their neighbours.
    lowest = np.maximum(np.where(is_lower, log_tail, np.log1p(-tail)) + np.log(whole), _LOG_FIRST)
    highest = np.full_like(mu, _LOG_LAST)
    log_x = np.clip(np.log(np.maximum(end + sign * start, _TINY)), lowest, highest)
    for _ in range(_NEWTON_STEPS):
        x = np.exp(log_x)
        log_reached = special.log_expit(sign * log_odds(x, mu, sigma))
        missing = sign * (log_tail - log_reached)
        lowest, highest = np.where(missing > 0.0, log_x, lowest), np.where(missing < 0.0, log_x, highest)
        log_slope = log_density(x, mu, sigma) + log_x - log_reached
        stepped = log_x + missing * np.exp(np.minimum(-log_slope, _LARGEST_LOG_STEP))
        stepped = np.where((stepped < lowest) | (stepped > highest), 0.5 * (lowest + highest), stepped)
        is_settled = (np.abs(missing) < _NEWTON_TOLERANCE) | (np.abs(stepped - log_x) < _SPACING)
        log_x = stepped
        if np.all(is_settled):
            break
    quantile: FloatArray = np.exp(log_x)
    return quantile


def _inverse(q: FloatArray, mu: FloatArray, sigma: FloatArray, *, from_below: bool) -> FloatArray:
    if not np.all((q >= 0.0) & (q <= 1.0)):
        raise SettingsError("a probability must lie in [0, 1]")
    x = q.copy() if from_below else 1.0 - q
    inner = np.flatnonzero((q > 0.0) & (q < 1.0))
    q, mu, sigma = q[inner], mu[inner], sigma[inner]
    is_half = q <= 0.5
    log_tail = np.where(is_half, np.log(q), np.log1p(-q))
    x[inner] = _quantile(log_tail, is_half if from_below else ~is_half, mu, sigma)
    return x


@of_point
def ppf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Quantile: the score s with F(s) = x, in [0, 1].

    Args:
        x: Probabilities in [0, 1]; 0 gives 0.0 and 1 gives 1.0.
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.

    Returns:
        A float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: A probability lies outside [0, 1] or is nan, or the parameters are not in range.

    Example:
        >>> round(ppf(0.5, 40.0, 1.2), 6)
        0.974439
    """
    return _inverse(x, mu, sigma, from_below=True)


@of_point
def isf(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """The score s with 1 - F(s) = x, even where F(s) rounds to one; arguments, shapes, errors as for `ppf`.

    Example:
        >>> round(isf(1e-30, 0.3, 0.01), 6)
        0.41464
    """
    return _inverse(x, mu, sigma, from_below=False)


def _moments(lower: FloatArray, mu: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean above `lower`, and standard deviation, of the normal truncated to [lower, 1].

    Integrated, since the closed forms cancel for flat densities and in far tails.
    """
    peak = np.clip(mu, lower, 1.0)
    slope = np.abs(peak - mu) / sigma
    reach = sigma * (2.0 * _DEPTH / (np.sqrt(slope * slope + 2.0 * _DEPTH) + slope))
    start, stop = -np.minimum(peak - lower, reach), np.minimum(1.0 - peak, reach)
    offset = start[:, None] + (stop - start)[:, None] * _MOMENT_NODES
    steps = np.abs(offset) / sigma[:, None]
    weights = np.exp(-steps * (slope[:, None] + 0.5 * steps)) * _MOMENT_WEIGHTS
    weights /= weights.sum(axis=1, keepdims=True)
    mean_offset = (weights * offset).sum(axis=1)
    variance = (weights * (offset - mean_offset[:, None]) ** 2).sum(axis=1)
    return (peak - lower) + mean_offset, np.sqrt(variance)


@of_parameters
def mean(mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Mean of the truncated law, in (0, 1).

    Args:
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.

    Returns:
        A float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: The parameters are not finite or not in range.

    Example:
        >>> round(mean(0.8, 0.2), 6)
        0.74251
    """
    return _moments(np.zeros_like(mu), mu, sigma)[0]


@of_parameters
def std(mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Standard deviation of the truncated law, at most 1/2; arguments, shapes and errors as for `mean`.

    Example:
        >>> round(std(0.5, 1e6) ** -2, 6)
        12.0
    """
    return _moments(np.zeros_like(mu), mu, sigma)[1]


@of_point
def mean_excess(x: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """E[S - x | S > x]: by how much a score above x exceeds it on average (the mean residual life).

    Args:
        x: Points in [0, 1]; at 1 the excess is 0.
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.

    Returns:
        A float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: A point lies outside [0, 1] or is nan, or the parameters are not in range.

    Example:
        >>> round(mean_excess(0.9, 0.8, 0.2), 6)
        0.046908
    """
    if not np.all((x >= 0.0) & (x <= 1.0)):
        raise SettingsError("the mean excess is defined for points in [0, 1]")
    return _moments(x, mu, sigma)[0]
