"""`docs/benchmarks.md` with its tables and pictures, from recorded pools: `make benchmarks`.

Pools of our own stand in tests/data/pools. Those of others are read from $OPTSCALE_SHARED_DATA/pools (default
../shared/data) where they are, and left out where they are not.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.catalogue import catalogue
from langchain_optscale.evaluation.families import families
from langchain_optscale.evaluation.frontier import parity_in
from langchain_optscale.evaluation.plots import (
    plot_difficulty,
    plot_frontier,
    plot_optimal_n,
    plot_reliability,
    plot_scores,
)
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.replay import drawing_orders, replay
from langchain_optscale.evaluation.verifier_quality import discrimination, fit_calibration
from langchain_optscale.records import Verdict
from langchain_optscale.session import Session
from langchain_optscale.stats import MaximumLikelihood
from langchain_optscale.stopping import optscale, paper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

    from langchain_optscale.evaluation.families import Family
    from langchain_optscale.evaluation.frontier import Parity
    from langchain_optscale.evaluation.metrics import Report
    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.stopping import Rule

HERE = Path(__file__).parent
PICTURES = HERE / "img" / "benchmarks"
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", HERE.parent.parent / "shared" / "data")) / "pools"
OURS = HERE.parent / "tests" / "data" / "pools"
CAP = 32
ORDERS = 4
TARGET, CONFIDENCE = 0.9, 0.95


def pools() -> Iterator[tuple[Pool, str]]:
    """The pools that are there, each with what it is."""
    known = [
        (OURS / "arithmetic_x64.jsonl", "Sums and products by the embedded 135M model, its own confidence as score."),
        (OURS / "writing_x64.jsonl", "Writing tasks by the embedded 135M model, graded by checks; no right or wrong."),
        (SHARED / "math_level3_gpt4omini_x5.jsonl", "MATH level 3 by gpt-4o-mini, a weak verifier's score."),
        (SHARED / "gsm8k_logprob_x16_a.jsonl", "GSM8K, the policy's mean token probability as score."),
        (SHARED / "gsm8k_rm_logit_base_x4.jsonl", "GSM8K, a reward model's logit, made a score by a logistic."),
    ]
    for path, about in known:
        if not path.exists():
            sys.stderr.write(f"{path.name} is not there and is left out\n")
            continue
        pool = read_pool(path).scored()
        yield pool.head(min(CAP, pool.cap)), about


@dataclass(frozen=True)
class Measured:
    """A pool, and every family of methods on it: first best-of-N at the cap, then each setting."""

    pool: Pool
    about: str
    families: Sequence[Family]
    reports: Mapping[str, Report]

    @cached_property
    def parities(self) -> dict[str, Parity]:
        """Samples at parity with best-of-N at the cap, for every family."""
        return {family.name: parity_in(self.pool, self.reports[family.name], family.grid) for family in self.families}

    @property
    def frontiers(self) -> list[dict[str, Any]]:
        """The settings of each family that no other of its settings beats."""
        rows = []
        for name, report in self.reports.items():
            best = replace(report, runs=report.runs[1:]).pareto("samples")
            rows += [{**row, "method": name} for row in best.to_dict()]
        return rows


def measured(pool: Pool, about: str) -> Measured:
    """Replay every setting of every family."""
    tried = families(pool)
    reports = {}
    for family in tried:
        sys.stderr.write(f"  {family.name}: {len(family.grid)} settings\n")
        methods = [BestOfN(), *(family.make(**settings) for settings in family.grid)]
        reports[family.name] = replay(pool, methods, permutations=ORDERS)
    return Measured(pool, about, tried, reports)


def parity_table(pool: Pool, found: dict[str, Parity]) -> list[str]:
    """Samples at parity as a Markdown table, and in words who takes fewer than our default."""
    unit = 100 if pool.has_correct else 1
    measure = "accuracy in %" if pool.has_correct else "mean score"
    lines = [
        f"| method | samples at parity | {measure} | difference to best-of-{pool.cap} [95 %] | attained |",
        "|---|--:|--:|--:|--:|",
    ]
    form = ".1f" if pool.has_correct else ".3f"
    for name, parity in found.items():
        low, high = parity.difference.intervals["accuracy"]
        mean = parity.difference.differences["accuracy"]
        shift = f"{unit * mean:+{form}} [{unit * low:+{form}}, {unit * high:+{form}}]"
        cells = (name, f"{parity.samples:.2f}", f"{unit * parity.accuracy:{form}}", shift, f"{parity.attained:.0%}")
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", verdict(found)]


def verdict(found: dict[str, Parity]) -> str:
    """Who takes fewer samples than our default, at an accuracy that is not lower."""
    ours = found["optscale"]
    better = [
        f"{name} ({parity.samples:.2f} samples, {100 * (parity.accuracy - ours.accuracy):+.1f} points)"
        for name, parity in found.items()
        if name != "optscale" and parity.samples < ours.samples and parity.accuracy >= ours.accuracy
    ]
    if better:
        return "Fewer samples than our default at no lower held-out accuracy: " + ", ".join(better) + "."
    return "No baseline takes fewer samples than our default at a held-out accuracy that is not lower."


def method_table(report: Report) -> list[str]:
    """The report's rows as a Markdown table."""
    unit, form = (100, ".1f") if report.measure == "accuracy" else (1, ".3f")
    measure = "accuracy in % [95 %]" if report.measure == "accuracy" else "mean score [95 %]"
    lines = [f"| method | {measure} | samples | tokens | rounds | reached |", "|---|--:|--:|--:|--:|--:|"]
    for row in report.to_dict():
        low, high = row["accuracy_ci"]
        cells = (
            row["method"],
            f"{unit * row['accuracy']:{form}} [{unit * low:{form}}, {unit * high:{form}}]",
            f"{row['samples']:.2f}",
            "-" if row["tokens"] is None else f"{row['tokens']:,.0f}",
            f"{row['rounds']:.2f}",
            "-" if row["reached"] is None else f"{row['reached']:.1%}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def traces(pool: Pool, rule: Rule) -> list[list[float | None]]:
    """N* after each score, for every question in its recorded order."""
    found = []
    for question in pool:
        session = Session(rule, estimator=MaximumLikelihood(), max_samples=pool.cap, first_round=1, round_size=1)
        trace: list[float | None] = []
        for place in drawing_orders(question, 1, 0)[0]:
            if not session.ask():
                break
            score = question.samples[place].score
            trace.append(session.tell(len(trace), Verdict(score or 0.0)).optimal_n)
        found.append(trace)
    return found


def save(figure: Figure, pool: Pool, what: str) -> str:
    """Save a picture; the Markdown that shows it."""
    path = PICTURES / f"{pool.name}_{what}.png"
    figure.savefig(path, dpi=100)
    return f"![{pool.name}: {what.replace('_', ' ')}]({path.relative_to(HERE)})"


def pictures(found: Measured, report: Report) -> list[str]:
    """Frontier, samples by difficulty, N* by round, scores and reliability."""
    pool = found.pool
    shown = [save(plot_frontier(found.frontiers, title=pool.name, measure=report.measure), pool, "frontier")]
    if pool.has_correct:
        difficulty = [sum(bool(s.correct) for s in q.samples) / len(q.samples) for q in pool]
    else:
        difficulty = [sum(s.score or 0.0 for s in q.samples) / len(q.samples) for q in pool]
    spent = {runs.name: runs["samples"].tolist() for runs in report.runs if runs.name in {"optscale", "OptScale^0"}}
    shown.append(save(plot_difficulty(difficulty, spent), pool, "samples_by_difficulty"))
    rules = {
        "optscale": optscale(TARGET, CONFIDENCE, pool.cap, min(2, pool.cap)),
        "paper": paper(TARGET, CONFIDENCE, pool.cap, min(5, pool.cap)),
    }
    ns = {name: traces(pool, rule) for name, rule in rules.items()}
    if any(value is not None for searches in ns.values() for trace in searches for value in trace):
        shown.append(save(plot_optimal_n(ns, cap=pool.cap), pool, "optimal_n_by_round"))
    scores = [sample.score or 0.0 for sample in pool.samples]
    labels = [bool(sample.correct) for sample in pool.samples] if pool.has_correct else None
    estimate = MaximumLikelihood()(tuple(scores), None)
    shown.append(save(plot_scores(scores, correct=labels, estimate=estimate), pool, "scores"))
    if labels:
        after = [sample.score or 0.0 for sample in fit_calibration(pool).pool.samples]
        predicted = {"as they are": scores, "calibrated on other questions": after}
        shown.append(save(plot_reliability(predicted, labels), pool, "reliability"))
    return shown


def section(found: Measured) -> list[str]:
    """All about one pool."""
    pool = found.pool
    facts = pool.describe()
    known = [f"{facts['questions']} questions, {pool.cap} candidates each."]
    if pool.has_correct:
        quality = discrimination(pool)
        known.append(
            f"One candidate is right in {facts['accuracy']:.1%}, the best score of {pool.cap} in "
            f"{facts['best_of_cap_accuracy']:.1%}, some candidate in {facts['any_correct']:.1%}; "
            f"right scores above wrong within a question {quality.auc:.0%} of the time."
        )
    if facts["majority_accuracy"] is not None:
        known.append(f"The most frequent answer is right in {facts['majority_accuracy']:.1%}.")
    methods = catalogue(pool, target=TARGET, confidence=CONFIDENCE)
    report = replay(pool, methods, permutations=ORDERS, target=TARGET)
    return [
        f"## {pool.name}",
        "",
        f"{found.about} {' '.join(known)}",
        "",
        f"Every method at its default, target {TARGET:g}:",
        "",
        *method_table(report),
        "",
        f"At the accuracy of best-of-{pool.cap}, settings chosen on one half of the questions, figures of the other:"
        if pool.has_correct
        else f"At the mean score of best-of-{pool.cap}, settings chosen on one half, figures of the other:",
        "",
        *parity_table(pool, found.parities),
        "",
        *[line for picture in pictures(found, report) for line in (picture, "")],
    ]


def summary(found: dict[str, tuple[Pool, dict[str, Parity]]]) -> list[str]:
    """Samples at parity of every method on every pool, as a share of the cap."""
    names = list(dict.fromkeys(name for _, parity in found.values() for name in parity))
    lines = ["| pool | cap | " + " | ".join(names) + " |", "|---|--:|" + "--:|" * len(names)]
    for name, (pool, parity) in found.items():
        cells = [
            f"{parity[one].samples / pool.cap:.0%} ({100 * parity[one].difference.differences['accuracy']:+.1f})"
            if one in parity
            else "-"
            for one in names
        ]
        lines.append(f"| {name} | {pool.cap} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Write the page and its pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    found: dict[str, tuple[Pool, dict[str, Parity]]] = {}
    sections: list[str] = []
    for pool, about in pools():
        sys.stderr.write(f"{pool.name}\n")
        found[pool.name] = (pool, parities(pool))
        sections += section(pool, about, found[pool.name][1])
    text = (HERE / "benchmarks.template.md").read_text(encoding="utf-8")
    text = text.replace("{{summary}}", "\n".join(summary(found))).replace("{{pools}}", "\n".join(sections).rstrip())
    (HERE / "benchmarks.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
