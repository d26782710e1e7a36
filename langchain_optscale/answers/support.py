r"""How much support each answer has: votes weighted by the odds of their scores.

A candidate with score s counts w = s' / (1 - s') for its answer, s' being s within [0.15, 0.85], so that one score can
neither decide nor be ignored. Without a verifier, when every score is 0.5, each counts one. A candidate without an
answer counts for none. The answer with the largest sum is the leader; of equals the one with the better score, then the
earlier one.

The mean weight of a further candidate of an answer is shrunk, (W_j + w_0) / (c_j + 1), towards the weight w_0 of an
answer that is still to come: the mean weight so far, but not below (W + 3 * 3) / (A + 3), since the answers so far may
be wrong ones, and the verifier may like the right one better.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NEUTRAL", "STRONGEST", "Answer", "Support", "Tally", "odds"]

NEUTRAL = 0.5
"""The score that says nothing: where all have it, votes alone are counted."""

STRONGEST = 6
"""How many answers a support lists; the weaker ones are counted only."""

_LEAST = 0.15
_MOST = 1.0 - _LEAST
_PRIOR_WEIGHT, _PRIOR_COUNT = 3.0, 3.0
_ROUNDING = 1e-9
_BY_COUNT = itemgetter(1)


def odds(score: float) -> float:
    """The weight of a candidate, from 0.18 to 5.7.

    Example:
        >>> odds(0.5), round(odds(1.0), 2), odds(0.85) == odds(0.95)
        (1.0, 5.67, True)
    """
    bounded = _LEAST if score < _LEAST else min(score, _MOST)
    return bounded / (1.0 - bounded)


class Tally(NamedTuple):
    """Sums by answer that grow with every candidate; `Support` is made of them.

    Attributes:
        counts: Votes of each answer, in order of appearance.
        weights: W_j of each.
        best: The best score of each.
        low: The lowest score of all candidates, with an answer or without.
        high: The highest.
    """

    counts: Mapping[str, int] = {}
    weights: Mapping[str, float] = {}
    best: Mapping[str, float] = {}
    low: float = 1.0
    high: float = 0.0

    @classmethod
    def of(cls, answers: Sequence[str | None], scores: Sequence[float]) -> Tally:
        """The tally of these candidates; arguments as in `Support.of`."""
        counts: dict[str, int] = {}
        weights: dict[str, float] = {}
        best: dict[str, float] = {}
        for answer, score in zip(answers, scores, strict=True):
            if answer is not None:
                _count(counts, weights, best, answer, score)
        return cls(counts, weights, best, min(scores, default=1.0), max(scores, default=0.0))

    def add(self, answer: str | None, score: float) -> Tally:
        """The tally with one more candidate."""
        low, high = min(self.low, score), max(self.high, score)
        if answer is None:
            return Tally(self.counts, self.weights, self.best, low, high)
        counts, weights, best = dict(self.counts), dict(self.weights), dict(self.best)
        _count(counts, weights, best, answer, score)
        return Tally(counts, weights, best, low, high)


def _count(
    counts: dict[str, int], weights: dict[str, float], best: dict[str, float], answer: str, score: float
) -> None:
    counts[answer] = counts.get(answer, 0) + 1
    weights[answer] = weights.get(answer, 0.0) + odds(score)
    if score > best.get(answer, -1.0):
        best[answer] = score


class Answer(NamedTuple):
    """One answer's support.

    Attributes:
        weight: W_j, the sum of its candidates' weights.
        votes: c_j, how many candidates gave it.
        expected: The mean weight of a further candidate of it.
        text: The answer.
    """

    weight: float
    votes: int
    expected: float
    text: str


class Support(NamedTuple):
    """What candidates say together; make it by `of`.

    Attributes:
        answers: The strongest answers by falling weight, `STRONGEST` at most.
        total: W, the sum of all weights.
        answered: A, how many candidates have an answer.
        unseen: w_0, the mean weight of a candidate whose answer is still to come.
        votes_alone: Whether all scores say nothing.
        kinds: How many distinct answers there are.
        equal: Whether all candidates with an answer have the same weight, so that scores do not tell answers apart.
    """

    answers: list[Answer]
    total: float
    answered: int
    unseen: float
    votes_alone: bool
    kinds: int
    equal: bool = True

    @classmethod
    def of(cls, answers: Sequence[str | None], scores: Sequence[float]) -> Support:
        """The support after these candidates.

        Args:
            answers: The canonical answer of each candidate, None where it has none; at least one has one.
            scores: As many, in [0, 1].

        Example:
            >>> support = Support.of(["4", "5", "4", None], [0.6, 0.8, 0.6, 0.9])
            >>> [(one.text, one.votes, round(one.weight, 1)) for one in support.answers]
            [('5', 1, 4.0), ('4', 2, 3.0)]
        """
        return cls.of_tally(Tally.of(answers, scores))

    @classmethod
    def of_tally(cls, tally: Tally) -> Support:
        """The support after the candidates of a tally, at least one of them with an answer."""
        counts = tally.counts
        count = sum(counts.values())
        if tally.low == NEUTRAL == tally.high:
            most = sorted(counts.items(), key=_BY_COUNT, reverse=True)[:STRONGEST]
            return cls(
                [Answer(float(c), c, 1.0, text) for text, c in most], float(count), count, 1.0, True, len(counts)
            )
        weights, best = tally.weights, tally.best
        total = sum(weights.values())
        unseen = _unseen(total, count)
        order = sorted(weights, key=lambda text: (weights[text], best[text]), reverse=True)[:STRONGEST]
        rows = [
            Answer(weights[text], counts[text], (weights[text] + unseen) / (counts[text] + 1), text) for text in order
        ]
        equal = total > count * odds(max(best.values())) - _ROUNDING
        return cls(rows, total, count, unseen, False, len(counts), equal)

    @classmethod
    def of_votes(cls, votes: Sequence[int], answered: int) -> Support:
        """The support where votes alone count: those of the strongest answers, and of all answers together."""
        rows = [Answer(float(count), count, 1.0, str(place)) for place, count in enumerate(votes)]
        return cls(rows, float(answered), answered, 1.0, True, len(rows))

    def with_leader(self, more: int) -> Support:
        """The support if the next `more` candidates all gave the leading answer."""
        leader, *others = self.answers
        gained = more * leader.expected
        count, total = self.answered + more, self.total + gained
        ahead = Answer(leader.weight + gained, leader.votes + more, leader.expected, leader.text)
        unseen = self.unseen if self.votes_alone else _unseen(total, count)
        return Support([ahead, *others], total, count, unseen, self.votes_alone, self.kinds, self.equal)


def _unseen(total: float, count: int) -> float:
    """w_0 after so many candidates of this weight together."""
    return max(total / count, (total + _PRIOR_WEIGHT * _PRIOR_COUNT) / (count + _PRIOR_COUNT))
