"""A prior for each question, predicted from its text: the trained half of OptScale (OptScale^t).

    prior = QuestionPrior.fit(prompts, scores=score_lists)
    model = ChatOptScale(policy=policy, verifier=verifier, prior=prior)

The mean and the standard deviation of a question's scores are predicted by ridge regression on hashed n-grams of its
text, or on a model's embeddings. How far off such predictions are is known from questions whose own scores were left
out of the fit: the past questions with the nearest predictions say what the next question with this one may have.

- The middle 80 % of their errors make the 80 % interval.
- Their score lists make an `EmpiricalPrior` of their own: what `Posterior`, and the search's chance to reach a target,
  start from.

A question unlike those that were learned from gets the prior of the population, and so does every question where the
text says nothing.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.moments import Moments
from langchain_optscale.learning.question_prior_file import read_question_prior, write_question_prior
from langchain_optscale.learning.ridge import fit_ridge
from langchain_optscale.learning.text_model import HashedText, TextModel, text_model
from langchain_optscale.stats.chances import fit_chances
from langchain_optscale.stats.empirical_prior import EmpiricalPrior
from langchain_optscale.stats.question_law import QuestionLaw

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Self

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

    from langchain_optscale.learning.features import QuestionFeatures
    from langchain_optscale.learning.ridge import FloatArray, Ridge

__all__ = ["FEWEST_QUESTIONS", "QuestionPrior"]

_logger = logging.getLogger(__name__)

FEWEST_QUESTIONS = 40
"""With fewer questions the text is not used, and every question gets the population's prior."""

_LEAST_STD = 1e-3
# Of each belief: the share of the questions whose predictions are nearest, at least so many, and at most so many read.
_SHARE, _FEWEST_NEAR, _MOST_READ = 0.1, 60, 400
_MOST_BELIEFS = 16
_MOST_OF_POPULATION = 1000
# Predictions that are kept to know the errors of further ones.
_MOST_KEPT = 5000
# Standard errors by which leaving a question out must show that the text helps.
_CLEARLY = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class QuestionPrior:
    """A predictor of the law of a question's scores from its text; make it by `fit`, or read it by `load`.

    It is a function of the question: `prior(question)` is its `QuestionLaw`. Every entry point takes it as `prior=`,
    and asks it once a search.

    Attributes:
        text: What is read of a question, and the weights of it.
        intercept: The predictions where nothing is known of the text, shape (2,): mean and standard deviation.
        known: Of past questions, in the order of the first column: the predicted mean and standard deviation, each by a
            fit without that question, and the observed ones; shape (questions, 4).
        centres: The predicted mean that each belief is for, ascending.
        beliefs: What the scores of past questions with a predicted mean about each of `centres` were like.
        population: What the scores of all past questions were like.
        is_useful: Whether predicting from the text is clearly better than not, for questions left out; if not, every
            question gets the population's prior.
        report: Held-out figures and what it was fitted on, JSON-ready; see `fit`.
        path: The file that it was read from, None for none; settings that hold it serialise by it.

    Example:
        >>> prompts = [f"{word} question {number}" for number in range(20) for word in ("easy", "hard")]
        >>> scores = [[0.85, 0.9, 0.95] if "easy" in prompt else [0.2, 0.3, 0.4] for prompt in prompts]
        >>> prior = QuestionPrior.fit(prompts, scores=scores)
        >>> prior("easy question 41").mean > 0.8, prior("hard question 41").mean < 0.4
        (True, True)
    """

    text: TextModel
    intercept: tuple[float, float]
    known: FloatArray
    centres: tuple[float, ...]
    beliefs: tuple[EmpiricalPrior, ...]
    population: EmpiricalPrior
    is_useful: bool
    report: dict[str, Any]
    path: str | None = None

    @classmethod
    def fit(
        cls,
        prompts: Sequence[str | QuestionFeatures],
        means: Sequence[float] | None = None,
        stds: Sequence[float] | None = None,
        *,
        scores: Sequence[Sequence[float]] | None = None,
        embeddings: Embeddings | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn from past questions.

        Args:
            prompts: The questions, each a text or, without `embeddings`, what `hashed_features` gave for it.
            means: The mean of each question's scores, in [0, 1].
            stds: The standard deviation of them, at least 0.
            scores: The scores themselves in place of means and standard deviations, in [0, 1]; lists may differ in
                length. Empty ones are left out. A question with few scores has less weight.
            embeddings: A LangChain embedding model that reads the texts in place of hashed n-grams. It is not saved:
                give the same one to `load`.
            seed: Chooses the questions on which strengths are compared first.

        Returns:
            The predictor. Its `report` has the number of `questions` and `scores`, the `strengths`, and for questions
            left out, under `mean` and `std`: the mean absolute error (`mae`), that of the best constant
            (`mae_of_constant`), and Spearman's `rank_correlation`; under `useful` whether it is used at all.

        Raises:
            SettingsError: The arguments do not fit each other, or there is no question.
            InvalidScoreError: A score is nan or outside [0, 1].
        """
        moments = Moments.of(len(prompts), means, stds, scores)
        asked = [prompts[place] for place in moments.places]
        population = _belief(moments, np.arange(len(asked)), _MOST_OF_POPULATION)
        text, rows = text_model(asked, embeddings)
        if len(asked) < FEWEST_QUESTIONS:
            return cls._of_population(text, moments, population)
        ridge = fit_ridge(rows, moments.values, moments.weights, seed=seed)
        left_out = _possible(ridge.left_out)
        gain = moments.gain(left_out)
        known = np.column_stack([left_out, moments.values])
        order = np.argsort(known[:, 0], kind="stable")
        centres, beliefs = _beliefs(moments, order, left_out[:, 0])
        return cls(
            text.with_coefficients(ridge.coefficients),
            (float(ridge.intercept[0]), float(ridge.intercept[1])),
            known[_spread(order, _MOST_KEPT)].astype(np.float32).astype(np.float64),
            centres,
            beliefs,
            population,
            gain > _CLEARLY,
            _report(moments, ridge, left_out, gain),
        )

    @classmethod
    def _of_population(cls, text: TextModel, moments: Moments, population: EmpiricalPrior) -> Self:
        mean, std = moments.values.mean(axis=0)
        known = np.column_stack([np.broadcast_to([mean, std], moments.values.shape), moments.values])
        report = {"questions": len(known), "scores": moments.count, "useful": False}
        return cls(text, (float(mean), float(std)), known, (float(mean),), (population,), population, False, report)

    def __call__(self, prompt: str) -> QuestionLaw:
        """The law of one question's scores; that of the population where an embedding model fails."""
        try:
            return self.predict([prompt])[0]
        except Exception as error:
            if not self.is_slow or isinstance(error, SettingsError):
                raise
            _logger.warning("The question's prior is the population's, since the embedding model failed: %s", error)
            return self.of_population

    def predict(self, prompts: Sequence[str | QuestionFeatures]) -> list[QuestionLaw]:
        """The laws of the scores of some questions; many at once take less time than one by one.

        The mean and standard deviation are those of the regression plus the median error of the past questions with the
        nearest predictions: half of the questions like this one have more.

        Args:
            prompts: As in `fit`.
        """
        if not prompts:
            return []
        raw, is_known = self._moments(prompts)
        errors = self._errors(raw[:, 0])
        centre = np.median(errors, axis=1)
        deviations = np.maximum(np.sqrt(((errors - centre[:, None]) ** 2).mean(axis=1)), _LEAST_STD)
        nearest = np.abs(np.subtract.outer(raw[:, 0], np.array(self.centres))).argmin(axis=1)
        return [
            QuestionLaw(mean, std, mean_std, std_std, self.beliefs[place]) if trusted else self.of_population
            for (mean, std), (mean_std, std_std), place, trusted in zip(
                _possible(raw + centre).tolist(),
                deviations.tolist(),
                nearest.tolist(),
                is_known.tolist(),
                strict=True,
            )
        ]

    def intervals(self, prompts: Sequence[str | QuestionFeatures], level: float = 0.8) -> FloatArray:
        """Intervals that hold the mean, and the standard deviation, of a question's scores with some probability.

        Each end is a quantile of the errors that past questions with the nearest predictions had while they were left
        out of the fit. What is held is the mean of as many scores as past questions had.

        Args:
            prompts: As in `fit`.
            level: How many of the intervals hold, in (0, 1).

        Returns:
            Shape (questions, 2, 2): for each the ends of the mean's interval, and of the standard deviation's.

        Raises:
            SettingsError: The level is out of its range.
        """
        if not 0.0 < level < 1.0:
            raise SettingsError(f"level must lie strictly between 0 and 1, got {level!r}")
        values, is_known = self._moments(prompts)
        tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
        ends = np.moveaxis(np.quantile(self._errors(values[:, 0]), tails, axis=1), 0, -1) + values[:, :, None]
        ends[~is_known] = np.quantile(self.known[:, 2:], tails, axis=0).T
        return np.clip(ends, 0.0, 1.0)

    @cached_property
    def of_population(self) -> QuestionLaw:
        """The law of a question about which nothing is known."""
        observed = self.known[:, 2:]
        mean, std = _possible(observed.mean(axis=0)[None])[0].tolist()
        mean_std, std_std = np.maximum(observed.std(axis=0), _LEAST_STD).tolist()
        return QuestionLaw(mean, std, mean_std, std_std, self.population, doubtful=True)

    @property
    def is_slow(self) -> bool:
        """Whether a prediction asks a model: searches then do it off the event loop."""
        return not isinstance(self.text, HashedText)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, equal for predictors that predict the same."""
        digest = hashlib.sha256()
        for array in (*self.text.arrays.values(), self.known, np.array([*self.centres, *self.intercept])):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((self.population, self.beliefs, self.is_useful)).encode())
        return digest.hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuestionPrior) and self.fingerprint == other.fingerprint

    def __repr__(self) -> str:
        return f"QuestionPrior({self.report['questions']} questions, {self.fingerprint})"

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as an npz file of plain arrays and JSON, in one step; nothing is pickled.

        Raises:
            SettingsError: The file cannot be written.
        """
        write_question_prior(path, vars(self), self.fingerprint)

    @classmethod
    def load(cls, path: str | os.PathLike[str], embeddings: Embeddings | None = None) -> Self:
        """Read what `save` or `optscale train-prior --kind question` wrote.

        Args:
            path: The file.
            embeddings: The embedding model that it was fitted with, None for hashed n-grams.

        Raises:
            InvalidRecordError: The file is no such predictor, of a later version, or damaged; the message names it.
            SettingsError: It cannot be read, or needs an embedding model that is not given.
        """
        return cls(**read_question_prior(path, embeddings))

    def _moments(self, prompts: Sequence[str | QuestionFeatures]) -> tuple[FloatArray, Any]:
        """Mean and standard deviation of each by the regression, and whether it is to be used."""
        if not self.is_useful:
            return np.broadcast_to(self.intercept, (len(prompts), 2)).copy(), np.zeros(len(prompts), dtype=bool)
        predicted, is_known = self.text.predict(prompts)
        return _possible(predicted + np.array(self.intercept)), is_known

    def _errors(self, means: FloatArray) -> FloatArray:
        """Errors of the past questions with the nearest predicted means, shape (questions, near, 2)."""
        count = len(self.known)
        near = min(count, max(_FEWEST_NEAR, round(_SHARE * count)))
        first = np.clip(self.known[:, 0].searchsorted(means) - near // 2, 0, count - near)
        errors: FloatArray = (self.known[:, 2:] - self.known[:, :2])[first[:, None] + np.arange(near)]
        return errors


def _possible(values: FloatArray) -> FloatArray:
    """Predictions as moments that scores in [0, 1] can have."""
    mean = np.clip(values[:, 0], _LEAST_STD, 1.0 - _LEAST_STD)
    return np.column_stack([mean, np.clip(values[:, 1], _LEAST_STD, np.sqrt(mean * (1.0 - mean)))])


def _beliefs(
    moments: Moments, order: NDArray[np.intp], predicted: FloatArray
) -> tuple[tuple[float, ...], tuple[EmpiricalPrior, ...]]:
    """The centres and beliefs of the questions, `order` being that of their predicted means."""
    count = len(order)
    near = min(count, max(_FEWEST_NEAR, round(_SHARE * count)))
    firsts = np.unique(np.linspace(0, count - near, min(_MOST_BELIEFS, 1 + 2 * (count - near) // near)).astype(int))
    groups = [order[first : first + near] for first in firsts.tolist()]
    centres = tuple(float(np.median(predicted[group])) for group in groups)
    return centres, tuple(_belief(moments, group, _MOST_READ) for group in groups)


def _belief(moments: Moments, places: NDArray[np.intp], most: int) -> EmpiricalPrior:
    """What the scores of some questions are like; the shape from at most so many of them, the chances from all."""
    prior = EmpiricalPrior.fit([moments.score_lists[place] for place in _spread(places, most)])
    return replace(prior, chances=fit_chances(moments.reached[places], moments.sizes[places]))


def _spread(places: Any, most: int) -> Any:
    """At most so many of the places, evenly spread."""
    return places if len(places) <= most else places[np.linspace(0, len(places) - 1, most).astype(int)]


def _report(moments: Moments, ridge: Ridge, left_out: FloatArray, gain: float) -> dict[str, Any]:
    from langchain_optscale.learning.moments import held_out_figures

    return {
        "questions": len(left_out),
        "scores": moments.count,
        "strengths": list(ridge.strengths),
        "useful": gain > _CLEARLY,
        **held_out_figures(moments.values, left_out),
    }
