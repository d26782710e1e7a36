r"""What further candidates will do to the support of the returned answer: its expected gain, and whether it stays.

Symbols: A answers so far, W the sum of their weights, W_1 the leader's; k further answers of mean weight w.

**The gain.** The returned answer's share of the support is expected to rise, by k further answers, by

    ( sum_j E[(W_j' - W_1')+] + P(a new one by k) (w_max - W_1)+ ) / (W + k w)

The sum runs over the two strongest rivals, an answer that is still to come among them where there are fewer; each
expectation is the closed form of `stopping.overtaking`. The second term is an answer that has not been given and that
the verifier will mark as right, with the largest weight w_max = 5.67: it counts where all weights so far are small, as
when a verifier likes none of the answers on which the candidates agree. With the prior Beta(a, 1) on its frequency,

    P(a new one by k) = 1 - B(a, 1 + A + k) / B(a, 1 + A)

**Whether it stays** is one less the sum of the probabilities that a rival is ahead after all further answers; that of
an answer that has not been given is no less than P(a new one by k) while one of weight w_max would lead.
"""

from __future__ import annotations

import math
from functools import lru_cache

from langchain_optscale.answers.support import Support, odds
from langchain_optscale.stopping.overtaking import Race
from langchain_optscale.stopping.record_values import success_chance

__all__ = ["is_worth", "stability"]

# Gains per candidate change slowly with k.
_COUNTS = tuple(2**power for power in range(11))
# Squared coefficient of variation of the weights within an answer.
_VARIATION = 0.1
# The prior a of an answer that has not been given and that the verifier will mark as right, and its weight.
_NEW, _MARKED = 0.4, odds(1.0)
# A rival may score as well as scores can: the weight of its further candidates in what is promised, and its count.
_STRONG_RIVAL, _STRONG_COUNT = _MARKED, 2.0
# The prior count of a rival in what is promised: votes alone have nothing else that would warn of one.
_RIVAL_ALONE, _RIVAL_SCORED = 1.75, 1.0
# Beyond them, rivals count as the weakest of these does.
_RIVALS = 4


def is_worth(support: Support, answering: float, left: int, price: float) -> tuple[bool, float]:
    """Whether some number of further candidates is worth its price, and the gain per candidate that shows it.

    Args:
        support: What is known.
        answering: How many further answers a further candidate brings, in (0, 1].
        left: Candidates still allowed, at least 1.
        price: What a candidate must be worth, as a share of the support.

    Returns:
        True and a gain per candidate that is at least the price; or False and the largest gain per candidate.
    """
    if support.votes_alone:
        votes = tuple(answer.votes for answer in support.answers[:3])
        return _votes_worth(votes, support.answered, answering, left, price)
    return _is_worth(support, answering, left, price)


@lru_cache(maxsize=65536)
def _votes_worth(
    votes: tuple[int, ...], answered: int, answering: float, left: int, price: float
) -> tuple[bool, float]:
    """The same for votes alone, whose few states come back in every question."""
    return _is_worth(Support.of_votes(votes, answered), answering, left, price)


def _is_worth(support: Support, answering: float, left: int, price: float) -> tuple[bool, float]:
    races = _races(support)
    mean = support.total / support.answered
    missing = 0.0 if support.votes_alone else _MARKED - support.answers[0].weight
    most = 0.0
    for k in _counts(left):
        further = k * answering
        gain = 0.0
        for race in races:
            gain += race.excess(further)
        if missing > 0.0:
            gain += missing * success_chance(support.answered, further, _NEW)
        rate = gain / ((support.total + further * mean) * k)
        if rate >= price:
            return True, rate
        most = max(most, rate)
    return False, most


@lru_cache(maxsize=1024)
def _counts(left: int) -> tuple[int, ...]:
    """The numbers of further candidates that are looked at, those first that show most often that one is worth it."""
    counts = [*(count for count in _COUNTS if count < left), left]
    return tuple(sorted(counts, key=lambda count: abs(math.log(count / 6.0))))


def _races(support: Support) -> list[Race]:
    """The leader against its two strongest rivals, the second of them an answer still to come where there is one."""
    leader, *rivals = support.answers
    own = (leader.votes, leader.expected)
    variation = 0.0 if support.votes_alone else _VARIATION
    races = [
        Race.of(support.answered, own, (rival.votes, rival.expected), leader.weight - rival.weight, variation=variation)
        for rival in rivals[:2]
    ]
    if len(races) < 2:
        races.append(Race.of(support.answered, own, (0, support.unseen), leader.weight, variation=variation))
    return races


def stability(support: Support, further: float, least: float = 0.0) -> float:
    """P(the leader of the support is still the leader after `further` more answers), in [0, 1].

    One less the sum of the probabilities that a rival is ahead then: each answer so far, and one that is still to come.
    With scores a rival's further candidates are expected to score well, whatever its scores so far, since a right
    answer may still appear: the promise has to hold for verifiers that nobody has examined.

    Args:
        support: What is known.
        further: Answers still to come, at least 0.
        least: Below it the number does not matter: the first rivals that show it end the sum.

    Example:
        >>> from langchain_optscale.answers.support import Support
        >>> round(stability(Support.of(["4"] * 4, [0.5] * 4), 10.0), 3)
        0.985
    """
    if further <= 0.0:
        return 1.0
    leader, *rivals = support.answers
    alone = support.votes_alone
    own = (leader.votes, leader.expected)
    variation, pseudo = (0.0, _RIVAL_ALONE) if alone else (_VARIATION, _RIVAL_SCORED)
    unseen = support.unseen if alone else max(support.unseen, _STRONG_RIVAL)
    race = Race.of(support.answered, own, (0, unseen), leader.weight, variation=variation, pseudo=pseudo)
    overtaken = race.probability(further)
    if not alone and leader.weight < _MARKED:  # a single one that the verifier marks as right would lead
        overtaken = max(overtaken, success_chance(support.answered, further, _NEW))
    for place, rival in enumerate(rivals[:_RIVALS]):
        if overtaken > 1.0 - least:
            break
        strong = rival.expected
        if not alone:
            strong = (max(strong, _STRONG_RIVAL) * _STRONG_COUNT + rival.votes * strong) / (rival.votes + _STRONG_COUNT)
        lead = leader.weight - rival.weight
        race = Race.of(support.answered, own, (rival.votes, strong), lead, variation=variation, pseudo=pseudo)
        # Weaker rivals count as the last of these does.
        overtaken += race.probability(further) * (support.kinds - _RIVALS if place == _RIVALS - 1 else 1)
    return max(0.0, 1.0 - overtaken)
