"""Many short questions through the local engine, with a model that answers at once: memory and candidates a second.

    python -m benchmarks.million_questions --questions 1000000

The questions come from a generator and results are dropped, as `batch_as_completed` allows. Prints JSON: candidates a
second, and the resident memory after each tenth of the questions and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.instant_policy import InstantPolicy, score_of
from langchain_optscale import OptScale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def resident_mb() -> float:
    """Resident memory of this process in MB, as Linux reports it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def questions(count: int) -> Iterator[str]:
    """Short questions."""
    for number in range(count):
        yield f"What is {number} + 1?"


async def measure(count: int, samples: int) -> dict[str, Any]:
    """The figures."""
    search = OptScale(policy=InstantPolicy(), verifier=score_of, seed=0, max_samples=samples)
    done = candidates = 0
    memory: list[float] = []
    began, cpu_began = time.perf_counter(), time.process_time()
    async with aclosing(search.abatch_as_completed(questions(count))) as completed:
        async for _, result in completed:
            assert not isinstance(result, Exception)  # noqa: S101 - else it would have been raised
            done += 1
            candidates += len(result.candidates)
            if done % max(1, count // 10) == 0:
                memory.append(resident_mb())
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "benchmark": "million_questions",
        "questions": done,
        "candidates": candidates,
        "seconds": seconds,
        "candidates_a_second": candidates / seconds,
        "candidates_a_cpu_second": candidates / cpu_seconds,
        "questions_a_second": done / seconds,
        "resident_mb": memory,
        "growth_since_first_tenth": memory[-1] / memory[0] - 1.0,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--max-samples", type=int, default=8)
    given = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(measure(given.questions, given.max_samples)), indent=1))


if __name__ == "__main__":
    main()
