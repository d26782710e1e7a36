"""Whether the posterior predictive is honest, and what stopping by it costs and keeps.

Families of questions, each with its own law of scores, and recorded pools: ours and those of `$OPTSCALE_SHARED_DATA`.
One half of a family's questions fits the empirical prior, the other half is predicted, once under that prior and once
under the weak one. Every prediction P(target reached within the next k scores | first n scores) is compared with what
happened. Then `OptimalN(target, confidence) | TargetReached(target)` is played on the same questions, with and without
stopping for futility, against an oracle that knows each question's law and fixes N* in advance. Prints one JSON
document.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.families import FAMILIES, SCORES, SHARED
from langchain_optscale.stats import expected_calibration_error
from langchain_optscale.stats.empirical_prior import EmpiricalPrior
from langchain_optscale.stats.posterior import Posterior

if TYPE_CHECKING:
    from langchain_optscale.stats._masses import FloatArray

OURS = Path(__file__).parents[1] / "tests" / "data" / "pools"
SEEN = (2, 3, 5, 10)
AHEAD = (1, 2, 4, 8, 16)
TARGETS = (0.8, 0.9, 0.95)
CAP = 64
CONFIDENCE = 0.95
PAST_SCORES = 10


def pools() -> dict[str, FloatArray]:
    """The recorded pools; logits become scores by the logistic function."""
    found = {}
    for path in sorted([*(SHARED / "pools").glob("*.jsonl"), *OURS.glob("*.jsonl")]):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [
            [sample["score"] if "score" in sample else 1.0 / (1.0 + math.exp(-sample["logit"])) for sample in samples]
            for samples in (line["samples"] for line in lines)
        ]
        found[path.stem] = np.array(rows)
    return found


def honesty(parts: list[tuple[FloatArray, EmpiricalPrior | None]]) -> dict[str, float]:
    """Calibration of every prediction that the lists are long enough for, over questions and the prior of each part."""
    predicted, happened, unmet = [], [], []
    for n, (scores, prior) in itertools.product(SEEN, parts):
        ahead = [k for k in AHEAD if n + k <= scores.shape[1]]
        for row in scores if ahead else ():
            estimate = Posterior()(row[:n].tolist(), prior)
            best = row[:n].max()
            for target in TARGETS:
                for k in ahead:
                    predicted.append(estimate.prob_reach(target, k))
                    happened.append(bool(row[n : n + k].max() >= target))
                    unmet.append(bool(best < target))
    chance, fact, is_unmet = np.array(predicted), np.array(happened), np.array(unmet)
    return {
        "predictions": len(chance),
        "ece": expected_calibration_error(predicted, happened),
        "ece_while_unmet": expected_calibration_error(chance[is_unmet].tolist(), fact[is_unmet].tolist()),
        "mean_predicted": float(chance.mean()),
        "mean_happened": float(fact.mean()),
        "brier": float(((chance - fact) ** 2).mean()),
    }


def stopping(
    scores: FloatArray, prior: EmpiricalPrior | None, target: float, *, round_size: int, futility: float
) -> dict[str, float]:
    """Rounds of as many scores as the posterior asks for, until the target is reached or the cap, or hope is lost.

    Questions whose oracle N* exceeds the cap are left out: their target is out of reach.
    """
    rates = (scores[:, SCORES:] >= target).mean(axis=1)
    fixed, drawn, reached = [], [], []
    for row, rate in zip(scores, rates, strict=True):
        miss = max(1.0 - float(rate), 1e-12)
        oracle = max(1, math.ceil(math.log(1.0 - CONFIDENCE) / math.log(miss))) if rate else CAP + 1
        if oracle > CAP:
            continue
        n = min(2, round_size)
        while row[:n].max() < target and n < CAP:
            estimate = Posterior()(row[:n].tolist(), prior)
            if estimate.prob_reach(target, CAP - n) < futility:
                break
            n += min(estimate.least_k(target, CONFIDENCE, CAP - n) or CAP, round_size, CAP - n)
        fixed.append(oracle)
        drawn.append(n)
        reached.append(bool(row[:n].max() >= target))
    return {
        "questions": len(fixed),
        "oracle_n": float(np.mean(fixed)),
        "drawn": float(np.mean(drawn)),
        "drawn_of_oracle": float(np.mean(drawn) / np.mean(fixed)),
        "observed": float(np.mean(reached)),
    }


def main() -> None:
    """Print the figures."""
    generator = np.random.default_rng(0)
    figures: dict[str, Any] = {"benchmark": "predictive", "confidence": CONFIDENCE, "cap": CAP}
    for name, scores in {**{name: draw(generator) for name, draw in FAMILIES.items()}, **pools()}.items():
        half = len(scores) // 2
        first, rest = scores[:half], scores[half:]
        prior = EmpiricalPrior.fit(first[:, :PAST_SCORES].tolist())
        parts: dict[str, list[tuple[FloatArray, EmpiricalPrior | None]]]
        parts = {"empirical prior": [(rest[:, :SCORES], prior)], "weak prior": [(rest[:, :SCORES], None)]}
        if name not in FAMILIES:
            # Pools are small: either half is predicted from the other.
            other = EmpiricalPrior.fit(rest[:, :PAST_SCORES].tolist())
            parts = {"empirical prior": [(rest, prior), (first, other)], "weak prior": [(scores, None)]}
        figures[name] = {"honesty": {label: honesty(part) for label, part in parts.items()}}
        if name in FAMILIES:
            figures[name]["stopping"] = {
                f"{label}, target {target}, rounds of {size}, futility below {futility}": stopping(
                    rest, given, target, round_size=size, futility=futility
                )
                for label, given in (("empirical prior", prior), ("weak prior", None))
                for target in (0.9, 0.95)
                for size, futility in ((1, 0.0), (8, 0.0), (8, 0.05))
            }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
