r"""Which question a further candidate helps most: the index by which one budget is shared among many questions.

Each question q promises, by k further candidates, a rise of what its returned answer is worth, `rise_q(k)`. Candidates
go where the rise is worth most for each unit of the budget,

    argmax_q  max_k rise_q(k) / (k p_q c_q)

with c_q what a candidate of q consumes: 1 where candidates are counted, else its mean tokens or cost so far. The rises
are those of the default rule, see `stopping.objective`: with answers the share of the support that the returned answer
has, with scores alone the best score. p_q is the price that the default asks after what is known of q. It makes these
units comparable, and it is why the budget agrees with the rule: a question whose value is above that of the last
candidate given out is one that the rule, at that price, would not have ended. Given one candidate at a time, a budget
of what the rule would draw of each question alone is spent as the rule spends it, but for the second candidate, which
the rule always draws.

Candidates are given out in waves: the best questions of a wave get one each, and are judged anew before the next. A
wave takes no more than an eighth of what is left, so that nothing is given early to a question that a later one would
have outbid: on recorded pools one candidate in a thousand goes elsewhere than one at a time, with waves of half of what
is left four in a hundred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.stopping.answer_gains import is_worth
from langchain_optscale.stopping.objective import default_price
from langchain_optscale.stopping.record_values import record_gain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.stopping.history import History

__all__ = ["WAVE", "Offer", "value_of_next", "wave"]

WAVE = 0.25
"""The largest share of the questions that get a candidate in one wave."""

SHARE_OF_REST = 0.125
"""The largest share of what is left of the budget that a wave takes, where it takes more than one candidate."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A question that could use a further candidate.

    Attributes:
        index: Its number; of equal offers the lowest comes first.
        value: `value_of_next`, at least 0.
        consumption: What its next candidate is expected to consume, in the unit of the budget, at least 0.
    """

    index: int
    value: float
    consumption: float = 1.0

    @property
    def rate(self) -> float:
        """The value for each unit of the budget."""
        return self.value / self.consumption if self.consumption > 0.0 else math.inf


def value_of_next(history: History) -> float:
    """max_k rise(k) / (k p): what a further candidate adds to the worth of the returned answer, in prices p of it.

    Args:
        history: What is known of the question; at least one score.

    Returns:
        At least 0; 1 is what the default rule at medium effort would go on for. 0 where the cap leaves no candidate.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> unsure = History(scores=(0.5, 0.5), answers=("12", "7"), max_samples=16)
        >>> agreed = History(scores=(0.5, 0.5), answers=("12", "12"), max_samples=16)
        >>> value_of_next(unsure) > 1.0 > value_of_next(agreed) > 0.0
        True
    """
    left = (history.max_samples or math.inf) - history.n - history.failures
    if left < 1:
        return 0.0
    price = default_price(history)
    if all(answer is None for answer in history.answers):
        return record_gain(history.scores) / price
    answering = (history.support.answered + 0.5) / (history.n + 0.5)
    return is_worth(history.support, answering, int(min(left, 2**10)), math.inf)[1] / price


def wave(offers: Sequence[Offer], remaining: float, questions: int) -> list[int]:
    """The questions that get a candidate next: at most `WAVE` of all, for `SHARE_OF_REST` of what is left.

    Args:
        offers: The questions that wait for one.
        remaining: What is left of the budget, in its unit; it pays for one candidate at least, if it pays for any.
        questions: How many questions share the budget, at least 1.

    Returns:
        Their indexes, best first; empty where the budget pays for none of them, or none is expected to help.

    Example:
        >>> wave([Offer(0, 0.02), Offer(1, 0.1), Offer(2, 0.05)], remaining=16, questions=8)
        [1, 2]
        >>> wave([Offer(0, 0.1, consumption=500), Offer(1, 0.05, consumption=100)], remaining=400, questions=4)
        [1]
    """
    most, rest = math.ceil(questions * WAVE), SHARE_OF_REST * remaining
    chosen: list[int] = []
    for offer in sorted(offers, key=lambda offer: (-offer.rate, offer.index)):
        if len(chosen) == most or offer.value <= 0.0:
            break
        if offer.consumption <= (rest if chosen else remaining):
            rest -= offer.consumption
            chosen.append(offer.index)
    return chosen
