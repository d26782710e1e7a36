"""When votes are clear enough: the stopping criteria of adaptive consistency.

Symbols: v_1 >= v_2 >= ... the votes of the answers seen so far, p_i the probability with which the policy gives answer
i. With a uniform prior, p follows a Dirichlet distribution with parameters v_i + 1. Source of both criteria: Aggarwal
et al. 2023, Let's Sample Step by Step, arXiv 2305.11860.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats._scipy import special

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["beta_probability", "dirichlet_probability"]

_NODES, _WEIGHTS = (array / 2 for array in np.polynomial.legendre.leggauss(96))
# A gamma variable lies outside these quantiles too rarely to matter.
_RARE = 1e-15


def beta_probability(votes: Iterable[int]) -> float:
    """Probability that the leading answer is more probable than the runner-up, the others left aside.

    P(p_1 > 1/2 | v_1, v_2) = 1 - I_(1/2)(v_1 + 1, v_2 + 1), I the regularised incomplete beta function. With a single
    answer the runner-up has no votes.

    Args:
        votes: Votes of each answer, in any order; at least one.

    Returns:
        A probability in [1/2, 1).

    Raises:
        SettingsError: There are no votes.

    Example:
        >>> beta_probability([4]), beta_probability([1, 2, 2])
        (0.96875, 0.5)
    """
    first, second, *_ = (*_sorted(votes), 0)
    return _beta(first, second)


def dirichlet_probability(votes: Iterable[int]) -> float:
    """Probability that the leading answer is more probable than every other answer seen.

    p_i is proportional to G_i ~ Gamma(v_i + 1), so that with f and F their density and distribution functions

        P(p_1 > p_j for all j) = integral f_1(x) prod_(j > 1) F_j(x) dx

    by Gauss-Legendre quadrature: one dimension for any number of answers, where the authors' code integrates over the
    simplex by Monte Carlo and leaves out all but five answers. With fewer than three it is the Beta criterion, as
    theirs.

    Args:
        votes: Votes of each answer, in any order; at least one.

    Returns:
        A probability in (0, 1), exact to about 1e-12.

    Raises:
        SettingsError: There are no votes.

    Example:
        >>> round(dirichlet_probability([4]), 5), round(dirichlet_probability([5, 1, 1]), 4)
        (0.96875, 0.8883)
    """
    ordered = _sorted(votes)
    return _dirichlet(ordered) if len(ordered) > 2 else beta_probability(ordered)


def _sorted(votes: Iterable[int]) -> tuple[int, ...]:
    ordered = tuple(sorted((count for count in votes if count), reverse=True))
    if not ordered:
        raise SettingsError("there are no votes: set extract= so that candidates have answers")
    return ordered


@lru_cache(maxsize=65536)
def _beta(first: int, second: int) -> float:
    return float(special.betainc(second + 1, first + 1, 0.5))


@lru_cache(maxsize=65536)
def _dirichlet(votes: tuple[int, ...]) -> float:
    shape = votes[0] + 1.0
    lowest, highest = special.gammaincinv(shape, _RARE), special.gammainccinv(shape, _RARE)
    points = lowest + (highest - lowest) * (_NODES + 0.5)
    log_density = (shape - 1.0) * np.log(points) - points - special.gammaln(shape)
    counts, repeats = np.unique(votes[1:], return_counts=True)
    below = np.prod(special.gammainc(counts[:, None] + 1.0, points) ** repeats[:, None], axis=0)
    return float((highest - lowest) * np.sum(_WEIGHTS * np.exp(log_density) * below))
