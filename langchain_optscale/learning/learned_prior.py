"""What `optscale train-prior` writes, whichever kind it is."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

from langchain_optscale.learning.question_prior import QuestionPrior
from langchain_optscale.records.files import open_regular
from langchain_optscale.stats.empirical_prior import EmpiricalPrior

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings

__all__ = ["LearnedPrior"]

# How an npz file begins.
_PACKED = b"PK"


class LearnedPrior(ABC):  # noqa: B024 - a common name of two classes
    """A prior learned from past questions: an `EmpiricalPrior`, the same for all, or a `QuestionPrior`, one for each.

    Both are instances of it. Either is what `prior=` takes.

    Example:
        >>> prior = LearnedPrior.fit([[0.9, 0.95, 0.8], [0.3, 0.4, 0.35]] * 10)
        >>> type(prior).__name__, isinstance(prior, LearnedPrior)
        ('EmpiricalPrior', True)
    """

    @staticmethod
    def fit(
        scores: Sequence[Sequence[float]],
        prompts: Sequence[str] | None = None,
        *,
        embeddings: Embeddings | None = None,
    ) -> EmpiricalPrior | QuestionPrior:
        """Learn from the scores of past questions.

        Args:
            scores: The scores of each question, in [0, 1].
            prompts: The texts of the questions, for a prior of each question; None for one of all.
            embeddings: As for `QuestionPrior.fit`.

        Raises:
            SettingsError: There is no score at all, or not a text for each list of scores.
            InvalidScoreError: A score is nan or outside [0, 1].
        """
        if prompts is None:
            return EmpiricalPrior.fit(scores)
        return QuestionPrior.fit(prompts, scores=scores, embeddings=embeddings)

    @staticmethod
    def load(path: str | os.PathLike[str], embeddings: Embeddings | None = None) -> EmpiricalPrior | QuestionPrior:
        """Read what `optscale train-prior` or `save` wrote, also by version 0.1.0.

        Args:
            path: The file.
            embeddings: The model that a `QuestionPrior` was fitted with, None for hashed n-grams.

        Raises:
            InvalidRecordError: The file is no learned prior, of a later version, or damaged; the message names it.
            SettingsError: It cannot be read, or needs an embedding model that is not given.
        """
        with open_regular(path) as file:
            is_packed = file.read(len(_PACKED)) == _PACKED
        return QuestionPrior.load(path, embeddings) if is_packed else EmpiricalPrior.load(path)


LearnedPrior.register(EmpiricalPrior)
LearnedPrior.register(QuestionPrior)
