"""Is a learned stopping rule worth it? Fitted on one half of the questions, measured on the other.

assessment = assess(read_pool("pool.jsonl"), samples=4)
print(assessment.text())
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import AdaptiveConsistency, BestOfN, optscale_0
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.metrics import FIGURES, Runs, form_of
from langchain_optscale.evaluation.replay import fits, replay
from langchain_optscale.stopping import FittedStopping, optscale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.metrics import Report
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.stopping import Rule

__all__ = ["ENOUGH_QUESTIONS", "Assessment", "assess", "learned_method"]

_PRICES = (0.003, 0.01, 0.03)

ENOUGH_QUESTIONS = 100
"""From here on a fit with labels was better than the untrained default, at its price, on the mean of every simulated
task: `benchmarks.learning_curve`."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """A learned rule on held-out questions, beside the baselines.

    Attributes:
        report: Best-of-N at the cap, the untrained default, the paper's rule, adaptive consistency where there are
            answers, and "fitted" rows: the rule as asked for first, then a frontier of prices.
        refused: Share of the halves on which a fit was refused and the untrained default took its place, for each
            fitted row.
    """

    report: Report
    refused: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: "pool", "measure", "rows" (of `Report.to_dict`, fitted ones with "refused"), and "difference".

        "difference" is fitted minus best-of-N in accuracy and samples, each with "mean" and "ci".
        """
        rows = self.report.to_dict()
        for row, share in zip(rows[-len(self.refused) :], self.refused, strict=True):
            row["refused"] = share
        return {
            "pool": self.report.pool,
            "measure": self.report.measure,
            "rows": rows,
            "difference": self.report.paired(len(rows) - len(self.refused), 0).to_dict(),
        }

    def text(self) -> str:
        """The report's table, and the difference to best-of-N in a sentence."""
        data = self.to_dict()
        more, spent = data["difference"]["accuracy"], data["difference"]["samples"]
        share = 1.0 + spent["mean"] / self.report.max_samples
        unit, name = (100.0, "points") if self.report.measure == "accuracy" else (1.0, "of mean score")
        low, high = (unit * value for value in more["ci"])
        lines = [
            self.report.table(),
            "",
            f"fitted on one half, measured on the other: {share:.0%} of the samples of best-of-"
            f"{self.report.max_samples}, {unit * more['mean']:+.2f} {name} [{low:+.2f}, {high:+.2f}]",
        ]
        return "\n".join(lines + [f"warning: {sentence}" for sentence in self.warnings()])

    def warnings(self) -> list[str]:
        """Warnings before the rule is used, each one sentence."""
        found = []
        if self.refused[0]:
            found.append(f"the fit was refused on {self.refused[0]:.0%} of the halves, which use the untrained default")
        if len(self.report.questions) < ENOUGH_QUESTIONS:
            found.append(
                f"{len(self.report.questions)} questions are too few to be sure; record {ENOUGH_QUESTIONS} or more"
            )
        rows = self.report.to_dict()
        default, fitted = rows[1], rows[-len(self.refused)]
        if default["accuracy"] >= fitted["accuracy"] and default["samples"] <= fitted["samples"]:
            kept = format(default["accuracy"], form_of(self.report.measure))
            found.append(
                f"the untrained default has {kept} for {default['samples']:.2f} samples on the same questions: it "
                "is as good, so leave `settings` out, or ask for fewer samples"
            )
        return found


def assess(
    pool: Pool,
    *,
    splits: int = 5,
    permutations: int = 4,
    seed: int = 0,
    prices: Sequence[float] = _PRICES,
    max_samples: int | None = None,
    target: float = 0.9,
    confidence: float = 0.95,
    on_half: Callable[[int, int], None] | None = None,
    **fit: Any,
) -> Assessment:
    """Fit on one half of the questions and measure on the other, both ways round, for several splits in halves.

    Args:
        pool: The recorded candidates, with scores.
        splits: `pool.split` with seeds 0, 1, ..., at least 1.
        permutations: Orders of each question in the measurement.
        seed: Of orders and intervals.
        prices: The prices of the frontier.
        max_samples: The cap; None takes the pool's.
        target: Of the paper's rule; the untrained default looks for the best.
        confidence: The same.
        on_half: Called with the numbers of halves done and of all halves.
        **fit: Of `FittedStopping.fit`: price or samples, labels, select, first_round, round_size.

    Raises:
        SettingsError: As `replay`, or `splits` is below 1; a refused fit is no error here.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> samples = tuple(Sample(score=s, correct=s > 0.5, answer=str(s > 0.5)) for s in (0.9, 0.2, 0.8, 0.9))
        >>> pool = Pool(tuple(Question(str(number), "?", samples) for number in range(40)))
        >>> found = assess(pool, splits=1, permutations=1, prices=(0.02,))
        >>> sorted(found.to_dict())
        ['difference', 'measure', 'pool', 'rows']
    """
    if splits < 1:
        raise SettingsError(f"splits must be at least 1, got {splits!r}")
    cap = pool.cap if max_samples is None else max_samples
    default = optscale(None, confidence, cap)
    baselines: list[Method] = [
        BestOfN(),
        SessionMethod(default, "optscale", round_size=1, select="posterior"),
        optscale_0(target, confidence, min(5, cap)),
        AdaptiveConsistency(),
    ]
    goal: dict[str, Any] = {key: fit.pop(key) for key in ("price", "samples") if key in fit}
    goals: list[dict[str, Any]] = [goal, *({"price": price} for price in prices)]
    report = replay(
        pool,
        [method for method in baselines if fits(method, pool)],
        permutations=permutations,
        seed=seed,
        max_samples=cap,
        target=target,
    )
    values, refused = _held_out(pool, goals, {**fit, "max_samples": cap}, default, splits, permutations, seed, on_half)
    shown = [
        {key: value for key, value in {**fit, **one}.items() if isinstance(value, str | int | float)} for one in goals
    ]
    runs = [Runs("fitted", settings, found) for settings, found in zip(shown, values, strict=True)]
    return Assessment(replace(report, runs=(*report.runs, *runs)), (refused,) * len(goals))


def learned_method(rule: FittedStopping) -> SessionMethod:
    """The rule as a method for `replay`, searching as it was fitted: its rounds and its selection."""
    steps = np.diff(rule.points)
    return SessionMethod(rule, "fitted", first_round=rule.points[0], round_size=int(steps.max()), select=rule.select)


def _held_out(
    pool: Pool,
    goals: list[dict[str, Any]],
    fit: dict[str, Any],
    default: Rule,
    splits: int,
    permutations: int,
    seed: int,
    on_half: Callable[[int, int], None] | None,
) -> tuple[np.ndarray[Any, Any], float]:
    """Held-out figures of a rule for each goal, shape (goals, Q, 8), and the share of refused fits."""
    values = np.zeros((len(goals), len(pool), len(FIGURES)))
    places = {question.id: place for place, question in enumerate(pool)}
    refused = 0
    for split in range(splits):
        first, second = pool.split(seed=split)
        for half, (fitted_to, measured_on) in enumerate(((first, second), (second, first)), 1):
            try:
                rules = FittedStopping.fit_many(fitted_to, goals, seed=split, fallback=default, **fit)
                methods = [learned_method(rule) for rule in rules]
            except SettingsError:
                refused += 1
                methods = [SessionMethod(default, "optscale", round_size=1, select="posterior")] * len(goals)
            found = replay(
                measured_on,
                methods,
                permutations=permutations,
                seed=seed,
                max_samples=fit["max_samples"],
                bootstrap=1,
            )
            rows = [places[name] for name in found.questions]
            for one, runs in zip(values, found.runs, strict=True):
                one[rows] += runs.values
            if on_half is not None:
                on_half(2 * split + half, 2 * splits)
    return values / splits, refused / (2 * splits)
