"""Which target, confidence, cap and price to set, from recorded candidates.

    recommendation = recommend(read_pool("pool.jsonl"), accuracy=0.9)
    print(recommendation.text())

Every setting of a grid is replayed. One half of the questions chooses a setting, the other half says what to expect of
it: the figures of the best of many settings flatter on the questions that chose it, see `benchmarks.recommended_bias`.
Where the questions are too few to choose by, the default is recommended.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.advice import Recommendation, SearchChoice
from langchain_optscale.evaluation.baselines import BestOfN, SelfConsistency
from langchain_optscale.evaluation.frontier import (
    DEFAULT_MARGIN,
    DEFAULT_TOLERANCE,
    at_parity,
    cheapest,
    on_one_half,
)
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.metrics import Runs, form_of
from langchain_optscale.evaluation.replay import fits, replay
from langchain_optscale.evaluation.verifier_quality import discrimination, fit_calibration

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.frontier import Choice
    from langchain_optscale.evaluation.metrics import FloatArray, Report
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.evaluation.verifier_quality import Discrimination

__all__ = ["ENOUGH_TO_CHOOSE", "chooser", "recommend"]

_TARGET_QUANTILES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
_CONFIDENCES = (0.8, 0.95)
_MIN_GAINS = (None, 0.005, 0.02)
_CAP_COSTS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
_ENOUGH_QUESTIONS = 100
ENOUGH_TO_CHOOSE = 2 * math.ceil((1.0 + DEFAULT_MARGIN) / DEFAULT_TOLERANCE)
"""Questions below which no setting can be shown to lose as little as `at_parity` asks, on the half that chooses."""

_SEARCHES = 400
"""Approximate searches for each setting: few questions are replayed in more orders."""


def recommend(
    pool: Pool,
    *,
    accuracy: float | None = None,
    budget: float | None = None,
    seed: int = 0,
    on_question: Callable[[int, int], None] | None = None,
) -> Recommendation:
    """Choose settings on recorded candidates.

    Where the pool says what is right, a score calibration is fitted first and the target is a probability of being
    right; during the choice every question is scored by a calibration fitted to other questions. Else the scores are
    used as they are, and "accuracy" is the mean score of the returned candidate.

    Half of the questions choose, the other half report. Only the calibration is fitted to all of them.

    Args:
        pool: With scores, at least four questions of at least two samples.
        accuracy: The cheapest setting that has this accuracy, in (0, 1].
        budget: Or the most accurate setting that takes at most this many samples a question, at least 1. With neither,
            the cheapest setting that is shown to be no less accurate than best-of-N at the cap, within 0.02, see
            `at_parity`; where none is, and where the pool has fewer than `ENOUGH_TO_CHOOSE` (266) questions, so that
            none can be, the default.
        seed: Of the halves, of the orders of samples and of the intervals.
        on_question: Called with the number of questions done and of all questions.

    Raises:
        SettingsError: Both goals are given, one is out of range, or the pool is too small or has no scores.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.9, 0.2, 0.8, 0.9))
        >>> pool = Pool(tuple(Question(str(number), "?", samples) for number in range(20)))
        >>> found = recommend(pool, budget=2)
        >>> found.attained, found.report.to_dict()[1]["samples"] <= 2
        (True, True)
    """
    _check(pool, accuracy, budget, seed)
    fit = fit_calibration(pool) if pool.has_correct else None
    known = discrimination(pool) if fit else None
    scored = pool if fit is None else fit.pool
    free = accuracy is None and budget is None
    choices = [SearchChoice(None, _CONFIDENCES[-1], pool.cap)]
    if not free or len(pool) >= ENOUGH_TO_CHOOSE:
        choices += _grid(scored.split(seed=seed)[0], pool.cap)
    report = replay(
        scored,
        [BestOfN(), *(_method(choice) for choice in choices)],
        permutations=min(4, max(1, _SEARCHES // len(pool))),
        seed=seed,
        on_question=on_question,
    )
    place, has_it, chose = 1, False, np.full(len(pool), False)
    if len(choices) > 1:
        place, has_it, chose = on_one_half(scored, report, chooser(accuracy, budget), seed)
        place = 1 if free and not has_it else place
    settings = choices[place - 1]
    shown = _part(report, ~chose, place, settings)
    return Recommendation(
        goal=_goal(accuracy, budget, report),
        choice=settings,
        calibration=fit,
        discrimination=known,
        report=shown,
        chosen_on=_part(report, chose, place, settings) if chose.any() else None,
        attained=has_it,
        warnings=tuple(_warnings(pool, shown, known, accuracy, budget, has_it=has_it)),
    )


def _method(choice: SearchChoice) -> SessionMethod:
    """A search with these settings: the default in its own rounds, the others one candidate at a time."""
    rounds: dict[str, Any] = {} if choice.target is None else {"round_size": 1}
    return SessionMethod(choice.rule(), "setting", select="posterior", **rounds)


def _part(report: Report, among: NDArray[np.bool_], place: int, settings: SearchChoice) -> Report:
    """Best-of-N and the recommended setting on some of the questions."""
    names = tuple(name for name, is_among in zip(report.questions, among, strict=True) if is_among)
    best, chosen = report.runs[0], report.runs[place]
    runs = (
        replace(best, values=best.values[among]),
        Runs("recommended", settings.to_dict(), chosen.values[among]),
    )
    return replace(report, questions=names, runs=runs)


def _grid(pool: Pool, cap: int) -> list[SearchChoice]:
    """Prices of a candidate at several caps; where there are no answers to agree, targets as well."""
    confidence = _CONFIDENCES[-1]
    smaller = sorted({max(2, cap // 4), max(2, cap // 2)} - {cap})
    priced = [
        SearchChoice(None, confidence, most, price=_rounded(whole / cap))
        for most in (cap, *smaller)
        for whole in _CAP_COSTS
    ]
    if pool.has_answers:
        return priced
    scores = np.array([sample.score for sample in pool.samples], dtype=float)
    # A target that scores reach exactly must not be rounded up beyond them.
    targets = sorted({math.floor(1000 * q) / 1000 for q in np.quantile(scores, _TARGET_QUANTILES)} | {1.0})
    aimed = [SearchChoice(t, c, cap, gain) for t in targets for c in _CONFIDENCES for gain in _MIN_GAINS]
    return priced + aimed + [SearchChoice(t, confidence, few) for t in targets for few in smaller]


def _rounded(value: float) -> float:
    """Two digits, to be written into code."""
    return float(f"{value:.2g}")


def chooser(accuracy: float | None, budget: float | None) -> Choice:
    """How `recommend` chooses for a goal, by the figures of best-of-N and of every setting; arguments as there."""
    if accuracy is None and budget is None:
        return partial(at_parity, margin=DEFAULT_MARGIN, tolerance=DEFAULT_TOLERANCE)

    def choose(by_question: FloatArray, samples_by_question: FloatArray) -> tuple[int, bool]:
        accuracies, samples = by_question.mean(axis=1), samples_by_question.mean(axis=1)
        able = np.arange(len(accuracies)) > 0
        if budget is not None:
            affordable = able & (samples <= budget + 1e-12)
            if not affordable.any():
                return cheapest(-samples, samples, able, np.zeros_like(able))[0], False
            return cheapest(accuracies, samples, affordable, np.zeros_like(able))[0], True
        assert accuracy is not None  # noqa: S101 - one of the two is given
        return cheapest(accuracies, samples, able, accuracies >= accuracy - 1e-12)

    return choose


def _goal(accuracy: float | None, budget: float | None, report: Report) -> str:
    if accuracy is not None:
        return f"the fewest samples for {report.measure} {accuracy:{form_of(report.measure)}}"
    if budget is not None:
        return f"the best {report.measure} for {budget:g} samples a question"
    return f"the fewest samples for the {report.measure} of best-of-{report.max_samples}"


def _warnings(
    pool: Pool,
    report: Report,
    known: Discrimination | None,
    accuracy: float | None,
    budget: float | None,
    *,
    has_it: bool,
) -> list[str]:
    expected, form = report.to_dict()[1], form_of(report.measure)
    warnings = []
    if (told := len(report.questions)) < _ENOUGH_QUESTIONS:
        half = (expected["accuracy_ci"][1] - expected["accuracy_ci"][0]) / 2
        width = f"{100 * half:.0f} points" if pool.has_correct else f"{half:.3f}"
        which, enough = ("that did not choose ", 2 * _ENOUGH_QUESTIONS) if told < len(pool) else ("", _ENOUGH_QUESTIONS)
        warnings.append(f"{told} questions {which}give the {report.measure} to within {width}; record {enough} or more")
    if not pool.has_correct:
        warnings.append(
            "not every sample says whether it is right: the mean score stands for the accuracy, and no calibration "
            "is fitted"
        )
    if known is not None and known.interval is not None and known.interval.high < 0.5:
        warnings.append(
            "within a question the verifier scores right candidates below wrong ones: choosing its best score is worse "
            "than taking the first candidate; are the scores the wrong way round?"
        )
    elif known is not None and known.is_chance:
        warnings.append(
            "these data do not show that the verifier separates right from wrong within a question better than chance; "
            "choosing its best score may be no better than taking the first candidate"
        )
    free = accuracy is None and budget is None
    if free and len(pool) < ENOUGH_TO_CHOOSE:
        warnings.append(
            f"{len(pool)} questions are too few to choose settings by, so the default is recommended: record "
            f"{ENOUGH_TO_CHOOSE} or more, or give an accuracy or a budget"
        )
    elif free and not has_it:
        warnings.append(
            f"these questions do not show of any setting that it loses at most {DEFAULT_TOLERANCE:g} of the "
            f"{report.measure}, so the default is recommended: record more of them, or give an accuracy or a budget"
        )
    elif not has_it:
        warnings.append("no setting meets the goal; the nearest is recommended")
    elif accuracy is not None and expected["accuracy"] < accuracy:
        warnings.append(
            f"on questions that did not choose it, the setting has {expected['accuracy']:{form}}, not "
            f"{accuracy:{form}}: ask for a little more, or record more questions"
        )
    if budget is None and (sentence := _by_voting(pool, report, expected["accuracy"])):
        warnings.append(sentence)
    return warnings


def _by_voting(pool: Pool, report: Report, accuracy: float) -> str | None:
    """What to take where all candidates voting is right more often than the setting is."""
    told = set(report.questions)
    those = replace(pool, questions=tuple(question for question in pool if question.id in told))
    votes = SelfConsistency()
    if not (those.has_correct and fits(votes, those)):
        return None
    all_votes = replay(those, [votes], permutations=report.permutations, seed=report.seed).runs
    more = replace(report, runs=(*all_votes, report.runs[1])).paired(0, 1)
    if more.intervals["accuracy"].low <= 0:
        return None
    return (
        f"the most frequent of {pool.cap} answers is right in {all_votes[0]['accuracy'].mean():.1%} of the "
        f"questions, what this setting returns in {accuracy:.1%}: if accuracy is worth all "
        f"{pool.cap} samples, take them and select='vote'"
    )


def _check(pool: Pool, accuracy: float | None, budget: float | None, seed: int) -> None:
    if accuracy is not None and budget is not None:
        raise SettingsError("give an accuracy to reach or a budget of samples to keep, not both")
    if accuracy is not None and not 0.0 < accuracy <= 1.0:
        raise SettingsError(f"accuracy must be above 0 and at most 1, got {accuracy!r}")
    if budget is not None and not 1.0 <= budget < math.inf:
        raise SettingsError(f"budget must be a number of samples of at least 1, got {budget!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingsError(f"seed must be a whole number of at least 0, got {seed!r}")
    if not pool.has_scores:
        raise SettingsError(f"pool {pool.name!r} has samples without a score: there is nothing to calibrate")
    if len(pool) < 4 or pool.cap < 2:
        raise SettingsError(
            f"a recommendation needs at least four questions of two samples each; pool {pool.name!r} has {len(pool)} "
            f"questions, and {pool.cap} samples of the one that has the fewest"
        )
