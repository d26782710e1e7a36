r"""Fit of the answer model without labels, by expectation-maximisation.

Agreement replaces labels: two candidates that agree are far more often right than two that do not. Starting from a
model for raw scores, two steps alternate.

Expectation: r_i = P(the answer of candidate i is right | all candidates of its question), the posterior of the model.

Maximisation: the calibration of the scores becomes the isotonic regression of r_i on s_i; the constants of the answers
(right, firmness, concentration, silence) maximise the marginal probability of how the candidates of each question
agree, whichever answer is right,

    sum_questions log sum_h B(a + c_h, b + n - c_h) / B(a, b) silence^(n - m) (1 - silence)^(m_h)
                            kappa^(K_h) Gamma(kappa) / Gamma(kappa + m_h) prod_(l != h) Gamma(c_l)

plus a normal prior around those of the start, with m candidates that have an answer and the other symbols as in
`model`. The constants of the scores are those of `CALIBRATED_SCORES`, since they vary little between tasks once scores
are probabilities.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from langchain_optscale.answers._joint import Joint, from_vector, to_vector
from langchain_optscale.answers._recorded import Column, columns_of, histories, logits_of
from langchain_optscale.answers.model import CALIBRATED_SCORES, DEFAULT, AnswerModel
from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.calibration import IsotonicCalibration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_optscale.answers._joint import FloatArray, Histories
    from langchain_optscale.answers._recorded import RecordedQuestion

__all__ = ["fit_unlabelled"]

_ROUNDS = 8
_STRUCTURE = 4
_BOUNDS = [(-7.0, 7.0), (-4.0, 5.0), (-7.0, 7.0), (-7.0, 7.0)]
_PRIOR_STD = 1.0
# Weight of the mean responsibility in each block of the calibration, in candidates.
_SHRINKAGE = 1.0


def fit_unlabelled(questions: Iterable[RecordedQuestion], *, start: AnswerModel | None = None) -> AnswerModel:
    """Fit the constants, and a calibration of the scores, to candidates without labels.

    Args:
        questions: A pool, or any questions whose samples have score and answer; labels are ignored.
        start: The model of the first expectation; None takes the default.

    Raises:
        SettingsError: There are fewer than 10 questions, a sample has no score, no sample has an answer, or agreement
            carries no information: no two candidates of any question agree, or all do.

    Example:
        >>> import random
        >>> from langchain_optscale.evaluation.pools import Question, Sample
        >>> draw = random.Random(0)
        >>> def sample():
        ...     right = draw.random() < 0.6
        ...     score = draw.betavariate(5, 3) if right else draw.betavariate(3, 5)
        ...     return Sample(score=round(score, 2), answer="4" if right else draw.choice("12356"))
        >>> model = fit_unlabelled([Question(str(q), "2 + 2?", tuple(sample() for _ in range(8))) for q in range(40)])
        >>> model.calibration(0.9) > model.calibration(0.1)
        True
    """
    columns = columns_of(questions, with_labels=False)
    votes = [list(Counter(column.groups).values()) for column in columns]
    if all(most == 1 for most in map(max, votes)):
        raise SettingsError("no two candidates of any question have the same answer: use fit_labelled, with labels")
    if all(len(counts) == 1 for counts in votes):
        raise SettingsError("all candidates of every question agree: use fit_labelled, with labels")
    model = DEFAULT if start is None else start
    structure = _fit_structure(_whole(columns, model), model)
    scores = np.concatenate([column.scores for column in columns])
    for _ in range(_ROUNDS):
        chance = np.exp(Joint(model, _whole(columns, model)).log_posterior)
        right = np.concatenate([chance[row, list(column.groups)] for row, column in enumerate(columns)])
        model = replace(
            CALIBRATED_SCORES,
            right=structure.right,
            firmness=structure.firmness,
            concentration=structure.concentration,
            silence=structure.silence,
            calibration=_soft_isotonic(scores, right),
        )
    return model


def _whole(columns: Sequence[Column], model: AnswerModel) -> Histories:
    return histories(columns, logits_of(columns, model.logit))[0]


def _fit_structure(data: Histories, start: AnswerModel) -> AnswerModel:
    """Fit the constants of the answers to the agreement; the others are those of `start`."""
    counts = data.counts
    answered = (counts > 0) & ~data.silent
    votes = counts * answered
    total, spoken = counts.sum(1, keepdims=True), votes.sum(1, keepdims=True)
    kinds = answered.sum(1, keepdims=True) - answered
    wrong = spoken - votes
    tables = special.gammaln(np.maximum(counts, 1.0)) * answered
    others = tables.sum(1, keepdims=True) - tables
    valid = answered.copy()
    valid[:, -1] = True
    centre = to_vector(start)

    def loss(vector: FloatArray) -> float:
        right, silence = special.expit(vector[0]), special.expit(vector[3])
        size, kappa = np.exp(vector[1]), np.exp(vector[2])
        a, b = right * size, (1.0 - right) * size
        logs = special.betaln(a + votes, b + total - votes) - special.betaln(a, b)
        logs += kinds * vector[2] + others + special.gammaln(kappa) - special.gammaln(kappa + wrong)
        logs += wrong * np.log1p(-silence) + (total - spoken) * np.log(silence)
        away = (vector - centre[:_STRUCTURE]) / _PRIOR_STD
        evidence = special.logsumexp(np.where(valid, logs, -np.inf), axis=1)
        return float(0.5 * away @ away - evidence.sum())

    found = optimize.minimize(loss, centre[:_STRUCTURE], method="L-BFGS-B", bounds=_BOUNDS)
    return from_vector(np.concatenate([found.x, centre[_STRUCTURE:]]), start.calibration)


def _soft_isotonic(scores: FloatArray, right: FloatArray) -> IsotonicCalibration:
    """As `IsotonicCalibration.fit`, for probabilities of being right instead of labels."""
    knots, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    pooled = optimize.isotonic_regression(np.bincount(where, weights=right) / counts, weights=counts)
    starts, weights = pooled.blocks[:-1], np.add.reduceat(counts, pooled.blocks[:-1])
    means = np.add.reduceat(knots * counts, starts) / weights
    shrunk = (pooled.x[starts] * weights + _SHRINKAGE * right.mean()) / (weights + _SHRINKAGE)
    rising = optimize.isotonic_regression(shrunk, weights=weights + _SHRINKAGE).x
    return IsotonicCalibration(tuple(means.tolist()), tuple(np.clip(rising, 1e-6, 1.0 - 1e-6).tolist()))
