"""What a learned stopping rule saves: fitted on one half of the questions, measured on the other, both ways round.

Every pool is split in halves five times. `chosen` is the rule as a user gets it, the price chosen on the fitting half
by cross-validation; the frontier has a rule for every price of a grid. All methods see the same candidates in the same
orders, so that differences are paired by question; standard errors are over questions. Prints the figures as JSON;
`--write` also writes them as tables into docs/learned_stopping.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fitted_page import written
from benchmarks.learning_curve import KINDS, learning_curve, simulated
from langchain_optscale.evaluation.baselines import SelfConsistency, ThresholdStopping
from langchain_optscale.evaluation.learning import assess
from langchain_optscale.evaluation.pools import Pool, Question, read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stopping import FittedStopping, History, optscale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.metrics import Runs
    from langchain_optscale.stopping import Rule

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "learned_stopping.md"
SPLITS = 5
ORDERS = 4
MOST_SAMPLES = 32
PRICES = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06)
THRESHOLDS = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 1.0)
SPENT = (2.0, 4.0, 8.0, 16.0)
NEAR = (0.95, 1.0)


def pools() -> Iterator[Pool]:
    """Every pool with scores, of this repository and of the shared data where it is there."""
    for directory in (ROOT / "tests" / "data" / "pools", SHARED / "pools"):
        for path in sorted(directory.glob("*.jsonl")):
            pool = read_pool(path).scored()
            if pool.has_scores:
                yield pool


def measured(pool: Pool, labels: str, splits: int = SPLITS, prices: Sequence[float] = PRICES) -> dict[str, Any]:
    """A pool that says what is right: the saving at parity, and the difference to the default at equal samples."""
    cap = min(pool.cap, MOST_SAMPLES)
    found = assess(pool, splits=splits, permutations=ORDERS, prices=prices, max_samples=cap, labels=labels)
    runs = found.report.runs
    count = len(prices) + 1
    chosen, frontier = runs[-count], runs[-count + 1 :]
    best, default = runs[0], runs[1]
    reference = best
    if labels == "none" and pool.has_answers:
        vote = replay(pool, [SelfConsistency()], permutations=ORDERS, max_samples=cap, bootstrap=1).runs[0]
        reference = min(best, vote, key=lambda one: float(one["accuracy"].mean()))
    spent = float(default["samples"].mean())
    matched = assess(
        pool, splits=splits, permutations=ORDERS, prices=(), max_samples=cap, labels=labels, samples=spent
    ).report.runs[-1]
    points = [_point(one) for one in frontier]
    parity = samples_at(points, float(reference["accuracy"].mean()))
    return {
        "pool": pool.name,
        "questions": len(pool),
        "labels": labels,
        "cap": cap,
        "baselines": [{"method": one.name, **_point(one)} for one in runs[:-count]],
        "reference": {"method": reference.name, **_point(reference)},
        "chosen": {
            **_point(chosen),
            "share": _point(chosen)["samples"] / cap,
            "refused": found.refused[0],
            **_against(chosen["accuracy"], reference["accuracy"]),
        },
        "frontier": [{"price": price, **point} for price, point in zip(prices, points, strict=True)],
        "frontier_share": None if parity is None else parity / cap,
        "default": {**_point(default), **_against(*_at_equal_samples([*frontier, matched], default))},
    }


def graded(pool: Pool, splits: int = SPLITS, prices: Sequence[float] = PRICES) -> dict[str, Any]:
    """A pool whose candidates are graded: the mean grade less that of a threshold rule, at equal mean samples."""
    cap = min(pool.cap, MOST_SAMPLES)
    found = assess(
        pool, splits=splits, permutations=ORDERS, price=prices[0], prices=prices[1:], max_samples=cap, labels="none"
    )
    runs = found.report.runs
    frontier, default = runs[-len(prices) :], runs[1]
    spent = float(default["samples"].mean())
    # Grades have few values, so that a mean number of samples is met in steps: two are taken near the default's.
    matched = [
        assess(
            pool,
            splits=splits,
            permutations=ORDERS,
            prices=(),
            max_samples=cap,
            labels="none",
            samples=near * spent,
        ).report.runs[-1]
        for near in NEAR
    ]
    rules = [ThresholdStopping(threshold) for threshold in THRESHOLDS]
    thresholds = replay(pool, rules, permutations=ORDERS, max_samples=cap, bootstrap=1).runs
    rows = [
        {"samples": spent, **_against(_grades_at(frontier, spent), _grades_at(thresholds, spent))}
        for spent in SPENT
        if spent < cap
    ]
    return {
        "pool": pool.name,
        "questions": len(pool),
        "cap": cap,
        "best_of_n": _point(runs[0]),
        "frontier": [{"price": price, **_point(one)} for price, one in zip(prices, frontier, strict=True)],
        "against_threshold": rows,
        "default": {**_point(default), **_against(*_at_equal_samples([*frontier, *matched], default))},
    }


def samples_at(points: Sequence[dict[str, float]], accuracy: float) -> float | None:
    """Where a frontier first has this accuracy, linear between neighbours; None where it never has.

    Example:
        >>> samples_at([{"samples": 4.0, "accuracy": 0.8}, {"samples": 2.0, "accuracy": 0.6}], 0.7)
        3.0
    """
    ranked = sorted((point["samples"], point["accuracy"]) for point in points)
    if ranked[0][1] >= accuracy:
        return ranked[0][0]
    for (low, below), (high, above) in pairwise(ranked):
        if above >= accuracy:
            return low + (high - low) * (accuracy - below) / (above - below)
    return None


def speed() -> dict[str, Any]:
    """Seconds of a fit to 400 questions of 32 samples, and milliseconds of a decision beside the default's."""
    pieces = [simulated("votes", 400, seed) for seed in (0, 1)]
    pairs = zip(pieces[0], pieces[1], strict=True)
    pool = Pool(tuple(Question(one.id, one.prompt, one.samples + two.samples) for one, two in pairs))
    began, spent = time.perf_counter(), time.process_time()
    rule = FittedStopping.fit(pool)
    wall, cpu = time.perf_counter() - began, time.process_time() - spent
    default = optscale(max_samples=pool.cap)
    histories = [
        History(
            scores=tuple(sample.score or 0.0 for sample in question.samples[:n]),
            answers=tuple(sample.answer for sample in question.samples[:n]),
            max_samples=pool.cap,
        )
        for question in pool.questions[:40]
        for n in (1, 2, 4, 8, 16, 31)
    ]
    learned, untrained = [], []
    for _ in range(5):
        for history in histories:
            learned.append(_milliseconds(rule, history))
            untrained.append(_milliseconds(default, history))
    return {
        "questions": len(pool),
        "samples": pool.cap,
        "fit_s": wall,
        "fit_cpu_s": cpu,
        "median_decision_ms": statistics.median(learned),
        "p99_decision_ms": statistics.quantiles(learned, n=100)[98],
        "median_default_decision_ms": statistics.median(untrained),
        "times_faster_than_default": statistics.median(untrained) / statistics.median(learned),
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means over the pools with answers, with labels and without."""
    means = {}
    for labels in ("gold", "none"):
        shares = [row for row in rows if row["labels"] == labels and row["answers"]]
        reached = [row["frontier_share"] for row in shares if row["frontier_share"] is not None]
        means[labels] = {
            "pools": [row["pool"] for row in shares],
            "chosen": statistics.geometric_mean(row["chosen"]["share"] for row in shares) if shares else None,
            "frontier": statistics.geometric_mean(reached) if reached and len(reached) == len(shares) else None,
        }
    return means


def _milliseconds(rule: Rule, history: History) -> float:
    began = time.perf_counter()
    rule(history)
    return 1e3 * (time.perf_counter() - began)


def _point(runs: Runs) -> dict[str, float]:
    return {"accuracy": float(runs["accuracy"].mean()), "samples": float(runs["samples"].mean())}


def _against(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, float]:
    """The mean difference by question, and its standard error."""
    more = ours - theirs
    return {"difference": float(more.mean()), "standard_error": float(more.std(ddof=1) / math.sqrt(len(more)))}


def _at_equal_samples(frontier: Sequence[Runs], other: Runs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _grades_at(frontier, float(other["samples"].mean())), other["accuracy"]


def _grades_at(frontier: Sequence[Runs], samples: float) -> NDArray[np.float64]:
    """By question, what a mixture of the two neighbours on the frontier returns that spends this many on average."""
    ranked = sorted(frontier, key=lambda one: float(one["samples"].mean()))
    spent = [float(one["samples"].mean()) for one in ranked]
    place = int(np.searchsorted(spent, samples))
    if place == 0:
        return ranked[0]["accuracy"]
    if place == len(ranked):
        return ranked[-1]["accuracy"]
    share = (samples - spent[place - 1]) / (spent[place] - spent[place - 1])
    mixed: NDArray[np.float64] = (1.0 - share) * ranked[place - 1]["accuracy"] + share * ranked[place]["accuracy"]
    return mixed


def main() -> None:
    """Print the figures, and write the tables where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.relative_to(ROOT)}")
    write = parser.parse_args().write
    rows, grades = [], []
    for pool in pools():
        if not pool.has_correct:
            grades.append(graded(pool))
            continue
        kinds = ("gold", "none") if pool.has_answers else ("gold",)
        rows += [{**measured(pool, labels), "answers": pool.has_answers} for labels in kinds]
    figures = {
        "benchmark": "fitted",
        "splits": SPLITS,
        "orders": ORDERS,
        "geometric_means": summary(rows),
        "pools": rows,
        "graded": grades,
        "speed": speed(),
        "learning_curve": [learning_curve(kind, labels) for kind in KINDS for labels in ("gold", "none")],
    }
    print(json.dumps(figures, indent=1))
    if write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    main()
