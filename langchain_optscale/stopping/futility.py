r"""When a target is out of reach: the chance that a further candidate reaches it, and the rule that stops for it.

**Without past scores** nothing is known of candidates unlike those so far. n of them missed the target, and the chance
that one of the m still allowed reaches it is at most 1 - (1 - p_u)^m, with the anytime-valid upper bound p_u of
`stopping.record_values`. The rule is evaluated after every score, and the promise holds all the same. It costs
candidates: at a probability of 0.05 the search is stopped for futility at the last of 113 candidates or more, not
earlier. Smooth extrapolation promised more and did not keep it, since the success of a graded check is a second mode
beside the scores so far.

**With a prior** learned from past questions (`EmpiricalPrior`) the chance p of a candidate has the law Beta(a, b) over
questions (`stats.reaching`), and what is known of this question's body counts as well. With b_n the best score and
sigma the mean excess of `stopping.record_values`, the next score reaches the target t by the smooth tail with chance
q = exp(-(t - b_n) / sigma) / (n + 1), and

    P(reach | D) = 1 - (1 - q)^m B(a, b + n + m) / B(a, b + n)

A `FixedPrior` knows of no past scores: the posterior predictive E[F(t)^m | D] takes the place of (1 - q)^m, and
Beta(0.2, 1) that of the learned law.

Both need candidates that are exchangeable. Where the later half of the scores is clearly better than the earlier one,
no target is out of reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.record_values import SECOND_MODE, chance_bound, mean_excess, success_chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.stopping.base import History

__all__ = ["Futility", "chance_of_reaching"]

_CLEARLY = 3.0
"""Standard errors by which the later half of the scores must be better to be a trend."""

_FEW = 6
_LEAST_EXCESS = 1e-3


@dataclass(frozen=True)
class Futility(Rule):
    """Stop when the target is too unlikely to be reached by the candidates that may still be scored.

    The chance is that of `chance_of_reaching`: an anytime-valid upper bound without a prior, a probability under a
    prior learned from past questions. So at most `probability` of the questions that it ends could have reached the
    target. Pending candidates count as still to come. Never stops without scores, without a cap, at the cap, or once
    the target was reached.

    Args:
        target: A score in [0, 1].
        probability: In (0, 1).

    Example:
        >>> from langchain_optscale.stopping import History
        >>> rule = Futility(target=0.95, probability=0.05)
        >>> [rule(History(scores=(0.1, 0.2) * n, max_samples=121)).stop for n in (1, 60)]
        [False, True]
    """

    looks_ahead: ClassVar[bool] = True

    target: float
    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.target <= 1.0:
            raise SettingsError(f"target must be a score in [0, 1], got {self.target!r}")
        if not 0.0 < self.probability < 1.0:
            raise SettingsError(f"probability must lie strictly between 0 and 1, got {self.probability!r}")

    def __call__(self, history: History) -> Decision:
        left = 0 if history.max_samples is None else history.max_samples - history.n - history.failures
        if left < 1 or not history.scores or history.best >= self.target:
            return self._decision(StopReason.FUTILITY, {"probability": self.probability}, stop=False)
        chance = chance_of_reaching(history, self.target, left, self.probability)
        figures = {"chance": chance, "left": left, "probability": self.probability}
        if chance >= self.probability:
            return self._decision(StopReason.FUTILITY, figures, stop=False)
        return self._decision(
            StopReason.FUTILITY, figures, stop=True, claim="target out of reach", probability=1.0 - chance
        )


def chance_of_reaching(history: History, target: float, left: int, level: float) -> float:
    """P(one of the next `left` scores reaches the target), or an upper bound of it; see the head of the module.

    Args:
        history: At least one score, none at the target.
        target: A score in [0, 1].
        left: At least 0.
        level: eps of the bound, in (0, 1).
    """
    if left < 1:
        return 0.0
    chance = chance_bound(history.n, left, level) if history.prior is None else _under_prior(history, target, left)
    return 1.0 if chance < level and _is_rising(history.scores) else chance


def _under_prior(history: History, target: float, left: int) -> float:
    table = getattr(history.prior, "reach", ())
    known = [(a, b) for at, a, b in table if at <= target]
    if not known:
        from langchain_optscale.stats.posterior import Posterior

        smooth = Posterior()(history.scores, history.prior).prob_reach(target, left)
        return 1.0 - (1.0 - smooth) * (1.0 - success_chance(history.n, left, SECOND_MODE))
    excess = max(mean_excess(history.scores), _LEAST_EXCESS)
    tail = math.exp(-(target - history.best) / excess) / (history.n + 1)
    return 1.0 - (1.0 - tail) ** left * (1.0 - success_chance(history.n, left, *known[-1]))


def _is_rising(scores: Sequence[float]) -> bool:
    """Whether the later half of the scores is clearly better than the earlier one."""
    half = len(scores) // 2
    if half < _FEW:
        return False
    early, late = scores[:half], scores[-half:]
    means = [math.fsum(part) / half for part in (early, late)]
    squares = math.fsum((score - mean) ** 2 for part, mean in zip((early, late), means, strict=True) for score in part)
    error = math.sqrt(squares / (half * (half - 1)))
    return means[1] - means[0] > _CLEARLY * error + 1e-9
