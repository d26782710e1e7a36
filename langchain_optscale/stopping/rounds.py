"""How many candidates to draw at once: rounds that cost the least, in candidates and in waiting."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from langchain_optscale.answers.support import Support
from langchain_optscale.stopping.answer_gains import is_worth
from langchain_optscale.stopping.record_values import SECOND_MODE, success_chance

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_AT_ONCE", "by_record", "cheapest_round", "least_repeats"]

MOST_AT_ONCE = 16


def cheapest_round(chance: Callable[[int], float], round_cost: float, least: int, most: int) -> int:
    """k* = argmin (k + lambda) / P(the search ends within k): the round with the least cost until the end.

    While rounds of k are drawn until one ends the search, their number is geometric with that chance, and each costs k
    candidates and the waiting, lambda of them.

    Args:
        chance: P(the search ends within k), for k from `least` to `most`.
        round_cost: lambda.
        least: At least 1.
        most: At least `least`.

    Example:
        >>> [cheapest_round(lambda k: 1 - 0.9**k, cost, 1, 16) for cost in (0.0, 2.0, 8.0)]
        [1, 6, 10]
    """
    return min(range(least, most + 1), key=lambda k: (k + round_cost) / max(chance(k), 1e-12))


@lru_cache(maxsize=8192)
def by_record(n: int, left: int, enough: int, round_cost: float) -> int:
    """How many to draw while nothing but a record ends the search: k* for P(record by k), at most `enough`."""
    most = max(1, min(left, enough, MOST_AT_ONCE))
    return cheapest_round(lambda k: success_chance(n, k, SECOND_MODE), round_cost, 1, most)


def least_repeats(support: Support, n: int, left: int, price: float, round_cost: float) -> int:
    """The fewest further candidates after which, all repeating the leader, the search could end; or the cheapest round.

    Fewer cannot end it, so none of them is wasted. A round that must not cost much waiting takes some more, by the
    chance that the leader is as far ahead after k of them.

    Args:
        support: What is known.
        n: Candidates so far.
        left: Candidates still allowed, at least 1.
        price: What a candidate must be worth, as a share of the support.
        round_cost: lambda.
    """
    if support.votes_alone:
        votes = tuple(answer.votes for answer in support.answers[:3])
        return _least_votes(votes, support.answered, n, left, price, round_cost)
    return _least_repeats(support, n, left, price, round_cost)


@lru_cache(maxsize=65536)
def _least_votes(votes: tuple[int, ...], answered: int, n: int, left: int, price: float, round_cost: float) -> int:
    """The same for votes alone, whose few states come back in every question."""
    return _least_repeats(Support.of_votes(votes, answered), n, left, price, round_cost)


def _least_repeats(support: Support, n: int, left: int, price: float, round_cost: float) -> int:
    low, high = 1, max(1, min(left, MOST_AT_ONCE))
    while low < high:
        middle = (low + high) // 2
        if _could_end(support, n, left, price, middle):
            high = middle
        else:
            low = middle + 1
    if round_cost <= 0.0 or low >= min(left, MOST_AT_ONCE):
        return low
    return _with_waiting(support.answers[0].votes, support.answered, round_cost, low, min(left, MOST_AT_ONCE))


@lru_cache(maxsize=8192)
def _with_waiting(votes: int, answered: int, round_cost: float, least: int, most: int) -> int:
    """The cheapest round for a leader with so many of the answers that has to gain `least` on its rivals."""
    share = (votes + 1.0) / (answered + 2.5)
    return cheapest_round(lambda k: _at_least(k, share, (k + least + 1) // 2), round_cost, least, most)


def _could_end(support: Support, n: int, left: int, price: float, more: int) -> bool:
    if more >= left:
        return True
    then = support.with_leader(more)
    runner = then.answers[1].votes if len(then.answers) > 1 else 0
    if then.votes_alone and then.answers[0].votes - runner > left - more:
        return True
    answering = (then.answered + 0.5) / (n + more + 0.5)
    return n + more > 1 and not is_worth(then, answering, left - more, price)[0]


def _at_least(count: int, share: float, least: int) -> float:
    """P(at least `least` of `count` independent trials with this chance succeed)."""
    return math.fsum(math.comb(count, i) * share**i * (1.0 - share) ** (count - i) for i in range(least, count + 1))
