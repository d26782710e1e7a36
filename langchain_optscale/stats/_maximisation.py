"""The maximum of a truncated normal's log likelihood, with or without a normal prior, over a box.

Symbols as in `estimation`. One pass over a grid of the box finds the hill, Newton steps within the box climb
it. Moments under the model are integrated over t = (x - p) / sigma, where p is the point of [0, 1] nearest to
mu and so the peak of the density: closed forms of higher moments cancel in the tails.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from langchain_optscale.stats import truncnorm
from langchain_optscale.stats._masses import unit_nodes

if TYPE_CHECKING:
    from langchain_optscale.stats._box import Box, Peaks
    from langchain_optscale.stats._masses import FloatArray

_GRID = (41, 31)
_STEPS = 60
_HALVINGS = 40
# Newton's method converges quadratically: a step that promises less than this per score is the last.
_SETTLED = 1e-7

# The model's moments are integrated where the density exceeds exp(-36) of its peak.
_DEPTH = 36.0
_NODES, _WEIGHTS = unit_nodes(40)
_SQUARES = _NODES * _NODES
_POWERS: FloatArray = np.vander(_NODES, 5, increasing=True).T * _WEIGHTS


class _Grid(NamedTuple):
    mu: FloatArray
    sigma: FloatArray
    terms: FloatArray


class _Point(NamedTuple):
    """A point of the box and the objective around it, per score.

    Derivatives are by the natural parameters in units of the point itself: alpha = (mu - p) / sigma^2 times
    sigma, and rho = 1 / sigma^2 times the point's sigma^2, hence 1 at the point. Paths straight in these are
    straight in the natural parameters, where the log likelihood is concave and its ridges are straight too.
    """

    mu: float
    sigma: float
    peak: float
    alpha: float
    value: float
    gradient: tuple[float, float]
    hessian: tuple[float, float, float]


@lru_cache(maxsize=16)
def _grid(box: Box) -> _Grid:
    mu = np.linspace(box.mu_low, box.mu_high, _GRID[0])
    sigma = np.geomspace(box.sigma_low, box.sigma_high, _GRID[1])
    mus, sigmas = np.meshgrid(mu, sigma, indexing="ij")
    log_origin = truncnorm.logpdf(np.zeros_like(mus), mus, sigmas)
    terms = np.stack([log_origin.ravel(), (mus / sigmas**2).ravel(), (-0.5 / sigmas**2).ravel()])
    return _Grid(mu, sigma, terms)


@lru_cache(maxsize=16)
def _log_prior(box: Box, prior: Peaks) -> FloatArray:
    grid = _grid(box)
    off_mu, off_sigma = (grid.mu - prior.mu) / prior.mu_std, (grid.sigma - prior.sigma) / prior.sigma_std
    logs: FloatArray = -0.5 * (off_mu[:, None] ** 2 + off_sigma**2)
    return logs.ravel()


# A replay of several settings needs the same scores repeatedly.
@lru_cache(maxsize=2**14)
def maximise(box: Box, n: int, mean: float, m2: float, prior: Peaks | None = None) -> tuple[float, float]:
    """The mu and sigma in the box with the highest log likelihood plus log prior.

    `n`, `mean` and `m2` are those of `ScoreSums`, with at least one score.
    """
    variance = max(m2 / n, 0.0)
    strength = 1.0 / n
    here = _point(*_best_of_grid(box, mean, variance, strength, prior), mean, variance, strength, prior)
    deviation = math.sqrt(variance)
    if deviation * (_GRID[0] - 1) < box.mu_high - box.mu_low:
        # A peak this narrow may stand between the points of the grid.
        on_scores = _point(*box.nearest(mean, deviation), mean, variance, strength, prior)
        here = max(here, on_scores, key=lambda at: at.value)
    for _ in range(_STEPS):
        step, part = _step(box, here)
        if here.gradient[0] * step[0] + here.gradient[1] * step[1] < _SETTLED:
            return _moved(box, here, step, part)
        for _ in range(_HALVINGS):
            there = _point(*_moved(box, here, step, part), mean, variance, strength, prior)
            if there.value > here.value:
                break
            part *= 0.5
        else:
            break
        here = there
    return here.mu, here.sigma


def _best_of_grid(box: Box, mean: float, variance: float, strength: float, prior: Peaks | None) -> tuple[float, float]:
    grid = _grid(box)
    values = np.array([1.0, mean, mean * mean + variance]) @ grid.terms
    if prior is not None:
        values += strength * _log_prior(box, prior)
    row, column = divmod(int(values.argmax()), _GRID[1])
    return float(grid.mu[row]), float(grid.sigma[column])


def _point(mu: float, sigma: float, mean: float, variance: float, strength: float, prior: Peaks | None) -> _Point:
    peak = min(max(mu, 0.0), 1.0)
    alpha = (mu - peak) / sigma
    reach = 2.0 * _DEPTH / (math.sqrt(alpha * alpha + 2.0 * _DEPTH) + abs(alpha))
    low, high = -min(peak / sigma, reach), min((1.0 - peak) / sigma, reach)
    width = high - low
    # The exponent t (alpha - t / 2), without its value at t = low.
    exponents = _SQUARES * (-0.5 * width * width)
    exponents += _NODES * (width * (alpha - low))
    whole, u1, u2, u3, u4 = _POWERS.dot(np.exp(exponents, exponents)).tolist()

    # Moments of t = low + width * u from those of u on [0, 1].
    u1, u2, u3, u4 = u1 / whole, u2 / whole, u3 / whole, u4 / whole
    square = width * width
    var_u, cov_u_uu, var_uu = u2 - u1 * u1, u3 - u1 * u2, u4 - u2 * u2
    mean_t, mean_tt = low + width * u1, low * (low + 2.0 * width * u1) + square * u2
    var_t = square * var_u
    cov_t_tt = square * (2.0 * low * var_u + width * cov_u_uu)
    var_tt = square * (4.0 * low * (low * var_u + width * cov_u_uu) + square * var_uu)

    bar_t = (mean - peak) / sigma
    bar_tt = variance / (sigma * sigma) + bar_t * bar_t
    value = alpha * bar_t - 0.5 * bar_tt - low * (alpha - 0.5 * low) - math.log(sigma * width * whole)
    gradient = (bar_t - mean_t, 0.5 * (mean_tt - bar_tt))
    hessian = (-var_t, 0.5 * cov_t_tt, -0.25 * var_tt)
    if prior is not None:
        value, gradient, hessian = _with_prior(prior, strength, mu, sigma, peak, value, gradient, hessian)
    return _Point(mu, sigma, peak, alpha, value, gradient, hessian)


def _with_prior(
    prior: Peaks,
    strength: float,
    mu: float,
    sigma: float,
    peak: float,
    value: float,
    gradient: tuple[float, float],
    hessian: tuple[float, float, float],
) -> tuple[float, tuple[float, float], tuple[float, float, float]]:
    """Add the log prior: mu = p + sigma alpha / rho and sigma / sqrt(rho), at rho = 1, by the chain rule."""
    weight_mu, weight_sigma = strength / prior.mu_std**2, strength / prior.sigma_std**2
    off_mu, off_sigma = mu - prior.mu, sigma - prior.sigma
    lever = mu - peak
    value -= 0.5 * (weight_mu * off_mu * off_mu + weight_sigma * off_sigma * off_sigma)
    gradient = (
        gradient[0] - weight_mu * off_mu * sigma,
        gradient[1] + weight_mu * off_mu * lever + 0.5 * weight_sigma * off_sigma * sigma,
    )
    hessian = (
        hessian[0] - weight_mu * sigma * sigma,
        hessian[1] + weight_mu * sigma * lever,
        hessian[2] - weight_mu * lever * lever - 0.25 * weight_sigma * sigma * sigma,
    )
    bent = (
        hessian[0],
        hessian[1] + weight_mu * off_mu * sigma,
        hessian[2] - 2.0 * weight_mu * off_mu * lever - 0.75 * weight_sigma * off_sigma * sigma,
    )
    # Without the bends of mu and sigma over alpha and rho the Hessian is negative definite everywhere.
    is_concave = bent[2] < 0.0 and bent[0] * bent[2] > bent[1] * bent[1]
    return value, gradient, bent if is_concave else hessian


def _step(box: Box, at: _Point) -> tuple[tuple[float, float], float]:
    """The Newton step in (alpha, rho), or where it leads across the edge, the best one along an edge.

    Beside it stands how much of it stays within the box.
    """
    by_alpha, by_rho = at.gradient
    alpha_alpha, alpha_rho, rho_rho = at.hessian
    determinant = alpha_alpha * rho_rho - alpha_rho * alpha_rho
    if determinant > 0.0:
        step = (
            (alpha_rho * by_rho - rho_rho * by_alpha) / determinant,
            (alpha_rho * by_alpha - alpha_alpha * by_rho) / determinant,
        )
        part = _part_within(box, at, step)
        if part > 0.0:
            return step, part
    along_sigma = (-by_alpha / alpha_alpha, 0.0)
    slope = by_alpha * at.alpha + by_rho
    bend = at.alpha * (alpha_alpha * at.alpha + 2.0 * alpha_rho) + rho_rho
    drop = -slope / bend
    along_mu = (drop * at.alpha, drop)
    best, kept, gain = (0.0, 0.0), 1.0, -math.inf
    for step in (along_sigma, along_mu):
        part = _part_within(box, at, step)
        if part > 0.0 and by_alpha * step[0] + by_rho * step[1] > gain:
            best, kept, gain = step, part, by_alpha * step[0] + by_rho * step[1]
    return best, kept


def _part_within(box: Box, at: _Point, step: tuple[float, float]) -> float:
    """How much of a step in (alpha, rho) stays within the box, at most 1; there the box is a polygon.

    The drifts are formed so that a step along an edge drifts from it by exactly zero.
    """
    by_alpha, by_rho = step
    part = 1.0
    if by_rho < 0.0:
        room = 1.0 - (at.sigma / box.sigma_high) ** 2
        if room < -by_rho:
            part = room / -by_rho
    elif by_rho > 0.0:
        room = (at.sigma / box.sigma_low) ** 2 - 1.0
        if room < by_rho:
            part = room / by_rho
    drift = by_alpha - by_rho * ((box.mu_low - at.peak) / at.sigma)
    if drift < 0.0:
        room = (at.mu - box.mu_low) / at.sigma
        if room < -drift * part:
            part = room / -drift
    drift = by_rho * ((box.mu_high - at.peak) / at.sigma) - by_alpha
    if drift < 0.0:
        room = (box.mu_high - at.mu) / at.sigma
        if room < -drift * part:
            part = room / -drift
    return part


def _moved(box: Box, at: _Point, step: tuple[float, float], part: float) -> tuple[float, float]:
    rho = 1.0 + part * step[1]
    mu = at.peak + at.sigma * (at.alpha + part * step[0]) / rho
    return box.snapped(mu, at.sigma / math.sqrt(rho))
