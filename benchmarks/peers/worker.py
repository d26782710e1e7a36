"""One method over one pool, in a process of its own: `python -m benchmarks.peers.worker JOB.json RESULT.json`.

The process measures itself: seconds and processor time of starting (imports and one question to warm up, which is
another run to the server) and of the questions. It cannot connect to anything but loopback.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.methods import METHODS, Task
from benchmarks.recorded_pool import RecordedPool
from langchain_optscale.evaluation.pools import read_pool

if TYPE_CHECKING:
    from benchmarks.peers.methods import Answerer

__all__ = ["run"]

WARM_UP = ":warm-up"
_LOOPBACK = ("127.0.0.1", "::1", "localhost", None)


def run(job: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    """Answer the questions of a job.

    Args:
        job: "method", "pool" (a path), "questions" (how many from the start), "base_url", "run", "cap" and "target".
        refused: Connections that were asked for and are not on loopback; filled by the caller.

    Returns:
        "version", "answers" (one a question: the text, or None), "errors", "startup_s", "startup_cpu_s", "wall_s",
        "cpu_s", "refused_connections".
    """
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    method = next(method for method in METHODS if method.name == job["method"])
    pool = read_pool(job["pool"])
    recorded = RecordedPool(pool)

    def task(name: str) -> Task:
        return Task(recorded, job["base_url"], name, job["cap"], job["target"])

    with method.open(task(job["run"] + WARM_UP)) as answer:
        answer(pool.questions[0].prompt)
    with method.open(task(job["run"])) as answer:
        ready, cpu_ready = time.perf_counter(), _cpu_seconds()
        outcomes = [_outcome(answer, question.prompt) for question in pool.questions[: job["questions"]]]
        done, cpu_done = time.perf_counter(), _cpu_seconds()
    return {
        "version": version(method.distribution),
        "answers": [text for text, _ in outcomes],
        "errors": [error for _, error in outcomes if error],
        "startup_s": ready - began,
        "startup_cpu_s": cpu_ready - cpu_began,
        "wall_s": done - ready,
        "cpu_s": cpu_done - cpu_ready,
        "refused_connections": sorted(set(refused)),
    }


def _outcome(answer: Answerer, question: str) -> tuple[str | None, str | None]:
    """The answer or what went wrong: one question that a peer fails at must not hide the others."""
    try:
        return answer(question), None
    except Exception as error:  # noqa: BLE001 - a peer may raise anything
        return None, f"{type(error).__name__}: {error}"[:300]


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def stay_on_loopback() -> list[str]:
    """Refuse, from now on and in this process, to connect to or look up other hosts; returns the list of refusals."""
    refused: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        elif event == "socket.getaddrinfo":
            host = arguments[0]
        else:
            return
        host = host.decode() if isinstance(host, bytes) else host
        if host not in _LOOPBACK:
            refused.append(f"{event} {host}")
            raise PermissionError(f"this benchmark stays on loopback: {event} {host}")

    sys.addaudithook(watch)
    return refused


if __name__ == "__main__":
    refused_connections = stay_on_loopback()
    result = run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), refused_connections)
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
