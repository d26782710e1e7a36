"""What a default preset draws and keeps, against the paper's rule at its best and against best-of-N at the cap.

Every preset is a row of `PRESETS`: from questions to learn from and a cap it makes one or more configurations. The row
"optscale" is the default as a search with `extract=` has it, nothing chosen; "scores alone" is what is left of it where
there are no answers. The pools are split in halves. A configuration is chosen on one half, pooled over the pools: the
one with the fewest samples whose mean accuracy is at most `SLACK` below that of best-of-N at the cap. It is reported on
the other half, both ways and for several splits. Accuracy is that of the returned candidate, or its score where a pool
does not say what is right. Samples are shares of the cap; means over pools count every pool alike, and only pools whose
cap is at least 5.

    python -m benchmarks.default_preset                 every preset
    python -m benchmarks.default_preset optscale paper  these; best-of-N is always there
    python -m benchmarks.default_preset --seeds 5 --permutations 4

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from langchain_optscale.evaluation.baselines import BestOfN, optscale_0
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stats import EmpiricalPrior, Posterior
from langchain_optscale.stopping import Futility, MarginalGain, OptimalN, TargetReached, optscale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.stats.estimation import ScorePrior, Scores
    from langchain_optscale.stats.posterior import PosteriorEstimate
    from langchain_optscale.stopping import Rule

SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
OURS = Path(__file__).parents[1] / "tests" / "data" / "pools"
LEAST_CAP = 5
SLACK = 0.002
PAST_SCORES = 16
TARGETS = (0.85, 0.9, 0.95, 0.97)
CONFIDENCES = (0.9, 0.95, 0.99)


class RememberingPosterior:
    """`Posterior`, asked once for scores that many configurations share."""

    reads_scores: ClassVar[bool] = True

    def __init__(self) -> None:
        self.of: Callable[..., PosteriorEstimate] = lru_cache(maxsize=1024)(Posterior())

    def __call__(self, scores: Scores, prior: ScorePrior | None = None) -> PosteriorEstimate:
        """The posterior after some scores."""
        return self.of(scores, prior)


POSTERIOR = RememberingPosterior()


def _one_by_one(rule: Rule, name: str, estimator: RememberingPosterior | None = POSTERIOR) -> SessionMethod:
    return SessionMethod(rule, name, estimator=estimator, round_size=1)


def _paper(_: Pool, cap: int) -> dict[str, Method]:
    grid = itertools.product(TARGETS, CONFIDENCES, (3, 5))
    return {f"target {t}, confidence {c}, first {n}": optscale_0(t, c, min(n, cap)) for t, c, n in grid}


def _default(cap: int, *setting: float) -> SessionMethod:
    """The default as `ChatOptScale` has it: its estimator, its rounds, the most probable answer where there are any."""
    target, confidence = setting or (0.9, 0.95)
    return SessionMethod(optscale(target, confidence, cap, min(2, cap)), "optscale", select="posterior")


def without_answers(pool: Pool) -> Pool:
    """What is left of the questions where candidates carry no answers."""
    return Pool(
        tuple(replace(one, samples=tuple(replace(sample, answer=None) for sample in one.samples)) for one in pool),
        pool.name,
    )


def _chosen_of(make: Callable[..., SessionMethod], cap: int) -> dict[str, Method]:
    grid = itertools.product(TARGETS, CONFIDENCES)
    return {f"target {t}, confidence {c}": make(cap, t, c) for t, c in grid}


def _futility(_: Pool, __: int) -> dict[str, Method]:
    grid = itertools.product(TARGETS, (0.01, 0.02, 0.05, 0.1))
    return {f"target {t}, below {p}": _one_by_one(TargetReached(t) | Futility(t, p), "futility") for t, p in grid}


def _gain(_: Pool, __: int) -> dict[str, Method]:
    grid = itertools.product((*TARGETS, 1.0), (0.0005, 0.001, 0.002, 0.005))
    return {f"target {t}, gain {g}": _one_by_one(TargetReached(t) | MarginalGain(g), "gain") for t, g in grid}


def _both(
    targets: Sequence[float], chances: Sequence[float], gains: Sequence[float], prior: EmpiricalPrior | None = None
) -> dict[str, Method]:
    """The target was reached; or it is out of reach, and another candidate is not worth it for its own sake either."""
    return {
        f"target {t}, below {p}, gain {g}": SessionMethod(
            TargetReached(t) | (Futility(t, p) & MarginalGain(g)), "both", POSTERIOR, prior, round_size=1
        )
        for t, p, g in itertools.product(targets, chances, gains)
    }


def _learned(other: Pool) -> EmpiricalPrior:
    """A prior from scores alone, without labels."""
    lists = [[sample.score for sample in question.samples if sample.score is not None] for question in other]
    return EmpiricalPrior.fit([scores[:PAST_SCORES] for scores in lists])


def _gain_learned(other: Pool, _: int) -> dict[str, Method]:
    prior = _learned(other)
    return {
        f"target {t}, gain {g}": SessionMethod(
            TargetReached(t) | MarginalGain(g), "gain", POSTERIOR, prior, round_size=1
        )
        for t, g in itertools.product((*TARGETS, 1.0), (0.0005, 0.001, 0.002, 0.005))
    }


def _posterior_bound(_: Pool, __: int) -> dict[str, Method]:
    grid = itertools.product(TARGETS, CONFIDENCES)
    return {f"target {t}, confidence {c}": _one_by_one(TargetReached(t) | OptimalN(t, c), "bound") for t, c in grid}


PRESETS: dict[str, Callable[[Pool, int], Mapping[str, Method]]] = {
    "best-of-n": lambda _, __: {"cap": BestOfN()},
    "paper": _paper,
    "optscale": lambda _, cap: {"default": _default(cap)},
    "optscale, settings chosen": lambda _, cap: _chosen_of(_default, cap),
    "scores alone": lambda _, cap: {"default": _default(cap)},
    "scores alone, settings chosen": lambda _, cap: _chosen_of(_default, cap),
    "reached, or bound of the posterior": _posterior_bound,
    "reached, or futile": _futility,
    "reached, or no gain": _gain,
    "reached, or futile and no gain": lambda _, __: _both(TARGETS, (0.02, 0.05, 0.1, 0.3), (0.005, 0.01, 0.015)),
    "reached, or futile and no gain, learned prior": lambda other, _: _both(
        TARGETS, (0.02, 0.05, 0.1, 0.3), (0.002, 0.005, 0.01, 0.015), _learned(other)
    ),
    "reached, or no gain, learned prior": _gain_learned,
    "futile and no gain: 0.9, 0.05, 0.01": lambda _, __: _both((0.9,), (0.05,), (0.01,)),
    "futile and no gain: 0.95, 0.05, 0.01": lambda _, __: _both((0.95,), (0.05,), (0.01,)),
    "futile and no gain: 0.9, 0.05, 0.01, learned prior": lambda other, _: _both(
        (0.9,), (0.05,), (0.01,), _learned(other)
    ),
}
"""By name, a function of questions to learn from and of the cap that makes configurations by label."""


def pools() -> list[Pool]:
    """Every pool with scores, or logits, and a cap that leaves room to save."""
    found = [read_pool(path) for path in sorted([*(SHARED / "pools").glob("*.jsonl"), *OURS.glob("*.jsonl")])]
    scored = [pool if pool.has_scores else pool.from_logits() for pool in found]
    return [pool for pool in scored if pool.cap >= LEAST_CAP]


def measured(
    preset: str, half: Pool, other: Pool, *, permutations: int, seed: int
) -> tuple[list[str], NDArray[np.float64]]:
    """Labels, and for each of them mean accuracy and mean shares of the cap on one half: drawn, asked for.

    Shape (labels, 3). What was asked for and not drawn was under way when the search ended, and is cancelled.
    """
    configurations = PRESETS[preset](other, half.cap)
    questions = without_answers(half) if preset.startswith("scores alone") else half
    report = replay(questions, list(configurations.values()), permutations=permutations, seed=seed, bootstrap=1)
    figures = [
        (run["accuracy"].mean(), run["samples"].mean() / half.cap, run["asked"].mean() / half.cap)
        for run in report.runs
    ]
    return list(configurations), np.array(figures)


def chosen(figures: NDArray[np.float64], least: float) -> int:
    """The cheapest of the configurations that are accurate enough, the most accurate where none is."""
    accuracy, share, _ = figures.mean(axis=0).T
    enough = accuracy >= least - SLACK
    return int(np.where(enough, share, np.inf).argmin() if enough.any() else accuracy.argmax())


def tried(presets: Sequence[str], *, seeds: int, permutations: int) -> dict[str, list[dict[str, Any]]]:
    """For every preset one trial a split and side: what was chosen, and its figures on the other half by pool."""
    trials: dict[str, list[dict[str, Any]]] = {preset: [] for preset in presets}
    for seed in range(seeds):
        halves = [pool.split(0.5, seed=seed) for pool in pools()]
        figures, labels = {}, {}
        for preset, side in itertools.product(presets, (0, 1)):
            if sys.stderr.isatty():
                sys.stderr.write(f"\rsplit {seed + 1} of {seeds}, side {side + 1}: {preset:50}")
            rows = [
                measured(preset, pair[side], pair[1 - side], permutations=permutations, seed=seed) for pair in halves
            ]
            labels[preset] = rows[0][0]
            # Shape (pools, labels, 3).
            figures[preset, side] = np.array([row[1] for row in rows])
        names = [pair[0].name.removesuffix("/1") for pair in halves]
        for preset, side in itertools.product(presets, (0, 1)):
            other = 1 - side
            pick = chosen(figures[preset, other], float(figures["best-of-n", other][:, 0, 0].mean()))
            mine, full = figures[preset, side][:, pick], figures["best-of-n", side][:, 0]
            trials[preset].append(
                {
                    "chosen": labels[preset][pick],
                    "gain": dict(zip(names, (mine[:, 0] - full[:, 0]).tolist(), strict=True)),
                    "share": dict(zip(names, mine[:, 1].tolist(), strict=True)),
                    "asked": dict(zip(names, mine[:, 2].tolist(), strict=True)),
                }
            )
    return trials


def summary(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over trials: by pool, and over pools."""

    def mean(figure: str) -> dict[str, float]:
        return {name: float(np.mean([trial[figure][name] for trial in trials])) for name in trials[0][figure]}

    gain, share, asked = mean("gain"), mean("share"), mean("asked")
    return {
        "accuracy_above_best_of_n": float(np.mean(list(gain.values()))),
        "samples_of_cap": float(np.mean(list(share.values()))),
        "asked_of_cap": float(np.mean(list(asked.values()))),
        "by_pool": {name: {"accuracy_above_best_of_n": gain[name], "samples_of_cap": share[name]} for name in gain},
        "chosen": sorted({trial["chosen"] for trial in trials}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"of {', '.join(PRESETS)}")
    parser.add_argument("--seeds", type=int, default=3, help="splits into halves (default 3)")
    parser.add_argument("--permutations", type=int, default=2, help="orders of each question (default 2)")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.presets if name not in PRESETS]:
        parser.error(f"unknown preset {unknown[0]!r}; known are {', '.join(PRESETS)}")
    presets = list(dict.fromkeys(["best-of-n", *(given.presets or PRESETS)]))
    rows = {
        name: summary(each) for name, each in tried(presets, seeds=given.seeds, permutations=given.permutations).items()
    }
    for row in rows.values():
        for name in {"paper", "best-of-n"} & rows.keys():
            row[f"samples_of_{name}"] = row["samples_of_cap"] / rows[name]["samples_of_cap"]
    document = {"benchmark": "default_preset", "seeds": given.seeds, "permutations": given.permutations, "slack": SLACK}
    print(json.dumps(document | {"presets": rows}, indent=1))


if __name__ == "__main__":
    main()
