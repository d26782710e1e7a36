"""What the engine costs beside the calls themselves: 1,000 candidates against bare `asyncio.gather` of the same calls.

The server runs in a process of its own; both sides make 1,000 calls of the same chat model, as many at once, and score
each answer by the same function. They take turns in one process, so that the ratio does not depend on how busy the
machine is. CPU time is that of this process.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.chaos import model_at
from langchain_optscale import OptScale
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.chaos_server import served_apart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_core.language_models import BaseChatModel

    from langchain_optscale.records.candidates import Candidate

CANDIDATES, AT_ONCE, TURNS = 1000, 100, 7


async def score(prompt: object, candidate: Candidate) -> float:
    """The verifier: the answer says its own score."""
    return float(candidate.text)


async def gathered(model: BaseChatModel) -> int:
    """The calls and nothing else."""
    place = asyncio.Semaphore(AT_ONCE)

    async def call(number: int) -> float:
        async with place:
            return float((await model.ainvoke("question", seed=number)).text)

    return len(await asyncio.gather(*(call(number) for number in range(CANDIDATES))))


async def searched(model: BaseChatModel) -> int:
    """One search for as many candidates, with an estimate and a decision after each."""
    search = OptScale(
        policy=model,
        verifier=score,
        stopping=MaxSamples(CANDIDATES),
        first_round=CANDIDATES,
        fanout="calls",
        seed=0,
    )
    return len((await search.ainvoke("question", {"max_concurrency": AT_ONCE})).scores)


async def timed(work: Callable[[BaseChatModel], Awaitable[int]], model: BaseChatModel) -> tuple[float, float]:
    """Seconds of wall time and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    if await work(model) != CANDIDATES:
        raise RuntimeError("not every call was answered")
    return time.perf_counter() - wall, time.process_time() - cpu


async def measure(base_url: str) -> dict[str, Any]:
    """The figures."""
    async with model_at(base_url) as model:
        return await compare(model)


async def compare(model: BaseChatModel) -> dict[str, Any]:
    """Both by turns."""
    for work in (gathered, searched):
        await work(model)
    bare, engine = [], []
    for _ in range(TURNS):
        bare.append(await timed(gathered, model))
        engine.append(await timed(searched, model))
    bare_wall, bare_cpu = (statistics.median(column) for column in zip(*bare, strict=True))
    wall, cpu = (statistics.median(column) for column in zip(*engine, strict=True))
    return {
        "benchmark": "overhead",
        "candidates": CANDIDATES,
        "at_once": AT_ONCE,
        "gather_wall_s": bare_wall,
        "search_wall_s": wall,
        "wall_ratio": statistics.median(ours[0] / theirs[0] for ours, theirs in zip(engine, bare, strict=True)),
        "extra_cpu_ms_per_candidate": statistics.median(
            (ours[1] - theirs[1]) / CANDIDATES * 1e3 for ours, theirs in zip(engine, bare, strict=True)
        ),
        "gather_cpu_ms_per_candidate": bare_cpu / CANDIDATES * 1e3,
        "search_cpu_ms_per_candidate": cpu / CANDIDATES * 1e3,
    }


def main() -> None:
    """Print the figures."""
    with served_apart() as base_url:
        print(json.dumps(asyncio.run(measure(base_url))))


if __name__ == "__main__":
    main()
