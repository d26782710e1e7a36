"""Which of several samples to return: the best score, the most votes, or the most votes weighted by score.

Every selection takes samples in drawing order and gives the place of one of them. A sample without an answer votes
for itself alone. Of the samples that share the winning answer the one with the best score is returned, of equals the
earliest; a missing score counts as the lowest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from langchain_optscale.answers.model import AnswerModel
    from langchain_optscale.evaluation.samples import Sample

__all__ = ["Selection", "select_best", "select_majority", "select_probable", "select_weighted", "votes_of"]

Selection: TypeAlias = Literal["best", "majority", "weighted_vote", "posterior"]


def select_best(samples: Sequence[Sample]) -> int:
    """The place of the highest score, the earliest of equals, as `Session.best`.

    Args:
        samples: At least one.

    Raises:
        SettingsError: A sample has no score.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> select_best([Sample(score=0.2), Sample(score=0.9), Sample(score=0.9)])
        1
    """
    scores = [sample.score for sample in samples]
    if None in scores:
        raise _no_score()
    known = cast("list[float]", scores)
    return known.index(max(known))


def select_majority(samples: Sequence[Sample]) -> int:
    """The place of a sample with the most frequent answer (self-consistency, Wang et al., arXiv 2203.11171).

    Answers with equally many votes are told apart by their best score, then by which came first.

    Args:
        samples: At least one; scores may be missing.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> select_majority([Sample(score=0.9, answer="3"), Sample(score=0.1, answer="4"), Sample(answer="4")])
        1
    """
    voters = votes_of(samples).values()
    most = max(len(places) for places in voters)
    return _best_of([place for places in voters if len(places) == most for place in places], samples)


def select_weighted(samples: Sequence[Sample], exponent: float = 1.0) -> int:
    """The place of a sample with the answer whose scores, raised to the exponent, have the largest sum.

    Best-of-N weighted (DIVERSE, Li et al., arXiv 2206.02336): an exponent of 0 counts votes, a large one comes close
    to the best score.

    Args:
        samples: At least one.
        exponent: Finite, at least 0.

    Raises:
        SettingsError: A sample has no score, or the exponent is out of range.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> samples = [Sample(score=s, answer=a) for s, a in [(0.9, "3"), (0.5, "4"), (0.6, "4")]]
        >>> select_weighted(samples), select_weighted(samples, exponent=4.0)
        (2, 0)
    """
    if not 0.0 <= exponent < math.inf:
        raise SettingsError(f"the exponent of a weighted vote must be a finite number of at least 0, got {exponent!r}")
    scores = [sample.score for sample in samples]
    if None in scores:
        raise _no_score()
    weights = [score**exponent for score in cast("list[float]", scores)]
    voters = votes_of(samples).values()
    # Exact sums: two answers with the same scores tie, whatever the order in which they came.
    sums = [math.fsum(weights[place] for place in places) for places in voters]
    largest = max(sums)
    return _best_of(
        [place for places, one in zip(voters, sums, strict=True) if one == largest for place in places], samples
    )


def select_probable(samples: Sequence[Sample], model: AnswerModel | None = None) -> int:
    """The place of a sample with the answer that is most probably right, see `langchain_optscale.answers`.

    Unlike the votes it counts samples without an answer as wrong. Where none has one the best score is returned.

    Args:
        samples: At least one.
        model: The law behind answers and scores; None takes the untrained default.

    Raises:
        SettingsError: A sample has no score.

    Example:
        >>> from langchain_optscale.evaluation.pools import Sample
        >>> select_probable([Sample(score=s, answer=a) for s, a in [(0.8, "3"), (0.7, "4"), (0.75, "4")]])
        2
    """
    from langchain_optscale.answers.posterior import select_posterior

    scores = [sample.score for sample in samples]
    if None in scores:
        raise _no_score()
    return select_posterior([sample.answer for sample in samples], cast("list[float]", scores), model)


def votes_of(samples: Sequence[Sample]) -> dict[Hashable, list[int]]:
    """The places of the samples that gave each answer, answers in order of appearance.

    Args:
        samples: In drawing order.

    Returns:
        Keyed by the answer; a sample without one stands under its own place, an int.
    """
    votes: dict[Hashable, list[int]] = {}
    for place, sample in enumerate(samples):
        key = place if sample.answer is None else sample.answer
        votes.setdefault(key, []).append(place)
    return votes


def _best_of(places: Sequence[int], samples: Sequence[Sample]) -> int:
    def rank(place: int) -> tuple[float, int]:
        score = samples[place].score
        return (-math.inf if score is None else score, -place)

    return max(places, key=rank)


def _no_score() -> SettingsError:
    return SettingsError("a sample has no score; where it has a logit, Pool.from_logits makes scores of them")
