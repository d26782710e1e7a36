"""Which way to choose among n candidates is right how often: best score, majority, weighted votes, the posterior.

Every pool that has answers, scores and correctness is replayed at several n, each question in several orders. Prints
the figures as JSON; `--write` also writes them as a table to docs/selection.md.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_optscale.answers import MostProbable
from langchain_optscale.evaluation.baselines import BestOfN, SelfConsistency, WeightedVote
from langchain_optscale.evaluation.methods import Outcome
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.records.decisions import StopReason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.metrics import Report
    from langchain_optscale.evaluation.pools import Pool, Question

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
TABLE = ROOT / "docs" / "selection.md"
EXPONENTS = (1.0, 4.0)
SIZES = (2, 4, 8, 16, 32, 64)
ORDERS = 16
RESAMPLES = 2000
WAYS = ("best", "majority", *(f"weighted^{exponent:g}" for exponent in EXPONENTS), "posterior")


@dataclass(frozen=True)
class PosteriorVote:
    """Draw n samples at once, return the most probable answer, by the default model."""

    n: int
    name: ClassVar[str] = "posterior"
    needs: ClassVar[frozenset[str]] = frozenset({"scores", "answers"})

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its number of samples."""
        return {"n": self.n}

    def run(self, question: Question, max_samples: int) -> Outcome:
        """Draw and choose."""
        n = min(self.n, max_samples)
        return Outcome(n, n, 1, place_of(MostProbable(), question.samples[:n]), StopReason.MAX_SAMPLES)


def pools() -> Iterator[Pool]:
    """Every pool with answers, scores and correctness, of this repository and of the shared data where it is there."""
    for directory in (ROOT / "tests" / "data" / "pools", SHARED / "pools"):
        for path in sorted(directory.glob("*.jsonl")):
            pool = read_pool(path)
            if pool.has_answers and pool.has_scores and pool.has_correct:
                yield pool


def figures(pool: Pool, n: int) -> dict[str, Any]:
    """Accuracies with 95 % intervals, and the best score's lead over the majority, for n candidates a question."""
    votes = [WeightedVote(n, exponent) for exponent in EXPONENTS]
    methods: list[Method] = [BestOfN(n), SelfConsistency(n), *votes, PosteriorVote(n)]
    report = replay(pool, methods, permutations=ORDERS, bootstrap=RESAMPLES)
    rows = report.to_dict()
    ways = {way: {"accuracy": row["accuracy"], "ci": row["accuracy_ci"]} for way, row in zip(WAYS, rows, strict=True)}
    leads = {way: lead(report, place) for place, way in enumerate(WAYS) if way != "majority"}
    return {
        "pool": pool.name,
        "questions": len(pool),
        "n": n,
        "accuracy": ways,
        "lead_over_majority": leads,
        "verdict": verdict(leads["best"]),
    }


def lead(report: Report, place: int) -> dict[str, Any]:
    paired = report.paired(place, WAYS.index("majority"))
    return {"difference": paired.differences["accuracy"], "ci": list(paired.intervals["accuracy"])}


def verdict(lead: Mapping[str, Any]) -> str:
    """In words, what the best score's lead over the majority and its interval say."""
    low, high = lead["ci"]
    points = f"{100 * abs(lead['difference']):.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    if high < 0:
        return f"the best score loses to plain majority by {points}"
    if low > 0:
        return f"the best score beats plain majority by {points}"
    if low == high == 0:
        return "both choose the same candidates"
    side = "below" if lead["difference"] < 0 else "above"
    return f"not significant: the best score is {side} plain majority by {points}"


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a page in Markdown."""
    lines = [
        "# Which candidate to return",
        "",
        "This page compares ways to choose among the candidates of a search, `select=`. Each figure is the share of",
        f"questions whose returned answer is right, with a 95 % bootstrap interval over questions and {ORDERS} orders",
        "of each question.",
        "",
        '- `best` is `select="best"`: the best score.',
        '- `majority` is `select="vote"`. Ties go to the best score, so at n = 2 it equals `best`.',
        "- `weighted^p` is `select=WeightedVote(p)`: the largest sum of score^p over candidates with the same answer.",
        '- `posterior` is `select="posterior"`, the default with `extract=`: the most probable answer. Its constants',
        "  were chosen on halves of these pools (`benchmarks/answers.py`).",
        "",
        "Written by `python -m benchmarks.selection --write`. Pools that are not in this repository are read from",
        "`$OPTSCALE_SHARED_DATA/pools`, if that is set.",
        "",
        "| pool | n | " + " | ".join(WAYS) + " |",
        "|---|---:|" + "---:|" * len(WAYS),
    ]
    for row in rows:
        cells = []
        for way in WAYS:
            one = row["accuracy"][way]
            low, high = one["ci"]
            cells.append(f"{100 * one['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        lines.append(f"| {row['pool']} ({row['questions']}) | {row['n']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Best score against plain majority",
        "",
        "The list has the difference on the same candidates, with its own 95 % interval. If a verifier is weak,",
        "every further candidate is another chance for a wrong answer to get the best score, and a vote is the better",
        "choice.",
        "",
        *(f"- {row['pool']}, n = {row['n']}: {row['verdict']}." for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the figures, and write the table where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table to {TABLE.relative_to(ROOT)}")
    write = parser.parse_args().write
    rows = [figures(pool, n) for pool in pools() for n in sorted({*(s for s in SIZES if s < pool.cap), pool.cap})]
    print(json.dumps({"benchmark": "selection", "orders": ORDERS, "exponents": EXPONENTS, "rows": rows}, indent=1))
    if write:
        TABLE.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
