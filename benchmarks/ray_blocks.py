"""What a worker of `map_dataset` loses at the end of each block of questions, by the size of the blocks.

A worker begins a block when the last question of the one before has ended, and until then some of its requests stand
idle. Here one worker, as it runs in Ray's actors, answers the same questions in blocks of 1 to 32 times its requests.
The model takes random times (lognormal, half as long as the mean in standard deviation) and answers by its seed, so
that the answers do not depend on the blocks. Needs Ray's Arrow; prints JSON.

    python -m benchmarks.ray_blocks

Columns: the questions a second as a share of those of one single block, measured, and as the times of the requests
alone would have it, on a machine with nothing else to do; when the first rows are known, in seconds; the most requests
under way; whether the answers are those of the single block.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import random
import time
from typing import TYPE_CHECKING, Any

from benchmarks.instant_policy import InstantPolicy, score_of
from langchain_optscale import OptScale
from langchain_optscale.distributed.worker import Answering, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

SIZES = (1, 2, 4, 8, 16, 32)
_SPREAD = math.sqrt(math.log(1.25))


def seconds_of(question: str, seed: int) -> float:
    """How long a request takes, as a multiple of the mean."""
    return random.Random(f"{question} {seed}").lognormvariate(-0.5 * _SPREAD**2, _SPREAD)


def by_requests(lengths: Sequence[float], block: int, requests: int) -> float:
    """How long questions of these lengths take by blocks of so many, each begun when the one before has ended."""
    total = 0.0
    for start in range(0, len(lengths), block):
        free = [0.0] * requests
        for length in lengths[start : start + block]:
            heapq.heapreplace(free, free[0] + length)
        total += max(free)
    return total


class SlowPolicy(InstantPolicy):
    """Takes a random time, and counts the requests under way."""

    mean_s: float = 0.1
    under_way: list[int]
    most: list[int]

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.under_way.append(1)
        self.most[:] = [max(len(self.under_way), *self.most, 0)]
        await asyncio.sleep(self.mean_s * seconds_of(messages[-1].text, kwargs.get("seed", 0)))
        self.under_way.pop()
        return self._generate(messages, stop, None, **kwargs)


def answered(questions: Sequence[dict[str, str]], block: int, requests: int, mean_s: float) -> dict[str, Any]:
    """How one worker answers the questions by blocks of so many."""
    import pyarrow as pa

    policy = SlowPolicy(mean_s=mean_s, under_way=[], most=[])
    search = OptScale(policy=policy, verifier=score_of, max_samples=8, first_round=1, round_size=1, seed=0)
    worker = Answering(Plan(search, requests, None, {}, None, None, 20))
    rows: list[dict[str, Any]] = []
    first = 0.0
    began = time.perf_counter()
    for start in range(0, len(questions), block):
        rows += worker(pa.Table.from_pylist(list(questions[start : start + block]))).to_pylist()
        first = first or time.perf_counter() - began
    elapsed = time.perf_counter() - began
    return {
        "block": block,
        "questions_a_second": len(rows) / elapsed,
        "first_rows_s": first,
        "most_under_way": policy.most[0],
        "answers": {row["id"]: (row["answer"], row["drawn"]) for row in rows},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=512)
    parser.add_argument("--requests", type=int, default=4, help="under way at once (default 4)")
    parser.add_argument("--seconds", type=float, default=0.1, help="the mean time of a request (default 0.1)")
    given = parser.parse_args(arguments)
    questions = [{"id": f"q{i:06}", "prompt": f"question {i}"} for i in range(given.questions)]
    answered(questions[:8], 8, given.requests, 0.0)  # what is loaded at first
    whole = answered(questions, given.questions, given.requests, given.seconds)
    drawn = {id_: count for id_, (_, count) in whole["answers"].items()}
    lengths = [sum(seconds_of(one["prompt"], seed) for seed in range(drawn[one["id"]])) for one in questions]
    ideal = by_requests(lengths, given.questions, given.requests)
    rows = []
    for size in SIZES:
        row = answered(questions, size * given.requests, given.requests, given.seconds)
        row["times_the_requests"] = size
        row["share"] = row["questions_a_second"] / whole["questions_a_second"]
        row["share_by_requests"] = ideal / by_requests(lengths, row["block"], given.requests)
        row["same_answers"] = row.pop("answers") == whole["answers"]
        rows.append(row)
    del whole["answers"]
    print(json.dumps({"benchmark": "ray_blocks", **vars(given), "single_block": whole, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
