"""The default against best-of-N, majority and weighted vote at the cap, on recorded pools, and what it claims.

    python -m benchmarks.decisions_held_out                     every development pool, every effort; about 4 minutes
    python -m benchmarks.decisions_held_out --orders 8 --seed 1
    python -m benchmarks.decisions_held_out --write             also writes the table of docs/effort.md

Pools come from `tests/data/pools` and from OPTSCALE_SHARED_DATA (`field/` and `pools/`), without those whose cap is
below 5. Every question is replayed in several random orders of its samples, up to the cap (at most 32), through the
`Session` of production. For each pool: the difference to the better of best-of-N, majority and weighted vote at the
cap, in points, with its standard error over questions; candidates verified and asked for as shares of the cap, and
rounds; the claims made at 0.95 and how many of them hold.

"held_out": the scale of lambda is chosen anew for each pool from the others (the fewest candidates whose mean
difference is at least -0.3 points), and reported on the pool that was left out. "baselines" have the selection of the
default. "given_up": targets at fixed scores, given up at 0.95 without past scores, and with a prior learned on the
other half of a pool's questions; how many could still have been reached.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from langchain_optscale.answers import MostProbable
from langchain_optscale.evaluation.baselines import AdaptiveConsistency, ThresholdStopping
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, Question, read_pool
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.stats import EmpiricalPrior
from langchain_optscale.stopping import Futility, MaxSamples, Objective
from langchain_optscale.stopping.objective import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "effort.md"
LEAST_CAP, MOST_CAP = 5, 32
SCALES = (0.5, 0.75, 1.0, 1.4, 2.0)
SLACK = 0.3
TARGETS = (0.8, 0.9, 0.95, 0.99)
PAST_SCORES = 10

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


def fields(orders: int, seed: int) -> Iterator[Field]:
    """Every pool with a cap of 5 or more."""
    for directory in (SHARED / "field", SHARED / "pools", ROOT / "tests" / "data" / "pools"):
        for path in sorted(directory.glob("*.jsonl")):
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


def default(field: Field, effort: str, scale: float = 1.0) -> SessionMethod:
    """The default with this effort, lambda scaled."""
    answers = field.kind != "scores"
    rule = Objective(effort=effort, answers=answers)  # type: ignore[arg-type]
    if scale != 1.0:
        kind = {"votes": 0, "both": 1, "scores": 2}[field.kind]
        size = 16.0 / min(max(field.cap, 8), 32) if kind == 0 else 1.0
        rule = replace(rule, price=scale * EFFORTS[effort][kind] * size / field.cap)
    return SessionMethod(rule, f"optscale {effort}")


def held_out(pools: Sequence[Field]) -> dict[str, Any]:
    """Each pool by the scale of lambda that the others would have chosen."""
    rows = {scale: [outcome_of(field, default(field, "medium", scale)) for field in pools] for scale in SCALES}
    chosen = []
    for place in range(len(pools)):
        rest = {scale: summary([row for i, row in enumerate(found) if i != place]) for scale, found in rows.items()}
        good = [scale for scale in SCALES if rest[scale]["difference"] >= -SLACK] or [SCALES[0]]
        scale = min(good, key=lambda one: rest[one]["share"])
        chosen.append({**rows[scale][place], "scale": scale})
    return {**by_kind(chosen), "scales": [row["scale"] for row in chosen]}


def baselines(pools: Sequence[Field]) -> dict[str, Any]:
    """Adaptive consistency and thresholds with the selection of the default, and fixed numbers."""
    found: dict[str, Any] = {}
    voting = [field for field in pools if field.kind != "scores"]
    scoring = [field for field in pools if field.kind != "votes"]
    for threshold in (0.8, 0.85, 0.9, 0.95):
        method: Any = AdaptiveConsistency(threshold)
        found[f"adaptive consistency {threshold}"] = by_kind([outcome_of(one, method) for one in voting])
    for threshold in (0.9, 0.99):
        found[f"threshold {threshold}"] = by_kind([outcome_of(one, ThresholdStopping(threshold)) for one in scoring])
    for share in (0.25, 0.33, 0.5):
        rows = []
        for one in pools:
            number = max(1, round(share * one.cap))
            rows.append(outcome_of(one, SessionMethod(MaxSamples(number), "fixed", round_size=64, select="posterior")))
        found[f"fixed number, {share:.2f} of the cap"] = by_kind(rows)
    return found


def given_up(pools: Sequence[Field]) -> list[dict[str, Any]]:
    """Of the questions given up at 0.95: how many could have been reached within the cap."""
    rows = []
    for field in pools:
        if field.kind == "votes":
            continue
        priors = _priors(field)
        for target in TARGETS:
            for learned in (False, True):
                gave, could = _given_up(field, target, priors if learned else None)
                if gave:
                    rows.append(
                        {"pool": field.name, "target": target, "prior": learned, "given_up": gave, "reachable": could}
                    )
    return rows


def _given_up(field: Field, target: float, priors: Sequence[EmpiricalPrior] | None) -> tuple[int, int]:
    gave = could = 0
    for number, question in field.trials:
        prior = None if priors is None else priors[1 - number % 2]
        method = SessionMethod(Futility(target, 0.05), "futility", prior=prior, first_round=1, round_size=1)
        outcome = method.run(question, field.cap)
        if outcome.claim == "target out of reach":
            gave += 1
            could += any((s.score or 0.0) >= target for s in question.samples[outcome.drawn : field.cap])
    return gave, could


def _priors(field: Field) -> list[EmpiricalPrior]:
    """Learned on the questions with even and with odd numbers, ten scores each."""
    lists: list[dict[int, list[float]]] = [{}, {}]
    for number, question in field.trials:
        lists[number % 2].setdefault(number, [float(s.score or 0.0) for s in question.samples[:PAST_SCORES]])
    return [EmpiricalPrior.fit(list(one.values())) for one in lists]


def page(efforts: dict[str, Any]) -> str:
    """The table of efforts."""
    lines = [_HEAD]
    names = {"votes": "votes alone", "both": "scores and answers", "scores": "scores alone", "all": "all"}
    for kind, title in names.items():
        lines += [
            f"\n## {title.capitalize()}\n",
            "| effort | difference (95 % interval over pools) | worst pool | candidates | asked for | rounds |",
            "|---|---|---|--:|--:|--:|",
        ]
        for effort, found in efforts.items():
            one = found[kind]
            name, worst, se = one["worst"]
            low, high = one["interval"]
            lines.append(
                f"| {effort} | {one['difference']:+.2f} ({low:+.2f} to {high:+.2f}) "
                f"| {worst:+.1f} +- {se:.1f} ({name}) "
                f"| {one['share']:.3f} | {one['asked']:.3f} | {one['rounds']:.1f} |"
            )
    return "\n".join(lines) + "\n"


_HEAD = """# Effort

*Written by `python -m benchmarks.decisions_held_out --write`, figures and all.*

`effort="low" | "medium" | "high"` says how much the whole cap may cost, in the unit of what is bought: a share of the
agreement where candidates carry answers, a difference of scores where they do not. The price of one candidate is
derived from it; `price=` sets it. Below: the difference to the better of best-of-N, majority and weighted vote at the
cap, in points of accuracy (or 100 times the mean score); candidates verified and asked for as shares of the cap,
geometric means over pools. These pools informed the constants: pools from elsewhere are the better judge.
"""


def main() -> None:
    """Replay everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/effort.md")
    parser.add_argument("--only", choices=["efforts", "held_out", "baselines", "given_up"], action="append")
    arguments = parser.parse_args()
    wanted = arguments.only or ["efforts", "held_out", "baselines", "given_up"]
    pools = list(fields(arguments.orders, arguments.seed))
    document: dict[str, Any] = {"pools": len(pools), "orders": arguments.orders, "seed": arguments.seed}
    if "efforts" in wanted:
        rows = {effort: [outcome_of(one, default(one, effort)) for one in pools] for effort in EFFORTS}
        document["efforts"] = {effort: by_kind(found) for effort, found in rows.items()}
        document["by_pool"] = rows["medium"]
        if arguments.write:
            PAGE.write_text(page(document["efforts"]), encoding="utf-8")
    if "held_out" in wanted:
        document["held_out"] = held_out(pools)
    if "baselines" in wanted:
        document["baselines"] = baselines(pools)
    if "given_up" in wanted:
        document["given_up"] = given_up(pools)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
