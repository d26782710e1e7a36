"""Ready-made combinations of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping.answer_rules import AnswerConfidence
from langchain_optscale.stopping.budgets import MaxSamples, MinSamples
from langchain_optscale.stopping.score_rules import Futility, MarginalGain, OptimalN, TargetReached

if TYPE_CHECKING:
    from langchain_optscale.stopping.base import Rule

__all__ = ["optscale", "paper"]

_PRICE = 0.01
"""Of a candidate, in the probability that the answer is right."""

_PRICE_IN_SCORE = 0.003
"""Of a candidate, in score; smaller, since a target that is missed costs quality as well."""


def _complement(confidence: float) -> float:
    """1 - confidence without the digits of binary rounding, so that 0.95 reads as 0.05; within (0, 1) as confidence."""
    return min(float(f"{1.0 - confidence:.12g}"), 1.0 - 2.0**-53)


def _check_first_round(first_round: int, max_samples: int) -> None:
    if first_round > max_samples:
        raise SettingsError(f"first_round ({first_round}) must not be larger than max_samples ({max_samples})")


def paper(target: float = 0.95, confidence: float = 0.95, max_samples: int = 16, first_round: int = 5) -> Rule:
    """OptScale as published: draw a first round, then stop the first time that n >= N*, or at the cap.

    N* is unconditional: the rule draws on to N* even when the target has already been reached. The paper's grid is
    target in {0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99}, confidence in {0.99, 0.98, 0.965, 0.95, 0.925, 0.9},
    first rounds of 3, 5, 10 and 20 for caps of 8, 16, 32 and 64 (arXiv 2506.22376).

    Args:
        target: A score in [0, 1].
        confidence: In (0, 1).
        max_samples: The cap, at least 1.
        first_round: Candidates that are drawn before the first decision, from 1 to `max_samples`.

    Returns:
        The rule; use it with `MaximumLikelihood` (the paper's OptScale^0) or `MaximumAPosteriori` (OptScale^t).
    """
    _check_first_round(first_round, max_samples)
    return (OptimalN(target, confidence) & MinSamples(first_round)) | MaxSamples(max_samples)


def optscale(target: float = 0.9, confidence: float = 0.95, max_samples: int = 16, first_round: int = 2) -> Rule:
    """The default: stop once the goal is met, or once more candidates are not worth their price.

    Differs from `paper` in three ways. A candidate that reaches the target ends the search at once, whatever N* is. A
    target that is out of reach with probability `confidence` ends it for futility, unless the next candidate is
    expected to raise the best score by 0.003. And where candidates have answers,
    agreement counts as evidence beside the scores: the search ends when the leading answer is right with probability
    `confidence`, or when no number of further candidates is expected to raise that probability by 0.01 each. The form
    and the constants were chosen on halves of recorded pools, the price in score on all of them, so that other
    pools are the better test; `make bench_preset` and `docs/benchmarks.md` have the figures.

    A search under it estimates by `Posterior` by default. N* then sizes the rounds: the fewest candidates after which
    the target is reached with the confidence.

    Args:
        target: A score in [0, 1].
        confidence: In (0, 1): of the bound, of the leading answer, and that the target is out of reach.
        max_samples: The cap, at least 1.
        first_round: Scores before which N* from a point estimate may not stop the search.

    Returns:
        The rule. Where there are answers, use it with `select="posterior"`, the answer that it judges.
    """
    _check_first_round(first_round, max_samples)
    answers = AnswerConfidence(confidence, min_gain=_PRICE)
    futility = Futility(target, _complement(confidence)) & MarginalGain(_PRICE_IN_SCORE)
    return TargetReached(target) | answers | futility | paper(target, confidence, max_samples, first_round)
