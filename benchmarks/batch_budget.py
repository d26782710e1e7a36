"""One budget over a batch against equal numbers, per-question stopping and UAB, on recorded candidates.

    python -m benchmarks.batch_budget --orders 4
    python -m benchmarks.batch_budget --earlier --orders 24    figures measured earlier in three orders, in many

Every order of a pool's samples is a batch. `Budget` is replayed by what production runs: a `Session` of each question,
`value_of_next` and `wave`, with a price of 1e-9 so that the budget alone decides. Compared with it are

- *equal n*: as many candidates for each question;
- *per question*: the default rule at each effort, and then the budget with the total that it drew;
- *UAB* (arXiv 2605.26849), where scores are probabilities by tokens: one candidate each, p = exp(-ANLL) of it, and the
  rest where p (1 - p)^n is largest. Its own majority vote, and the default's selection.

Differences are the budget's accuracy less the other's (or its mean score, where nothing is known to be right), paired
by question, with a 95 % interval over questions. Prints JSON.

*by chance*: the budget with the same totals in other orders of the samples. Its rows say how many of the comparisons
with *per question* would be lower by more than one standard error if both were equal and nothing were paired.

These are development figures; nothing is held out. The allocation was run four times on the same pools and changed
after the first three: a first round of 2 and waves of 25 % (+1.09 over equal n, -0.17 to per-question stopping), a
first round of 1 (+1.14, -0.10), no wave above half of what is left (+1.15, -0.06). The last change was made by reason:
no wave above an eighth of what is left, and rises in prices of the default rule, by which a budget of what the rule
draws is spent as the rule spends it (+1.20, +0.02).
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy import stats

from benchmarks.decision_pools import Field, fields
from langchain_optscale.answers import MostProbable
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.stopping import optscale
from langchain_optscale.stopping.allocation import Offer, value_of_next, wave
from langchain_optscale.stopping.objective import Effort
from langchain_optscale.stopping.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.evaluation.pools import Question

BUDGETS = (2, 3, 4, 6, 8)
EARLIER = {
    ("gsm8k_logprob_x16_a", 4): {"budget": 49.0, "equal n": 45.7},
    ("gsm8k_logprob_x16_a", 6): {"budget": 53.3, "equal n": 49.7},
    ("math_level3_gpt4omini_x5", 2): {"budget": 87.8, "equal n": 84.3},
}
"""By pool and candidates a question: points of accuracy, each a mean over three orders."""
EARLIER_ORDERS = 3
OTHER_ORDERS = 1000
"""What is added to the seed for orders that have nothing in common."""
LOG_PROBABILITIES = frozenset({"gsm8k_logprob_x16_a"})

Counts = list[int]
Batch = list["Question"]


def shared(batch: Batch, cap: int, budget: int) -> Counts:
    """How many candidates each question gets of a budget of `budget` candidates for all."""
    rule = optscale(None, price=1e-9, max_samples=cap)
    sessions = [Session(rule, max_samples=cap, interim_draws=False) for _ in batch]
    counts = [0] * len(batch)

    def draw(index: int, more: int) -> None:
        sessions[index].adopt(more)
        for place in range(counts[index], counts[index] + more):
            sample = batch[index].samples[place]
            sessions[index].tell(place, Verdict(sample.score or 0.0), answer=sample.answer)
        counts[index] += more

    for index in range(len(batch)):
        draw(index, 1)
    offers = {index: Offer(index, value_of_next(one.history)) for index, one in enumerate(sessions)}
    while chosen := wave(list(offers.values()), budget - sum(counts), len(batch)):
        for index in chosen:
            draw(index, 1)
            offers[index] = Offer(index, value_of_next(sessions[index].history))
        for index in [index for index in chosen if sessions[index].decision.stop]:
            del offers[index]
    return counts


def per_question(batch: Batch, cap: int, effort: Effort) -> Counts:
    """How many candidates the default rule draws of each question alone."""
    method = SessionMethod(optscale(None, effort=effort, max_samples=cap), "per question", round_size=1)
    return [method.run(question, cap).drawn for question in batch]


def uab(batch: Batch, cap: int, budget: int) -> Counts:
    """UAB's numbers: greedy, hence exact, for the concave sum of 1 - (1 - p)^n."""
    chances = [question.samples[0].score or 0.0 for question in batch]
    counts = [1] * len(batch)
    queue = [(-chance * (1.0 - chance), index) for index, chance in enumerate(chances)]
    heapq.heapify(queue)
    for _ in range(budget - len(batch)):
        _, index = heapq.heappop(queue)
        counts[index] += 1
        if counts[index] < cap:
            heapq.heappush(queue, (-chances[index] * (1.0 - chances[index]) ** counts[index], index))
    return counts


def worth(field: Field, batch: Batch, counts: Counts, select: Any = None) -> NDArray[np.float64]:
    """What is returned of so many samples is worth, by question."""
    chosen = [place_of(select or MostProbable(), one.samples[:n]) for one, n in zip(batch, counts, strict=True)]
    return np.array([field.value(one, place) for one, place in zip(batch, chosen, strict=True)])


def batches(field: Field, orders: int) -> Iterator[Batch]:
    """The questions of a pool in each order of their samples."""
    for order in range(orders):
        yield [question for _, question in field.trials[order::orders]]


def difference(ours: Sequence[NDArray[np.float64]], theirs: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Both means, and their difference with its standard error over questions."""
    each = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
    error = float(each.std(ddof=1) / math.sqrt(len(each)))
    return {
        "budget": float(np.mean(ours)),
        "other": float(np.mean(theirs)),
        "difference": float(each.mean()),
        "error": error,
        "low": float(each.mean()) - 1.96 * error,
        "high": float(each.mean()) + 1.96 * error,
    }


def of_pool(
    field: Field, orders: int, against: str | None = None, other: Field | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of one pool; `other` is the same in other orders."""
    every = list(batches(field, orders))
    others = [] if other is None else list(batches(other, orders))
    for each in BUDGETS if against != "per question" else ():
        if each >= field.cap:
            continue
        ours = [worth(field, one, shared(one, field.cap, each * len(one))) for one in every]
        row = {"pool": field.name, "kind": field.kind, "samples_a_question": each}
        yield row | {"against": "equal n"} | difference(ours, [worth(field, one, [each] * len(one)) for one in every])
        if field.name in LOG_PROBABILITIES:
            numbers = [uab(one, field.cap, each * len(one)) for one in every]
            for name, select in (("UAB, vote", "vote"), ("UAB, our selection", None)):
                theirs = [worth(field, one, n, select) for one, n in zip(every, numbers, strict=True)]
                yield row | {"against": name} | difference(ours, theirs)
    for effort in get_args(Effort) if against != "equal" else ():
        alone = [per_question(one, field.cap, effort) for one in every]
        ours = [worth(field, one, shared(one, field.cap, sum(n))) for one, n in zip(every, alone, strict=True)]
        theirs = [worth(field, one, n) for one, n in zip(every, alone, strict=True)]
        row = {"pool": field.name, "kind": field.kind, "samples_a_question": float(np.mean(alone))}
        yield row | {"against": f"per question, {effort}"} | difference(ours, theirs)
        if other is not None:
            again = [worth(field, one, shared(one, field.cap, sum(n))) for one, n in zip(others, alone, strict=True)]
            yield row | {"against": f"by chance, {effort}"} | difference(ours, again)


def placed(values: NDArray[np.float64], given: float) -> dict[str, float]:
    """The mean over orders, the standard deviation of a mean over three, and how many of these a figure is away."""
    deviation = float(values.std(ddof=1) / math.sqrt(EARLIER_ORDERS))
    mean = float(values.mean())
    return {"earlier": given, "mean": mean, "deviation_of_three": deviation, "z": (given - mean) / deviation}


def of_earlier(field: Field, orders: int) -> Iterator[dict[str, Any]]:
    """The figures that were measured earlier on a pool, by many orders, by the default's selection and by votes."""
    every = list(batches(field, orders))
    for (name, each), given in EARLIER.items():
        if name != field.name:
            continue
        counts = [shared(one, field.cap, each * len(one)) for one in every]
        for select in (None, "vote"):
            ours = [worth(field, one, n, select) for one, n in zip(every, counts, strict=True)]
            theirs = [worth(field, one, [each] * len(one), select) for one in every]
            ways = {"budget": ours, "equal n": theirs}
            points = {way: 100.0 * np.mean(rows, axis=1) for way, rows in ways.items()}
            row = {"pool": name, "samples_a_question": each, "select": select or "the default's", "orders": orders}
            row |= {way: placed(values, given[way]) for way, values in points.items()}
            gain = placed(points["budget"] - points["equal n"], given["budget"] - given["equal n"])
            yield row | {"difference": gain, "over_questions": difference(ours, theirs)}


def smallest_p(rows: Sequence[dict[str, Any]]) -> float | None:
    """The one-sided p-value, after Holm's correction for all rows, of the row that is lowest for its error."""
    known = [row["difference"] / row["error"] for row in rows if row["error"] > 0.0]
    return min(1.0, len(known) * float(stats.norm.cdf(min(known)))) if known else None


def summary(rows: Sequence[dict[str, Any]], against: str) -> dict[str, Any]:
    """The mean difference over pools, every row alike, with an interval over pools; and the rows that fall short."""
    mine = [row for row in rows if row["against"].startswith(against)]
    by_pool = [
        np.mean([row["difference"] for row in mine if row["pool"] == name]) for name in {r["pool"] for r in mine}
    ]
    mean = float(np.mean(by_pool))
    error = float(np.std(by_pool, ddof=1) / math.sqrt(len(by_pool))) if len(by_pool) > 1 else None
    short = [row for row in mine if row["difference"] < -row["error"]]
    return {
        "against": against,
        "pools": len(by_pool),
        "rows": len(mine),
        "rows_without_any_difference": sum(row["error"] == 0.0 for row in mine),
        "difference": mean,
        "low": None if error is None else mean - 1.96 * error,
        "high": None if error is None else mean + 1.96 * error,
        "expected_below": float(stats.norm.cdf(-1.0)) * sum(row["error"] > 0.0 for row in mine),
        "smallest_p_after_holm": smallest_p(mine),
        "below_by_more_than_one_error": [f"{row['pool']} at {row['samples_a_question']:.1f}" for row in short],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=4, help="orders of each question's samples (default 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pool", default="", help="only pools whose name contains this")
    parser.add_argument("--earlier", action="store_true", help="figures measured earlier, alone")
    parser.add_argument("--against", choices=["equal", "per question"], help="only what is compared with this")
    given = parser.parse_args(arguments)
    if given.earlier:
        named = sorted({name for name, _ in EARLIER if given.pool in name})
        known_fields = (field for name in named for field in fields(given.orders, given.seed, name))
        rows = [row for field in known_fields for row in of_earlier(field, given.orders)]
        print(json.dumps({"benchmark": "batch_budget --earlier", "rows": rows}, indent=1))
        return
    seeds = (given.seed, given.seed + OTHER_ORDERS)
    pairs = zip(*(fields(given.orders, seed, given.pool) for seed in seeds), strict=True)
    rows = [row for field, other in pairs for row in of_pool(field, given.orders, given.against, other)]
    known = ("equal n", "per question", "by chance", "UAB, vote", "UAB, our selection")
    totals = [summary(rows, name) for name in known if any(row["against"].startswith(name) for row in rows)]
    document = {"benchmark": "batch_budget", "orders": given.orders, "seed": given.seed}
    print(json.dumps(document | {"summary": totals, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
