"""Many short questions through the local engine, with a model that answers at once: memory and candidates a second.

    python -m benchmarks.million_questions --questions 1000000

The questions come from a generator and results are dropped, as `batch_as_completed` allows. Prints JSON: candidates a
second, and the resident memory after each hundredth of the questions. Its slope is that of a straight line through the
readings after the first tenth, in MB for 100,000 questions, with an interval of 95 % by resampling blocks of ten
readings, which depend on each other.
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

import numpy as np

from benchmarks.instant_policy import InstantPolicy, score_of
from langchain_optscale import OptScale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READINGS, BLOCK, RESAMPLES = 100, 10, 2000


def resident_mb() -> float:
    """Resident memory of this process in MB, as Linux reports it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def questions(count: int) -> Iterator[str]:
    """Short questions."""
    for number in range(count):
        yield f"What is {number} + 1?"


def slope(numbers: Sequence[int], memory: Sequence[float], seed: int = 0) -> list[float]:
    """MB for each 100,000 questions, and its interval of 95 %: residuals of a line, resampled by blocks."""
    at, mb = np.array(numbers) / 1e5, np.array(memory)
    line = np.polyfit(at, mb, 1)
    residuals = mb - np.polyval(line, at)
    source = np.random.default_rng(seed)
    starts = source.integers(0, len(at) - BLOCK + 1, (RESAMPLES, -(-len(at) // BLOCK)))
    places = (starts[..., None] + np.arange(BLOCK)).reshape(RESAMPLES, -1)[:, : len(at)]
    slopes = [np.polyfit(at, np.polyval(line, at) + residuals[one], 1)[0] for one in places]
    return [float(line[0]), *map(float, np.quantile(slopes, (0.025, 0.975)))]


async def measure(count: int, samples: int) -> dict[str, Any]:
    """The figures."""
    search = OptScale(policy=InstantPolicy(), verifier=score_of, seed=0, max_samples=samples)
    done = candidates = 0
    memory: list[float] = []
    numbers: list[int] = []
    began, cpu_began = time.perf_counter(), time.process_time()
    async with aclosing(search.abatch_as_completed(questions(count))) as completed:
        async for _, result in completed:
            assert not isinstance(result, Exception)  # noqa: S101 - else it would have been raised
            done += 1
            candidates += len(result.candidates)
            if done % max(1, count // READINGS) == 0:
                memory.append(resident_mb())
                numbers.append(done)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "benchmark": "million_questions",
        "questions": done,
        "candidates": candidates,
        "seconds": seconds,
        "candidates_a_second": candidates / seconds,
        "candidates_a_cpu_second": candidates / cpu_seconds,
        "questions_a_second": done / seconds,
        "resident_mb": memory[9::10],
        "growth_since_first_tenth": memory[-1] / memory[9] - 1.0,
        "mb_for_100000_questions": slope(numbers[9:], memory[9:]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=1_000_000, help="at least 100")
    parser.add_argument("--max-samples", type=int, default=8)
    given = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(measure(given.questions, given.max_samples)), indent=1))


if __name__ == "__main__":
    main()
