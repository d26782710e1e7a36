"""Which of the candidates to return: the best score, the most votes, votes weighted by score, or the likeliest answer.

A search and a replay choose by the same code: every selection looks at the candidates' answers and scores alone, both
in drawing order. A candidate without an answer votes for itself alone, so where no candidate has one the best score
decides. Of the candidates that share the chosen answer the one with the best score is returned, of equals the earliest.

    >>> answers, scores = ["3", "4", "4", None], [0.9, 0.5, 0.6, 0.7]
    >>> [selection.position(answers, scores) for selection in (BestScore(), Vote(), WeightedVote(), WeightedVote(4.0))]
    [0, 2, 2, 0]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from langchain_optscale.records.types import Candidate

__all__ = [
    "SELECTIONS",
    "BestScore",
    "MostProbable",
    "Selection",
    "SelectionLike",
    "Vote",
    "WeightedVote",
    "all_known",
    "as_selection",
    "choose",
    "votes_of",
]


@dataclass(frozen=True)
class Selection:
    """Base of the selections; write `position`. They are frozen dataclasses: their fields are their settings."""

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The place of the candidate to return.

        Args:
            answers: The candidates' canonical answers in drawing order, None for a candidate without one.
            scores: Their scores, as many; at least one.

        Raises:
            SettingsError: A score is missing, and the selection needs it.
        """
        raise NotImplementedError

    def __call__(self, candidates: Sequence[Candidate], scores: Mapping[int, float]) -> int:
        """The index of the candidate to return, as any other `select=` function.

        Args:
            candidates: Those that have a score, at least one, by ascending index.
            scores: Score by candidate index.
        """
        place = self.position(
            [candidate.answer for candidate in candidates], [scores[candidate.index] for candidate in candidates]
        )
        return candidates[place].index


@dataclass(frozen=True)
class BestScore(Selection):
    """The highest score, the earliest of equals."""

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The place of the highest score."""
        known = all_known(scores)
        return known.index(max(known))


@dataclass(frozen=True)
class Vote(Selection):
    """The most frequent answer (self-consistency, Wang et al., arXiv 2203.11171).

    Answers with equally many votes are told apart by their best score, then by which came first. Scores may be missing.
    """

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The place of the most frequent answer's best candidate."""
        voters = votes_of(answers).values()
        most = max(len(places) for places in voters)
        return _best_of([place for places in voters if len(places) == most for place in places], scores)


@dataclass(frozen=True)
class WeightedVote(Selection):
    """The answer a with the largest sum of score^exponent over its candidates.

    Best-of-N weighted (DIVERSE, Li et al., arXiv 2206.02336). An exponent of 0 counts votes, 1 adds up the scores, a
    large one comes close to the best score. Where all scores are 0 the votes count. `select="weighted_vote"` has an
    exponent of 1.

    Attributes:
        exponent: Finite, at least 0.

    Raises:
        SettingsError: The exponent is out of range.
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.exponent, bool) or not 0.0 <= self.exponent < math.inf:
            raise SettingsError(
                f"the exponent of a weighted vote must be a finite number of at least 0, got {self.exponent!r}"
            )

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The place of the heaviest answer's best candidate."""
        known = all_known(scores)
        top = max(known)
        # In units of the best score, whose power cannot vanish.
        weights = [(score / top) ** self.exponent if top else 1.0 for score in known]
        voters = votes_of(answers).values()
        # Exact sums: two answers with the same scores tie, whatever the order in which they came.
        sums = [math.fsum(weights[place] for place in places) for places in voters]
        largest = max(sums)
        winners = [places for places, one in zip(voters, sums, strict=True) if one == largest]
        return _best_of([place for places in winners for place in places], scores)


@dataclass(frozen=True)
class MostProbable(Selection):
    """The answer that is most probably right, from agreement and scores together.

    Attributes:
        model: What is known of scores and of wrong answers on questions of this kind; None takes the default model.
    """

    model: Any = None

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The place of the most probable answer's best candidate."""
        # Imported at the first call: the statistics behind it bring SciPy.
        statistics: Any = import_module("langchain_optscale.answers")
        known = all_known(scores)
        if all(answer is None for answer in answers):
            return BestScore().position(answers, scores)
        return int(statistics.select_posterior(answers, known, model=self.model))


SELECTIONS: dict[str, Selection] = {
    "best": BestScore(),
    "vote": Vote(),
    "weighted_vote": WeightedVote(),
    "posterior": MostProbable(),
}
"""What the names of `select=` stand for."""

SelectionLike: TypeAlias = str | Callable[..., int]
"""A name of `SELECTIONS`, a `Selection`, or a function `(candidates, scores)` that returns a candidate's index."""


def as_selection(value: SelectionLike) -> Callable[..., int]:
    """The selection of that name, or the function itself.

    Raises:
        SettingsError: The name is unknown, or it is neither a name nor a function.

    Example:
        >>> as_selection("vote")
        Vote()
    """
    if isinstance(value, str) and value in SELECTIONS:
        return SELECTIONS[value]
    if isinstance(value, str | type) or not callable(value):
        known = ", ".join(map(repr, SELECTIONS))
        raise SettingsError(f"select must be one of {known} or a function (candidates, scores), got {value!r}")
    return value


def choose(select: SelectionLike, candidates: Sequence[Candidate], scores: Mapping[int, float]) -> int:
    """The index of the candidate that a search returns.

    Args:
        select: How to choose.
        candidates: Those that have a score, at least one.
        scores: Score by candidate index.

    Raises:
        SettingsError: A function chose something else than the index of one of the candidates.
    """
    candidates = sorted(candidates, key=lambda candidate: candidate.index)
    chosen = as_selection(select)(candidates, scores)
    if chosen not in scores:
        raise SettingsError(f"select must return the index of a scored candidate, got {chosen!r}")
    return chosen


def votes_of(answers: Sequence[str | None]) -> dict[Hashable, list[int]]:
    """The places of the candidates that gave each answer, answers in order of appearance.

    Returns:
        Keyed by the answer; a candidate without one stands under its own place, an int.

    Example:
        >>> votes_of(["4", None, "4"])
        {'4': [0, 2], 1: [1]}
    """
    votes: dict[Hashable, list[int]] = {}
    for place, answer in enumerate(answers):
        votes.setdefault(place if answer is None else answer, []).append(place)
    return votes


def all_known(scores: Sequence[float | None]) -> list[float]:
    """The scores, none of them missing.

    Raises:
        SettingsError: One is.
    """
    if None in scores:
        raise SettingsError("a sample has no score; where it has a logit, Pool.from_logits makes scores of them")
    return cast("list[float]", list(scores))


def _best_of(places: Sequence[int], scores: Sequence[float | None]) -> int:
    def rank(place: int) -> tuple[float, int]:
        score = scores[place]
        return (-math.inf if score is None else score, -place)

    return max(places, key=rank)
