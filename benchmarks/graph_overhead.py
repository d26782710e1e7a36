"""The graph's CPU time compared with `OptScale.ainvoke`: 32 candidates in rounds of 8, without a checkpointer.

The policy answers at once from memory, so that nothing hides the overhead; a real request adds milliseconds of CPU time
to both. Both run alternately in one process, so that their ratio does not depend on the load of the machine.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from benchmarks.instant_policy import InstantPolicy, score_of
from langchain_optscale import OptScale, OptScaleResult, create_optscale_graph
from langchain_optscale.errors import OptScaleError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CANDIDATES = 32
ROUND = 8
REPEATS = 40
LIMIT = 2.0


async def cpu_seconds(call: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """CPU seconds of this process, all its threads included, and what the call returned."""
    began = time.process_time()
    value = await call()
    return time.process_time() - began, value


async def measure(fanout: str) -> dict[str, Any]:
    """Alternate the two, and compare."""
    settings: dict[str, Any] = {
        "policy": InstantPolicy(),
        "verifier": score_of,
        "target": 1.0,
        "confidence": 0.999,
        "max_samples": CANDIDATES,
        "first_round": ROUND,
        "round_size": ROUND,
        "price": 1e-9,  # so that all candidates are drawn,
        "round_cost": 1000.0,  # in rounds as large as they may be
        "seed": 0,
        "fanout": fanout,
    }
    search = OptScale(**settings)
    graph = create_optscale_graph(**settings).compile()
    plain: list[float] = []
    as_graph: list[float] = []
    for _ in range(REPEATS + 1):
        seconds, result = await cpu_seconds(lambda: search.ainvoke("What is it?"))
        plain.append(seconds)
        seconds, state = await cpu_seconds(lambda: graph.ainvoke({"messages": [HumanMessage("What is it?")]}))
        as_graph.append(seconds)
        ours = OptScaleResult.from_dict(state["optscale"])
        if not len(result.verdicts) == len(ours.verdicts) == CANDIDATES:
            raise OptScaleError(f"both must score {CANDIDATES} candidates")
    # The first of each imports and fills caches.
    ratios = [graph_s / plain_s for graph_s, plain_s in zip(as_graph[1:], plain[1:], strict=True)]
    return {
        "fanout": fanout,
        "optscale_cpu_ms": round(1000 * statistics.median(plain[1:]), 2),
        "graph_cpu_ms": round(1000 * statistics.median(as_graph[1:]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "within_limit": statistics.median(ratios) <= LIMIT,
    }


def main() -> None:
    """Print the figures as JSON."""
    figures = [asyncio.run(measure(fanout)) for fanout in ("calls", "n")]
    print(json.dumps({"benchmark": "graph_overhead", "candidates": CANDIDATES, "limit": LIMIT, "figures": figures}))


if __name__ == "__main__":
    main()
