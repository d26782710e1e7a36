"""How good a verifier is on recorded candidates: discrimination and calibration.

Discrimination is whether a right candidate scores above a wrong one *of the same question*: choosing the best
score needs only that. Calibration is whether a score of 0.9 is right nine times in ten: that is what a target means.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.bootstrap import Interval
from langchain_optscale.evaluation.description import won_pairs
from langchain_optscale.stats.binomial import clustered_share
from langchain_optscale.stats.calibration import IsotonicCalibration, LogisticCalibration
from langchain_optscale.stats.reliability import expected_calibration_error

if TYPE_CHECKING:
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.evaluation.samples import Question, Sample
    from langchain_optscale.stats.calibration import Calibration

__all__ = ["CalibrationFit", "Discrimination", "discrimination", "fit_calibration"]

_FOLDS = 5


@dataclass(frozen=True)
class Discrimination:
    """How well scores separate right from wrong samples of one question.

    Attributes:
        auc: P(a right sample scores above a wrong one of the same question), ties counted half; 0.5 is chance. Every
            pair counts alike. None where no question has both right and wrong samples.
        interval: Its 95 % interval, None with it. It holds at an `auc` of 1 too: few questions show little.
        questions: Questions that have both.
    """

    auc: float | None
    interval: Interval | None
    questions: int

    @property
    def is_chance(self) -> bool:
        """Whether the data do not show that the scores are better than a coin."""
        return self.interval is None or self.interval.low <= 0.5


@dataclass(frozen=True, eq=False)
class CalibrationFit:
    """A calibration, and its effect on held-out questions.

    Attributes:
        calibration: Fitted to all questions.
        pool: The pool with every score calibrated by a fit to the *other* questions.
        ece_before: Expected calibration error of the scores as they are.
        ece_after: That of the scores of `pool`.
        log_loss: Mean of -log P(label) over the samples of `pool`, in nats.
    """

    calibration: Calibration
    pool: Pool
    ece_before: float
    ece_after: float
    log_loss: float


def discrimination(pool: Pool) -> Discrimination:
    """How well the scores separate right from wrong within a question.

    Args:
        pool: With scores, and correctness of every sample.

    Raises:
        SettingsError: Scores or correctness are missing.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.2, 0.4, 0.9))
        >>> discrimination(Pool((Question("a", "?", samples),))).auc
        1.0
    """
    _check(pool)
    won = np.array([_won(question) for question in pool])
    mixed = won[won[:, 1] > 0]
    if not len(mixed):
        return Discrimination(None, None, 0)
    interval = Interval(*clustered_share(mixed[:, 0], mixed[:, 1], averaged=True))
    return Discrimination(float(mixed[:, 0].sum() / mixed[:, 1].sum()), interval, len(mixed))


def fit_calibration(pool: Pool) -> CalibrationFit:
    """Fit P(right | score) to a pool: isotonic or logistic, whichever predicts unseen questions better.

    Five folds of whole questions: each fold is calibrated by a fit to the other four, and the kind with the lower log
    loss there is taken. Folds depend on the questions' ids alone.

    Args:
        pool: With scores, and correctness of every sample; at least two questions.

    Raises:
        SettingsError: Scores or correctness are missing, there are too few questions, or too few of either label.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.2, 0.4, 0.6, 0.9))
        >>> fit = fit_calibration(Pool(tuple(Question(str(i), "?", samples) for i in range(10))))
        >>> fit.ece_before > fit.ece_after
        True
    """
    _check(pool)
    if len(pool) < 2:
        raise SettingsError(f"a calibration needs at least two questions, to fit and to test: got {len(pool)} question")
    return min((_fit(pool, kind) for kind in (LogisticCalibration, IsotonicCalibration)), key=lambda fit: fit.log_loss)


def _fit(pool: Pool, kind: type[LogisticCalibration] | type[IsotonicCalibration]) -> CalibrationFit:
    folds = _folds(pool)
    fitted = {fold: _fitted(kind, [q for q in pool if folds[q.id] != fold], pool.name) for fold in set(folds.values())}
    unseen = replace(pool, questions=tuple(_calibrated(question, fitted[folds[question.id]]) for question in pool))
    labels = [bool(sample.correct) for sample in pool.samples]
    before = [cast("float", sample.score) for sample in pool.samples]
    after = np.array([cast("float", sample.score) for sample in unseen.samples])
    return CalibrationFit(
        calibration=_fitted(kind, list(pool), pool.name),
        pool=unseen,
        ece_before=expected_calibration_error(before, labels),
        ece_after=expected_calibration_error(after.tolist(), labels),
        log_loss=float(-np.log(np.where(labels, after, 1.0 - after)).mean()),
    )


def _fitted(
    kind: type[LogisticCalibration] | type[IsotonicCalibration], questions: list[Question], name: str
) -> Calibration:
    samples = [sample for question in questions for sample in question.samples]
    labels = [bool(sample.correct) for sample in samples]
    if len(set(labels)) < 2:
        only = "right" if labels and labels[0] else "wrong"
        raise SettingsError(
            f"all samples of {name!r}, or of four fifths of its questions, are {only}: "
            "a calibration needs right and wrong ones; record more questions"
        )
    return kind.fit([cast("float", sample.score) for sample in samples], labels)


def _calibrated(question: Question, calibration: Calibration) -> Question:
    def calibrated(sample: Sample) -> Sample:
        return replace(sample, score=calibration(cast("float", sample.score)))

    return replace(question, samples=tuple(calibrated(sample) for sample in question.samples))


def _folds(pool: Pool) -> dict[str, int]:
    def place(question: Question) -> bytes:
        return hashlib.sha256(f"fold:{question.id}".encode("utf-8", "backslashreplace")).digest()

    return {question.id: rank % _FOLDS for rank, question in enumerate(sorted(pool, key=place))}


def _won(question: Question) -> tuple[float, int]:
    scores: Any = [sample.score for sample in question.samples]
    return won_pairs(np.array(scores, dtype=float), np.array([s.correct for s in question.samples], dtype=bool))


def _check(pool: Pool) -> None:
    missing = [name for name, has in (("scores", pool.has_scores), ("correctness", pool.has_correct)) if not has]
    if missing:
        raise SettingsError(f"pool {pool.name!r} lacks {' and '.join(missing)} of some samples")
