"""Which target, confidence, cap and price to set, from recorded candidates.

    recommendation = recommend(read_pool("pool.jsonl"), accuracy=0.9)
    print(recommendation.text())

Every setting of a grid is replayed. What is recommended is chosen on all questions; what it is *expected* to give is
measured by choosing on one half and looking at the other, since the best of many settings flatters itself on the
questions that chose it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import BestOfN, SelfConsistency
from langchain_optscale.evaluation.frontier import cheapest, held_out
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.metrics import Runs
from langchain_optscale.evaluation.replay import fits, replay
from langchain_optscale.evaluation.verifier_quality import discrimination, fit_calibration
from langchain_optscale.stopping import MarginalGain, optscale

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.evaluation.frontier import Choice
    from langchain_optscale.evaluation.metrics import FloatArray, Report
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.evaluation.verifier_quality import CalibrationFit, Discrimination
    from langchain_optscale.stopping import Rule

__all__ = ["Recommendation", "SearchChoice", "recommend"]

_TARGET_QUANTILES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
_CONFIDENCES = (0.8, 0.95)
_MIN_GAINS = (None, 0.002, 0.005, 0.01, 0.02, 0.05)
_SPLITS = 10
_ENOUGH_QUESTIONS = 100
_SEARCHES = 400
"""Searches that each setting is replayed in, about: few questions are replayed in more orders."""


@dataclass(frozen=True)
class SearchChoice:
    """Settings of a search, as `recommend` chooses them.

    Attributes:
        target: For `optscale`; a probability of being right where the scores are calibrated.
        confidence: The same.
        max_samples: The cap.
        min_gain: For `MarginalGain`: what one more candidate must be expected to add to the best score; None without.
    """

    target: float
    confidence: float
    max_samples: int
    min_gain: float | None = None

    def rule(self) -> Rule:
        """The stopping rule with these settings."""
        rule = optscale(self.target, self.confidence, self.max_samples, min(2, self.max_samples))
        return rule if self.min_gain is None else rule | MarginalGain(self.min_gain)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "target": self.target,
            "confidence": self.confidence,
            "max_samples": self.max_samples,
            "min_gain": self.min_gain,
        }


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What to set, what to expect of it, and what to beware of.

    Attributes:
        goal: What was asked for, in words.
        choice: The settings.
        calibration: The calibration that the target is to be read with; None where the pool does not say what is right.
        discrimination: How well the scores tell right from wrong; None likewise.
        report: Three rows: best-of-N at the cap, "recommended" as chosen on halves and measured on the others, and
            "recommended, on all" as it looks on the questions that chose it.
        attained: Share of halves on which some setting had what was asked for.
        warnings: A sentence each.
    """

    goal: str
    choice: SearchChoice
    calibration: CalibrationFit | None
    discrimination: Discrimination | None
    report: Report
    attained: float
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form.

        Returns:
            "pool", "goal", "measure", "settings", "expected" and "best_of_n" (rows of `Report.to_dict`), "difference"
            (expected minus best-of-N in accuracy and samples, each with "mean" and "ci"), "verifier" (None without
            labels), "attained" and "warnings".
        """
        best_of_n, expected, _ = self.report.to_dict()
        paired = self.report.paired(1, 0)
        return {
            "pool": self.report.pool,
            "goal": self.goal,
            "settings": self.choice.to_dict(),
            "measure": self.report.measure,
            "expected": expected,
            "best_of_n": best_of_n,
            "difference": {
                name: {"mean": paired.differences[name], "ci": list(paired.intervals[name])}
                for name in ("accuracy", "samples")
            },
            "verifier": self._verifier(),
            "attained": self.attained,
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """The recommendation for people: what to set, what to expect, what to beware of."""
        settings = self.choice
        rows = self.report.to_dict()
        lines = [
            f"{self.report.pool}: {self.goal}",
            "",
            f"  target      {settings.target:g}" + (" (probability of being right)" if self.calibration else ""),
            f"  confidence  {settings.confidence:g}",
            f"  max_samples {settings.max_samples}",
            f"  min_gain    {'none' if settings.min_gain is None else format(settings.min_gain, 'g')}",
            "",
            f"{'':24}{self.report.measure + ' [95 %]':>28}{'samples [95 %]':>24}",
        ]
        for label, row in (("expected (held out)", rows[1]), (f"best of {self.report.max_samples}", rows[0])):
            lines.append(f"{label:24}{_interval(row, 'accuracy', '.1%'):>28}{_interval(row, 'samples', '.2f'):>24}")
        if self.calibration is not None and self.discrimination is not None:
            auc = self.discrimination.auc
            lines += [
                "",
                f"scores: expected calibration error {self.calibration.ece_before:.3f} as they are, "
                f"{self.calibration.ece_after:.3f} calibrated; "
                f"right above wrong {'unknown' if auc is None else format(auc, '.0%')} of the time",
            ]
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])

    def _verifier(self) -> dict[str, Any] | None:
        if self.calibration is None or self.discrimination is None:
            return None
        known, interval = self.discrimination, self.discrimination.interval
        return {
            "auc_within_question": known.auc,
            "auc_within_question_ci": interval and list(interval),
            "mixed_questions": known.questions,
            "calibration": type(self.calibration.calibration).__name__,
            "ece_before": self.calibration.ece_before,
            "ece_after": self.calibration.ece_after,
        }


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
    right; during the choice every question is scored by a calibration that has not seen it. Else the scores stand as
    they are, and "accuracy" is the mean score of the returned candidate.

    Args:
        pool: With scores, at least four questions of at least two samples.
        accuracy: The cheapest setting that has this accuracy, in (0, 1].
        budget: Or the most accurate setting that takes at most this many samples a question, at least 1. With neither,
            the cheapest setting that is not less accurate than best-of-N at the cap.
        seed: Of the orders of samples and of the intervals.
        on_question: Called with the number of questions done and of all questions.

    Raises:
        SettingsError: Both goals are given, one is out of range, or the pool is too small or has no scores.
    """
    _check(pool, accuracy, budget)
    fit = fit_calibration(pool) if pool.has_correct else None
    known = discrimination(pool, seed=seed) if fit else None
    scored = pool if fit is None else fit.pool
    choices = _grid(scored)
    report = replay(
        scored,
        [BestOfN(), *(SessionMethod(choice.rule(), "setting", round_size=1) for choice in choices)],
        permutations=min(4, max(1, _SEARCHES // len(pool))),
        seed=seed,
        on_question=on_question,
    )
    choose = _chooser(accuracy, budget)
    halves = held_out(scored, report, choose, _SPLITS)
    means = [np.array([runs[figure].mean() for runs in report.runs]) for figure in ("accuracy", "samples")]
    place, has_it = choose(*means)
    shown = replace(
        report,
        runs=(
            report.runs[0],
            Runs("recommended", choices[place - 1].to_dict(), halves.values),
            Runs("recommended, on all", choices[place - 1].to_dict(), report.runs[place].values),
        ),
    )
    return Recommendation(
        goal=_goal(accuracy, budget, report),
        choice=choices[place - 1],
        calibration=fit,
        discrimination=known,
        report=shown,
        attained=halves.attained,
        warnings=tuple(_warnings(pool, shown, known, accuracy, has_it=has_it)),
    )


def _grid(pool: Pool) -> list[SearchChoice]:
    scores = np.array([sample.score for sample in pool.samples], dtype=float)
    # A target that scores reach exactly must not be rounded up beyond them.
    targets = sorted({math.floor(1000 * q) / 1000 for q in np.quantile(scores, _TARGET_QUANTILES)} | {1.0})
    cap = pool.cap
    full = [SearchChoice(t, c, cap, gain) for t in targets for c in _CONFIDENCES for gain in _MIN_GAINS]
    smaller = sorted({max(2, cap // 4), max(2, cap // 2)} - {cap})
    return full + [SearchChoice(t, _CONFIDENCES[-1], few) for t in targets for few in smaller]


def _chooser(accuracy: float | None, budget: float | None) -> Choice:
    def choose(accuracies: FloatArray, samples: FloatArray) -> tuple[int, bool]:
        able = np.arange(len(accuracies)) > 0
        if budget is not None:
            affordable = able & (samples <= budget + 1e-12)
            if not affordable.any():
                return cheapest(-samples, samples, able, np.zeros_like(able))[0], False
            return cheapest(accuracies, samples, affordable, np.zeros_like(able))[0], True
        wanted = accuracies[0] if accuracy is None else accuracy
        return cheapest(accuracies, samples, able, accuracies >= wanted - 1e-12)

    return choose


def _goal(accuracy: float | None, budget: float | None, report: Report) -> str:
    if accuracy is not None:
        return f"the fewest samples for {report.measure} {accuracy:.1%}"
    if budget is not None:
        return f"the best {report.measure} for {budget:g} samples a question"
    return f"the fewest samples for the {report.measure} of best-of-{report.max_samples}"


def _warnings(
    pool: Pool, report: Report, known: Discrimination | None, accuracy: float | None, *, has_it: bool
) -> list[str]:
    expected = report.to_dict()[1]
    warnings = []
    if len(pool) < _ENOUGH_QUESTIONS:
        low, high = expected["accuracy_ci"]
        warnings.append(
            f"{len(pool)} questions tell the {report.measure} to within {50 * (high - low):.0f} points; "
            f"record {_ENOUGH_QUESTIONS} or more"
        )
    if known is not None and known.is_chance:
        warnings.append(
            "these data do not show that the verifier is better than chance at telling right from wrong within a "
            "question; choosing its best score may be no better than taking the first candidate"
        )
    if not has_it:
        warnings.append("no setting has what was asked for; the nearest is recommended")
    elif accuracy is not None and expected["accuracy"] < accuracy:
        warnings.append(
            f"on questions that did not choose it, the setting has {expected['accuracy']:.1%}, not {accuracy:.1%}: "
            "choosing flatters; ask for a little more, or record more questions"
        )
    votes = SelfConsistency()
    if pool.has_correct and fits(votes, pool):
        both = replay(pool, [votes, BestOfN()], permutations=2, seed=report.seed)
        more = both.paired(0, 1)
        if more.intervals["accuracy"].low > 0:
            voted, best = (row["accuracy"] for row in both.to_dict())
            warnings.append(
                f"at {pool.cap} samples the most frequent answer is right in {voted:.1%} of the questions, the best "
                f"score in {best:.1%}: select='vote' or a rule for answers will serve better"
            )
    return warnings


def _check(pool: Pool, accuracy: float | None, budget: float | None) -> None:
    if accuracy is not None and budget is not None:
        raise SettingsError("give an accuracy to reach or a budget of samples to keep, not both")
    if accuracy is not None and not 0.0 < accuracy <= 1.0:
        raise SettingsError(f"accuracy must be above 0 and at most 1, got {accuracy!r}")
    if budget is not None and not 1.0 <= budget < math.inf:
        raise SettingsError(f"budget must be a number of samples of at least 1, got {budget!r}")
    if not pool.has_scores:
        raise SettingsError(f"pool {pool.name!r} has samples without a score: there is nothing to calibrate")
    if len(pool) < 4 or pool.cap < 2:
        raise SettingsError(
            f"a recommendation needs at least four questions of two samples each, got {len(pool)} of {pool.cap}"
        )


def _interval(row: dict[str, Any], figure: str, form: str) -> str:
    low, high = row[f"{figure}_ci"]
    return f"{row[figure]:{form}} [{low:{form}}, {high:{form}}]"
