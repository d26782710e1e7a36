r"""P(an answer is right) where nothing was learned from labels, and the selection that goes with it.

Symbols: A candidates that have an answer, c_j of them answer j; z_i = logit(score), the score within [0.01, 0.99]; K
distinct answers; h the hypothesis that answer j is right, or that none of them is. Candidates without an answer say
nothing about which answer is right, and are left out.

**Votes.** With p ~ Beta(0.4, 0.45) the chance that a candidate is right, and wrong answers as the guests of a
two-parameter Chinese restaurant (Pitman and Yor 1997; discount d = 0.2, concentration kappa in {0.2, 0.7, 2, 5}),

    V_h = log B(0.4 + c_h, 0.45 + A - c_h) / B(0.4, 0.45)
          + sum_(l != h) log (Gamma(c_l - d) / Gamma(1 - d))
          + log mean_kappa [ prod_(i=1)^(K_w - 1) (kappa + i d) Gamma(kappa + 1) / Gamma(kappa + m_w) ]

with K_w wrong answers among them, given by m_w candidates.

**Scores.** z_i = u + v_(a_i) + delta [a_i right] + e_i with u flat, v_j ~ N(0, rho s^2), e_i ~ N(0, (1 - rho) s^2),
mixed over s in {0.25, 0.5, 1, 2}, rho in {0.1, 0.5, 0.97} and delta / s in {0, 0.7, 1.5} with weights 0.4, 0.3, 0.3.
u and v are integrated in closed form: with w_l = 1 / (rho s^2 + (1 - rho) s^2 / c_l), W = sum w_l and ybar the weighted
mean of the answers' mean logits y_l, the likelihood ratio of "h is right" against "none is" is, given (s, rho, delta),

    exp( delta w_h (y_h - ybar) - delta^2 w_h (1 - w_h / W) / 2 )

and (s, rho) are weighted by the probability of all logits under no shift. So a question's own scores show whether they
separate its answers. S_h, the logarithm of the mixture, is held within +-1.5: untrained scores never say more.

**A check.** Scores that are all 0 or 1 are Bernoulli trials instead: mixed over sensitivities 0.97, 0.8, 0.6, false
positive rates 0.003, 0.03, 0.15, 0.4, and checks that pass a share of everything; S_h is then not limited.

P(h) is proportional to exp(V_h + S_h). It is an estimate, and nothing is promised by it: a misconception that most
candidates share looks like a right answer. The selection returns argmax_j log P(j) + log W_j, W_j the weighted votes of
`support`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.answers.support import NEUTRAL, odds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["UntrainedPosterior", "select_untrained"]

_A, _B = 0.4, 0.45
_DISCOUNT, _CONCENTRATIONS = 0.2, (0.2, 0.7, 2.0, 5.0)
_LIMIT = 1.5
_LEAST = 0.01

_S, _RHO = (part.ravel() for part in np.meshgrid((0.25, 0.5, 1.0, 2.0), (0.1, 0.5, 0.97), indexing="ij"))
_BETWEEN, _WITHIN = (_S**2 * _RHO)[:, None], (_S**2 * (1.0 - _RHO))[:, None]
_SHIFTS = ((0.0, 0.4), (0.7, 0.3), (1.5, 0.3))

_CHECKS = np.array(
    [(sensitivity, false) for sensitivity in (0.97, 0.8, 0.6) for false in (0.003, 0.03, 0.15, 0.4)]
    + [(share, share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
)
_PASS_RIGHT, _PASS_WRONG = np.log(_CHECKS).T
_FAIL_RIGHT, _FAIL_WRONG = np.log1p(-_CHECKS).T


@dataclass(frozen=True)
class UntrainedPosterior:
    """P(right) of each answer, without labels; make it by `of`.

    Attributes:
        probabilities: P(the answer is right) by answer, in order of appearance.
        none: P(none of them is right); together they sum to 1.
        place: The place of the candidate to return; None where no candidate has an answer.
    """

    probabilities: Mapping[str, float]
    none: float
    place: int | None

    @property
    def probability(self) -> float:
        """P(right) of the answer to return, 0 where there is none."""
        return 0.0 if self.place is None else self._chosen

    _chosen: float = 0.0

    @classmethod
    def of(cls, answers: Sequence[str | None], scores: Sequence[float]) -> UntrainedPosterior:
        """The posterior after these candidates.

        Args:
            answers: The canonical answer of each candidate, None where it has none.
            scores: As many, in [0, 1].

        Example:
            >>> posterior = UntrainedPosterior.of(["12", "12", "7", None], [0.9, 0.8, 0.85, 0.1])
            >>> posterior.place, posterior.probability > posterior.probabilities["7"]
            (0, True)
        """
        groups: dict[str, list[int]] = {}
        for place, answer in enumerate(answers):
            if answer is not None:
                groups.setdefault(answer, []).append(place)
        if not groups:
            return cls({}, 1.0, None)
        counts = [len(places) for places in groups.values()]
        logs, none = _of_votes(counts)
        informative = min(scores) != NEUTRAL or max(scores) != NEUTRAL
        if informative:
            by_answer = [[scores[place] for place in places] for places in groups.values()]
            is_check = all(score in (0.0, 1.0) for score in scores)
            ratios = _of_checks(counts, by_answer) if is_check else _of_scores(counts, by_answer)
            logs = [one + ratio for one, ratio in zip(logs, ratios, strict=True)]
        most = max(none, *logs)
        masses = [math.exp(one - most) for one in logs]
        rest = math.exp(none - most)
        whole = math.fsum(masses) + rest
        ranks = []
        for places, log in zip(groups.values(), logs, strict=True):
            best = max(places, key=lambda place: (scores[place], -place))
            weight = math.fsum(odds(scores[place]) for place in places) if informative else len(places)
            ranks.append((log + math.log(weight), scores[best], -best))
        chosen = ranks.index(max(ranks))
        probabilities = {answer: mass / whole for answer, mass in zip(groups, masses, strict=True)}
        return cls(probabilities, rest / whole, -ranks[chosen][2], masses[chosen] / whole)


def select_untrained(answers: Sequence[str | None], scores: Sequence[float]) -> int:
    """The place of the candidate to return: argmax log P + log W, of that answer the best-scored candidate.

    Where no candidate has an answer it is the candidate with the best score, the earliest of equals.

    Args:
        answers: The canonical answer of each candidate, None where it has none; at least one candidate.
        scores: As many, in [0, 1].

    Example:
        >>> select_untrained(["3", "4", "4", None], [0.8, 0.7, 0.75, 0.9]), select_untrained([None, None], [0.2, 0.3])
        (2, 1)
    """
    place = UntrainedPosterior.of(answers, scores).place
    return max(range(len(scores)), key=lambda index: (scores[index], -index)) if place is None else place


def _of_votes(counts: Sequence[int]) -> tuple[list[float], float]:
    """V_h of each answer, and of none."""
    total, kinds = sum(counts), len(counts)
    tables = math.fsum(map(_log_table, counts))
    logs = [
        _log_right(count, total) + tables - _log_table(count) + _log_new(kinds - 1, total - count) for count in counts
    ]
    return logs, _log_right(0, total) + tables + _log_new(kinds, total)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@lru_cache(maxsize=8192)
def _log_right(count: int, total: int) -> float:
    return _log_beta(_A + count, _B + total - count) - _log_beta(_A, _B)


@lru_cache(maxsize=1024)
def _log_table(count: int) -> float:
    return math.lgamma(count - _DISCOUNT) - math.lgamma(1.0 - _DISCOUNT)


@lru_cache(maxsize=8192)
def _log_new(kinds: int, votes: int) -> float:
    if not votes:
        return 0.0
    logs = [
        (kinds - 1) * math.log(_DISCOUNT)
        + math.lgamma(kappa / _DISCOUNT + kinds)
        - math.lgamma(kappa / _DISCOUNT + 1.0)
        + math.lgamma(kappa + 1.0)
        - math.lgamma(kappa + votes)
        for kappa in _CONCENTRATIONS
    ]
    most = max(logs)
    return most + math.log(math.fsum(math.exp(log - most) for log in logs) / len(logs))


def _of_scores(counts: Sequence[int], by_answer: Sequence[Sequence[float]]) -> list[float]:
    """S_h of each answer from its candidates' scores."""
    logits = [[_logit(score) for score in scores] for scores in by_answer]
    c = np.array(counts, dtype=np.float64)
    y = np.array([math.fsum(one) for one in logits]) / c
    within = math.fsum((z - mean) ** 2 for one, mean in zip(logits, y.tolist(), strict=True) for z in one)
    variance = _BETWEEN + _WITHIN / c
    w = 1.0 / variance
    precision = w.sum(1)
    mean = (w @ y) / precision
    away = y - mean[:, None]
    spread = (w * away * away).sum(1)
    free = c.sum() - len(counts)
    logs = -0.5 * (
        np.log(variance).sum(1) + np.log(precision) + within / _WITHIN[:, 0] + spread + free * np.log(_WITHIN[:, 0])
    )
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    slope = _S[:, None] * w * away
    curve = 0.5 * _S[:, None] ** 2 * w * (1.0 - w / precision[:, None])
    ratio: FloatArray = sum(share * np.exp(np.minimum(d * slope - d * d * curve, 50.0)) for d, share in _SHIFTS)
    return np.clip(np.log(weights @ ratio), -_LIMIT, _LIMIT).tolist()  # type: ignore[no-any-return]


def _of_checks(counts: Sequence[int], by_answer: Sequence[Sequence[float]]) -> list[float]:
    """S_h of each answer from how many of its candidates passed."""
    passed = np.array([sum(scores) for scores in by_answer])[:, None]
    failed = np.array(counts, dtype=np.float64)[:, None] - passed
    none = passed.sum() * _PASS_WRONG + failed.sum() * _FAIL_WRONG
    none -= none.max()
    right = none + passed * (_PASS_RIGHT - _PASS_WRONG) + failed * (_FAIL_RIGHT - _FAIL_WRONG)
    most = right.max(1)
    logs = most + np.log(np.exp(right - most[:, None]).sum(1)) - math.log(float(np.exp(none).sum()))
    return logs.tolist()  # type: ignore[no-any-return]


def _logit(score: float) -> float:
    bounded = min(max(score, _LEAST), 1.0 - _LEAST)
    return math.log(bounded / (1.0 - bounded))
