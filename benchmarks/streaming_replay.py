"""Learning from traffic, replayed: the questions of a pool arrive in a random order, and the searches learn.

    make bench_learning                                       every development pool, about 15 minutes on one core
    python -m benchmarks.streaming_replay --orders 4 --only returned
    python -m benchmarks.streaming_replay --orders 16 --write-population   only writes the population that is shipped

Pools come from `tests/data/pools` and from OPTSCALE_SHARED_DATA (`field/` and `pools/`), those with a cap of 8 or more;
at most 32 candidates of a question are used. Each pool is one stream of searches of one fingerprint. A search uses what
was learned from the searches before it and leaves what it drew, no more; the rule is fitted anew after 25 searches and
whenever their number has grown by 30 %. Figures are of the second half of the questions, against the untrained default
on the same candidates in the same order. The exploration's cost is counted in them.

Each pool is left out of what it is measured with: the population that its fits are shrunk towards is that of the other
pools, and so is the price, the largest one at which the mean difference of the others is at least -0.3 points.

Modes: "none" has no labels; "returned" knows of every search whether its answer was right; "explore" is "none" with a
share of searches that run to the cap. "full" is no stream: one fit to the complete recordings of the first half, with
what is right. "untrained" learns nothing: the default at 1.5 to 6 times its price. Pools without answers are counted
too: without labels nothing is learned for them, and they stay at 1.

"by_price" has all pools at each price; "by_chance" what chance alone would do, see `benchmarks.replay_figures`;
"joint_z" is the sum of all differences in their standard errors, standard normal where nothing is lost. "halves": the
lowest price that draws at most 0.8 of the default's candidates on a random half of the pools, and what it does on the
other half; means over 2,000 splits. "hindsight": the share that a rule would draw that knew beforehand from where on
the answer stays the one that the default returns.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.replay_figures import SLACK, Measured, Passed, chosen, is_worse, measure, rounded, summary
from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.stopping import optscale
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping
from langchain_optscale.stopping.learned.improving import Moments, cautious_mean, improve, learn_from
from langchain_optscale.stopping.learned.walks import PastSearch, Walk, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_optscale.evaluation.pools import Pool, Sample
    from langchain_optscale.stopping.base import Rule

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("OPTSCALE_SHARED_DATA", ROOT.parent / "shared" / "data"))
POPULATION = ROOT / "langchain_optscale" / "stopping" / "learned" / "population.json"
LEAST_CAP, MOST_CAP = 8, 32
PRICES = (0.02, 0.04, 0.06, 0.08, 0.14, 0.2)
FIRST_FIT, GROWTH = 25, 1.3
FACTORS = (1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
ORDERS, GROUPS, ITS_ORDERS, OTHER_ORDERS = 16, 4, 4, 10_000


class Mode(NamedTuple):
    """What is known of the searches, and what share of them runs to the cap."""

    labels: bool = False
    explore: float = 0.0


MODES = {
    "none": Mode(),
    "returned": Mode(labels=True),
    "explore 0.01": Mode(explore=0.01),
    "explore 0.03": Mode(explore=0.03),
}


@dataclass(frozen=True)
class Arrival:
    """A question as it arrives: its candidates in one order, and the default's walk through them."""

    question: int
    search: PastSearch
    walk: Walk
    rights: frozenset[str]
    at_cap: str | None

    def value(self, answer: str | None) -> float:
        """What an answer is worth: 1 if it is right."""
        return float(answer in self.rights)

    def worths(self) -> dict[str, float]:
        """What its answers are worth, as the pool knows it."""
        return {answer: self.value(answer) for answer in self.search.answers if answer is not None}

    def row(self, count: int, returned: str | None, labels: bool) -> PastSearch:
        """What the search leaves after so many candidates."""
        correct = bool(self.value(returned)) if labels and returned is not None else None
        scores, answers = self.search.scores[:count], self.search.answers[:count]
        return PastSearch(scores, answers, self.search.cap, returned, correct)

    def cut(self, place: int | None) -> Walk:
        """The walk as far as it is known of a search that stopped at a state, or as its base."""
        if place is None:
            return self.walk
        way, end = self.walk, place + 1
        return replace(
            way,
            states=way.states[:end],
            counts=way.counts[:end],
            picks=way.picks[:end],
            end=way.counts[place],
            last=way.picks[place],
            complete=False,
        )


class Stream:
    """A pool whose questions arrive in one order."""

    def __init__(self, pool: Pool, seed: int) -> None:
        generator = np.random.default_rng([seed, sum(map(ord, pool.name))])
        self.cap, self.half = min(pool.cap, MOST_CAP), len(pool) // 2
        self.base = optscale(max_samples=self.cap, answers=True)
        self.arrivals = []
        for number in generator.permutation(len(pool)).tolist():
            samples = pool.questions[number].samples
            places = generator.permutation(len(samples))[: self.cap].tolist()
            self.arrivals.append(self._arrival(number, [samples[place] for place in places]))

    def _arrival(self, number: int, samples: Sequence[Sample]) -> Arrival:
        answers = tuple(one.answer for one in samples)
        search = PastSearch(tuple(float(one.score or 0.0) for one in samples), answers, self.cap)
        right = frozenset(one.answer for one in samples if one.correct and one.answer is not None)
        place = UntrainedPosterior.of(answers, search.scores).place
        return Arrival(number, search, walk(search, self.base), right, None if place is None else answers[place])

    def moments(self) -> Moments:
        """Of all its questions, with what is right."""
        ways = ((one.walk.trajectory(one.worths())) for one in self.arrivals)
        return Moments.of(way for way in ways if way is not None)


def learn(stream: Stream, population: Moments, price: float, mode: Mode, seed: int) -> Passed:
    """Let a stream of searches learn from themselves."""
    generator = np.random.default_rng([seed, 7])
    rule: ImprovedStopping | None = None
    past: list[tuple[PastSearch, Walk]] = []
    passed, next_fit = Passed([], [], {}), FIRST_FIT
    for number, one in enumerate(stream.arrivals):
        explored = generator.random() < mode.explore
        place = None if rule is None or explored else one.walk.stopped_by(rule)
        way = one.cut(place)
        count, returned = (stream.cap, one.at_cap) if explored else (way.end, way.last)
        if number >= stream.half:
            _note(passed, one, count, returned)
        past.append((one.row(count, returned, mode.labels), way))
        if number + 1 >= next_fit:
            rule = learn_from(past, stream.base, population, price=price, former=rule)
            next_fit = max(next_fit + 1, int(next_fit * GROWTH))
    return passed


def fit_whole(stream: Stream, population: Moments, price: float) -> Passed:
    """Use on the second half what the complete recordings of the first half teach, with what is right."""
    ways = [one.walk.trajectory(one.worths()) for one in stream.arrivals[: stream.half]]
    rule = improve(stream.base, Moments.of(way for way in ways if way is not None), population, price=price)
    passed = Passed([], [], {})
    for one in stream.arrivals[stream.half :]:
        way = one.cut(one.walk.stopped_by(rule))
        _note(passed, one, way.end, way.last)
    return passed


def dearer(base: Rule, factor: float) -> ImprovedStopping:
    """The default at so many times its price, as a rule that stops where no candidates are worth that much."""
    # The feature "race" is the square root of how many times its price going on is worth.
    coefficients = {"one": -math.sqrt(factor), "race": 1.0}
    advantage = tuple(coefficients.get(name, 0.0) for name in FEATURES)
    return ImprovedStopping(base, advantage, (0.0,) * len(FEATURES), price=0.0)


def untrained(streams: Sequence[Stream], factor: float) -> Measured:
    """A pool by the default at so many times its price, from which nothing is learned."""
    passes = []
    for stream in streams:
        rule, passed = dearer(stream.base, factor), Passed([], [], {})
        for one in stream.arrivals[stream.half :]:
            way = one.cut(one.walk.stopped_by(rule))
            _note(passed, one, way.end, way.last)
        passes.append(passed)
    return measure(passes, streams[0].cap)


def _note(passed: Passed, one: Arrival, count: int, returned: str | None) -> None:
    passed.drawn.append(count)
    passed.by_default.append(one.walk.end)
    passed.differences[one.question] = 100.0 * (one.value(returned) - one.value(one.walk.last))


def measured(streams: Mapping[str, list[Stream]], mode: Mode | None) -> dict[str, dict[float, Measured]]:
    """Every pool at every price, shrunk towards the population of the others; mode None is `fit_whole`."""
    moments = {name: sum((one.moments() for one in parts), Moments.zero()) for name, parts in streams.items()}
    found: dict[str, dict[float, Measured]] = {}
    for name, parts in streams.items():
        others = cautious_mean([one for other, one in moments.items() if other != name])
        found[name] = {
            price: measure(
                [
                    fit_whole(stream, others, price) if mode is None else learn(stream, others, price, mode, seed)
                    for seed, stream in enumerate(parts)
                ],
                parts[0].cap,
            )
            for price in PRICES
        }
    return found


def worse_than_itself(pool: Pool) -> float:
    """How often the default looks worse than the default on other orders of a pool's candidates, four orders each."""
    streams = [Stream(pool, OTHER_ORDERS + seed) for seed in range(GROUPS * ITS_ORDERS)]
    values = np.zeros((GROUPS, len(pool)))
    for place, stream in enumerate(streams):
        for one in stream.arrivals:
            values[place % GROUPS, one.question] += 100.0 * one.value(one.walk.last) / ITS_ORDERS
    pairs = list(permutations(range(GROUPS), 2))
    return sum(is_worse((values[first] - values[second]).tolist()) for first, second in pairs) / len(pairs)


def hindsight(streams: Sequence[Stream]) -> float:
    """The share of the default's candidates after which its answer stays what it returns, in the second halves."""
    ways = [one.walk for stream in streams for one in stream.arrivals[stream.half :]]
    return sum(map(_settled, ways)) / sum(way.end for way in ways)


def _settled(way: Walk) -> int:
    """From which candidate on a walk would return what it returns at its end."""
    settled = way.end
    for count, pick in zip(reversed(way.counts), reversed(way.picks), strict=True):
        if pick != way.last:
            break
        settled = count
    return settled


def pools() -> Iterator[Pool]:
    """The development pools with a cap of 8 or more."""
    for directory in (SHARED / "field", SHARED / "pools", ROOT / "tests" / "data" / "pools"):
        for path in sorted(directory.glob("*.jsonl")):
            pool = read_pool(path).scored()
            if pool.cap >= LEAST_CAP:
                yield pool


def write_population(streams: Mapping[str, list[Stream]]) -> None:
    """Write the cautious mean over all pools, each with the same weight."""
    parts = [sum((one.moments() for one in streams[name]), Moments.zero()) for name in streams]
    POPULATION.write_text(json.dumps(rounded(cautious_mean(parts).to_dict())) + "\n", encoding="utf-8")


def main() -> None:
    """Replay everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS, help="streams of each pool (default 16)")
    parser.add_argument("--only", choices=[*MODES, "full"], action="append")
    parser.add_argument("--write-population", action="store_true", help="write population.json, and measure nothing")
    arguments = parser.parse_args()
    every = list(pools())
    learnable = [pool for pool in every if pool.has_answers and pool.has_correct]
    streams = {pool.name: [Stream(pool, seed) for seed in range(arguments.orders)] for pool in learnable}
    if arguments.write_population:
        write_population(streams)
        return
    still = len(every) - len(streams)
    document: dict[str, Any] = {
        "orders": arguments.orders,
        "pools": len(every),
        "without_answers": still,
        "prices": {"grid": PRICES, "lowest": min(PRICES), "highest": max(PRICES), "slack_points": SLACK},
        "modes": {name: mode._asdict() for name, mode in MODES.items()},
        "hindsight": rounded(float(np.exp(np.mean([np.log(hindsight(parts)) for parts in streams.values()])))),
    }
    itself = {pool.name: worse_than_itself(pool) for pool in learnable}
    document["untrained"] = rounded(
        {
            str(factor): summary({name: untrained(parts, factor) for name, parts in streams.items()}, still, itself)
            for factor in FACTORS
        }
    )
    for name, mode in {**MODES, "full": None}.items():
        if arguments.only is None or name in arguments.only:
            document[name] = chosen(measured(streams, mode), still, itself)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
