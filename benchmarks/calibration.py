"""What calibration does for a weak verifier: our arithmetic pool, where best-of-N is right most often for a small N.

The score is the policy's own confidence, and beyond a few candidates the most confident one is no more often right. A
calibration is fitted to one half of the questions and reported on the other, both ways and for several splits: how far
scores are from the share that is right, before and after; how accurate best-of-N is; and where a rule stops that asks a
candidate to be worth its price. On calibrated scores a price is one in accuracy. The prior of the calibrated runs is
learned from the same half's calibrated scores. The candidates' answers are left out, since the default reads them
too: here scores alone have to end the search. Prints one JSON document.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.default_preset import without_answers
from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stats import (
    EmpiricalPrior,
    IsotonicCalibration,
    LogisticCalibration,
    Posterior,
    expected_calibration_error,
)
from langchain_optscale.stopping import MarginalGain, TargetReached, optscale

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.stats import Calibration

ARITHMETIC = Path(__file__).parents[1] / "tests" / "data" / "pools" / "arithmetic_x64.jsonl"
CALIBRATIONS: dict[str, Callable[..., Calibration]] = {
    "isotonic": IsotonicCalibration.fit,
    "logistic": LogisticCalibration.fit,
}
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
PRICES = (0.005, 0.01, 0.02, 0.03)
TARGET = 0.9
PAST_SCORES = 16
SPLITS = 5


def labelled(pool: Pool) -> tuple[list[float], list[bool]]:
    """Scores and whether they are right, of every sample."""
    known = [(sample.score, sample.correct) for sample in pool.samples]
    return [score for score, _ in known if score is not None], [bool(correct) for _, correct in known]


def priced(price: float, prior: EmpiricalPrior | None = None) -> Method:
    """The default's target beside a price for every candidate."""
    rule = TargetReached(TARGET) | MarginalGain(price)
    return SessionMethod(rule, f"price {price:g}", estimator=Posterior(), prior=prior, round_size=1)


def trial(half: Pool, other: Pool, seed: int) -> dict[str, dict[str, float]]:
    """Figures on one half, with what was fitted to the other."""
    found: dict[str, dict[str, float]] = {}

    def run(label: str, pool: Pool, methods: dict[str, Method]) -> None:
        report = replay(pool, list(methods.values()), permutations=2, seed=seed, bootstrap=1)
        for name, one in zip(methods, report.runs, strict=True):
            found[f"{label}{name}"] = {
                "accuracy": float(one["accuracy"].mean()),
                "samples": float(one["samples"].mean()),
            }

    scores, correct = labelled(half)
    found["raw: calibration error"] = {"ece": expected_calibration_error(scores, correct)}
    run("", half, {f"best of {n}": BestOfN(n) for n in SIZES})
    default = SessionMethod(optscale(TARGET, max_samples=half.cap), "optscale", round_size=1)
    run("raw: ", half, {"optscale": default, **{f"price {price:g}": priced(price) for price in PRICES}})
    for name, fit in CALIBRATIONS.items():
        calibration = fit(*labelled(other))
        found[f"{name}: calibration error"] = {
            "ece": expected_calibration_error([calibration(score) for score in scores], correct)
        }
        prior = EmpiricalPrior.fit(
            [[calibration(sample.score or 0.0) for sample in question.samples[:PAST_SCORES]] for question in other]
        )
        calibrated = half.with_scores(lambda sample, to=calibration: to(sample.score or 0.0))  # type: ignore[misc]
        by_price = {f"price {price:g}": priced(price, prior) for price in PRICES}
        run(f"{name}: ", calibrated, {"optscale": replace(default, prior=prior), **by_price})
    return found


def measure(splits: int = SPLITS) -> dict[str, Any]:
    """Means over splits and sides, with the standard error of the mean over splits."""
    pool = without_answers(read_pool(ARITHMETIC))
    trials = []
    for seed in range(splits):
        first, second = pool.split(0.5, seed=seed)
        sides = [trial(first, second, seed), trial(second, first, seed)]
        # Each split's sides have every question once.
        trials.append({key: {f: np.mean([side[key][f] for side in sides]) for f in sides[0][key]} for key in sides[0]})
    figures: dict[str, Any] = {"benchmark": "calibration", "pool": pool.name, "splits": splits}
    for key in trials[0]:
        figures[key] = {f: float(np.mean([one[key][f] for one in trials])) for f in trials[0][key]}
        if splits > 1:
            errors = {f: np.std([one[key][f] for one in trials], ddof=1) for f in trials[0][key]}
            figures[key] |= {f"{f}_se": float(error / splits**0.5) for f, error in errors.items()}
    return figures


def main() -> None:
    """Print the figures."""
    print(json.dumps(measure(), indent=1))


if __name__ == "__main__":
    main()
