"""Choosing the best of n by comparison against choosing by scores, at equal calls of the judge. Prints JSON.

    python -m benchmarks.pairwise_selection            simulated judges on recorded grades
    python -m benchmarks.pairwise_selection --local    also the real local model, on a few questions

The recorded grades are the truth. A simulated judge reads each answer with an error of one grade in ten (0.1) and gives
a whole grade from 0 to 10, or prefers the one of two that it reads as better; it favours the first place by half a
grade. Two kinds of judges: one errs anew in every call, the other, as at temperature 0, always in the same way about
the same prompt. Pointwise spends the same calls: each candidate is graded once, and the calls that the tournament's
comparisons took go to grading its leaders again, whose mean counts. Compared are pairs, and all four leaders at once.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.comparisons import Comparison
from langchain_optscale.verifiers.comparison.standing import standing_of
from langchain_optscale.verifiers.comparison.tournament import Tournament

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Judge = Callable[[tuple[int, ...]], Comparison]

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
POOLS = (
    ROOT / "tests" / "data" / "pools" / "writing_x64.jsonl",
    SHARED / "field" / "writing_gpt4_cot_judge_x10.jsonl",
    SHARED / "field" / "alpacaeval_mixed_judge_x55_even.jsonl",
)
NOISE, FIRST_PLACE = 0.1, 0.05
N, K, BUDGET, ORDERS, RESAMPLES = 10, 4, 12, 4, 2000
EASY = (
    ("What is the capital of France?", "Paris.", "Lyon."),
    ("What is 7 times 8?", "56", "54"),
    ("Name a mammal that lives in the sea.", "The dolphin.", "The trout."),
    ("Translate 'good morning' into German.", "Guten Morgen", "Gute Nacht"),
    ("How many days has a week?", "Seven days.", "Five days."),
    ("What colour is a ripe banana?", "Yellow.", "Blue."),
    ("Which is larger, the sun or the moon?", "The sun is larger.", "The moon is larger."),
    ("Spell the word 'cat' backwards.", "tac", "act"),
)


class Reader:
    """Reads answers with an error: anew in every call, or always the same about the same prompt."""

    def __init__(self, truth: FloatArray, rng: np.random.Generator, *, repeats: bool) -> None:
        self._truth, self._rng, self._repeats = truth, rng, repeats
        self._known: dict[Any, FloatArray] = {}

    def read(self, order: tuple[int, ...]) -> FloatArray:
        """What the judge takes the shown answers to be worth."""
        if not self._repeats or order not in self._known:
            self._known[order] = self._truth[list(order)] + self._rng.normal(0, NOISE, len(order))
        return self._known[order]

    def grade(self, index: int) -> float:
        """A whole grade, as a score."""
        return float(np.clip(np.round(10 * self.read((index,))[0]), 0, 10) / 10)

    def compare(self, order: tuple[int, ...]) -> Comparison:
        """The one that it reads as better, the first place favoured."""
        read = self.read(order) + np.array([FIRST_PLACE, *([0.0] * (len(order) - 1))])
        return Comparison(order, tuple(float(place == read.argmax()) for place in range(len(order))))


def play(tournament: Tournament, judge: Judge) -> int:
    """Make all comparisons; how many there were."""
    count = 0
    while orders := tournament.ask():
        count += len(orders)
        for order in orders:
            tournament.tell(order, judge(order))
    return count


def regraded(reader: Reader, scores: Sequence[float], leaders: Sequence[int], calls: int) -> int:
    """The best mean grade after `calls` further gradings of the leaders, in turn."""
    grades = {index: [scores[index]] for index in range(len(scores))}
    for call in range(calls):
        index = leaders[call % len(leaders)]
        grades[index].append(reader.grade(index))
    return max(grades, key=lambda index: (np.mean(grades[index]), -index))


def question(truth: FloatArray, rng: np.random.Generator, *, repeats: bool) -> dict[str, Any]:
    """One choice by each way: how good it is, and what it cost."""
    reader = Reader(truth, rng, repeats=repeats)
    scores = [reader.grade(index) for index in range(len(truth))]
    candidates = [Candidate(index, AIMessage(""), 0) for index in range(len(truth))]
    verdicts = {index: Verdict(score) for index, score in enumerate(scores)}
    standing = standing_of(candidates, verdicts, "best", K, NOISE)
    tournament = Tournament(standing.indexes, standing.means, std=standing.std, budget=BUDGET)
    calls = play(tournament, reader.compare)
    ranking = tournament.ranking()
    groups = Tournament(standing.indexes, standing.means, std=standing.std, budget=BUDGET, group_size=K)
    group_calls = play(groups, reader.compare)
    chosen = {
        "one_grade": int(np.argmax(scores)),
        "pointwise": regraded(reader, scores, standing.indexes, calls),
        "tournament": ranking.best,
        "pointwise for groups": regraded(reader, scores, standing.indexes, group_calls),
        "groups": groups.ranking().best,
    }
    best = truth.max()
    return {
        "calls": calls,
        "group_calls": group_calls,
        "place_bias": ranking.place_bias if calls else None,
        "right": {way: float(truth[index] >= best - 1e-9) for way, index in chosen.items()},
        "worth": {way: float(truth[index]) for way, index in chosen.items()},
    }


def interval(rows: FloatArray, rng: np.random.Generator) -> list[float]:
    """A 95 % interval of the mean over questions, by bootstrap; each row is a question's mean."""
    means = rows[rng.integers(0, len(rows), (RESAMPLES, len(rows)))].mean(axis=1)
    return [round(float(value), 4) for value in np.quantile(means, (0.025, 0.975))]


def on_pool(path: Path, *, repeats: bool) -> dict[str, Any]:
    """The figures of one pool under one kind of judge."""
    rng = np.random.default_rng(0)
    questions = []
    for asked in read_pool(path):
        worth = np.array([sample.score for sample in asked.samples], dtype=float)
        truths = (rng.permutation(worth)[:N] for _ in range(ORDERS))
        questions.append([question(truth, rng, repeats=repeats) for truth in truths])
    ways = ("one_grade", "pointwise", "tournament", "pointwise for groups", "groups")

    def means(what: str, way: str) -> FloatArray:
        return np.array([np.mean([run[what][way] for run in runs]) for runs in questions])

    found: dict[str, Any] = {"questions": len(questions), "n": N, "orders": ORDERS}
    for name, what in (("comparisons", "calls"), ("comparisons of groups", "group_calls")):
        found[name] = round(float(np.mean([run[what] for runs in questions for run in runs])), 2)
    for what in ("right", "worth"):
        found[what] = {
            way: [round(float(means(what, way).mean()), 4), *interval(means(what, way), rng)] for way in ways
        }
        for way, rival in (("tournament", "pointwise"), ("groups", "pointwise for groups")):
            gain = means(what, way) - means(what, rival)
            found[what][f"{way} - {rival}"] = [round(float(gain.mean()), 4), *interval(gain, rng)]
    biases = [run["place_bias"] for runs in questions for run in runs if run["place_bias"] is not None]
    found["place_bias_logits"] = round(float(np.mean(biases)), 2)
    return found


def on_local_model() -> dict[str, Any]:
    """The embedded model as both kinds of judge on questions with one right and one wrong answer."""
    from langchain_optscale.endpoints import local
    from langchain_optscale.verifiers import LLMJudge, PairwiseJudge

    right: dict[str, list[float]] = {"pointwise": [], "pairwise": []}
    firsts: list[float] = []
    calls = dict.fromkeys(right, 0)
    with local.serve(n_parallel=2) as server:
        # It cannot be made to write a grade or a letter; their probabilities are one token away.
        model = server.policy(temperature=0.0)
        comparing = PairwiseJudge(model, method="labels", min_mass=0.0)
        grading = LLMJudge(model, method="labels", min_mass=0.0)
        for asked, good, bad in EASY:
            prompt = StringPromptValue(text=asked)
            shown = [Candidate(0, AIMessage(good), 0), Candidate(1, AIMessage(bad), 0)]
            one, other = (grading.verify(prompt, candidate).score for candidate in shown)
            right["pointwise"].append(1.0 if one > other else 0.5 if one == other else 0.0)
            ranking = comparing.rank(prompt, shown)
            right["pairwise"].append(float(ranking.best == 0))
            firsts += [comparison.shares[0] for comparison in ranking.comparisons]
            calls["pointwise"] += len(shown)
            calls["pairwise"] += len(ranking.comparisons)
    return {
        "model": server.model,
        "questions": len(EASY),
        "right": {way: float(np.mean(row)) for way, row in right.items()},
        "share of the first place": float(np.mean(firsts)),
        "calls": calls,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", action="store_true", help="also ask the real local model")
    arguments = parser.parse_args()
    kinds = {"errs anew": False, "repeats itself": True}
    figures: dict[str, Any] = {
        path.stem: {kind: on_pool(path, repeats=repeats) for kind, repeats in kinds.items()}
        for path in POOLS
        if path.exists()
    }
    if arguments.local:
        figures["local model"] = on_local_model()
    print(json.dumps({"noise": NOISE, "first_place": FIRST_PLACE, "k": K, "budget": BUDGET, **figures}, indent=2))


if __name__ == "__main__":
    main()
