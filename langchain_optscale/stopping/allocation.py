r"""Which question a further candidate helps most: the index by which one budget is shared among many questions.

Each question q promises, by k further candidates, a rise of what its returned answer is worth, `rise_q(k)`. Candidates
go where the rise for each unit of the budget is largest,

    argmax_q  max_k rise_q(k) / (k c_q)

with c_q what a candidate of q consumes: 1 where candidates are counted, else its mean tokens or cost so far. The rises
are those of the default rule, see `stopping.objective`: with answers the share of the support that the returned answer
has, with scores alone the best score. They are answers' and scores' own units, so that one budget should serve
questions of one kind.

Candidates are given out in waves: the best questions of a wave get one each, and are judged anew before the next. A
wave takes no more than half of what is left: the last candidates are given out one by one, as by an exact greedy pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.stopping.answer_gains import is_worth
from langchain_optscale.stopping.record_values import record_gain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.stopping.history import History

__all__ = ["WAVE", "Offer", "rise_per_candidate", "wave"]

WAVE = 0.25
"""The largest share of the questions that get a candidate in one wave."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A question that could use a further candidate.

    Attributes:
        index: Its number; of equal offers the lowest comes first.
        rise: `rise_per_candidate`, at least 0.
        consumption: What its next candidate is expected to consume, in the unit of the budget, at least 0.
    """

    index: int
    rise: float
    consumption: float = 1.0

    @property
    def rate(self) -> float:
        """The rise for each unit of the budget."""
        return self.rise / self.consumption if self.consumption > 0.0 else math.inf


def rise_per_candidate(history: History) -> float:
    """max_k rise(k) / k: what a further candidate is expected to add to the worth of the returned answer.

    Args:
        history: What is known of the question; at least one score.

    Returns:
        At least 0; a share of the support where a candidate has an answer, else a difference of scores. 0 where the
        cap leaves no candidate.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> unsure = History(scores=(0.5, 0.5), answers=("12", "7"), max_samples=16)
        >>> agreed = History(scores=(0.5, 0.5), answers=("12", "12"), max_samples=16)
        >>> rise_per_candidate(unsure) > rise_per_candidate(agreed) > 0.0
        True
    """
    left = (history.max_samples or math.inf) - history.n - history.failures
    if left < 1:
        return 0.0
    if all(answer is None for answer in history.answers):
        return record_gain(history.scores)
    answering = (history.support.answered + 0.5) / (history.n + 0.5)
    return is_worth(history.support, answering, int(min(left, 2**10)), math.inf)[1]


def wave(offers: Sequence[Offer], remaining: float, questions: int) -> list[int]:
    """The questions that get a candidate next: at most `WAVE` of all, and half of what is left pays for all but one.

    Args:
        offers: The questions that wait for one.
        remaining: What is left of the budget, in its unit.
        questions: How many questions share the budget, at least 1.

    Returns:
        Their indexes, best first; empty where the budget pays for none of them, or none is expected to help.

    Example:
        >>> wave([Offer(0, 0.02), Offer(1, 0.1), Offer(2, 0.05)], remaining=4, questions=8)
        [1, 2]
        >>> wave([Offer(0, 0.1, consumption=500), Offer(1, 0.05, consumption=100)], remaining=400, questions=4)
        [1]
    """
    most, half = math.ceil(questions * WAVE), 0.5 * remaining
    chosen: list[int] = []
    for offer in sorted(offers, key=lambda offer: (-offer.rate, offer.index)):
        if len(chosen) == most or offer.rise <= 0.0:
            break
        if offer.consumption <= (half if chosen else remaining):
            half -= offer.consumption
            chosen.append(offer.index)
    return chosen
