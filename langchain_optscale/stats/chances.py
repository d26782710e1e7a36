r"""The law of the chance that a candidate reaches a target, over past questions.

Symbols: p the chance that one candidate of a question reaches the target t; k_i of the n_i scores of past question i
did. The law of p over questions has weights w_j at fixed places p_j, and maximises the marginal likelihood

    sum_i log( sum_j w_j p_j^k_i (1 - p_j)^(n_i - k_i) )

plus as little as one question spread evenly, by expectation-maximisation: the nonparametric maximum likelihood of
Laird, Journal of the American Statistical Association 73 (1978). A question of which nothing else is known misses with
all of k candidates, after n that have missed, with probability

    sum_j w_j (1 - p_j)^(n + k) / sum_j w_j (1 - p_j)^n

No shape is assumed: a law of two parameters is wrong about the questions that hardly ever reach the target, and these
decide how many candidates a confidence of 0.95 takes.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from langchain_optscale.stats.reaching import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_optscale.stats._masses import FloatArray
    from langchain_optscale.stats.estimation import ScorePrior

__all__ = ["PLACES", "Chances", "chance_ahead", "fit_chances", "least_draws", "prob_reach", "reached_counts"]

Chances: TypeAlias = tuple[tuple[float, tuple[float, ...]], ...]
"""(target, weights at `PLACES`) for each of `TARGETS`."""

_LEAST = 5e-4
_COUNT = 24
_STEPS = 60


def _places() -> FloatArray:
    end = math.log((1.0 - _LEAST) / _LEAST)
    return 1.0 / (1.0 + np.exp(-np.linspace(-end, end, _COUNT)))


PLACES: FloatArray = _places()
"""The chances p_j, from 0.0005 to 0.9995, evenly spaced on the logit scale."""


def reached_counts(score_lists: Sequence[Sequence[float]]) -> tuple[FloatArray, FloatArray]:
    """How many scores of each question reached each of `TARGETS`, shape (questions, targets), and of how many."""
    counts = [[sum(score >= target for score in scores) for target in TARGETS] for scores in score_lists]
    return np.array(counts, dtype=np.float64).reshape(-1, len(TARGETS)), np.array(list(map(len, score_lists)), float)


def fit_chances(reached: FloatArray, sizes: FloatArray) -> Chances:
    """The law of the chance to reach each of `TARGETS`, from past questions.

    Args:
        reached: k_i for each question and target, shape (questions, targets); it may be no whole number.
        sizes: n_i, shape (questions,).

    Example:
        >>> chances = fit_chances(*reached_counts([[0.2, 0.97], [0.3, 0.1]] * 20))
        >>> [round(prob_reach(chances, 0.95, k), 2) for k in (1, 2, 64)]
        [0.26, 0.44, 0.96]
    """
    hit, miss = np.log(PLACES), np.log1p(-PLACES)
    table = []
    for column, target in enumerate(TARGETS):
        counts = reached[:, column, None]
        logs = counts * hit + (sizes[:, None] - counts) * miss
        likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights = np.full(_COUNT, 1.0 / _COUNT)
        for _ in range(_STEPS):
            shares = likelihood * weights
            shares /= shares.sum(axis=1, keepdims=True)
            weights = (shares.sum(axis=0) + 1.0 / _COUNT) / (len(sizes) + 1.0)
        table.append((target, tuple(weights.tolist())))
    return tuple(table)


def prob_reach(chances: Chances, target: float, k: int, missed: int = 0) -> float:
    """P(one of k candidates reaches the target), after some that have missed it.

    Args:
        chances: Of `fit_chances`.
        target: In [0, 1]; between two of `TARGETS` the probabilities are interpolated, below the first it is the
            first's.
        k: At least 0.
        missed: At least 0.
    """
    places = [at for at, _ in chances]
    upper = min(bisect_left(places, target), len(places) - 1)
    above = _reach(chances[upper][1], k, missed)
    if upper == 0 or places[upper] <= target:
        return above
    share = (target - places[upper - 1]) / (places[upper] - places[upper - 1])
    return share * above + (1.0 - share) * _reach(chances[upper - 1][1], k, missed)


def chance_ahead(prior: ScorePrior, target: float, missed: int = 0) -> Callable[[int], float]:
    """P(one of the next k candidates reaches the target) under a prior, as a function of k.

    By the law of the chance where the prior was learned, else by the posterior predictive without a score.

    Args:
        prior: Any prior.
        target: In [0, 1].
        missed: How many candidates have missed it.
    """
    known = getattr(prior, "prob_reach", None)
    if known is not None and known(target, 1) is not None:
        return lambda k: float(known(target, k, missed))
    from langchain_optscale.stats.posterior import Posterior

    posterior = Posterior()((), prior)
    before = 1.0 - posterior.prob_reach(target, missed)
    return lambda k: 1.0 - (1.0 - posterior.prob_reach(target, missed + k)) / max(before, 1e-12)


def least_draws(prior: ScorePrior, target: float, confidence: float, most: int) -> int:
    """The fewest candidates of which one reaches the target with the confidence, before any score; at most `most`.

    Example:
        >>> from langchain_optscale import FixedPrior
        >>> least_draws(FixedPrior(0.9, 0.05, 0.01, 0.01), 0.95, 0.95, 64)
        40
    """
    chance = chance_ahead(prior, target)
    return bisect_left(range(1, most), confidence, key=chance) + 1


@lru_cache(maxsize=4096)
def _reach(weights: tuple[float, ...], k: int, missed: int) -> float:
    left = np.array(weights) * (1.0 - PLACES) ** missed
    return float(1.0 - (left @ (1.0 - PLACES) ** k) / left.sum())
