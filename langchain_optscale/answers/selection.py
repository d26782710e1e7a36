"""Selections of the candidate to return: best score, most votes, weighted votes, or the most probable answer.

`claim_about` says what a search claims about the candidate that was selected.

A selection depends on the answers and scores alone, in drawing order, so searches and replays share it. A candidate
without an answer votes for itself, so the best score decides where no candidate has one. Of the candidates with the
chosen answer the one with the best score is returned, the earliest of equals.

    >>> answers, scores = ["3", "4", "4", None], [0.9, 0.5, 0.6, 0.7]
    >>> [selection.position(answers, scores) for selection in (BestScore(), Vote(), WeightedVote(), WeightedVote(4.0))]
    [0, 2, 2, 0]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from langchain_optscale.answers.base import accepts
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from langchain_optscale.answers.model import AnswerModel
    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.records.decisions import Decision

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
    "claim_about",
    "votes_of",
]


@dataclass(frozen=True)
class Selection:
    """Base of the selections, frozen dataclasses of their settings; implement `position`.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Latest(Selection):
        ...     def position(self, answers, scores):
        ...         return len(answers) - 1
        >>> Latest().position(["4", "5", "5"], [0.9, 0.6, 0.7])
        2
    """

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The position of the candidate to return.

        Args:
            answers: The candidates' canonical answers in drawing order, None for a candidate without one.
            scores: Their scores, as many; at least one.

        Raises:
            SettingsError: A score that the selection needs is missing.
        """
        raise NotImplementedError

    def __call__(self, candidates: Sequence[Candidate], scores: Mapping[int, float]) -> int:
        """The index of the candidate to return, as a `select=` function."""
        place = self.position(
            [candidate.answer for candidate in candidates], [scores[candidate.index] for candidate in candidates]
        )
        return candidates[place].index


@dataclass(frozen=True)
class BestScore(Selection):
    """The highest score, the earliest of equals.

    Example:
        >>> BestScore().position(["4", "5", "5"], [0.9, 0.6, 0.7])
        0
    """

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The position of the highest score."""
        known = all_known(scores)
        return known.index(max(known))


@dataclass(frozen=True)
class Vote(Selection):
    """The most frequent answer (self-consistency, Wang et al., arXiv 2203.11171).

    Ties go to the answer with the best score, then to the first. Scores may be missing.

    Example:
        >>> Vote().position(["4", "5", "5"], [0.9, 0.6, 0.7])
        2
    """

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The position of the most frequent answer's best candidate."""
        voters = votes_of(answers).values()
        most = max(len(places) for places in voters)
        return _best_of([place for places in voters if len(places) == most for place in places], scores)


@dataclass(frozen=True)
class WeightedVote(Selection):
    """The answer a with the largest sum of score^exponent over its candidates.

    Best-of-N weighted (DIVERSE, Li et al., arXiv 2206.02336). An exponent of 0 counts votes, 1 sums the scores, a large
    one approximates the best score. If all scores are 0, votes count. `select="weighted_vote"` has an exponent of 1.

    Attributes:
        exponent: Finite, at least 0.

    Raises:
        SettingsError: The exponent is out of range.

    Example:
        >>> answers, scores = ["4", "5", "5"], [0.9, 0.3, 0.4]
        >>> WeightedVote().position(answers, scores), WeightedVote(exponent=0).position(answers, scores)
        (0, 2)
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.exponent, bool) or not 0.0 <= self.exponent < math.inf:
            raise SettingsError(
                f"the exponent of a weighted vote must be a finite number of at least 0, got {self.exponent!r}"
            )

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The position of the best candidate with the largest sum."""
        known = all_known(scores)
        top = max(known)
        # Relative to the best score, whose power cannot underflow.
        weights = [(score / top) ** self.exponent if top else 1.0 for score in known]
        voters = votes_of(answers).values()
        # Exact sums: answers with the same scores tie in any order.
        sums = [math.fsum(weights[place] for place in places) for places in voters]
        largest = max(sums)
        winners = [places for places, one in zip(voters, sums, strict=True) if one == largest]
        return _best_of([place for places in winners for place in places], scores)


@dataclass(frozen=True)
class MostProbable(Selection):
    """The answer with the highest posterior probability, from agreement and scores.

    Attributes:
        model: The model of answers and scores; None takes the mixture of models of `answers.untrained`, weighed by the
            votes.

    Example:
        >>> MostProbable().position(["4", "5", "5", "5"], [0.6, 0.6, 0.7, 0.5])
        2
    """

    model: AnswerModel | None = None

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """The position of the most probable answer's best candidate."""
        known = all_known(scores)
        if all(answer is None for answer in answers):
            return BestScore().position(answers, scores)
        if self.model is None:
            from langchain_optscale.answers.untrained import select_untrained  # needs NumPy

            return select_untrained(answers, known)
        from langchain_optscale.answers.posterior import select_posterior  # needs SciPy

        return select_posterior(answers, known, model=self.model)


SELECTIONS: dict[str, Selection] = {
    "best": BestScore(),
    "vote": Vote(),
    "weighted_vote": WeightedVote(),
    "posterior": MostProbable(),
}
"""Selections by their names for `select=`."""

SelectionLike: TypeAlias = str | Callable[..., int]
"""A name of `SELECTIONS`, a `Selection`, or a function `(candidates, scores)` that returns a candidate's index."""


def as_selection(value: SelectionLike) -> Callable[..., int]:
    """The selection of that name, or the function itself.

    Raises:
        SettingsError: It is neither a known name nor a function.

    Example:
        >>> as_selection("vote")
        Vote()
    """
    if isinstance(value, str) and value in SELECTIONS:
        return SELECTIONS[value]
    if isinstance(value, str | type) or not callable(value):
        known = ", ".join(map(repr, SELECTIONS))
        raise SettingsError(f"select must be one of {known} or a function (candidates, scores), got {value!r}")
    if not accepts(value, 2):
        raise SettingsError(
            f"select must accept two positional arguments, the candidates and the scores, got {value!r}"
        )
    return value


def choose(select: SelectionLike, candidates: Sequence[Candidate], scores: Mapping[int, float]) -> int:
    """The index of the candidate that a search returns.

    Args:
        select: How to choose.
        candidates: The scored candidates, at least one.
        scores: Score by candidate index.

    Raises:
        SettingsError: The selection returned no index of a scored candidate.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_optscale import Candidate
        >>> candidates = [Candidate(place, AIMessage(text), round=1, answer=text) for place, text in enumerate("455")]
        >>> scores = {0: 0.9, 1: 0.6, 2: 0.7}
        >>> choose("best", candidates, scores), choose("vote", candidates, scores)
        (0, 2)
    """
    candidates = sorted(candidates, key=lambda candidate: candidate.index)
    chosen = as_selection(select)(candidates, scores)
    if chosen not in scores:
        raise SettingsError(f"select must return the index of a scored candidate, got {chosen!r}")
    return chosen


def claim_about(
    decision: Decision, answers: Sequence[str | None], scores: Sequence[float], place: int
) -> tuple[str, float | None]:
    """The claim of a decision, and its probability, as it holds for the candidate that is returned.

    A claim of stability speaks of the answer that the rule found leading, and is withdrawn where a selection returns
    another one; "target reached" speaks of the returned candidate's score.

    Args:
        decision: What ended the search.
        answers: The canonical answer of each scored candidate, in order of arrival.
        scores: As many.
        place: The position of the returned candidate among them.

    Example:
        >>> from langchain_optscale.records.decisions import Decision
        >>> stable = Decision(True, figures={"leader": 0}, claim="stable", probability=0.97)
        >>> claim_about(stable, ["4", "5"], [0.6, 0.9], 0), claim_about(stable, ["4", "5"], [0.6, 0.9], 1)
        (('stable', 0.97), ('not sure', None))
    """
    leader = decision.figures.get("leader")
    if leader is not None and answers[int(leader)] != answers[place]:
        return "not sure", None
    target = decision.figures.get("target")
    if decision.claim == "target reached" and target is not None and scores[place] < target:
        return "not sure", None
    return decision.claim, decision.probability


def votes_of(answers: Sequence[str | None]) -> dict[Hashable, list[int]]:
    """The positions of each answer's candidates, in order of appearance.

    Returns:
        By answer; a candidate without one is keyed by its own position, an int.

    Example:
        >>> votes_of(["4", None, "4"])
        {'4': [0, 2], 1: [1]}
    """
    votes: dict[Hashable, list[int]] = {}
    for place, answer in enumerate(answers):
        votes.setdefault(place if answer is None else answer, []).append(place)
    return votes


def all_known(scores: Sequence[float | None]) -> list[float]:
    """The scores as floats.

    Raises:
        SettingsError: One is missing.
    """
    if None in scores:
        raise SettingsError("a sample has no score; where it has a logit, Pool.from_logits makes scores of them")
    return cast("list[float]", list(scores))


def _best_of(places: Sequence[int], scores: Sequence[float | None]) -> int:
    def rank(place: int) -> tuple[float, int]:
        score = scores[place]
        return (-math.inf if score is None else score, -place)

    return max(places, key=rank)
