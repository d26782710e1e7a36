"""A recommendation: settings, their expected figures, and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.metrics import form_of
from langchain_optscale.stopping import MarginalGain, optscale

if TYPE_CHECKING:
    from langchain_optscale.evaluation.metrics import Report
    from langchain_optscale.evaluation.verifier_quality import CalibrationFit, Discrimination
    from langchain_optscale.stopping import Rule

__all__ = ["Recommendation", "SearchChoice"]


@dataclass(frozen=True)
class SearchChoice:
    """Settings of a search, as `recommend` chooses them.

    Attributes:
        target: For `optscale`; a probability of being right where the scores are calibrated. None is the default,
            which looks for the best candidate that is worth its price.
        confidence: The same.
        max_samples: The cap.
        min_gain: For `MarginalGain`: what one more candidate must be expected to add to the best score; None without.
        price: Without a target, what one candidate must be worth; None is that of the default.
    """

    target: float | None
    confidence: float
    max_samples: int
    min_gain: float | None = None
    price: float | None = None

    def rule(self) -> Rule:
        """The stopping rule with these settings."""
        rule = optscale(self.target, self.confidence, self.max_samples, price=self.price)
        return rule if self.min_gain is None else rule | MarginalGain(self.min_gain)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "target": self.target,
            "confidence": self.confidence,
            "max_samples": self.max_samples,
            "min_gain": self.min_gain,
            "price": self.price,
        }


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Recommended settings, their expected figures, and warnings.

    Attributes:
        goal: The goal in words.
        choice: The settings.
        calibration: The calibration to which the target refers; None for a pool without right and wrong.
        discrimination: How well the scores separate right from wrong; None likewise.
        report: Best-of-N at the cap and "recommended", on the questions that did not choose the settings. Their
            intervals hold for these settings.
        chosen_on: The same rows on the questions that chose, where they flatter; None where the default is recommended
            without a choice, and `report` is about all questions.
        attained: Whether some setting met the goal on the questions that chose; with `accuracy` and `budget` the
            nearest setting is recommended else, without them the default.
        warnings: A sentence each.
    """

    goal: str
    choice: SearchChoice
    calibration: CalibrationFit | None
    discrimination: Discrimination | None
    report: Report
    chosen_on: Report | None
    attained: bool
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form.

        Returns:
            "pool", "goal", "measure", "settings", "expected" and "best_of_n" (rows of `Report.to_dict`), "difference"
            (expected minus best-of-N in accuracy and samples, each with "mean" and "ci"), "verifier" (None without
            labels), "attained" and "warnings".
        """
        best_of_n, expected = self.report.to_dict()
        return {
            "pool": self.report.pool,
            "goal": self.goal,
            "settings": self.choice.to_dict(),
            "measure": self.report.measure,
            "expected": expected,
            "best_of_n": best_of_n,
            "difference": self.report.paired(1, 0).to_dict(),
            "verifier": self._verifier(),
            "attained": self.attained,
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """The recommendation as text."""
        settings = self.choice
        form = form_of(self.report.measure)
        rows = self.report.to_dict()
        lines = [
            f"{self.report.pool}: {self.goal}",
            "",
            f"  target      {self._target()}",
            f"  confidence  {settings.confidence:g}",
            f"  max_samples {settings.max_samples}",
            f"  min_gain    {'none' if settings.min_gain is None else format(settings.min_gain, 'g')}",
            f"  price       {self._price()}",
            "",
            f"{'':24}{self.report.measure + ' [95 %]':>28}{'samples [95 %]':>24}",
        ]
        title = "expected (held out)" if self.chosen_on else "expected"
        for label, row in ((title, rows[1]), (f"best of {self.report.max_samples}", rows[0])):
            lines.append(f"{label:24}{_interval(row, 'accuracy', form):>28}{_interval(row, 'samples', '.2f'):>24}")
        if self.calibration is not None and self.discrimination is not None:
            auc = self.discrimination.auc
            lines += [
                "",
                f"scores: expected calibration error {self.calibration.ece_before:.3f} as they are, "
                f"{self.calibration.ece_after:.3f} calibrated; "
                f"right above wrong {'unknown' if auc is None else format(auc, '.0%')} of the time",
            ]
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])

    def _price(self) -> str:
        if self.choice.price is not None:
            return format(self.choice.price, "g")
        return "none" if self.choice.target is not None else 'that of effort="medium" (the default)'

    def _target(self) -> str:
        if self.choice.target is None:
            return "none"
        return f"{self.choice.target:g}" + (" (probability of being right)" if self.calibration else "")

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


def _interval(row: dict[str, Any], figure: str, form: str) -> str:
    low, high = row[f"{figure}_ci"]
    return f"{row[figure]:{form}} [{low:{form}}, {high:{form}}]"
