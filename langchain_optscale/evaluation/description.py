"""Figures of a pool: how good its model and its verifier are, before a replay.

Where several samples tie for the best score or the most votes, their mean counts: the expectation over the order in
which exchangeable samples could have been drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.samples import QuestionSet, Sample

__all__ = ["area_under_curve", "describe", "score_resolution", "won_pairs"]

_QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
_FINEST_GRID = 100
_GRID_TOLERANCE = 1e-6


def describe(pool: QuestionSet) -> dict[str, Any]:
    """JSON-ready figures of a pool; unknown ones are None, never nan.

    Args:
        pool: The recorded candidates.

    Returns:
        `name`, `questions`, `samples`, `cap` (the fewest samples of a question); `accuracy` of one sample,
        `best_of_cap_accuracy` and `majority_accuracy` over the first `cap` samples, and `any_correct`, the share of
        questions with a right sample among them; `scores` with their number, mean, sd, quantiles, shares `at_zero`
        and `at_one`, number of `distinct` values and `resolution` (see `score_resolution`); the same of `logits` as
        far as it applies; `auc`, the probability that a right sample scores above a wrong one, ties counted half, and
        `auc_within_question`, the same among samples of one question, which choosing the best needs;
        `tokens_mean`, per sample. Accuracies are means over questions.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5, answer=a) for s, a in [(0.2, "3"), (0.9, "4"), (0.9, "4")])
        >>> figures = describe(Pool((Question("a", "2 + 2?", samples),)))
        >>> figures["cap"], round(figures["accuracy"], 3), figures["best_of_cap_accuracy"], figures["auc"]
        (3, 0.667, 1.0, 1.0)
    """
    rank = _rank_by(pool)
    return {
        "name": pool.name,
        "questions": len(pool),
        "samples": sum(1 for _ in pool.samples),
        "cap": pool.cap,
        **_accuracies(pool, rank),
        "scores": _distribution([s.score for s in pool.samples if s.score is not None], unit_interval=True),
        "logits": _distribution([s.logit for s in pool.samples if s.logit is not None], unit_interval=False),
        **_aucs(pool, rank),
        "tokens_mean": _mean(s.tokens for s in pool.samples if s.tokens is not None),
    }


def area_under_curve(values: Sequence[float], correct: Sequence[bool]) -> float | None:
    """P(value of a right sample > value of a wrong one) + P(equal) / 2, the area under the ROC curve.

    Args:
        values: Scores or logits, shape (n,).
        correct: Whether each is right, shape (n,).

    Returns:
        In [0, 1]; 0.5 is chance. None where only right or only wrong samples are given.

    Example:
        >>> area_under_curve([0.1, 0.5, 0.5, 0.9], [False, False, True, True])
        0.875
    """
    area, pairs = won_pairs(np.asarray(values, dtype=float), np.asarray(correct, dtype=bool))
    return area / pairs if pairs else None


def score_resolution(scores: Sequence[float]) -> float | None:
    """The coarsest step 1, 1/2, 1/3, ..., 1/100 of which all scores are multiples; None where there is none.

    1.0 is a verifier that says yes or no, 0.1 one that grades from 0 to 10; None one that answers continuously.

    Example:
        >>> score_resolution([0.0, 0.25, 0.5]), score_resolution([0.123456, 0.654]), score_resolution([])
        (0.25, None, None)
    """
    distinct = np.unique(np.asarray(scores, dtype=float))
    if not distinct.size:
        return None
    for steps in range(1, _FINEST_GRID + 1):
        multiples = distinct * steps
        # In units of the score, since recorded scores are rounded in those.
        if np.all(np.abs(multiples - np.round(multiples)) <= _GRID_TOLERANCE * steps):
            return 1 / steps
    return None


def _rank_by(pool: QuestionSet) -> Callable[[Sample], float | None] | None:
    """The order of the samples: by score, else by logit."""
    if pool.has_scores:
        return lambda sample: sample.score
    if pool.has_logits:
        return lambda sample: sample.logit
    return None


def _accuracies(pool: QuestionSet, rank: Callable[[Sample], float | None] | None) -> dict[str, float | None]:
    if not pool.has_correct:
        return dict.fromkeys(("accuracy", "best_of_cap_accuracy", "majority_accuracy", "any_correct"))
    heads = [question.samples[: pool.cap] for question in pool]
    return {
        "accuracy": _mean(_share_correct(question.samples) for question in pool),
        "best_of_cap_accuracy": _mean(_best_correct(head, rank) for head in heads) if rank else None,
        "majority_accuracy": _mean(_majority_correct(head) for head in heads) if pool.has_answers else None,
        "any_correct": _mean(float(any(sample.correct for sample in head)) for head in heads),
    }


def _share_correct(samples: Iterable[Sample]) -> float:
    return fmean(bool(sample.correct) for sample in samples)


def _best_correct(samples: Sequence[Sample], rank: Callable[[Sample], float | None]) -> float:
    values = [rank(sample) for sample in samples]
    best = max(value for value in values if value is not None)
    return _share_correct(sample for sample, value in zip(samples, values, strict=True) if value == best)


def _majority_correct(samples: Sequence[Sample]) -> float:
    votes = Counter(sample.answer for sample in samples if sample.answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    leaders = [answer for answer, count in votes.items() if count == most]
    return fmean(_share_correct(sample for sample in samples if sample.answer == answer) for answer in leaders)


def _aucs(pool: QuestionSet, rank: Callable[[Sample], float | None] | None) -> dict[str, float | None]:
    if rank is None or not pool.has_correct:
        return {"auc": None, "auc_within_question": None}
    within = [
        won_pairs(
            np.array([rank(sample) for sample in question.samples], dtype=float),
            np.array([sample.correct for sample in question.samples], dtype=bool),
        )
        for question in pool
    ]
    won, pairs = (sum(column) for column in zip(*within, strict=True))
    values = [value for sample in pool.samples if (value := rank(sample)) is not None]
    return {
        "auc": area_under_curve(values, [bool(sample.correct) for sample in pool.samples]),
        "auc_within_question": won / pairs if pairs else None,
    }


def won_pairs(values: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[float, int]:
    """Pairs of a right and a wrong sample that the right one wins, a tie counted half, and all such pairs.

    Args:
        values: Scores or logits, shape (n,).
        correct: Whether each is right, shape (n,).
    """
    right, wrong = values[correct], np.sort(values[~correct])
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.sum()) / 2, right.size * wrong.size


def _distribution(values: Sequence[float], *, unit_interval: bool) -> dict[str, Any] | None:
    if not values:
        return None
    array = np.asarray(values, dtype=float)
    # A power of two changes no digit, and keeps the moments of huge logits from overflowing.
    unit = math.ldexp(1.0, math.frexp(float(np.abs(array).max()))[1] - 1)
    scaled = array / unit
    figures: dict[str, Any] = {
        "number": array.size,
        "mean": float(scaled.mean() * unit),
        "sd": float(scaled.std() * unit),
        "quantiles": dict(
            zip(_QUANTILES, (np.quantile(scaled, list(_QUANTILES.values())) * unit).tolist(), strict=True)
        ),
        "distinct": int(np.unique(array).size),
    }
    if unit_interval:
        figures["at_zero"] = float((array == 0).mean())
        figures["at_one"] = float((array == 1).mean())
        figures["resolution"] = score_resolution(array.tolist())
    return figures


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return fmean(listed) if listed else None
