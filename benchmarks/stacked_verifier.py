"""`StackedVerifier` on questions left out: AUC against the best single member and the mean of all. Prints JSON.

    python -m benchmarks.stacked_verifier            members made of what the pools record
    python -m benchmarks.stacked_verifier --local    also the real local model as judge, on a few questions

Members are the recorded score, the agreement of a candidate's answer with the other candidates' answers, and brevity; a
pool with fewer than three of them gets simulated members of known accuracy beside them, and so does every pool once
more, as a second row. Each fifth of the questions is left out in turn; the best single member is the best one on the
other questions, which "none" does not know. Intervals are 95 %, by bootstrap over questions. No constant was chosen on
these pools.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.stats.stacking import auc, fit_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.pools import Pool
    from langchain_optscale.evaluation.samples import Question

    FloatArray = NDArray[np.float64]

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
POOLS = (
    ROOT / "tests" / "data" / "pools" / "arithmetic_x64.jsonl",
    SHARED / "pools" / "gsm8k_logprob_x16_a.jsonl",
    SHARED / "pools" / "gsm8k_rm_logit_base_x4.jsonl",
    SHARED / "pools" / "math_level3_gpt4omini_x5.jsonl",
    SHARED / "field" / "gsm8k_qwen1b5_prm_x8.jsonl",
    SHARED / "field" / "humaneval_codegen16b_tests_x64.jsonl",
)
MOST_SAMPLES, FOLDS, RESAMPLES = 16, 5, 1000
SIMULATED = {"simulated 0.70": 0.7, "simulated 0.65": 0.65, "simulated 0.60": 0.6}
LOCAL_QUESTIONS, LOCAL_SAMPLES = 6, 6

Members = dict[str, list[float]]


def agreement(question: Question) -> list[float]:
    """The share of the other samples with the same answer; 0 without one."""
    answers = [sample.answer for sample in question.samples[:MOST_SAMPLES]]
    others = max(1, len(answers) - 1)
    return [0.0 if one is None else (answers.count(one) - 1) / others for one in answers]


def members_of(pool: Pool) -> tuple[Members, list[int], list[float]]:
    """What the pool records of each candidate, its question, and whether it is right."""
    members: Members = {"score": [], "agreement": [], "brevity": []}
    groups: list[int] = []
    labels: list[float] = []
    for number, question in enumerate(pool):
        samples = question.samples[:MOST_SAMPLES]
        groups += [number] * len(samples)
        labels += [math.nan if sample.correct is None else float(sample.correct) for sample in samples]
        for sample in samples:
            value = sample.score if sample.score is not None else sample.logit
            members["score"].append(math.nan if value is None else float(value))
            members["brevity"].append(-float(sample.tokens or 0))
        members["agreement"] += agreement(question)
    varied = {name: row for name, row in members.items() if len({value for value in row if value == value}) > 1}
    return varied, groups, labels


def simulated(labels: Sequence[float], accuracies: dict[str, float]) -> Members:
    """Members whose AUC is known: normal scores whose means differ by sqrt(2) Phi^-1(AUC)."""
    rng = np.random.default_rng(0)
    right = np.array(labels) == 1
    return {
        name: list(rng.normal(0, 1, len(right)) + math.sqrt(2) * float(special.ndtri(value)) * right)
        for name, value in accuracies.items()
    }


def normal(train: FloatArray, test: FloatArray) -> FloatArray:
    """Normal scores of a column, by the ranks of the other questions; 0 for a missing one."""
    known = np.sort(train[~np.isnan(train)])
    ranks = (np.searchsorted(known, test, "left") + np.searchsorted(known, test, "right")) / (2.0 * len(known))
    return np.where(np.isnan(test), 0.0, special.ndtri(np.clip(ranks, 0.5 / len(known), 1 - 0.5 / len(known))))


def held_out(
    table: FloatArray, groups: NDArray[np.int64], labels: FloatArray
) -> tuple[dict[str, FloatArray], dict[str, Any]]:
    """Each way's score of each candidate by a fit without its question, and what each fit chose."""
    folds = np.random.default_rng(1).permutation(groups.max() + 1)[groups] % FOLDS
    ways = {name: np.zeros(len(table)) for name in ("gold", "none", "best member", "mean")}
    chosen: dict[str, list[str]] = {"gold": [], "none": [], "best member": []}
    for fold in range(FOLDS):
        inside, outside = folds != fold, folds == fold
        gold = fit_stack(table[inside], groups[inside], labels[inside], "gold")
        none = fit_stack(table[inside], groups[inside], None, "none")
        for name, stack in (("gold", gold), ("none", none)):
            ways[name][outside] = [stack([None if math.isnan(v) else v for v in row]) for row in table[outside]]
            chosen[name].append(stack.chosen)
        worth = np.stack([normal(column[inside], column[outside]) for column in table.T], axis=1)
        known = inside & ~np.isnan(labels)
        aucs = [auc(normal(column[inside], column[known]), labels[known] == 1) for column in table.T]
        ways["best member"][outside] = worth[:, int(np.argmax(aucs))]
        ways["mean"][outside] = worth.mean(axis=1)
        chosen["best member"].append(str(int(np.argmax(aucs))))
    return ways, chosen


def within(scores: FloatArray, groups: NDArray[np.int64], right: NDArray[np.bool_]) -> float:
    """The mean AUC within a question, over those with right and wrong candidates."""
    return float(np.nanmean([auc(scores[groups == group], right[groups == group]) for group in np.unique(groups)]))


def figures(members: Members, groups: list[int], labels: list[float]) -> dict[str, Any]:
    """AUC of each way on questions left out, and the stacks' leads with intervals."""
    table = np.array(list(members.values()), dtype=float).T
    asked, known = np.array(groups), np.array(labels)
    ways, chosen = held_out(table, asked, known)
    rows = ~np.isnan(known)
    asked, right = asked[rows], known[rows] == 1
    ways = {name: scores[rows] for name, scores in ways.items()}
    by_group = [np.flatnonzero(asked == group) for group in np.unique(asked)]
    rng = np.random.default_rng(2)
    draws: list[dict[str, float]] = []
    for _ in range(RESAMPLES):
        taken = np.concatenate([by_group[place] for place in rng.integers(0, len(by_group), len(by_group))])
        draws.append({name: auc(scores[taken], right[taken]) for name, scores in ways.items()})
    found = {name: auc(scores, right) for name, scores in ways.items()}
    leads: dict[str, Any] = {}
    for name in ("gold", "none"):
        for rival in ("best member", "mean"):
            spread = [one[name] - one[rival] for one in draws]
            low, high = np.nanquantile(spread, (0.025, 0.975))
            lead = found[name] - found[rival]
            leads[f"{name} - {rival}"] = [round(float(value), 4) for value in (lead, low, high)]
            leads[f"{name} - {rival}, standard error"] = round(float(np.nanstd(spread)), 4)
    single = {name: auc(np.nan_to_num(np.array(row)[rows], nan=0.0), right) for name, row in members.items()}
    return {
        "questions": len(by_group),
        "candidates": len(right),
        "right": round(float(right.mean()), 3),
        "members": {name: round(value, 4) for name, value in single.items()},
        "auc": {name: round(value, 4) for name, value in found.items()},
        "auc within a question": {name: round(within(scores, asked, right), 4) for name, scores in ways.items()},
        "leads": leads,
        "chosen": chosen,
    }


def on_pool(path: Path) -> dict[str, Any]:
    """The figures of one pool, as recorded and with simulated members beside."""
    members, groups, labels = members_of(read_pool(path))
    more = simulated(labels, SIMULATED)
    rows = {"with simulated members": figures({**members, **more}, groups, labels)}
    if len(members) >= 3:
        rows = {"as recorded": figures(members, groups, labels), **rows}
    return rows


def on_local_model() -> dict[str, Any]:
    """A real judge beside what is recorded, on questions with right and wrong samples; it is shown their answers."""
    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import StringPromptValue

    from langchain_optscale.endpoints import local
    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.verifiers import LLMJudge

    pool = read_pool(ROOT / "tests" / "data" / "pools" / "arithmetic_x64.jsonl")
    mixed = [one for one in pool if {bool(sample.correct) for sample in one.samples[:LOCAL_SAMPLES]} == {False, True}]
    members: Members = {"judge": [], "score": [], "agreement": [], "brevity": []}
    groups, labels = [], []
    with local.serve(n_parallel=2) as server:
        # It cannot be made to write a grade; the probabilities of "yes" and "no" are one token away.
        judge = LLMJudge(server.policy(temperature=0.0), method="labels", scale="yes/no", min_mass=0.0)
        for number, question in enumerate(mixed[:LOCAL_QUESTIONS]):
            samples = question.samples[:LOCAL_SAMPLES]
            for index, sample in enumerate(samples):
                candidate = Candidate(index, AIMessage(sample.answer or "no answer"), 0)
                members["judge"].append(judge.verify(StringPromptValue(text=question.prompt), candidate).score)
                members["score"].append(math.nan if sample.score is None else sample.score)
                members["brevity"].append(-float(sample.tokens or 0))
                groups.append(number)
                labels.append(float(bool(sample.correct)))
            members["agreement"] += agreement(question)[: len(samples)]
    return figures(members, groups, labels)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", action="store_true", help="also ask the real local model")
    arguments = parser.parse_args()
    found = {path.stem: on_pool(path) for path in POOLS if path.exists()}
    if arguments.local:
        found["local model"] = on_local_model()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
