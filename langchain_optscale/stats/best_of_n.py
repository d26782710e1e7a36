"""The law of the best of N scores.

S_1 .. S_N are independent and follow the truncated normal of `truncnorm` with CDF F. Their maximum has the
CDF F(s)^N (order statistics), whence everything here. Source of the bound: OptScale, arXiv 2506.22376.

Every function broadcasts its arguments; plain numbers give a plain number back, anything else an array.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from langchain_optscale.errors import SettingsError, UnreachableTargetError
from langchain_optscale.stats import truncnorm
from langchain_optscale.stats._masses import FloatArray, unit_nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["expected_best", "expected_gain", "optimal_n", "probability_of_reaching"]

Floats: TypeAlias = float | FloatArray

# A ratio of logarithms carries a few rounding errors, which must not lift a whole ratio to the next count.
_ROUNDING = 1e-12
# Counts beyond the range of int64 count as unreachable.
_MOST = 2.0**62

_NODES, _WEIGHTS = unit_nodes(96)
# The best of N is below the first quantile, or above the second, too rarely to matter.
_DEPTH = 40.0
_RARE = 1e-13


@overload
def optimal_n(  # type: ignore[overload-overlap]  # an array is no float
    mu: float, sigma: float, *, target: float, confidence: float, max_n: int | None = None
) -> int: ...
@overload
def optimal_n(
    mu: Floats, sigma: Floats, *, target: Floats, confidence: Floats, max_n: int | NDArray[Any] | None = None
) -> NDArray[np.int64]: ...
def optimal_n(
    mu: Floats, sigma: Floats, *, target: Floats, confidence: Floats, max_n: int | NDArray[Any] | None = None
) -> int | NDArray[np.int64]:
    """How many scores to draw so that the best of them reaches the target with the asked confidence.

    N* = max(1, ceil(log(1 - confidence) / log F(target)))

    It is the least N with P(max >= target) = 1 - F(target)^N >= confidence (OptScale, arXiv 2506.22376).

    Args:
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.
        target: The score to reach, in [0, 1]; 0 needs one score, 1 is out of reach.
        confidence: The probability of reaching it, in (0, 1).
        max_n: The largest N allowed, at least 1; returned where N* is larger or infinite.

    Returns:
        An int for plain numbers, else an int64 array of the broadcast shape.

    Raises:
        SettingsError: An argument is out of its range.
        UnreachableTargetError: A target needs infinitely many scores, or over 2^62, and there is no `max_n`.

    Example:
        >>> optimal_n(0.8, 0.2, target=0.95, confidence=0.95)
        36
        >>> optimal_n(0.5, 0.01, target=0.95, confidence=0.95, max_n=64)
        64
    """
    if (
        isinstance(mu, float)
        and isinstance(sigma, float)
        and isinstance(target, float)
        and isinstance(confidence, float)
        and isinstance(max_n, int | None)
    ):
        return _optimal_n_of_one(mu, sigma, target, confidence, max_n)
    target, confidence = _as_target(target), np.asarray(confidence, dtype=np.float64)
    if not np.all((confidence > 0.0) & (confidence < 1.0)):
        raise _bad_confidence(confidence)
    if max_n is not None and not np.all(np.asarray(max_n) >= 1):
        raise _bad_max_n(max_n)
    log_below = np.asarray(truncnorm.logcdf(target, mu, sigma))
    # Below 1e-30 the quotient exceeds every count anyway, and could overflow.
    ratio = np.log1p(-confidence) / np.minimum(log_below, -1e-30)
    counts = np.maximum(1.0, np.ceil(ratio * (1.0 - _ROUNDING)))
    if max_n is None:
        if np.any(counts > _MOST):
            raise _unreachable(np.broadcast_to(target, counts.shape)[counts > _MOST].min())
        whole = counts.astype(np.int64)
    else:
        whole = np.minimum(np.minimum(counts, _MOST).astype(np.int64), np.asarray(max_n, dtype=np.int64))
    return whole if whole.ndim else int(whole)


def _optimal_n_of_one(mu: float, sigma: float, target: float, confidence: float, max_n: int | None) -> int:
    if not 0.0 <= target <= 1.0:
        raise _bad_target(target)
    if not 0.0 < confidence < 1.0:
        raise _bad_confidence(confidence)
    if max_n is not None and max_n < 1:
        raise _bad_max_n(max_n)
    ratio = math.log1p(-confidence) / min(truncnorm.logcdf(target, mu, sigma), -1e-30)
    if max_n is None and ratio > _MOST:
        raise _unreachable(target)
    count = max(1, math.ceil(ratio * (1.0 - _ROUNDING)))
    return count if max_n is None else min(count, max_n)


def probability_of_reaching(mu: Floats, sigma: Floats, *, target: Floats, n: Floats) -> Any:
    """Probability that the best of n scores is above the target.

    P(max > target) = 1 - F(target)^n

    Args:
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.
        target: The score to reach, in [0, 1].
        n: The number of scores, at least 0; none reach nothing.

    Returns:
        Probabilities in [0, 1]: a float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: An argument is out of its range.

    Example:
        >>> round(probability_of_reaching(0.8, 0.2, target=0.95, n=36), 4)
        0.9518
    """
    counts = _as_count(n, least=0)
    log_below = np.asarray(truncnorm.logcdf(_as_target(target), mu, sigma))
    # n = 0 and F = 0 meet in 0 * -inf where nothing is drawn: the empty maximum reaches no target.
    return _plain(-np.expm1(counts * np.where(counts > 0.0, log_below, 0.0)))


def expected_best(mu: Floats, sigma: Floats, n: Floats) -> Any:
    """Expected best of n scores.

    E[max] = integral_0^1 (1 - F(x)^n) dx

    Integrated by Gauss-Legendre quadrature between the points that the maximum almost surely lies between.

    Args:
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.
        n: The number of scores, at least 1.

    Returns:
        Scores in (0, 1]: a float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: An argument is out of its range.

    Example:
        >>> round(expected_best(0.8, 0.2, 8), 4)
        0.9373
    """
    mu, sigma, counts = np.broadcast_arrays(
        np.asarray(mu, dtype=np.float64), np.asarray(sigma, dtype=np.float64), _as_count(n, least=1)
    )
    lowest = np.asarray(truncnorm.ppf(np.exp(-_DEPTH / counts), mu, sigma))
    highest = np.asarray(truncnorm.isf(_RARE / counts, mu, sigma))
    width = np.maximum(highest - lowest, 0.0)
    points = lowest[..., None] + width[..., None] * _NODES
    log_below = truncnorm.logcdf(points, mu[..., None], sigma[..., None])
    return _plain(lowest - width * (np.expm1(counts[..., None] * log_below) * _WEIGHTS).sum(axis=-1))


def expected_gain(mu: Floats, sigma: Floats, *, best: Floats) -> Any:
    """By how much one more score is expected to raise the best one.

    E[max(S - best, 0)] = integral_best^1 (1 - F(x)) dx = P(S > best) E[S - best | S > best]

    Args:
        mu: Location of the untruncated normal.
        sigma: Scale of the untruncated normal, > 0.
        best: The best score so far, in [0, 1]; 0 where there is none.

    Returns:
        Gains in [0, 1): a float for plain numbers, else an array of the broadcast shape.

    Raises:
        SettingsError: An argument is out of its range.

    Example:
        >>> round(expected_gain(0.8, 0.2, best=0.9), 4)
        0.0084
    """
    best = _as_target(best, name="best")
    return _plain(np.asarray(truncnorm.sf(best, mu, sigma)) * truncnorm.mean_excess(best, mu, sigma))


def _plain(values: Any) -> Any:
    return values if np.ndim(values) else float(values)


def _as_target(target: Floats, *, name: str = "target") -> Floats:
    # A plain float stays one, for the fast path of the laws.
    values = target if isinstance(target, float) else np.asarray(target, dtype=np.float64)
    if not np.all((values >= 0.0) & (values <= 1.0)):
        raise _bad_target(target, name)
    return values


def _as_count(n: Floats, *, least: int) -> FloatArray:
    counts = np.asarray(n, dtype=np.float64)
    if not np.all((counts >= least) & np.isfinite(counts)):
        raise SettingsError(f"n must be a finite number of scores, at least {least}, got {n}")
    return counts


def _bad_target(target: object, name: str = "target") -> SettingsError:
    return SettingsError(f"{name} must lie in [0, 1], got {target}")


def _bad_confidence(confidence: object) -> SettingsError:
    return SettingsError(f"confidence must lie strictly between 0 and 1, got {confidence}")


def _bad_max_n(max_n: object) -> SettingsError:
    return SettingsError(f"max_n must be at least 1, got {max_n}")


def _unreachable(target: float) -> UnreachableTargetError:
    return UnreachableTargetError(f"no finite number of scores reaches the target {target:g}; lower it, or set max_n")
