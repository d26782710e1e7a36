r"""Maximum a posteriori fit of the answer model to labelled candidates.

The objective is the log probability of the truth (which answer is right, or that none so far is) after n candidates,
summed over prefixes of geometric sizes in a few orders of each question, plus a normal prior around the constants of
the initial model. Maximised by L-BFGS-B with the exact gradient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from langchain_optscale.answers._joint import GRADIENT_SIZE, Histories, Joint, from_vector, to_vector
from langchain_optscale.answers._recorded import Column, columns_of, histories, logits_of
from langchain_optscale.answers.model import CALIBRATED_SCORES, AnswerModel
from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.calibration import IsotonicCalibration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_optscale.answers._joint import BoolArray, FloatArray
    from langchain_optscale.answers._recorded import RecordedQuestion

__all__ = ["fit_constants", "fit_labelled", "held_out_logits"]

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_ORDERS = 2
_FOLDS = 5
# The prefixes of a question are correlated: together they weigh as much as two independent ones.
_WORTH = 2.0
_PRIOR_STD = 1.0
_LIMIT = 7.0
# The separation is not negative; the quadrature bounds the firmness.
_BOUNDS = {1: (-4.0, 5.0), 4: (0.0, _LIMIT)}
# Further iterations move the constants in directions in which the probabilities hardly change.
_ITERATIONS, _TOLERANCE = 60, 1e-6


def fit_labelled(
    questions: Iterable[RecordedQuestion],
    *,
    start: AnswerModel | None = None,
    calibrate: bool = True,
    seed: int = 0,
) -> AnswerModel:
    """Fit the constants, and a calibration of the scores, to labelled candidates.

    The constants are fitted to cross-fitted calibrated scores (five folds), since a calibration is overconfident on its
    own questions; the returned calibration uses all questions.

    Args:
        questions: A pool, or any questions whose samples have score, answer and correct.
        start: The prior's centre; its standard deviation is 1 on each constant's logarithmic (or logit) scale. None
            takes `CALIBRATED_SCORES`.
        calibrate: Whether to fit an isotonic calibration; otherwise that of `start` is kept.
        seed: Of the random orders of each question.

    Raises:
        SettingsError: There are fewer than 10 questions, a sample lacks score or label, no sample has an answer, or all
            labels are equal.

    Example:
        >>> import random
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> draw = random.Random(0)
        >>> def sample():
        ...     right = draw.random() < 0.6
        ...     return Sample(
        ...         score=round(draw.betavariate(5, 3) if right else draw.betavariate(3, 5), 2),
        ...         correct=right,
        ...         answer="4" if right else draw.choice("12356"),
        ...     )
        >>> model = fit_labelled([Question(str(q), "2 + 2?", tuple(sample() for _ in range(8))) for q in range(40)])
        >>> model.separation > 0, model.calibration(0.9) > model.calibration(0.1)
        (True, True)
    """
    columns = columns_of(questions, with_labels=True)
    if len({bool(right) for column in columns for right in column.correct}) < 2:
        raise SettingsError("all samples are right or all are wrong: record samples of both kinds")
    start = CALIBRATED_SCORES if start is None else start
    logits = held_out_logits(columns, start) if calibrate else logits_of(columns, start.logit)
    model = fit_constants([(columns, logits)], start, seed=seed)
    return replace(model, calibration=_isotonic(columns)) if calibrate else model


def fit_constants(
    parts: Sequence[tuple[Sequence[Column], Sequence[FloatArray]]],
    start: AnswerModel,
    *,
    prior_std: float = _PRIOR_STD,
    questions: float | None = None,
    seed: int = 0,
) -> AnswerModel:
    """Fit the constants and keep the calibration of `start`.

    Args:
        parts: Questions with the logits of their scores, one part for each task.
        start: Centre of the prior.
        prior_std: Standard deviation of the prior on the scales of `to_vector`.
        questions: Weight of each part in questions; None takes their number.
        seed: Of the orders.
    """
    weighted: list[tuple[Histories, BoolArray, float]] = []
    for columns, logits in parts:
        generator = np.random.default_rng(seed)
        count = len(columns) if questions is None else questions
        sizes = [size for size in _SIZES if size <= max(len(column.groups) for column in columns)]
        for order in range(_ORDERS):
            places = [
                np.arange(len(column.groups)) if order == 0 else generator.permutation(len(column.groups))
                for column in columns
            ]
            mixed = [column.ordered(place.tolist()) for column, place in zip(columns, places, strict=True)]
            values = [logit[place] for logit, place in zip(logits, places, strict=True)]
            for size in sizes:
                data, truth = histories(mixed, values, size)
                weighted.append((data, truth, _WORTH * count / (len(columns) * _ORDERS * len(sizes))))
    centre = to_vector(start)

    def loss(vector: FloatArray) -> tuple[float, FloatArray]:
        model = from_vector(vector, None)
        away = (vector - centre) / prior_std
        value, gradient = 0.5 * float(away @ away), away / prior_std
        for data, truth, weight in weighted:
            log_truth, by_vector = Joint(model, data).log_truth(truth)
            value -= weight * float(log_truth.sum())
            gradient = gradient - weight * by_vector.sum(0)
        return value, gradient

    bounds = [_BOUNDS.get(place, (-_LIMIT, _LIMIT)) for place in range(GRADIENT_SIZE)]
    found = optimize.minimize(
        loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ITERATIONS, "ftol": _TOLERANCE}
    )
    return from_vector(found.x, start.calibration)


def _isotonic(columns: Sequence[Column]) -> IsotonicCalibration:
    scores = np.concatenate([column.scores for column in columns]).tolist()
    return IsotonicCalibration.fit(scores, np.concatenate([column.correct for column in columns]).tolist())


def held_out_logits(columns: Sequence[Column], start: AnswerModel) -> list[FloatArray]:
    """Logits of cross-fitted calibrated scores; calibrated on all where the other folds have one label only."""
    logits: list[FloatArray] = [np.zeros(0)] * len(columns)
    for fold in range(_FOLDS):
        others = [column for place, column in enumerate(columns) if place % _FOLDS != fold]
        alike = len({bool(right) for column in others for right in column.correct}) < 2
        model = replace(start, calibration=_isotonic(columns if alike else others))
        mine = range(fold, len(columns), _FOLDS)
        for place, values in zip(mine, logits_of([columns[place] for place in mine], model.logit), strict=True):
            logits[place] = values
    return logits
