"""The capacity model of docs/scaling.md against a simulation of up to 1,000 workers.

    q = min( T / (s t),  workers * c / s,  L / (s (l + 1 / c)) )

questions a second: an endpoint with T tokens a second in streams of equal speed, s candidates of t tokens a question
one after another, c candidates a second that a worker's process handles, L requests under way at once over all workers.
The simulation has random lengths, one queue at the endpoint and one in each worker, and knows nothing of the formula.
Prints JSON: for each setting both numbers and their ratio.

    python -m benchmarks.capacity
"""

from __future__ import annotations

import heapq
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Setting:
    """A cluster and its work; `streams` answers are written at once, each at `speed` tokens a second."""

    workers: int
    in_flight: int
    streams: int
    speed: float = 40.0
    tokens: float = 200.0
    samples: int = 4
    handled: float = 500.0


SETTINGS = (
    Setting(1, 64, 256),
    Setting(1, 256, 64),
    Setting(4, 512, 1024),
    Setting(2, 8192, 8192, handled=200.0),
    Setting(64, 8192, 4096),
    Setting(1000, 32000, 16000),
    Setting(1000, 8000, 64000),
)


def predicted(setting: Setting) -> float:
    """Questions a second by the model."""
    seconds = setting.tokens / setting.speed
    return min(
        setting.streams / seconds / setting.samples,
        setting.workers * setting.handled / setting.samples,
        setting.in_flight / (seconds + 1.0 / setting.handled) / setting.samples,
    )


def simulated(setting: Setting, seconds: float = 60.0, seed: int = 0) -> float:
    """Questions a second in the second half of a simulated time, by events."""
    source = np.random.default_rng(seed)
    lengths = iter(source.gamma(2.0, setting.tokens / 2.0, 200_000).tolist() * 50)
    free_stream = [0.0] * setting.streams
    free_worker = [0.0] * setting.workers
    # Each slot asks for the candidates of one question after another: (time, slot, candidates that it has).
    slots = [(0.0, slot, slot % setting.samples) for slot in range(setting.in_flight)]
    done = 0
    while slots[0][0] < seconds:
        now, slot, drawn = heapq.heappop(slots)
        begin = max(now, heapq.heappop(free_stream))
        written = begin + next(lengths) / setting.speed
        heapq.heappush(free_stream, written)
        worker = slot % setting.workers
        free_worker[worker] = max(free_worker[worker], begin) + 1.0 / setting.handled
        ready = max(written, free_worker[worker])
        drawn += 1
        if drawn == setting.samples:
            done += seconds / 2.0 <= ready < seconds
            drawn = 0
        heapq.heappush(slots, (ready, slot, drawn))
    return done / (seconds / 2.0)


def main() -> None:
    """Print the figures."""
    rows: list[dict[str, Any]] = []
    for setting in SETTINGS:
        model, simulation = predicted(setting), simulated(setting)
        rows.append(asdict(setting) | {"model": model, "simulation": simulation, "ratio": simulation / model})
    print(json.dumps({"benchmark": "capacity", "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
