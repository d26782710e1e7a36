"""Learning from traffic, replayed: the questions of a pool arrive in a random order, and after each the store learns.

    make bench_learning                                      every development pool; about 6 minutes
    python -m benchmarks.streaming_replay --orders 8 --labels none
    python -m benchmarks.streaming_replay --write-population writes the population that ships with the package

Pools come from `tests/data/pools` and from OPTSCALE_SHARED_DATA (`field/` and `pools/`), those with a cap of 8 or more
(at most 32 candidates are used). Each pool is one stream of searches with one fingerprint. A search uses what was
learned from the searches before it (`learning.learn_stopping`, nothing else), and leaves a row: what it drew, no more.
The population that a fit is shrunk to, and the price, are those of the *other* pools: each pool is left out of what it
is measured with. Figures are of the second half of the questions, against the untrained default on the same candidates
in the same order.

`labels`: "none", "returned" (of every search it becomes known whether the returned answer is right), "gold" (which
answer is right). A share `control` of the searches follows the untrained default for the sake of learning; a share
`explore` runs to the cap. Both are counted in what is drawn.

"drift": in mid-stream the verifier changes, see `benchmarks.verifier_change`.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.stopping import optscale
from langchain_optscale.stopping.learned.improving import (
    KAPPA,
    Moments,
    PastSearch,
    Walk,
    improve,
    mean_of,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_optscale.evaluation.pools import Pool, Question
    from langchain_optscale.stopping.learned.improved import ImprovedStopping

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
POPULATION = ROOT / "langchain_optscale" / "stopping" / "learned" / "population.json"
LEAST_CAP, MOST_CAP = 8, 32
PRICES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13)
SLACK = 0.3
FIRST_FIT, GROWTH = 25, 1.3


@dataclass(frozen=True)
class Arrival:
    """A question as it arrives: its candidates in one order, and the default's walk through them."""

    question: int
    search: PastSearch
    walk: Walk
    rights: tuple[bool, ...]
    values: tuple[float, ...]

    def value(self, n: int, answer: str | None) -> float:
        """What is returned after n candidates is worth, given its answer: 1 or 0."""
        del n
        if answer is None:
            return 0.0
        return float(any(r for a, r in zip(self.search.answers, self.rights, strict=True) if a == answer))

    def at_cap(self) -> float:
        return self.values[-1]


class Stream:
    """A pool whose questions arrive in one order."""

    def __init__(self, pool: Pool, seed: int) -> None:
        generator = np.random.default_rng([seed, sum(map(ord, pool.name))])
        self.name, self.cap = pool.name, min(pool.cap, MOST_CAP)
        rule = optscale(max_samples=self.cap, answers=pool.has_answers)
        self.with_answers = pool.has_answers
        self.arrivals = []
        for number in generator.permutation(len(pool)).tolist():
            question = pool.questions[number]
            places = generator.permutation(len(question.samples))[: self.cap].tolist()
            self.arrivals.append(self._arrival(number, question, places, rule))

    def _arrival(self, number: int, question: Question, places: Sequence[int], rule: Any) -> Arrival:
        samples = [question.samples[place] for place in places]
        answers = tuple(one.answer for one in samples)
        scores = tuple(float(one.score or 0.0) for one in samples)
        right = next((one.answer for one in samples if one.correct and one.answer is not None), "")
        search = PastSearch(scores, answers, self.cap, right=right)
        return Arrival(number, search, walk(search, rule), tuple(bool(one.correct) for one in samples), (0.0,))


def pools() -> Iterator[Pool]:
    """The development pools with a cap of 8 or more."""
    for directory in (SHARED / "field", SHARED / "pools", ROOT / "tests" / "data" / "pools"):
        for path in sorted(directory.glob("*.jsonl")):
            pool = read_pool(path).scored()
            if pool.cap >= LEAST_CAP:
                yield pool


def seen(arrival: Arrival, n: int, last: str | None, labels: str) -> PastSearch:
    """The row that a search leaves after n candidates."""
    full = arrival.search
    search = replace(full, scores=full.scores[:n], answers=full.answers[:n], returned=last, right=None)
    if labels == "gold":
        return replace(search, right=full.right)
    if labels == "returned" and last is not None:
        return replace(search, correct=last == full.right)
    return search


def run(
    stream: Stream,
    population: Moments,
    price: float,
    labels: str,
    *,
    seed: int,
    control: float = 0.05,
    explore: float = 0.0,
    kappa: float = KAPPA,
) -> dict[str, Any]:
    """One pass through a stream: drawn and worth of each search, by the default and as learned."""
    generator = np.random.default_rng([seed, 7])
    base = optscale(max_samples=stream.cap, answers=True)
    rule: ImprovedStopping | None = None
    rows: list[tuple[Walk, PastSearch]] = []
    fit_at, half = FIRST_FIT, len(stream.arrivals) // 2
    drawn, lost = [], []
    for number, one in enumerate(stream.arrivals):
        at = one.walk.stopped_by(rule) if rule is not None and generator.random() >= control else None
        n = one.walk.end if at is None else one.walk.counts[at]
        last = one.walk.last if at is None else one.walk.picks[at]
        drawn.append((n, one.walk.end))
        lost.append(one.value(n, last) - one.value(one.walk.end, one.walk.last))
        cut = one.walk
        if at is not None:
            cut = replace(cut, states=cut.states[: at + 1], counts=cut.counts[: at + 1], picks=cut.picks[: at + 1],
                          end=n, last=last, complete=False)
        rows.append((cut, seen(one, n, last, labels)))
        if number + 1 >= fit_at or number + 1 == half:
            found = [t for w, s in rows if (t := w.trajectory(s, rule)) is not None]
            rule = improve(base, Moments.of(found), population, price=price, kappa=kappa)
            fit_at = max(fit_at + 1, int(fit_at * GROWTH))
    second = np.array(drawn[half:], dtype=float)
    difference = 100.0 * np.array(lost[half:])
    return {
        "share": float(second[:, 0].mean() / second[:, 1].mean()),
        "difference": float(difference.mean()),
        "by_question": {one.question: value for one, value in zip(stream.arrivals[half:], difference.tolist(), strict=True)},
    }
