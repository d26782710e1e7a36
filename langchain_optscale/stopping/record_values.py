r"""What further scores will bring where nothing but scores is known: the next record, and the chance of a success.

Symbols: n scores so far, b the best of them, m scores still to come, t a target above b.

**The next record.** The scores are exchangeable, so the next one is a record with probability 1 / (n + 1) (Renyi 1962).
By how much it exceeds b is estimated from the top of the sample: beyond a high threshold excesses are close to
exponential, and the mean excess of the best three over the fourth is the maximum-likelihood estimate sigma of their
mean (Pickands 1975; Hill 1975). A score cannot exceed 1, so no more than (1 - b) / 2 is expected. Beside this smooth
tail there may be a second mode that has not been observed: tests that pass, an answer that is right. With the prior
Beta(a, 1) on its weight, n misses leave it the chance a / (n + a + 1) of coming next, taken as a / (n + 1):

    E[(S - b)+ | D] = ( min(sigma, (1 - b) / 2) + a (1 - b) ) / (n + 1)

**A success mode.** Under Beta(a, b0) the chance that m further scores all miss, after n misses, is

    B(a, b0 + n + m) / B(a, b0 + n)

**Without a prior** an upper confidence bound takes its place, valid at every n at once: for independent trials with
chance p, the mixture of the likelihood ratios over Beta(1/2, 1/2) is a martingale, so by Ville's inequality p exceeds

    p_u:  (1 - p_u)^n = eps B(1/2, n + 1/2) / B(1/2, 1/2)

at any time with probability eps at most (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021).
"""

from __future__ import annotations

import heapq
import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SECOND_MODE", "chance_bound", "mean_excess", "record_gain", "success_chance"]

SECOND_MODE = 0.2
"""The parameter a of a second mode that has not been observed, where nothing is known of it."""

_TOP = 4
_UNKNOWN_EXCESS = 0.3


def record_gain(scores: Sequence[float]) -> float:
    """E[(S - b)+ | D]: by how much the next score is expected to exceed the best one.

    Args:
        scores: In [0, 1], at least one.

    Returns:
        A gain in [0, 1]; 0 once a score is 1.

    Example:
        >>> record_gain([0.5, 1.0]), record_gain([0.5]) > record_gain([0.5] * 8) > 0.0
        (0.0, True)
    """
    best = max(scores)
    excess = min(mean_excess(scores), 0.5 * (1.0 - best))
    return (excess + SECOND_MODE * (1.0 - best)) / (len(scores) + 1)


def mean_excess(scores: Sequence[float]) -> float:
    """sigma: by how much the best three scores exceed the fourth on average, 0.3 where there is one score.

    Example:
        >>> mean_excess([0.25, 0.75, 0.5, 0.0, 0.0]), mean_excess([0.5])
        (0.5, 0.3)
    """
    *above, least = heapq.nlargest(_TOP, scores)
    return sum(above) / len(above) - least if above else _UNKNOWN_EXCESS


def success_chance(missed: int, left: float, a: float = SECOND_MODE, b: float = 1.0) -> float:
    """P(at least one of `left` further trials succeeds) after `missed` failures, under the prior Beta(a, b).

    Args:
        missed: n, at least 0.
        left: m, at least 0; an expected number where it is not known.
        a: > 0.
        b: > 0.

    Example:
        >>> round(success_chance(16, 16, a=1.0), 4), success_chance(16, 0)
        (0.4848, 0.0)
    """
    if left <= 0:
        return 0.0
    logs = math.lgamma(b + missed + left) - math.lgamma(a + b + missed + left)
    logs += math.lgamma(a + b + missed) - math.lgamma(b + missed)
    return -math.expm1(logs)


@lru_cache(maxsize=4096)
def chance_bound(missed: int, left: int, level: float) -> float:
    """An upper bound of P(at least one of `left` further trials succeeds), at every number of failures at once.

    1 - (1 - p_u)^m with the anytime-valid bound p_u of the module's head.

    Args:
        missed: n, at least 1.
        left: m, at least 0.
        level: eps, in (0, 1).

    Example:
        >>> chance_bound(15, 1, 0.05) > 0.05 > chance_bound(127, 1, 0.05)
        True
    """
    logs = math.log(level) + math.lgamma(missed + 0.5) - math.lgamma(missed + 1.0) - 0.5 * math.log(math.pi)
    return -math.expm1(logs * left / missed)
