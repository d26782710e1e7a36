"""What a rule learned from explored searches adds to what the default's own searches teach.

    make bench_explored                          three kinds of simulated tasks, 4 streams each
    python -m benchmarks.explored_stopping --streams 8 --kind hard

A stream has so many searches of the untrained default, of which a share has explored: gone on to the cap. From it are
learned `ImprovedStopping`, which ends searches earlier than the default, and `FittedStopping` of the explored ones,
which may also let them go on and is taken into use only where cross-fitting shows that it is better. Both are measured
on fresh questions of the same task, whose truth is known: the share of right answers less the price of what is drawn.

Of each kind, with and without labels of the returned answers: "adopted", in how many streams the fitted rule was taken;
of the default, the improved rule, and of what is in use afterwards: accuracy, candidates drawn, and "net" in points,
means over streams; "gain" of what is in use over the improved rule with its standard error; "held_out_gain", what
cross-fitting expected of the fitted rule, in use or not; and "exploration", what exploring cost as a share of the
default's candidates.

Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.learning_curve import KINDS, simulated
from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.learning import learn_fitted as fitting
from langchain_optscale.learning.learn_stopping import Walked, learn_stopping
from langchain_optscale.stopping import optscale
from langchain_optscale.stopping.base import History
from langchain_optscale.stopping.learned.improving import PRICES
from langchain_optscale.stopping.learned.walks import PastSearch, Trust, walk

if TYPE_CHECKING:
    from langchain_optscale.evaluation.pools import Question
    from langchain_optscale.stopping.base import Rule

SEARCHES, EXPLORE, TESTED = 1500, 0.05, 400


def _search(question: Question, cap: int, count: int | None = None, *, labels: bool = False) -> PastSearch:
    """The search of a question after so many candidates."""
    samples = question.samples[: count or cap]
    answers, scores = tuple(one.answer for one in samples), tuple(float(one.score or 0.0) for one in samples)
    place = UntrainedPosterior.of(answers, scores).place
    returned = None if place is None else answers[place]
    return PastSearch(scores, answers, cap, returned, (returned == "right") if labels else None)


def _stream(kind: str, seed: int, *, labels: bool) -> tuple[Walked, float]:
    """The searches of one stream, and what exploring cost as a share of the default's candidates."""
    cap, base = KINDS[kind].cap, optscale(max_samples=KINDS[kind].cap, answers=True)
    generator = np.random.default_rng([seed, 5])
    past, explored, beyond, by_default = [], [], 0, 0
    for question in simulated(kind, SEARCHES, seed):
        way = walk(_search(question, cap), base)
        by_default += way.end
        if generator.random() < EXPLORE:
            past.append((_search(question, cap, labels=labels), way))
            explored.append(past[-1])
            beyond += cap - way.end
        else:
            past.append((_search(question, cap, way.end, labels=labels), way))
    # The default draws two candidates a round or more; one at a time is the harder comparison.
    return Walked(base, tuple(past), 0, tuple(explored), 1.0), beyond / by_default


def _measured(rule: Rule, kind: str, tested: list[PastSearch], price: float) -> dict[str, float]:
    """Accuracy, candidates and net points of a rule on questions whose truth is known."""
    cap, right, drawn = KINDS[kind].cap, [], []
    for search in tested:
        for count in range(1, cap + 1):
            history = History(scores=search.scores[:count], answers=search.answers[:count], max_samples=cap)
            if count == cap or rule(history).stop:
                break
        place = UntrainedPosterior.of(search.answers[:count], search.scores[:count]).place
        right.append(place is not None and search.answers[place] == "right")
        drawn.append(count)
    accuracy, mean = float(np.mean(right)), float(np.mean(drawn))
    return {"accuracy": accuracy, "drawn": mean, "net": 100.0 * (accuracy - price * mean / cap)}


def measure(kind: str, seed: int, price: float, *, labels: bool) -> dict[str, Any]:
    """One stream."""
    known, cost = _stream(kind, seed, labels=labels)
    tested = [_search(question, KINDS[kind].cap) for question in simulated(kind, TESTED, 10_000 + seed)]
    trust = Trust.fit(search for search, _ in known.past)
    improved, _ = learn_stopping(known, price=price)
    fitted, report = fitting.learn_fitted(known, trust, improved, price=price)
    otherwise = known.base if improved is None else improved
    return {
        "adopted": fitted is not None,
        "reason": report.get("reason"),
        "held_out": report.get("gain", 0.0),
        "exploration": cost,
        "default": _measured(known.base, kind, tested, price),
        "improved": _measured(otherwise, kind, tested, price),
        "in_use": _measured(otherwise if fitted is None else fitted, kind, tested, price),
    }


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over streams."""
    rules = ("default", "improved", "in_use")
    gains = np.array([one["in_use"]["net"] - one["improved"]["net"] for one in found])
    return {
        "streams": len(found),
        "adopted": sum(one["adopted"] for one in found),
        "reasons": sorted({one["reason"] for one in found if one["reason"]}),
        "exploration": float(np.mean([one["exploration"] for one in found])),
        **{
            rule: {name: float(np.mean([one[rule][name] for one in found])) for name in ("accuracy", "drawn", "net")}
            for rule in rules
        },
        "held_out_gain": 100.0 * float(np.mean([one["held_out"] for one in found])),
        "gain": float(gains.mean()),
        "gain_error": float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else None,
    }


def main() -> None:
    """Measure every kind of task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=4, help="of each kind (default 4)")
    parser.add_argument("--kind", choices=sorted(KINDS), action="append")
    parser.add_argument("--price", type=float, default=PRICES["medium"], help="of the whole cap (default %(default)s)")
    arguments = parser.parse_args()
    document: dict[str, Any] = {"searches": SEARCHES, "explore": EXPLORE, "price": arguments.price}
    for kind in arguments.kind or KINDS:
        for labels in (False, True):
            found = [measure(kind, seed, arguments.price, labels=labels) for seed in range(arguments.streams)]
            document[f"{kind}, {'with' if labels else 'without'} labels"] = summary(found)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
