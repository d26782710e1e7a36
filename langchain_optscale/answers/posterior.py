"""The posterior over answers: the probability that each observed answer is right, or that none is.

>>> posterior = AnswerPosterior.of(["12", "12", "7", None], [0.9, 0.8, 0.85, 0.1])
>>> posterior.leader, posterior.place, posterior.probability > posterior.probabilities["7"]
('12', 0, True)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.answers._joint import Histories, Joint
from langchain_optscale.answers._lookahead import expected_leader, reduce
from langchain_optscale.answers.model import DEFAULT, AnswerModel
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.forks import cached_property

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AnswerPosterior", "select_posterior"]


@dataclass(frozen=True, eq=False)
class AnswerPosterior:
    """The posterior of the right answer given the answers and scores of one question; created by `of`.

    Attributes:
        model: The answer model.
        answers: The canonical answer of each candidate, or None.
        scores: Their scores.
        probabilities: P(the answer is right) by answer, in order of appearance.
        none: P(none of them is right); together with `probabilities` it sums to 1.

    Example:
        >>> posterior = AnswerPosterior.of(["4", "4", "5"], [0.9, 0.8, 0.3])
        >>> max(posterior.probabilities, key=posterior.probabilities.get), posterior.place
        ('4', 0)
        >>> round(sum(posterior.probabilities.values()) + posterior.none, 9)
        1.0
    """

    model: AnswerModel
    answers: tuple[str | None, ...]
    scores: tuple[float, ...]
    probabilities: Mapping[str, float]
    none: float
    _joint: Joint

    @classmethod
    def of(
        cls, answers: Sequence[str | None], scores: Sequence[float], model: AnswerModel | None = None
    ) -> AnswerPosterior:
        """The posterior after these candidates.

        Args:
            answers: The canonical answer of each candidate; None counts as a wrong candidate.
            scores: Scores in [0, 1], one for each.
            model: None takes the default model.

        Raises:
            SettingsError: The lengths differ.
        """
        if len(answers) != len(scores):
            raise SettingsError(
                f"every candidate needs a score and an answer or None, got {len(scores)} and {len(answers)}"
            )
        model = DEFAULT if model is None else model
        columns: dict[str | int, int] = {}
        counts: list[float] = []
        sums: list[float] = []
        for place, (answer, score) in enumerate(zip(answers, scores, strict=True)):
            key = place if answer is None else answer
            column = columns.get(key)
            if column is None:
                columns[key] = len(counts)
                counts.append(1.0)
                sums.append(model.logit(score))
            else:
                counts[column] += 1.0
                sums[column] += model.logit(score)
        silent = [not isinstance(key, str) for key in columns]
        joint = Joint(
            model, Histories(np.array([[*counts, 0.0]]), np.array([[*sums, 0.0]]), np.array([[*silent, False]]))
        )
        *each, none = np.exp(joint.log_posterior[0]).tolist()
        probabilities = {key: each[column] for key, column in columns.items() if isinstance(key, str)}
        return cls(model, tuple(answers), tuple(scores), probabilities, none, joint)

    @cached_property
    def place(self) -> int | None:
        """The position of the leader's candidate with the best score, the earliest of equals; None without answers.

        The leader is the most probable answer; ties go to the best score, then to the first.
        """
        most = max(self.probabilities.values(), default=None)
        leading = {answer for answer, probability in self.probabilities.items() if probability == most}
        ranked = [(self.scores[place], -place) for place, answer in enumerate(self.answers) if answer in leading]
        return -max(ranked)[1] if ranked else None

    @property
    def leader(self) -> str | None:
        """The most probable answer; None without answers."""
        return None if self.place is None else self.answers[self.place]

    @property
    def probability(self) -> float:
        """P(the leading answer is right); 0 without answers."""
        leader = self.leader
        return 0.0 if leader is None else self.probabilities[leader]

    def expected_rise(self) -> Mapping[int, float]:
        """The expected increase of P(the leading answer is right) by k more candidates, see `_lookahead`.

        Returns:
            By k in 1, 2, 4 and 8, each in [0, 1]; empty without answers.
        """
        if self.place is None:
            return {}
        now = self.probability
        return {k: max(0.0, then - now) for k, then in expected_leader(reduce(self._joint)).items()}


def select_posterior(answers: Sequence[str | None], scores: Sequence[float], model: AnswerModel | None = None) -> int:
    """The position of the best-scored candidate of the most probable answer.

    Without answers it is the candidate with the best score, the earliest of equals.

    Args:
        answers: The canonical answer of each candidate, or None; at least one.
        scores: Scores in [0, 1], one for each.
        model: None takes the default model.

    Raises:
        SettingsError: There are no candidates, or the lengths differ.

    Example:
        >>> select_posterior(["3", "4", "4", None], [0.8, 0.7, 0.75, 0.9])
        2
        >>> select_posterior([None, None], [0.2, 0.3])
        1
    """
    if not scores:
        raise SettingsError("there is no candidate to select")
    place = AnswerPosterior.of(answers, scores, model).place
    return max(range(len(scores)), key=lambda index: (scores[index], -index)) if place is None else place
