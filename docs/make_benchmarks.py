"""`docs/benchmarks.md` with its tables and pictures, from recorded pools: `make benchmarks`.

Pools of our own stand in tests/data/pools. Those of others are read from $OPTSCALE_SHARED_DATA/pools (default
../shared/data) where they are, and left out where they are not.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from docs.benchmark_plots import plot_difficulty, plot_optimal_n
from docs.benchmarks_report import Measured, made_on, method_table, parity_table, summary, untouched, why
from docs.method_grids import method_grids
from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.catalogue import catalogue
from langchain_optscale.evaluation.plots import plot_frontier, plot_reliability, plot_scores
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.evaluation.verifier_quality import discrimination, fit_calibration
from langchain_optscale.records.types import Verdict
from langchain_optscale.stats import MaximumLikelihood
from langchain_optscale.stopping import optscale, paper
from langchain_optscale.stopping.session import Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.stopping import Rule

HERE = Path(__file__).parent
PICTURES = HERE / "img" / "benchmarks"
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", HERE.parent.parent / "shared" / "data")) / "pools"
OURS = HERE.parent / "tests" / "data" / "pools"
CAP = 32
ORDERS = 4
TARGET, CONFIDENCE = 0.9, 0.95


def pools() -> tuple[list[tuple[Pool, str]], list[str]]:
    """The pools that are there, each with what it is, and the names of the files that are not."""
    known = [
        (OURS / "arithmetic_x64.jsonl", "Sums and products by the embedded 135M model, its own confidence as score."),
        (OURS / "writing_x64.jsonl", "Writing tasks by the embedded 135M model, graded by checks; no right or wrong."),
        (SHARED / "math_level3_gpt4omini_x5.jsonl", "MATH level 3 by gpt-4o-mini, a weak verifier's score."),
        (SHARED / "gsm8k_logprob_x16_a.jsonl", "GSM8K, the policy's mean token probability as score."),
        (SHARED / "gsm8k_rm_logit_base_x4.jsonl", "GSM8K, a reward model's logit, made a score by a logistic."),
    ]
    read = [(read_pool(path).scored(), about) for path, about in known if path.exists()]
    there = [(pool.head(min(CAP, pool.cap)), about) for pool, about in read]
    return there, [path.name for path, _ in known if not path.exists()]


def measured(pool: Pool, about: str) -> Measured:
    """Replay every setting of every family."""
    tried = method_grids(pool)
    reports = {}
    for family in tried:
        sys.stderr.write(f"  {family.name}: {len(family.grid)} settings\n")
        methods = [BestOfN(), *(family.make(**settings) for settings in family.grid)]
        reports[family.name] = replay(pool, methods, permutations=ORDERS)
    methods = catalogue(pool, target=TARGET, confidence=CONFIDENCE)
    return Measured(pool, about, tried, reports, replay(pool, methods, permutations=ORDERS, target=TARGET))


def traces(pool: Pool, rule: Rule) -> list[list[float | None]]:
    """N* after each score, for every question in its recorded order."""
    found = []
    for question in pool:
        session = Session(rule, max_samples=pool.cap, first_round=1, round_size=1)
        trace: list[float | None] = []
        while count := session.ask():
            for sample in question.samples[len(trace) : len(trace) + count]:
                decision = session.tell(len(trace), Verdict(sample.score or 0.0), answer=sample.answer)
                trace.append(decision.optimal_n)
                if decision.stop:
                    break
        found.append(trace)
    return found


def save(figure: Figure, pool: Pool, what: str) -> str:
    """Save a picture; the Markdown that shows it."""
    path = PICTURES / f"{pool.name}_{what}.png"
    figure.savefig(path, dpi=100)
    return f"![{pool.name}: {what.replace('_', ' ')}]({path.relative_to(HERE)})"


def pictures(found: Measured) -> list[str]:
    """Frontier, samples by difficulty, N* by round, scores and reliability."""
    pool, report = found.pool, found.methods
    frontier = plot_frontier(found.frontiers, title=pool.name, measure=report.measure, intervals=False)
    shown = [save(frontier, pool, "frontier")]
    if pool.has_correct:
        difficulty = [sum(bool(s.correct) for s in q.samples) / len(q.samples) for q in pool]
    else:
        difficulty = [sum(s.score or 0.0 for s in q.samples) / len(q.samples) for q in pool]
    spent = {runs.name: runs["samples"].tolist() for runs in report.runs if runs.name in {"optscale", "paper"}}
    shown.append(save(plot_difficulty(difficulty, spent, measure=report.measure), pool, "samples_by_difficulty"))
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
    return [
        f"## {pool.name}",
        "",
        f"{found.about} {' '.join(known)}",
        "",
        f"Every method at its default, target {TARGET:g}:",
        "",
        *method_table(found.methods),
        "",
        f"At the accuracy of best-of-{pool.cap}, settings chosen on one half of the questions, figures of the other:"
        if pool.has_correct
        else f"At the mean score of best-of-{pool.cap}, settings chosen on one half, figures of the other:",
        "",
        *parity_table(pool, found.parities),
        "",
        *[line for picture in pictures(found) for line in (picture, "")],
    ]


def main() -> None:
    """Write the page and its pictures."""
    began = time.process_time()
    PICTURES.mkdir(parents=True, exist_ok=True)
    there, missing = pools()
    found = []
    for pool, about in there:
        sys.stderr.write(f"{pool.name}\n")
        found.append(measured(pool, about))
    parts = {
        "summary": summary(found),
        "why": why(found),
        "untouched": untouched(found),
        "pools": [line for one in found for line in section(one)],
    }
    text = (HERE / "benchmarks.template.md").read_text(encoding="utf-8")
    for name, lines in parts.items():
        text = text.replace(f"{{{{{name}}}}}", "\n".join(lines).strip())
    text = text.replace("{{made}}", made_on(missing, time.process_time() - began))
    (HERE / "benchmarks.md").write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
