"""Whether what `recommend` says to expect is so, on a task where the truth is known.

    python -m benchmarks.recommended_bias            prints JSON; about 20 seconds

The task is that of `benchmarks.parity_bias`: chances p ~ Beta(0.5, 2), a verifier without mistakes, and fixed numbers
of 1 to 16 candidates as settings, so that each setting's accuracy is known in closed form. A setting is chosen as
`recommend` chooses it: by one half of the questions for an accuracy, for a budget, or by what is shown to lose at most
two points. Its accuracy, and the difference to best-of-16, are then reported on the half that chose, on the other half,
and on all questions. For each: the mean error of the report in points (above 0 it flatters), and how often its
95 % interval holds the truth.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.parity_bias import CAP, simulated, true_accuracy
from langchain_optscale.evaluation.frontier import on_one_half
from langchain_optscale.evaluation.recommendation import chooser

if TYPE_CHECKING:
    from langchain_optscale.evaluation.metrics import Report

REPEATS = 300
QUESTIONS = (60, 300, 1000)
GRID = tuple(range(1, CAP + 1))
GOALS: dict[str, tuple[float | None, float | None]] = {
    "accuracy 0.5": (0.5, None),
    "budget 8": (None, 8.0),
    "shown to lose at most 2 points": (None, None),
}
PARTS = ("the half that chose", "the other half", "all")


def reported(questions: int, seed: int, goal: tuple[float | None, float | None]) -> dict[str, tuple[float, bool, bool]]:
    """For each part of the questions: the error in points, and whether the two intervals hold the truth."""
    pool, report = simulated(questions, GRID, seed)
    place, _, chose = on_one_half(pool, report, chooser(*goal), seed)
    truth, gain = true_accuracy(GRID[place - 1]), true_accuracy(GRID[place - 1]) - true_accuracy(CAP)
    found = {}
    for name, among in zip(PARTS, (chose, ~chose, np.full(questions, True)), strict=True):
        part = _part(report, among, place)
        row = part.to_dict()[1]
        low, high = row["accuracy_ci"]
        paired = part.paired(1, 0).intervals["accuracy"]
        error = 100.0 * (row["accuracy"] - truth)
        found[name] = (error, low <= truth <= high, paired.low <= gain <= paired.high)
    return found


def _part(report: Report, among: Any, place: int) -> Report:
    runs = tuple(replace(report.runs[one], values=report.runs[one].values[among]) for one in (0, place))
    return replace(report, questions=tuple(np.array(report.questions)[among].tolist()), runs=runs)


def measure(repeats: int = REPEATS) -> list[dict[str, Any]]:
    """Every number of questions and goal."""
    rows = []
    for questions in QUESTIONS:
        for name, goal in GOALS.items():
            runs = [reported(questions, seed, goal) for seed in range(repeats)]
            for part in PARTS:
                errors, holds, holds_paired = np.array([run[part] for run in runs], dtype=float).T
                rows.append(
                    {
                        "questions": questions,
                        "goal": name,
                        "reported_on": part,
                        "flatters_by_points": float(errors.mean()),
                        "se": float(errors.std(ddof=1) / np.sqrt(repeats)),
                        "coverage": float(holds.mean()),
                        "coverage_of_difference": float(holds_paired.mean()),
                    }
                )
    return rows


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    print(json.dumps(measure(parser.parse_args().repeats), indent=2))


if __name__ == "__main__":
    main()
