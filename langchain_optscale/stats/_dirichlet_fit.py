"""Fitting the Dirichlet-process component to past questions: a mixture of Dirichlet-multinomials.

Symbols: c_qb how many scores of question q lie in bin b, n_q their number, r_qj the probability that question q is of
kind j, a_j and G_j that kind's strength and base measure. The expected number of draws from the base measure is

    t_qjb = a_j G_jb (psi(a_j G_jb + c_qb) - psi(a_j G_jb))

(Antoniak 1974), and a step of Minka's fixed point (Estimating a Dirichlet distribution, 2000) is

    G_jb ~ sum_q r_qj t_qjb + G_b,   a_j = sum_qb r_qj t_qjb / sum_q r_qj (psi(a_j + n_q) - psi(a_j))

where G, the histogram of all scores, keeps bins without scores of a kind from being impossible.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.stats._dirichlet_mixture import EDGES, END, DirichletMixture
from langchain_optscale.stats._scipy import special
from langchain_optscale.stats._weak_prior import weak_mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.stats._masses import FloatArray

_START_STRENGTH = 4.0
_STRENGTHS = (0.25, 64.0)
_QUESTIONS_OF_A_KIND = 12
_MOST_KINDS = 8
_BINS = 16
_LEAST_WIDTH = 1e-4
# How many scores of the weak prior, and of all questions, count in a histogram.
_PSEUDO_SCORES = 5.0
_PSEUDO_DRAWS = 1.0


def starting_mixture(score_lists: Sequence[FloatArray], steps: int, weight: float) -> DirichletMixture:
    """The mixture to start from: questions in groups of equal size by mean score; `steps` 0 for a continuous scale."""
    edges = _edges(np.concatenate(score_lists), steps)
    whole = _histogram(score_lists, edges, _base_of_weak(edges), _PSEUDO_SCORES)
    order = np.argsort([float(scores.mean()) for scores in score_lists], kind="stable")
    kinds = min(max(len(score_lists) // _QUESTIONS_OF_A_KIND, 1), _MOST_KINDS)
    groups = [[score_lists[place] for place in part.tolist()] for part in np.array_split(order, kinds)]
    bases = [whole] if kinds == 1 else [whole, *(_histogram(group, edges, whole, 1.0) for group in groups)]
    count = len(bases)
    return DirichletMixture(
        weight,
        (_START_STRENGTH,) * count,
        (1.0 / count,) * count,
        tuple(tuple(base.tolist()) for base in bases),
        tuple(edges.tolist()),
    )


def improved_mixture(
    mixture: DirichletMixture, counts: FloatArray, kinds: FloatArray, shares: FloatArray
) -> DirichletMixture:
    """One step of the fixed point.

    Args:
        mixture: The one to improve.
        counts: c, shape (questions, bins).
        kinds: r, shape (questions, processes); rows sum to at most one, the rest follows a truncated normal.
        shares: New prior probabilities of the processes, whose sum is the component's new weight.
    """
    n = counts.sum(axis=1)
    whole = (counts / n[:, None]).mean(axis=0)
    strengths, bases = [], []
    for pseudo, strength, mine in zip(mixture.pseudo, mixture.strengths, kinds.T, strict=True):
        draws = pseudo * (mine @ (special.digamma(pseudo + counts) - special.digamma(pseudo)))
        base = draws + _PSEUDO_DRAWS * whole + 1e-6
        bases.append(tuple((base / base.sum()).tolist()))
        trials = float(mine @ (special.digamma(strength + n) - special.digamma(strength)))
        # As much again at the strength of the start keeps a kind without questions where it is.
        rest = special.digamma(_START_STRENGTH + 4.0) - special.digamma(_START_STRENGTH)
        better = (float(draws.sum()) + _START_STRENGTH * rest) / (trials + rest)
        strengths.append(float(np.clip(better, *_STRENGTHS)))
    weight = float(shares.sum())
    return DirichletMixture(weight, tuple(strengths), tuple((shares / weight).tolist()), tuple(bases), mixture.edges)


def _edges(scores: FloatArray, steps: int) -> FloatArray:
    """Edges of bins that all hold about as many scores, none of them on a score; of steps, their own."""
    if steps:
        return np.array([0.0, *((j - 0.5) / steps for j in range(1, steps + 1)), 1.0])
    known = np.unique(scores)
    middles = 0.5 * (known[1:] + known[:-1])
    edges = [0.0, END, 1.0 - END, 1.0]
    if len(middles):
        quantiles = np.quantile(scores, np.arange(1, _BINS) / _BINS)
        edges += middles[np.minimum(middles.searchsorted(quantiles), len(middles) - 1)].tolist()
    # Outside the scores that were seen nothing tells one place from another.
    edges += [edge for edge in EDGES if edge < known[0] or edge > known[-1]]
    kept = [0.0]
    kept += [edge for edge in sorted(edges) if edge > _LEAST_WIDTH and edge < 1.0 - _LEAST_WIDTH]
    return np.array([low for low, high in pairwise([*kept, 1.0]) if high - low > _LEAST_WIDTH or low == 0.0] + [1.0])


def _base_of_weak(edges: FloatArray) -> FloatArray:
    weak = weak_mixture(0.5)
    below = np.array([weak.below(float(edge))[0] for edge in edges])
    masses: FloatArray = np.diff(below) / weak.strengths[0]
    return masses


def _histogram(score_lists: Sequence[FloatArray], edges: FloatArray, base: FloatArray, pseudo: float) -> FloatArray:
    """The mean of the questions' histograms, with `base` counting as `pseudo` of them."""
    total = pseudo * base
    for scores in score_lists:
        total = total + np.histogram(scores, edges)[0] / len(scores)
    histogram: FloatArray = total / total.sum()
    return histogram
