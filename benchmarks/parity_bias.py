"""How far samples at parity flatter, on a task where the truth is known.

    python -m benchmarks.parity_bias            prints JSON; about 10 seconds
    python -m benchmarks.parity_bias --write    also writes docs/parity.md

Every question has a chance p ~ Beta(0.5, 2) that a candidate is right, and a verifier that makes no mistake: best-of-n
is right with probability 1 - (1 - p)^n, so accuracy rises with n up to the cap, and nothing but the whole cap is as
accurate. `parity_in` is run as users run it, on few questions: a grid of fixed numbers, chosen on one half and reported
on the other, ten splits. Reported are the samples that it calls parity, and by how many points the chosen setting is
truly less accurate; for several numbers of questions, grids and ways to choose.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from langchain_optscale.evaluation.frontier import DEFAULT_MARGIN, DEFAULT_TOLERANCE, parity_in
from langchain_optscale.evaluation.metrics import FIGURES, Report, Runs
from langchain_optscale.evaluation.pools import Pool, Question, Sample

PAGE = Path(__file__).parents[1] / "docs" / "parity.md"
CAP, REPEATS, SPLITS = 16, 60, 10
QUESTIONS = (50, 200, 800)
CHOICES = {"as accurate as observed": (0.0, 0.0), "shown to lose at most 2 points": (DEFAULT_MARGIN, DEFAULT_TOLERANCE)}
GRIDS = {"4 settings": (4, 8, 12, 16), "16 settings": tuple(range(1, CAP + 1))}
SHAPE = (0.5, 2.0)


def simulated(questions: int, sizes: tuple[int, ...], seed: int) -> tuple[Pool, Report]:
    """Best-of-16, and best-of-n for each size, on the same candidates."""
    generator = np.random.default_rng([seed, questions])
    chances = generator.beta(*SHAPE, questions)
    right = generator.random((questions, CAP)) < chances[:, None]
    names = tuple(str(number) for number in range(questions))
    runs = []
    for n in (CAP, *sizes):
        values = np.full((questions, len(FIGURES)), np.nan)
        values[:, FIGURES.index("accuracy")] = right[:, :n].any(axis=1)
        values[:, FIGURES.index("samples")] = n
        runs.append(Runs("best-of-n", {"n": n}, values))
    report = Report("simulated", names, "accuracy", CAP, 1, tuple(runs), bootstrap=1)
    return Pool(tuple(Question(name, "?", (Sample(),)) for name in names), "simulated"), report


def true_accuracy(n: int) -> float:
    """E[1 - (1 - p)^n] for p ~ Beta(a, b): 1 - B(a, b + n) / B(a, b)."""
    a, b = SHAPE
    rest = np.prod([(b + i) / (a + b + i) for i in range(n)])
    return float(1.0 - rest)


def bias(questions: int, grid: tuple[int, ...], margin: float, tolerance: float) -> dict[str, float]:
    """Means over repeats: reported samples, reported and true loss in points, and how often the report was attained."""
    samples, reported, truth = [], [], []
    for repeat in range(REPEATS):
        pool, report = simulated(questions, grid, repeat)
        parity = parity_in(pool, report, [{"n": n} for n in grid], splits=SPLITS, margin=margin, tolerance=tolerance)
        samples.append(parity.samples)
        reported.append(100.0 * (parity.reference_accuracy - parity.accuracy))
        chosen = sum(times * true_accuracy(setting["n"]) for setting, times in parity.chosen)
        truth.append(100.0 * (true_accuracy(CAP) - chosen / sum(times for _, times in parity.chosen)))
    return {
        "samples": float(np.mean(samples)),
        "samples_se": float(np.std(samples, ddof=1) / np.sqrt(REPEATS)),
        "reported_loss": float(np.mean(reported)),
        "true_loss": float(np.mean(truth)),
        "true_loss_se": float(np.std(truth, ddof=1) / np.sqrt(REPEATS)),
    }


def measure() -> list[dict[str, Any]]:
    """Every number of questions, grid and way to choose."""
    return [
        {"questions": questions, "grid": name, "choice": choice, **bias(questions, grid, *numbers)}
        for questions in QUESTIONS
        for name, grid in GRIDS.items()
        for choice, numbers in CHOICES.items()
    ]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    lines = [
        "| questions | grid | chosen: the cheapest that is | samples called parity (truth: 16) | true loss in points |",
        "|--:|---|---|--:|--:|",
    ]
    lines += [
        f"| {row['questions']} | {row['grid']} | {row['choice']} | {row['samples']:.1f} +- {row['samples_se']:.1f} "
        f"| {row['true_loss']:.2f} +- {row['true_loss_se']:.2f} |"
        for row in rows
    ]
    return lines


_HEAD = f"""# Samples at parity: how biased are they?

*Written by `python -m benchmarks.parity_bias --write`, figures and all.*

This page shows why "as accurate as best-of-N for fewer samples" needs care. Such a figure is found by choosing the
cheapest of several settings that was as accurate on some questions. With few questions some setting achieves that by
luck. Held-out figures do not repair it: they are the figures of a setting that is less accurate.

Here the truth is known: only all {CAP} samples are as accurate as best-of-{CAP}, so every figure below {CAP} is
bias. By default `samples_at_parity` uses a setting only if its loss is shown, with 95 % confidence, to be at most
{100 * DEFAULT_TOLERANCE:g} points. If there is none, it reports the full number, since few questions cannot show a
saving.

Figures are means over {REPEATS} simulated tasks, +- one standard error.
"""


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/parity.md")
    arguments = parser.parse_args()
    rows = measure()
    if arguments.write:
        PAGE.write_text("\n".join([_HEAD, *table(rows)]) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
