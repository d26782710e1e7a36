"""`docs/benchmarks.md` with its tables and picture, from recorded pools: `make benchmarks`.

Pools of our own stand in tests/data/pools. Those of others are read from $OPTSCALE_SHARED_DATA (default
../shared/data), `field` and `pools`, where they are, and left out where they are not.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from benchmarks.parity_bias import measure as parity_bias
from benchmarks.parity_bias import table as parity_table
from docs.benchmark_methods import SAME, compared, references
from langchain_optscale.evaluation._pictures import new_figure
from langchain_optscale.evaluation.pools import Pool, read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stats.binomial import clustered_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_optscale.evaluation.metrics import Report

HERE = Path(__file__).parent
PICTURE = HERE / "img" / "benchmarks.png"
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", HERE.parent.parent / "shared" / "data"))
LEAST_CAP, CAP, QUESTIONS, ORDERS = 5, 32, 150, 4
KINDS = {"votes": "Votes alone", "both": "Scores and answers", "scores": "Scores alone"}
LEVEL = 0.95


@dataclass(frozen=True)
class Row:
    """One method on one pool.

    Attributes:
        pool: The pool.
        kind: "votes", "both" or "scores".
        method: The name of the row.
        difference: Accuracy, or 100 times the mean score, less that of the reference, in points.
        low: Of its 95 % interval over questions.
        high: The same.
        verified: Verified samples as a share of the cap.
        asked: Requested samples as a share of the cap.
        rounds: Mean sequential steps.
        claims: Shares of claims by question, and of those that are true.
    """

    pool: str
    kind: str
    method: str
    difference: float
    low: float
    high: float
    verified: float
    asked: float
    rounds: float
    claims: tuple[Any, Any]


def pools() -> Iterator[Pool]:
    """Every pool with a cap of at least 5, its first 32 candidates and 150 questions."""
    for folder in (HERE.parent / "tests" / "data" / "pools", SHARED / "pools", SHARED / "field"):
        for path in sorted(folder.glob("*.jsonl")):
            pool = read_pool(path).scored()
            if pool.cap >= LEAST_CAP:
                yield Pool(pool.questions[:QUESTIONS], pool.name).head(min(CAP, pool.cap))


def kind_of(pool: Pool) -> str:
    """Whether there is something to learn from scores, from answers, or from both."""
    if not pool.has_answers:
        return "scores"
    varied = any(len({sample.score for sample in question.samples}) > 1 for question in pool)
    return "both" if varied else "votes"


def rows_of(pool: Pool) -> list[Row]:
    """Every method on a pool, against the best of best-of-N, majority and weighted vote at the cap."""
    methods, at_cap = compared(pool), references(pool)
    report = replay(pool, [*at_cap, *methods.values()], permutations=ORDERS)
    best = max(range(len(at_cap)), key=lambda place: float(report[place]["accuracy"].mean()))
    return [_row(pool, report, best, len(at_cap) + place, name) for place, name in enumerate(methods)]


def _row(pool: Pool, report: Report, reference: int, place: int, name: str) -> Row:
    pair, runs = report.paired(place, reference), report[place]
    low, high = pair.intervals["accuracy"]
    return Row(
        pool.name,
        kind_of(pool),
        name,
        100.0 * pair.differences["accuracy"],
        100.0 * low,
        100.0 * high,
        float(runs["samples"].mean()) / pool.cap,
        float(runs["asked"].mean()) / pool.cap,
        float(runs["rounds"].mean()),
        (runs["kept"], runs["promised"]),
    )


@dataclass(frozen=True)
class Mean:
    """A method over the pools of one kind: mean difference with its t interval, geometric means of the shares."""

    method: str
    pools: int
    difference: float
    half: float
    worst: Row
    verified: float
    asked: float
    rounds: float


def means(rows: Sequence[Row]) -> list[Mean]:
    """One for each method that was replayed on every pool of these rows."""
    count = len({row.pool for row in rows})
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(row.method, []).append(row)
    found = []
    for method, each in by_method.items():
        if len(each) < count:
            continue
        differences = np.array([row.difference for row in each])
        half = math.nan
        if count > 1:
            half = float(stats.t.ppf(0.5 + LEVEL / 2, count - 1) * differences.std(ddof=1) / math.sqrt(count))
        geometric = [
            float(np.exp(np.log([getattr(row, name) for row in each]).mean()))
            for name in ("verified", "asked", "rounds")
        ]
        worst = min(each, key=lambda row: row.difference)
        found.append(Mean(method, count, float(differences.mean()), half, worst, *geometric))
    return found


def mean_table(found: Sequence[Mean]) -> list[str]:
    """Means as a Markdown table, the fewest samples first."""
    lines = [
        "| method | difference in points [95 % over pools] | worst pool | verified | asked for | rounds |",
        "|---|--:|---|--:|--:|--:|",
    ]
    for one in sorted(found, key=lambda mean: mean.verified):
        name = f"**{one.method}**" if one.method.startswith("optscale") else one.method
        lines.append(
            f"| {name} | {one.difference:+.1f} [{one.difference - one.half:+.1f}, {one.difference + one.half:+.1f}] "
            f"| {one.worst.difference:+.1f} ({one.worst.pool}) "
            f"| {one.verified:.2f} | {one.asked:.2f} | {one.rounds:.1f} |"
        )
    return lines


def better(found: Sequence[Mean], rows: Sequence[Row]) -> list[str]:
    """Which rows are on or left of ours: as accurate on the mean of the pools, for no more verified samples."""
    lines = []
    ours = [one for one in found if one.method.startswith("optscale")]
    for one in ours:
        others = [other for other in found if other not in ours]
        ahead = [o for o in others if o.difference >= one.difference and o.verified <= one.verified]
        said = ", ".join(f"{o.method} ({o.difference:+.1f} @ {o.verified:.2f})" for o in ahead)
        lines.append(
            f"- `{one.method}` ({one.difference:+.1f} @ {one.verified:.2f}): "
            + (
                f"as accurate for no more samples are {said}."
                if ahead
                else "no other row is as accurate for no more samples."
            )
        )
    beaten = sum(row.high < 0.0 for row in rows if row.method == "optscale, medium")
    total = sum(row.method == "optscale, medium" for row in rows)
    lines.append(
        f"- `optscale, medium` is below the reference by more than its 95 % interval on {beaten} of {total} pools "
        f"({0.025 * total:.1f} are expected by chance where nothing is lost)."
    )
    return lines


def claims_table(rows: Sequence[Row]) -> list[str]:
    """Of the claims that can fail, how many are true, over all pools of a method."""
    lines = ["| method | searches that claim something, over all pools | true [95 %] |", "|---|--:|--:|"]
    names = dict.fromkeys(row.method for row in rows if SAME not in row.method)
    for name in names:
        kept = np.concatenate([row.claims[0] for row in rows if row.method == name])
        promised = np.concatenate([row.claims[1] for row in rows if row.method == name])
        if promised.sum() < 1:
            continue
        low, high = clustered_share(kept, promised)
        lines.append(f"| {name} | {promised.mean():.1%} | {kept.sum() / promised.sum():.3f} [{low:.3f}, {high:.3f}] |")
    return lines


def pool_table(rows: Sequence[Row]) -> list[str]:
    """Our default on every pool."""
    lines = [
        "| pool | kind | difference in points [95 % over questions] | verified | asked for | rounds |",
        "|---|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row.pool} | {row.kind} | {row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}] "
        f"| {row.verified:.2f} | {row.asked:.2f} | {row.rounds:.1f} |"
        for row in rows
        if row.method == "optscale, medium"
    ]
    return lines


def draw(by_kind: dict[str, list[Mean]]) -> None:
    """Difference against share, one panel for each kind; ours joined by a line."""
    figure, panels = new_figure(len(by_kind))
    for axes, (kind, found) in zip(panels, by_kind.items(), strict=True):
        others = [one for one in found if not one.method.startswith("optscale")]
        ours = sorted((one for one in found if one.method.startswith("optscale")), key=lambda one: one.verified)
        for own, colour, mark in ((True, "#D55E00", "x"), (False, "#56B4E9", "+")):
            shown = [one for one in others if (SAME not in one.method) == own]
            label = "baselines" if own else "baselines, our selection"
            axes.scatter([o.verified for o in shown], [o.difference for o in shown], c=colour, marker=mark, label=label)
        axes.plot(
            [o.verified for o in ours], [o.difference for o in ours], color="#0072B2", marker="o", label="optscale"
        )
        axes.axhline(0.0, color="#666666", linewidth=0.8)
        axes.set_ylim(-8, 2)
        axes.set_title(KINDS[kind], fontsize=10)
        axes.set_xlabel("verified samples, share of the cap")
        axes.set_ylabel("points against the best at the cap")
        axes.legend(fontsize=8)
    figure.savefig(PICTURE, dpi=100)


def main() -> None:
    """Write the page and its picture."""
    began = time.process_time()
    rows: list[Row] = []
    for pool in pools():
        sys.stderr.write(f"{pool.name}: {len(pool)} questions\n")
        rows += rows_of(pool)
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in rows)]
    by_kind = {kind: means([row for row in rows if row.kind == kind]) for kind in kinds}
    parts: dict[str, list[str]] = {"pools": pool_table(rows), "claims": claims_table(rows)}
    parts["kinds"] = []
    for kind, found in by_kind.items():
        of_kind = [row for row in rows if row.kind == kind]
        title = f"### {KINDS[kind]}: {len({row.pool for row in of_kind})} pools"
        parts["kinds"] += [title, "", *better(found, of_kind), "", *mean_table(found), ""]
    parts["parity"] = parity_table(parity_bias())
    draw(by_kind)
    text = (HERE / "benchmarks.template.md").read_text(encoding="utf-8")
    minutes = (time.process_time() - began) / 60
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "scipy"))
    parts["made"] = [
        f"Made with Python {platform.python_version()}, {versions}, in {minutes:.1f} minutes of "
        f"one core, on {len({row.pool for row in rows})} pools, {len({row.method for row in rows})} rows."
    ]
    for name, lines in parts.items():
        text = text.replace(f"{{{{{name}}}}}", "\n".join(lines).strip())
    (HERE / "benchmarks.md").write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
