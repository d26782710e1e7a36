"""Recorded pools in several orders, what a method does on them, and summaries over pools."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from langchain_optscale.answers import MostProbable
from langchain_optscale.evaluation.pools import Pool, Question, read_pool
from langchain_optscale.evaluation.selection import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
LEAST_CAP, MOST_CAP = 5, 32

Trial = tuple[int, Question]
"""The number of a question, and its samples in one order."""


class Field:
    """One pool, ready to be replayed."""

    def __init__(self, pool: Pool, orders: int, seed: int) -> None:
        generator = np.random.default_rng([seed, sum(map(ord, pool.name))])
        self.name = pool.name
        self.cap = min(pool.cap, MOST_CAP)
        self.trials: list[Trial] = []
        for number, question in enumerate(pool):
            for _ in range(orders):
                places = generator.permutation(len(question.samples))
                samples = tuple(question.samples[place] for place in places)
                self.trials.append((number, replace(question, samples=samples)))
        self.questions = len(pool)
        self.graded = not pool.has_correct
        answered = any(sample.answer is not None for _, one in self.trials for sample in one.samples)
        scored = any(len({sample.score for sample in one.samples}) > 1 for _, one in self.trials)
        self.kind = ("both" if scored else "votes") if answered else "scores"
        self.reference = max(
            (self._at_cap(select) for select in ("best", "vote", "weighted_vote")[: 3 if answered else 1]),
            key=lambda values: float(values.mean()),
        )

    def value(self, question: Question, place: int) -> float:
        """What the sample at this place is worth."""
        sample = question.samples[place]
        return float(sample.score or 0.0) if self.graded else float(bool(sample.correct))

    def _at_cap(self, select: str) -> Any:
        return np.array([self.value(one, place_of(select, one.samples[: self.cap])) for _, one in self.trials])

    @lru_cache(maxsize=1)  # noqa: B019 - pools live as long as the process
    def final(self) -> list[int]:
        """The place that the default returns after the whole cap, for each trial."""
        return [place_of(MostProbable(), one.samples[: self.cap]) for _, one in self.trials]

    def by_question(self, values: Any) -> Any:
        """Means over a question's orders."""
        numbers = np.array([number for number, _ in self.trials])
        return np.bincount(numbers, values) / np.bincount(numbers)


def fields(orders: int, seed: int, named: str = "") -> Iterator[Field]:
    """Every pool with a cap of 5 or more whose file has this in its name."""
    for directory in (SHARED / "field", SHARED / "pools", ROOT / "tests" / "data" / "pools"):
        for path in sorted(path for path in directory.glob("*.jsonl") if named in path.stem):
            pool = read_pool(path)
            if not pool.has_scores and pool.has_logits:
                pool = pool.scored()
            if pool.cap >= LEAST_CAP:
                yield Field(pool, orders, seed)


def outcome_of(field: Field, method: Any) -> dict[str, Any]:
    """How a method did on a pool."""
    values, drawn, asked, rounds, claims = [], [], [], [], []
    for (_, question), final in zip(field.trials, field.final(), strict=True):
        outcome = method.run(question, field.cap)
        values.append(field.value(question, outcome.chosen))
        drawn.append(outcome.drawn)
        asked.append(outcome.asked)
        rounds.append(outcome.rounds)
        if outcome.claim == "stable" and (outcome.probability or 0.0) >= 0.95 and outcome.drawn < field.cap:
            first, last = question.samples[outcome.chosen], question.samples[final]
            same = first.answer == last.answer if first.answer is not None else outcome.chosen == final
            claims.append(bool(same))
    difference = 100.0 * field.by_question(np.array(values) - field.reference)
    return {
        "pool": field.name,
        "kind": field.kind,
        "difference": float(difference.mean()),
        "se": float(difference.std(ddof=1) / math.sqrt(len(difference))),
        "share": float(np.mean(drawn) / field.cap),
        "asked": float(np.mean(asked) / field.cap),
        "rounds": float(np.mean(rounds)),
        "searches": len(field.trials),
        "claims": len(claims),
        "true": sum(claims),
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over pools: of the difference, and geometric ones of the shares; with intervals over pools."""
    if not rows:
        return {}
    differences = np.array([row["difference"] for row in rows])
    shares = np.log([row["share"] for row in rows])
    half = (
        float(stats.t.ppf(0.975, len(rows) - 1) * differences.std(ddof=1) / math.sqrt(len(rows)))
        if len(rows) > 1
        else math.nan
    )
    worst = min(rows, key=lambda row: float(row["difference"]))
    return {
        "pools": len(rows),
        "difference": float(differences.mean()),
        "interval": [float(differences.mean()) - half, float(differences.mean()) + half],
        "worst": [worst["pool"], worst["difference"], worst["se"]],
        "worse_by_half_a_point_and_2_se": [row["pool"] for row in rows if row["difference"] < -0.5 - 2.0 * row["se"]],
        "share": float(np.exp(shares.mean())),
        "asked": float(np.exp(np.log([row["asked"] for row in rows]).mean())),
        "rounds": float(np.exp(np.log([row["rounds"] for row in rows]).mean())),
    }


def by_kind(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of all pools, and of each kind."""
    return {
        kind: summary([row for row in rows if kind in ("all", row["kind"])])
        for kind in ("all", "votes", "both", "scores")
    }
