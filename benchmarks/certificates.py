"""Does a certificate keep its promise? Simulated tasks where the truth is known, and recorded pools on held-out halves.

    python -m benchmarks.certificates                 prints JSON; about 3 minutes
    python -m benchmarks.certificates --situations    simulations only

In every situation of `benchmarks.situations` that has answers, 3,000 questions are searched by the default. 300 sets of
300 of them are labelled at random; each gives a certificate that promises at most delta = 10 % wrong answers among the
accepted ones with probability 1 - eps = 90 %, and the other 2,700 questions are the truth. "broken" counts the sets
whose certificate accepts a larger share of wrong answers than delta there, with its exact 95 % interval: the promise is
that this share is at most eps. "certified_and_wrong" is the mean share of all questions that are certified and wrong.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.situations import SITUATIONS
from langchain_optscale.evaluation.certification import certify
from langchain_optscale.evaluation.pools import Question, Sample, read_pool
from langchain_optscale.stats.binomial import clopper_pearson
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.stopping.certificate import Certificate
from langchain_optscale.stopping.labelled import searched

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
DELTA = EPS = 0.1
QUESTIONS, LABELS, SETS, CAP = 3000, 300, 300, 16


def simulated(name: str, seed: int = 7) -> list[tuple[float, bool]] | None:
    """The estimate and the truth of each question's returned answer; None where the situation has no answers."""
    generator = np.random.default_rng([seed, *name.encode()])
    questions = []
    for number in range(QUESTIONS):
        answers, scores, values = SITUATIONS[name](generator, CAP)
        if all(answer is None for answer in answers) and number == 0:
            return None
        samples = tuple(
            Sample(score=float(score), answer=answer, correct=bool(value == 1.0))
            for answer, score, value in zip(answers, scores, values, strict=True)
        )
        questions.append(Question(str(number), "?", samples))
    return searched(questions, max_samples=CAP)


def kept(name: str) -> dict[str, Any] | None:
    """What certificates of many labelled sets do in one situation."""
    pairs = simulated(name)
    if pairs is None:
        return None
    estimates, right = (np.array(part) for part in zip(*pairs, strict=True))
    generator = np.random.default_rng(11)
    broken, accepted, wrong, none = 0, [], [], 0
    for _ in range(SETS):
        order = generator.permutation(QUESTIONS)
        chosen, rest = order[:LABELS], order[LABELS:]
        certificate = Certificate.fit(zip(estimates[chosen].tolist(), right[chosen].tolist(), strict=True), DELTA, EPS)
        none += certificate.threshold is None
        mask = estimates[rest] > (1.0 if certificate.threshold is None else certificate.threshold)
        accepted.append(mask.mean())
        wrong.append((mask & ~right[rest]).mean())
        broken += bool(mask.any() and (~right[rest][mask]).mean() > DELTA)
    return {
        "situation": name,
        "right": float(right.mean()),
        "accepted": float(np.mean(accepted)),
        "certified_and_wrong": float(np.mean(wrong)),
        "accepts_nothing": none / SETS,
        "broken": broken,
        "sets": SETS,
        "broken_interval": list(clopper_pearson(broken, SETS)),
    }


def situations() -> list[dict[str, Any]]:
    """Every situation with answers."""
    return [row for name in SITUATIONS if (row := kept(name)) is not None]


def recorded() -> list[dict[str, Any]]:
    """Recorded pools: certificates of one half, counted on the other, for the default and for the whole cap."""
    rows = []
    for folder in (ROOT / "tests" / "data" / "pools", SHARED / "pools", SHARED / "field"):
        for path in sorted(folder.glob("*.jsonl")):
            pool = read_pool(path).scored()
            if not pool.has_correct or len(pool) < 40:
                continue
            pool = pool.head(min(pool.cap, 32))
            row: dict[str, Any] = {"pool": pool.name, "questions": len(pool)}
            for label, rule in (("default", None), ("whole cap", MaxSamples(pool.cap))):
                report = certify(pool, DELTA, EPS, rule=rule, select="posterior" if pool.has_answers else "best")
                row[label] = {
                    "right": report.right / len(pool),
                    "accepted_on_all": report.certificate.accepted / len(pool),
                    "held_out_accepted": report.accepted / len(pool),
                    "held_out_wrong": report.wrong,
                    "held_out_wrong_interval": list(report.error_interval),
                }
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The simulated situations as Markdown."""
    lines = [
        "| situation | right | certified | certified and wrong | sets that certify nothing | promise broken [95 %] |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['situation']} | {row['right']:.0%} | {row['accepted']:.0%} | {row['certified_and_wrong']:.1%} "
        f"| {row['accepts_nothing']:.0%} | {row['broken'] / row['sets']:.1%} [{row['broken_interval'][0]:.1%}, "
        f"{row['broken_interval'][1]:.1%}] |"
        for row in rows
    ]
    return lines


def recorded_table(rows: list[dict[str, Any]]) -> list[str]:
    """The recorded pools as Markdown."""
    lines = [
        "| pool | questions | right | certified, held out | wrong among them [95 %] | with the whole cap "
        "| wrong [95 %] |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [row["pool"], str(row["questions"]), f"{row['default']['right']:.0%}"]
        for label in ("default", "whole cap"):
            one = row[label]
            count = round(one["held_out_accepted"] * row["questions"])
            low, high = one["held_out_wrong_interval"]
            cells.append(f"{one['held_out_accepted']:.0%}")
            cells.append(f"{one['held_out_wrong']} of {count} [{low:.0%}, {high:.0%}]" if count else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Simulate, replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--situations", action="store_true", help="simulations only")
    arguments = parser.parse_args()
    document: dict[str, Any] = {"delta": DELTA, "eps": EPS, "labels": LABELS, "situations": situations()}
    if not arguments.situations:
        document["recorded"] = recorded()
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
