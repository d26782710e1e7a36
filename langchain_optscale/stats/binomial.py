"""Exact bounds and intervals of shares and of their differences, also of trials that come in clusters.

Clopper and Pearson 1934; Korn and Graubard 1998 for clusters; Newcombe 1998 (Statistics in Medicine 17:2635) and Zou
and Donner 2008 for paired differences.

Symbols: n trials, of which k count; F^-1(q; a, b) the quantile of a Beta(a, b) distribution.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["clopper_pearson", "clustered_share", "paired_difference", "upper_bound"]


def upper_bound(count: float, trials: float, error: float) -> float:
    """The Clopper-Pearson upper bound: the share is above it with probability `error` at most.

    F^-1(1 - error; k + 1, n - k), and 1 where every trial counts or there is none.

    Args:
        count: k, at least 0.
        trials: n, at least k; neither has to be whole.
        error: In (0, 1).

    Raises:
        SettingsError: A number is out of range.

    Example:
        >>> round(upper_bound(0, 22, 0.1), 4), round(upper_bound(2, 52, 0.1), 4), upper_bound(3, 3, 0.1)
        (0.0994, 0.0991, 1.0)
    """
    _check(count, trials, error)
    return 1.0 if count >= trials else float(special.betaincinv(count + 1.0, trials - count, 1.0 - error))


def clopper_pearson(count: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """The two-sided Clopper-Pearson interval of a share; (0, 1) without trials.

    Args:
        count: k, at least 0.
        trials: n, at least k; neither has to be whole.
        level: Of confidence, in (0, 1).

    Raises:
        SettingsError: A number is out of range.

    Example:
        >>> [round(bound, 3) for bound in clopper_pearson(15, 15)]
        [0.782, 1.0]
    """
    error = (1.0 - level) / 2.0
    _check(count, trials, error)
    low = 0.0 if count <= 0.0 else float(special.betaincinv(count, trials - count + 1.0, error))
    return low, upper_bound(count, trials, error)


def clustered_share(
    counts: ArrayLike, trials: ArrayLike, level: float = 0.95, *, averaged: bool = False
) -> tuple[float, float]:
    """The interval of a share whose trials come in clusters, such as several replays of one question.

    The Clopper-Pearson interval at the effective number of trials p (1 - p) / var(p), with the linearised variance
    between clusters of the ratio p = sum k_i / sum n_i (Korn and Graubard 1998). The effective number is at most that
    of the clusters with trials: repeated trials of one question say nothing about other questions. At p = 0 or 1, where
    the variance is estimated as 0, it is that number.

    Args:
        counts: k_i of each cluster.
        trials: n_i of each cluster, as many.
        level: Of confidence, in (0, 1).
        averaged: Whether each cluster's share is an average over many trials, as an area under the curve is one over
            pairs: a cluster may then count as more than one trial, less what Student's t takes for few clusters.

    Returns:
        Low and high; (0, 1) without trials.

    Example:
        >>> [round(bound, 3) for bound in clustered_share([1.0] * 14 + [0.5], [1.0] * 15)]
        [0.728, 1.0]
    """
    k, n = np.asarray(counts, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    used = n > 0.0
    total, clusters = float(n[used].sum()), int(used.sum())
    if not clusters:
        return 0.0, 1.0
    share = min(1.0, float(k[used].sum()) / total)
    effective = float(clusters)
    if clusters > 1:
        residuals = k[used] - share * n[used]
        variance = float((residuals**2).sum()) / total**2 * clusters / (clusters - 1)
        if variance > 0.0:
            known = share * (1.0 - share) / variance
            effective = known * _few(clusters - 1, level) if averaged else min(effective, known)
    return clopper_pearson(share * effective, effective, level)


def paired_difference(differences: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The interval of the difference of two shares that were measured on the same clusters.

    With p the mean of the clusters' gains and q that of their losses, the difference is p - q. Both have an exact
    interval, (p_l, p_u) and (q_l, q_u), from `clustered_share`; they are joined by Newcombe's square-and-add with the
    correlation r = -sqrt(p q / ((1 - p) (1 - q))) of two cells of a multinomial:

        low = p - q - sqrt((p - p_l)^2 + (q_u - q)^2 - 2 r (p - p_l) (q_u - q))

    and high with the ends exchanged. Where no cluster differs, this leaves what n clusters cannot exclude, about
    3.7 / n on either side; the percentiles of a bootstrap would know no uncertainty there.

    Args:
        differences: Of each cluster, in [-1, 1]: a single pair gives -1, 0 or 1, several pairs their mean.
        level: Of confidence, in (0, 1).

    Returns:
        Low and high, in [-1, 1]; (-1, 1) without clusters.

    Raises:
        SettingsError: A difference is outside [-1, 1], or the level out of range.

    Example:
        >>> [round(bound, 3) for bound in paired_difference([0.0] * 100)]
        [-0.036, 0.036]
        >>> [round(bound, 3) for bound in paired_difference([1.0] * 12 + [-1.0] * 2 + [0.0] * 86)]
        [0.021, 0.185]
    """
    given = np.asarray(differences, dtype=np.float64)
    if not given.size:
        return -1.0, 1.0
    if not (np.abs(given) <= 1.0 + 1e-9).all():
        raise SettingsError("a difference of shares must lie between -1 and 1")
    once = np.ones(len(given))
    gains, losses = (np.clip(sign * given, 0.0, 1.0) for sign in (1.0, -1.0))
    p, q = float(gains.mean()), float(losses.mean())
    p_low, p_high = clustered_share(gains, once, level, averaged=True)
    q_low, q_high = clustered_share(losses, once, level, averaged=True)
    both = (1.0 - p) * (1.0 - q)
    correlation = -math.sqrt(min(1.0, p * q / both)) if both > 0.0 else 0.0
    low = p - q - _joined(p - p_low, q_high - q, correlation)
    high = p - q + _joined(p_high - p, q - q_low, correlation)
    return max(-1.0, low), min(1.0, high)


def _joined(one: float, other: float, correlation: float) -> float:
    """How far a difference may be off, from how far its parts may be."""
    return math.sqrt(max(0.0, one**2 + other**2 - 2.0 * correlation * one * other))


def _few(freedom: int, level: float) -> float:
    """What a variance with few degrees of freedom takes from the effective number of trials (Korn and Graubard)."""
    quantile = (1.0 + level) / 2.0
    return float(special.ndtri(quantile) / special.stdtrit(freedom, quantile)) ** 2


def _check(count: float, trials: float, error: float) -> None:
    if not 0.0 <= count <= trials * (1.0 + 1e-12):
        raise SettingsError(f"the count must lie between 0 and the number of trials ({trials!r}), got {count!r}")
    if not 0.0 < error < 1.0:
        raise SettingsError(f"the error must lie strictly between 0 and 1, got {error!r}")
