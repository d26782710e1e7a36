"""Ready-made combinations of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping.budgets import MaxSamples, MinSamples
from langchain_optscale.stopping.objective import Effort, Objective
from langchain_optscale.stopping.score_rules import OptimalN
from langchain_optscale.stopping.trained import TrainedOptimalN

if TYPE_CHECKING:
    from langchain_optscale.stopping.base import Rule

__all__ = ["optscale", "paper"]


def _check_first_round(first_round: int, max_samples: int) -> None:
    if first_round > max_samples:
        raise SettingsError(f"first_round ({first_round}) must not be larger than max_samples ({max_samples})")


def paper(
    target: float = 0.95,
    confidence: float = 0.95,
    max_samples: int = 16,
    first_round: int = 5,
    *,
    trained: Any = None,
) -> Rule:
    """OptScale as published: draw a first round, then stop the first time that n >= N*, or at the cap.

    N* is unconditional: the rule draws on to N* even when the target has already been reached. The paper's grid is
    target in {0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99}, confidence in {0.99, 0.98, 0.965, 0.95, 0.925, 0.9},
    first rounds of 3, 5, 10 and 20 for caps of 8, 16, 32 and 64 (arXiv 2506.22376).

    Args:
        target: A score in [0, 1].
        confidence: In (0, 1).
        max_samples: The cap, at least 1.
        first_round: Candidates that are drawn before the first decision, from 1 to `max_samples`.
        trained: The prior of OptScale^t: a prior, or a function that gives the prior of a question, such as a
            `QuestionPrior`. None is OptScale^0, which knows nothing beforehand.

    Returns:
        The rule. Estimation is by maximum likelihood (OptScale^0) or, with a prior, maximum a posteriori (OptScale^t),
        where no other estimator is given.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> rule = paper(0.9, max_samples=8, first_round=3)
        >>> rule
        OptimalN(target=0.9, confidence=0.95) & MinSamples(limit=3) | MaxSamples(limit=8)
        >>> decision = rule(History(scores=(0.6, 0.85, 0.7)))
        >>> decision.stop, decision.optimal_n
        (False, 80)
    """
    _check_first_round(first_round, max_samples)
    bound = OptimalN(target, confidence) if trained is None else TrainedOptimalN(target, confidence, trained)
    return (bound & MinSamples(first_round)) | MaxSamples(max_samples)


def optscale(
    target: float | None = None,
    confidence: float = 0.95,
    max_samples: int = 16,
    first_round: int | None = None,
    *,
    effort: Effort = "medium",
    price: float | None = None,
    round_cost: float = 2.0,
    answers: bool = False,
) -> Rule:
    """The default: no worse than spending the whole cap, for fewer candidates.

    One objective, `Objective`: the search ends when no number of further candidates is worth its price, or when what
    the confidence promises is known. Where candidates carry answers, agreement and scores are weighed together, and a
    high score alone never ends the search; where there are scores alone, the best one counts. `docs/effort.md` has what
    each effort costs and keeps on recorded pools, `docs/situations.md` what the default does where the truth is known.

    Args:
        target: A score in [0, 1] that is good enough where there are no answers: it ends the search, and nothing but
            the cap does before, unless it is out of reach. None looks for the best that is worth its price.
        confidence: In (0, 1): of what the search claims when it ends: that the whole cap would return the same
            answer, or that the target is out of reach.
        max_samples: The cap, at least 1.
        first_round: Scores before which nothing but the cap ends the search; None for no such number.
        effort: "low", "medium" or "high": how much quality may be given up for fewer candidates.
        price: What one candidate must be worth, in place of an effort; see `Objective`.
        round_cost: What waiting for a round of candidates costs, in candidates; at least 0. The default says that a
            round costs as much as two candidates.
        answers: Whether the task has answers, so that a search waits for the first one.

    Returns:
        The rule. Where there are answers, return what it speaks of: `select="posterior"`.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> rule = optscale(max_samples=16)
        >>> rule(History(scores=(0.5, 0.9), max_samples=16)).stop
        False
        >>> rule(History(scores=(0.9,) * 6, max_samples=16)).reason.name
        'MARGINAL_GAIN'
    """
    rule: Rule = Objective(target, confidence, effort, price, round_cost, answers)
    if first_round is not None:
        _check_first_round(first_round, max_samples)
        rule &= MinSamples(first_round)
    return rule | MaxSamples(max_samples)
