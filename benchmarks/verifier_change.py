"""A change of the verifier in mid-stream: when the alarm comes, and whether the promise is kept until then.

    python -m benchmarks.verifier_change      the development pools whose verifier says something, 4 minutes on one core

The questions of a pool arrive as traffic, again and again in new orders, until 500 have come. After 200 searches under
the untrained default a rule is learned (without labels), and a monitor begins; from the 300th on the verifier is
another one: "squashed" (scores are pulled to 0.4 + 0.2 score), "rubric" (1 - score: it likes what it disliked) or
"lost" (a score has nothing to do with its candidate any more).

Of each change: the searches until the alarm, counted from the change; whether it mattered, that is by how many points
the learned rule is worse than the default on the changed verifier, per search; and the difference from the change to
the end of the stream, with the alarm's step back to the default. "none" counts alarms where nothing changes.

"alarms": the same streams as the monitor sees them, without stopping, which does not touch the first two candidates:
20 runs of each change, the searches until the alarm, and in how many it came within 50; of "none" how many had one
within 200 searches. "shifts": the same for simulated scores. `--alarms` prints these alone, in half a minute.

"false_alarms": the test of shares on 2,000 simulated streams of 10,000 looks each: how many streams ever rejected a
true mean, at alpha = 0.01 and 0.05. "false_alarms_of_laws": that of scores on 1,000 streams of 1,000 looks each, after
20 and after 200 values that were learned from; continuous scores, and three values alone. "microseconds": the time of a
monitor for one search.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.streaming_replay import Stream, pools
from langchain_optscale.learning.drift import DriftMonitor, expectations, figures_of
from langchain_optscale.learning.rows import Fingerprint, SearchRow, answer_classes
from langchain_optscale.stats.binomial import clopper_pearson
from langchain_optscale.stats.exchangeability import ExchangeabilityTest
from langchain_optscale.stats.mean_test import bets_against, stake
from langchain_optscale.stopping.learned.improving import learn_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.streaming_replay import Arrival
    from langchain_optscale.evaluation.pools import Pool, Sample

LEARNED_AT, CHANGED_AT, END = 200, 300, 500
RUNS, ALARM_RUNS, SHIFT_RUNS = 2, 20, 40
SHIFTS = (0.3, 0.2, 0.15, 0.1, 0.05)
LOOKS, STREAMS = 10_000, 2_000
LAW_LOOKS, LAW_STREAMS = 1_000, 1_000


def _squashed(sample: Sample, _: np.random.Generator) -> float:
    return 0.4 + 0.2 * float(sample.score or 0.0)


def _rubric(sample: Sample, _: np.random.Generator) -> float:
    return 1.0 - float(sample.score or 0.0)


def _lost(_: Sample, generator: np.random.Generator) -> float:
    return float(generator.random())


CHANGES: dict[str, Callable[[Sample, np.random.Generator], float] | None] = {
    "none": None,
    "squashed": _squashed,
    "rubric": _rubric,
    "lost": _lost,
}


def changed_pool(pool: Pool, change: str, seed: int) -> Pool:
    """The pool as the changed verifier scores it."""
    function, generator = CHANGES[change], np.random.default_rng([seed, 11])
    return pool if function is None else pool.with_scores(lambda sample: function(sample, generator))


@lru_cache(maxsize=2)
def arrivals_before(pool: Pool, seed: int) -> list[Arrival]:
    """The questions before the change, the same for every change."""
    return arrivals(pool, CHANGED_AT, seed)


def arrivals(pool: Pool, count: int, seed: int) -> list[Arrival]:
    """So many questions, in new orders whenever all have come."""
    found: list[Arrival] = []
    while len(found) < count:
        found += Stream(pool, 1000 * seed + len(found)).arrivals
    return found[:count]


def row_of(one: Arrival, count: int) -> SearchRow:
    """The row of a search that drew so many candidates."""
    answers = answer_classes(one.search.answers[:count])
    return SearchRow("", 0.0, _NONE, _NONE, one.search.scores[:count], answers, 0, count, one.search.cap)


_NONE = Fingerprint()


def run(pool: Pool, change: str, seed: int) -> dict[str, Any]:
    """One stream with a change."""
    before = arrivals_before(pool, seed)
    after = arrivals(changed_pool(pool, change, seed), END - CHANGED_AT, seed + 500)
    base = Stream(pool, 0).base
    past = [(one.row(one.walk.end, one.walk.last, labels=False), one.walk) for one in before[:LEARNED_AT]]
    rule = learn_from(past, base)
    monitor = DriftMonitor(expectations(figures_of(row_of(one, one.walk.end)) for one in before[:LEARNED_AT]))
    alarm_at: int | None = None
    lost_since, lost_always = [], []
    for number, one in enumerate(before[LEARNED_AT:] + after, LEARNED_AT):
        way = one.cut(one.walk.stopped_by(rule))
        always = one.value(way.last) - one.value(one.walk.last)
        if number >= CHANGED_AT:
            lost_always.append(always)
            lost_since.append(always if alarm_at is None else 0.0)
        used = way if alarm_at is None else one.walk
        if monitor.observe(figures_of(row_of(one, used.end))) is not None and alarm_at is None:
            alarm_at = number
    return {
        "alarm_after": None if alarm_at is None else alarm_at + 1 - CHANGED_AT,
        "figure": None if monitor.alarm is None else monitor.alarm.figure,
        "difference_without_alarm": 100.0 * float(np.mean(lost_always)),
        "difference": 100.0 * float(np.mean(lost_since)),
    }


def first_rows(pool: Pool, count: int, seed: int) -> list[dict[str, float]]:
    """The figures of so many searches by their first two candidates, in new orders whenever all questions have come."""
    found: list[dict[str, float]] = []
    generator = np.random.default_rng([seed, 13])
    while len(found) < count:
        for number in generator.permutation(len(pool)).tolist():
            samples = pool.questions[number].samples
            two = [samples[place] for place in generator.permutation(len(samples))[:2].tolist()]
            scores = tuple(float(one.score or 0.0) for one in two)
            answers = answer_classes([one.answer for one in two])
            found.append(figures_of(SearchRow("", 0.0, _NONE, _NONE, scores, answers, 0, 2, pool.cap)))
    return found[:count]


def alarm_after(pool: Pool, change: str, seed: int) -> int | None:
    """The searches from a change to the alarm, 0 for an alarm before it; None without one."""
    before = first_rows(pool, CHANGED_AT, seed)
    monitor = DriftMonitor(expectations(before[:LEARNED_AT]))
    if any(monitor.observe(figures) is not None for figures in before[LEARNED_AT:]):
        return 0
    after = first_rows(changed_pool(pool, change, seed), END - CHANGED_AT, seed + 500)
    return next((place for place, figures in enumerate(after, 1) if monitor.observe(figures) is not None), None)


def alarms(runs: int = ALARM_RUNS) -> dict[str, Any]:
    """Of every pool and change, when the alarm came."""
    found: dict[str, Any] = {"runs": runs}
    for pool in scored_pools():
        for change in CHANGES:
            delays = [alarm_after(pool, change, 100 + seed) for seed in range(runs)]
            known = [delay for delay in delays if delay]
            found[f"{pool.name}, {change}"] = {
                "alarms": len(known),
                "before": delays.count(0),
                "median": float(np.median(known)) if known else None,
                "most": max(known, default=None),
                "within_50": sum(delay <= 50 for delay in known),
            }
    return found


def _simulated(generator: np.random.Generator, shift: float = 0.0, *, turned: bool = False) -> dict[str, float]:
    """Two scores around 0.5; of the easy questions, one half, scores are higher and answers agree more often."""
    easy = generator.random() < 0.5
    level = 0.5 + shift + (0.1 if easy is not turned else -0.1)
    scores = np.clip(generator.normal(level, 0.11, 2), 0.0, 1.0).tolist()  # together a standard deviation of 0.15
    answers = (0, int(generator.random() > (0.9 if easy else 0.3)))
    return figures_of(SearchRow("", 0.0, _NONE, _NONE, tuple(scores), answers, 0, 2, 16))


def shifts(runs: int = SHIFT_RUNS) -> dict[str, Any]:
    """When shifts of simulated scores, and scores that turn round, are noticed after 300 quiet searches."""
    changes: dict[str, dict[str, Any]] = {f"shift {shift}": {"shift": shift} for shift in SHIFTS}
    found: dict[str, Any] = {"runs": runs}
    for name, change in {**changes, "turned round": {"turned": True}}.items():
        delays: list[int | None] = []
        for seed in range(runs):
            generator = np.random.default_rng([seed, 17])
            monitor = DriftMonitor(expectations(_simulated(generator) for _ in range(LEARNED_AT)))
            quiet = any(monitor.observe(_simulated(generator)) is not None for _ in range(CHANGED_AT))
            coming = (monitor.observe(_simulated(generator, **change)) for _ in range(1000))
            delays.append(0 if quiet else next((n for n, one in enumerate(coming, 1) if one is not None), None))
        known = [delay for delay in delays if delay]
        found[name] = {
            "noticed": len(known),
            "before": delays.count(0),
            "median": float(np.median(known)) if known else None,
            "most": max(known, default=None),
        }
    return found


def scored_pools() -> Iterator[Pool]:
    """The development pools with answers and more than two scores."""
    for pool in pools():
        if pool.has_answers and pool.has_correct and len({one.score for one in pool.samples}) >= 3:
            yield pool


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several runs with one change."""
    delays = [one["alarm_after"] for one in runs]
    known = [delay for delay in delays if delay is not None]
    return {
        "runs": len(runs),
        "alarms": len(known),
        "median_searches_until_alarm": float(np.median(known)) if known else None,
        "most_searches_until_alarm": max(known, default=None),
        "figures": sorted({one["figure"] for one in runs if one["figure"] is not None}),
        "difference_without_alarm": float(np.mean([one["difference_without_alarm"] for one in runs])),
        "difference": float(np.mean([one["difference"] for one in runs])),
    }


def _ever_rejected(mean: float, alpha: float, draw: Callable[[], Any], looks: int) -> int:
    """How many streams `MeanTest` rejects: its recursion for all of them at once."""
    bets = bets_against(mean, 0.0)
    active, reserve, most = [np.zeros(1)] * len(bets), 1.0, np.zeros(1)
    for count in range(looks):
        values, begun = draw(), stake(count)
        reserve -= begun
        active = [
            (one + begun) * (1.0 + bet * (values - bound)) for one, (bet, bound) in zip(active, bets, strict=True)
        ]
        most = np.maximum(most, sum(active) / len(bets) + reserve)
    return int((most >= 1.0 / alpha).sum())


def _by_change(runs: list[list[dict[str, Any]]]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(change, [one[place] for one in runs]) for place, change in enumerate(CHANGES)]


def false_alarms(alpha: float, streams: int = STREAMS, looks: int = LOOKS) -> dict[str, Any]:
    """How many streams of a known mean are ever rejected, by the recursion of `MeanTest` on all streams at once."""
    generator = np.random.default_rng(1)
    found: dict[str, Any] = {"alpha": alpha, "streams": streams, "looks": looks}
    draws: dict[str, Callable[[], Any]] = {
        "bernoulli": lambda: (generator.random(streams) < 0.3).astype(np.float64),
        "beta": lambda: generator.beta(0.6, 1.4, streams),
        "uniform": lambda: 0.6 * generator.random(streams),
    }
    for name, draw in draws.items():
        rejected = _ever_rejected(0.3, alpha, draw, looks)
        low, high = clopper_pearson(int(rejected), streams)
        found[name] = {"rejected": rejected, "share": rejected / streams, "interval": [low, high]}
    return found


def false_alarms_of_laws(alpha: float, streams: int = LAW_STREAMS, looks: int = LAW_LOOKS) -> dict[str, Any]:
    """How many streams `ExchangeabilityTest` ever rejects though nothing changes."""
    generator = np.random.default_rng(2)
    found: dict[str, Any] = {"alpha": alpha, "streams": streams, "looks": looks}
    draws: dict[str, Callable[[int], Any]] = {
        "beta": lambda size: generator.beta(0.6, 1.4, size),
        "three values": lambda size: generator.choice([0.0, 0.5, 1.0], size, p=[0.2, 0.3, 0.5]),
    }
    for name, draw in draws.items():
        for learned in (20, 200):
            rejected = 0
            for seed in range(streams):
                test = ExchangeabilityTest({"score": draw(learned).tolist()}, alpha, seed)
                rejected += any(test.observe("score", value) for value in draw(looks).tolist())
            low, high = clopper_pearson(rejected, streams)
            found[f"{name}, {learned} learned from"] = {"rejected": rejected, "interval": [low, high]}
    return found


def microseconds(searches: int = 2000) -> float:
    """Of a monitor for one search with answers."""
    generator = np.random.default_rng(3)

    def rows(count: int) -> list[dict[str, float]]:
        scores, answers = generator.random((count, 2)).tolist(), generator.integers(0, 2, (count, 2)).tolist()
        return [
            figures_of(SearchRow("", 0.0, _NONE, _NONE, tuple(one), tuple(two), 0, 2, 16))
            for one, two in zip(scores, answers, strict=True)
        ]

    monitor, coming = DriftMonitor(expectations(rows(200))), rows(searches)
    begun = time.perf_counter()
    for figures in coming:
        monitor.observe(figures)
    return 1e6 * (time.perf_counter() - begun) / searches


def main() -> None:
    """Run every change on every pool whose scores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each change (default 2)")
    parser.add_argument("--alarms", action="store_true", help="only when alarms come")
    arguments = parser.parse_args()
    if arguments.alarms:
        print(json.dumps({"alarms": alarms(), "shifts": shifts()}, indent=2))
        return
    document: dict[str, Any] = {
        "runs": arguments.runs,
        "false_alarms": [false_alarms(0.01), false_alarms(0.05)],
        "false_alarms_of_laws": false_alarms_of_laws(0.05),
        "microseconds": microseconds(),
        "alarms": alarms(),
        "shifts": shifts(),
    }
    for pool in scored_pools():
        document[pool.name] = {
            change: summary(found)
            for change, found in _by_change([[run(pool, c, s) for c in CHANGES] for s in range(arguments.runs)])
        }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
