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

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEUTRAL", "Answer", "Support", "odds"]

NEUTRAL = 0.5
"""The score that says nothing: where all have it, votes alone are counted."""

_LEAST = 0.15
_MOST = 1.0 - _LEAST
_PRIOR_WEIGHT, _PRIOR_COUNT = 3.0, 3.0


def odds(score: float) -> float:
    """The weight of a candidate, from 0.18 to 5.7.

    Example:
        >>> odds(0.5), round(odds(1.0), 2), odds(0.85) == odds(0.95)
        (1.0, 5.67, True)
    """
    bounded = _LEAST if score < _LEAST else min(score, _MOST)
    return bounded / (1.0 - bounded)


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
        answers: The answers by falling weight.
        total: W, the sum of all weights.
        answered: A, how many candidates have an answer.
        unseen: w_0, the mean weight of a candidate whose answer is still to come.
        votes_alone: Whether all scores say nothing.
    """

    answers: list[Answer]
    total: float
    answered: int
    unseen: float
    votes_alone: bool

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
        counts: dict[str, int] = {}
        votes_alone = min(scores) == NEUTRAL == max(scores)
        if votes_alone:
            for answer in answers:
                if answer is not None:
                    counts[answer] = counts.get(answer, 0) + 1
            ranked = sorted(counts.items(), key=_votes, reverse=True)
            count = sum(counts.values())
            return cls([Answer(float(c), c, 1.0, text) for text, c in ranked], float(count), count, 1.0, True)
        weights: dict[str, float] = {}
        best: dict[str, float] = {}
        for answer, score in zip(answers, scores, strict=True):
            if answer is not None:
                bounded = _LEAST if score < _LEAST else min(score, _MOST)
                counts[answer] = counts.get(answer, 0) + 1
                weights[answer] = weights.get(answer, 0.0) + bounded / (1.0 - bounded)
                if score > best.get(answer, -1.0):
                    best[answer] = score
        count, total = sum(counts.values()), sum(weights.values())
        unseen = max(total / count, (total + _PRIOR_WEIGHT * _PRIOR_COUNT) / (count + _PRIOR_COUNT))
        order = sorted(weights, key=lambda text: (weights[text], best[text]), reverse=True)
        rows = [
            Answer(weights[text], counts[text], (weights[text] + unseen) / (counts[text] + 1), text) for text in order
        ]
        return cls(rows, total, count, unseen, False)

    def with_leader(self, more: int) -> Support:
        """The support if the next `more` candidates all gave the leading answer."""
        leader, *others = self.answers
        gained = more * leader.expected
        count, total = self.answered + more, self.total + gained
        unseen = (
            self.unseen
            if self.votes_alone
            else max(total / count, (total + _PRIOR_WEIGHT * _PRIOR_COUNT) / (count + _PRIOR_COUNT))
        )
        return self._replace(
            answers=[leader._replace(weight=leader.weight + gained, votes=leader.votes + more), *others],
            total=total,
            answered=count,
            unseen=unseen,
        )


def _votes(item: tuple[str, int]) -> int:
    return item[1]
