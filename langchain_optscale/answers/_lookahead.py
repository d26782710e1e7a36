r"""The expected increase of P(the leading answer is right) by k more candidates, as a sum over all outcomes.

The answers are reduced to the leader L, the runner-up C and *new* answers; all other old answers count as new ones. The
outcome of k candidates is then (r_L, r_C, f_1 >= f_2 >= ...): how many repeat L, how many C, and the sizes of the
groups of equal new answers. The outcomes for k in {1, 2, 4, 8} are enumerated once, with their numbers of sequences.
With (x)_r the rising factorial, p given a hypothesis approximated by Beta(alpha, beta) of its mean and variance,
q = 1 - silence, N_h = (kappa + m_h) / q and R_h = N_h less the old counts of L and C that are wrong under h:

    P(outcome, h = L)   ~ P(L)   (alpha)_(r_L) (beta)_(k - r_L) / (alpha + beta)_k
                          * (c_C)_(r_C) R^g prod (f_i - 1)! / (N)_(k - r_L)
    P(outcome, h = f_i) ~ P(new) (alpha)_(f_i) (beta)_(k - f_i) / (alpha + beta)_k
                          * (c_L)_(r_L) (c_C)_(r_C) R^(g - 1) prod_(l != i) (f_l - 1)! / (N)_(k - f_i)

with g groups, and P(new) the probability that neither L nor C is right. Wrong candidates without an answer count as new
answers that never recur. The first group's score is one of four cells, with the probabilities of two normals that are
`new_answer_signal` apart. The outcomes partition the sample space, so the probabilities sum to 1, and

    E[P(leader) after k] = sum_outcomes max_h P(outcome, h)  >=  P(L)

Further scores of L and C are left out, since second scores of an answer add little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.answers._joint import FloatArray, Joint

__all__ = ["AHEAD", "Reduced", "expected_leader", "reduce"]

AHEAD = (1, 2, 4, 8)
"""The numbers k of further candidates."""

_MOST = AHEAD[-1]
_EDGES = np.array([-np.inf, -1.0, 0.0, 1.0, np.inf])
# By hypothesis (L, C, first group, second group): the index in `Reduced`, and rows of the table of rising factorials.
_HYPOTHESES = np.array([[0], [1], [2], [2]])
_A = 2 + 3 * _HYPOTHESES
_SEATS = 11 + _HYPOTHESES


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """The outcomes of all k in `AHEAD`, O in total, under each of the four hypotheses; shapes (O,) or (4, O).

    Attributes:
        k: Further candidates.
        right: How many of them are right: r_L, r_C, f_1 or f_2.
        strangers: Groups of wrong candidates.
        ways: Logarithm of the number of sequences times (f_i - 1)! of every wrong group; -inf where the right group is
            empty.
        starts: First outcome of each k.
    """

    k: NDArray[np.int64]
    right: NDArray[np.int64]
    strangers: NDArray[np.int64]
    ways: FloatArray
    starts: NDArray[np.int64]


@lru_cache(maxsize=1)
def _outcomes() -> _Outcomes:
    k_: list[int] = []
    right: list[tuple[int, ...]] = []
    strangers: list[tuple[int, ...]] = []
    ways: list[tuple[float, ...]] = []
    starts: list[int] = []
    for k in AHEAD:
        starts.append(len(k_))
        for new in range(k + 1):
            for sizes in _partitions(new, new):
                labels = math.prod(math.factorial(len(list(same))) for _, same in groupby(sizes))
                splits = math.prod(math.factorial(size) for size in sizes) * labels
                groups, (first, second) = len(sizes), (*sizes, 0, 0)[:2]
                for leader in range(k - new + 1):
                    repeats = math.factorial(leader) * math.factorial(k - new - leader)
                    sequences = math.log(math.factorial(k) / (repeats * splits))
                    sequences += math.fsum(math.lgamma(size) for size in sizes)
                    k_.append(k)
                    right.append((leader, k - new - leader, first, second))
                    strangers.append((groups, groups, groups - 1, groups - 1))
                    own = (math.inf if size == 0 else math.lgamma(size) for size in (first, second))
                    ways.append((sequences, sequences, *(sequences - one for one in own)))
    return _Outcomes(
        np.array(k_), np.array(right).T.copy(), np.array(strangers).T.copy(), np.array(ways).T.copy(), np.array(starts)
    )


def _partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Partitions of an integer, terms descending."""
    if total == 0:
        yield ()
    for size in range(min(total, largest), 0, -1):
        for rest in _partitions(total - size, size):
            yield (size, *rest)


def _rising(x: Sequence[float]) -> FloatArray:
    """Logarithm of (x)_r for r = 0 .. 8, one row for each x >= 0."""
    terms = np.array(x)[:, None] + np.arange(_MOST)
    logs = np.log(np.maximum(terms, 1e-300))
    return np.concatenate([np.zeros((len(x), 1)), logs.cumsum(1)], 1)


@dataclass(frozen=True)
class Reduced:
    """The reduced posterior; index 0 is the leader, 1 the runner-up, 2 all other hypotheses.

    Attributes:
        chance: P(h).
        counts: Old candidates of leader and runner-up; 0 without a runner-up.
        difficulty: The parameters of p's Beta distribution given h.
        seats: N_h.
        signal: Distance between the logits of right and wrong new answers in standard deviations.
    """

    chance: tuple[float, float, float]
    counts: tuple[float, float]
    difficulty: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    seats: tuple[float, float, float]
    signal: float


def reduce(joint: Joint) -> Reduced:
    """Reduce the posterior of one history that has at least one answer."""
    chance = np.exp(joint.log_posterior[0])
    votes = joint.votes
    leader, second = np.argsort(-chance[:-1], kind="stable")[[0, min(1, len(votes) - 1)]].tolist()
    is_alone = second == leader or not votes[second]
    c_leader, c_second = float(votes[leader]), 0.0 if is_alone else float(votes[second])
    mean, variance = (figure[0] for figure in joint.difficulty())
    rest = chance.copy()
    rest[leader] = rest[second] = 0.0
    share = max(float(rest.sum()), 1e-300)
    mean_rest = float(rest @ mean) / share
    spread_rest = max(float(rest @ (variance + mean**2)) / share - mean_rest**2, 1e-12)
    everyone = joint.model.concentration + float(votes.sum())
    seats = [(everyone - wrong) / (1.0 - joint.model.silence) for wrong in (c_leader, c_second, 0.0)]
    return Reduced(
        (float(chance[leader]), 0.0 if is_alone else float(chance[second]), share),
        (c_leader, c_second),
        (
            _beta(float(mean[leader]), float(variance[leader])),
            _beta(float(mean[second]), float(variance[second])),
            _beta(mean_rest, spread_rest),
        ),
        (seats[0], seats[1], seats[2]),
        float(joint.new_answer_signal[0]),
    )


def expected_leader(state: Reduced) -> dict[int, float]:
    """E[P(the leading answer is right)] after k more candidates, by k in `AHEAD`."""
    out, (c_leader, c_second) = _outcomes(), state.counts
    rising = _rising([c_leader, c_second, *(x for a, b in state.difficulty for x in (a, b, a + b)), *state.seats])
    free = np.log([state.seats[0] - c_second, state.seats[1] - c_leader, state.seats[2] - c_leader - c_second])
    chance = np.log(np.maximum(state.chance, 1e-300))
    logs = (
        rising[_A, out.right]
        + rising[_A + 1, out.k - out.right]
        - rising[_A + 2, out.k]
        - rising[_SEATS, out.k - out.right]
        + out.strangers * free[_HYPOTHESES]
        + chance[_HYPOTHESES]
        + out.ways
    )
    of_leader, of_second = rising[0, out.right[0]], rising[1, out.right[1]]
    logs[0] += of_second
    logs[1:] += of_leader
    logs[2:] += of_second
    if not c_second:
        logs[1] = -np.inf
    leader, second, first_new, other_new = np.exp(logs)
    right_cells, wrong_cells = _cells(state.signal)
    old = np.maximum(np.maximum(leader, second), other_new)
    best = np.maximum(old[:, None] * wrong_cells, first_new[:, None] * right_cells).sum(1)
    return dict(zip(AHEAD, np.add.reduceat(best, out.starts).tolist(), strict=True))


def _cells(signal: float) -> tuple[FloatArray, FloatArray]:
    """Probabilities of the four cells of a new answer's score, if right and if wrong."""
    middle = signal / 2.0
    below = special.ndtr(np.array([_EDGES - middle, _EDGES + middle]))
    right, wrong = below[:, 1:] - below[:, :-1]
    return right, wrong


def _beta(mean: float, variance: float) -> tuple[float, float]:
    """Parameters of the Beta distribution with this mean and variance."""
    size = max(mean * (1.0 - mean) / variance - 1.0, 1e-6)
    return max(mean * size, 1e-9), max((1.0 - mean) * size, 1e-9)
