"""2,000 searches against a server of which 30 % of all requests fail in every way a server can.

Policy and judge are both behind it. Checked for every search: it ended with its best verified candidate or with one
error that lists the causes, and no score that the judge gave is missing from its result. Checked at the end: no task,
thread or socket is left, and memory has not grown with the number of searches.

    python -m benchmarks.chaos [SEARCHES]
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale import AllCandidatesFailed, OptScale, Verdict, Verifier
from langchain_optscale.models.limits import SharedLimit
from tests.integration_tests.chaos_server import ChaosServer, chaos_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.records.candidates import Candidate

SEARCHES, RATE, AT_ONCE = 2000, 0.3, 60
_CACHE = type(functools.lru_cache(maxsize=1)(len))


@contextlib.asynccontextmanager
async def model_at(base_url: str, **settings: Any) -> AsyncIterator[BaseChatModel]:
    """A chat model whose connections are closed with the block."""
    from langchain_openai import ChatOpenAI
    from openai import DefaultAsyncHttpxClient

    async with DefaultAsyncHttpxClient(trust_env=False) as client:
        settings = {"model": "m", "api_key": "none", "max_retries": 0, "timeout": 60.0, **settings}
        yield ChatOpenAI(base_url=base_url, http_async_client=client, http_socket_options=(), **settings)


class Judge(Verifier):
    """Asks the server for the score of a candidate, and notes in `given` all that it has given."""

    def __init__(self, model: BaseChatModel, given: dict[tuple[str, int], float]) -> None:
        self._model = model
        self._given = given

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask, and keep the answer."""
        return self._read(prompt, candidate, self._model.invoke(self._question(prompt, candidate), config).text)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask, and keep the answer."""
        answer = await self._model.ainvoke(self._question(prompt, candidate), config)
        return self._read(prompt, candidate, answer.text)

    @staticmethod
    def _question(prompt: PromptValue, candidate: Candidate) -> str:
        return f"rate {prompt.to_string()} {candidate.index}: {candidate.text}"

    def _read(self, prompt: PromptValue, candidate: Candidate, text: str) -> Verdict:
        verdict = Verdict(float(text))
        self._given[prompt.to_string(), candidate.index] = verdict.score
        return verdict


def kinds(policy: BaseChatModel, judge: Judge) -> list[OptScale]:
    """Searches of several kinds, so that faults meet every way of drawing and of ending."""
    common: dict[str, Any] = {
        "policy": policy,
        "verifier": judge,
        "target": 0.97,
        "candidate_timeout_s": 2.0,
        "max_retries": 2,
        "policy_limit": SharedLimit(AT_ONCE),
        "seed": 0,
    }
    return [
        OptScale(**common, max_samples=8, first_round=4),
        OptScale(**common, max_samples=8, first_round=4, cancel="eager"),
        OptScale(**common, max_samples=6, first_round=6, fanout="calls", hedge_after_s=0.5),
        OptScale(**common, max_samples=12, round_size=3, token_budget=60),
        OptScale(**common, max_samples=12, round_size=4, max_failures=4),
        OptScale(**common, max_samples=16, first_round=8, deadline_s=2.0, cancel="eager"),
    ]


class Tally:
    """What came of the searches."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, int], float] = {}
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []

    def add(self, question: str, outcome: OptScaleResult | Exception) -> None:
        """Check one search."""
        given = {index: score for (asked, index), score in self.given.items() if asked == question}
        for index in given:
            del self.given[question, index]
        if isinstance(outcome, AllCandidatesFailed):
            self.ends["failed"] += 1
            if given or not (outcome.failures or "time is up" in str(outcome)):
                self.wrong.append(f"{question}: {outcome}, though {given} were scored")
        elif isinstance(outcome, Exception):
            self.wrong.append(f"{question}: {outcome!r}")
        else:
            self.ends[outcome.stop_reason.name] += 1
            kept = {index: verdict.score for index, verdict in outcome.verdicts.items()}
            if kept != given or outcome.score != max(given.values()):
                self.wrong.append(f"{question}: kept {kept}, given {given}")


async def search_all(searches: int, server: ChaosServer, tally: Tally, policies: list[OptScale], round_: int) -> None:
    """Run the searches, so many of each kind."""

    async def of_kind(number: int, search: OptScale) -> None:
        questions = [f"question {round_}/{i}" for i in range(number, searches, len(policies))]
        config: RunnableConfig = {"max_concurrency": AT_ONCE // len(policies)}
        completed = search.abatch_as_completed(questions, config, return_exceptions=True)
        async with contextlib.aclosing(completed):
            async for index, outcome in completed:
                tally.add(questions[index], outcome)

    await asyncio.gather(*(of_kind(number, search) for number, search in enumerate(policies)))


def _sockets() -> int:
    links = Path("/proc/self/fd")
    count = 0
    for link in links.iterdir() if links.exists() else ():
        with contextlib.suppress(OSError):
            count += "socket" in str(link.readlink())
    return count


def _memory_kb() -> float:
    """Resident memory, where the system reports it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((float(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0.0)


def _objects() -> int:
    """Objects that the collector knows of; what a cache of bounded size keeps is no leak, so these are emptied."""
    for kept in gc.get_objects():
        if isinstance(kept, _CACHE) and kept.cache_parameters()["maxsize"] is not None:
            kept.cache_clear()
    gc.collect()
    return len(gc.get_objects())


async def _settled(condition: Any, seconds: float = 20.0) -> bool:
    for _ in range(int(seconds / 0.02)):
        if condition():
            break
        await asyncio.sleep(0.02)
    return bool(condition())


async def storm(searches: int, server: ChaosServer) -> dict[str, Any]:
    """The searches, in two halves, and what they left behind."""
    memory, objects = [], []
    tally, tasks, busy = Tally(), 0, 0
    began = time.perf_counter()
    for half in range(2):
        # Clients of its own: connections that a client keeps for later are no leak; they are closed before the count.
        # The policy's own retries are switched off by the search; a verifier of one's own sees to its client itself.
        async with (
            model_at(server.base_url, max_retries=2) as policy,
            model_at(server.base_url, model="judge") as model,
        ):
            judge = Judge(model, tally.given)
            await search_all((searches + half) // 2, server, tally, kinds(policy, judge), half)
            tasks += len(asyncio.all_tasks()) - 1
            busy += 0 if await _settled(lambda: server.busy == 0) else server.busy
        del policy, model, judge
        await _settled(lambda: server.connections == 0)
        objects.append(_objects())
        memory.append(_memory_kb())
    seconds = time.perf_counter() - began
    ended = sum(tally.ends.values())
    half_of_them = max(1, (searches + 1) // 2)
    return {
        "benchmark": "chaos",
        "searches": ended,
        "requests": sum(server.met.values()),
        "requests_with_a_fault": 1 - server.met["whole"] / max(1, sum(server.met.values())),
        "ends": dict(tally.ends.most_common()),
        "wrong": len(tally.wrong),
        "wrong_first": tally.wrong[:3],
        "tasks_left": tasks,
        "requests_left_at_the_server": busy,
        "connections_left_at_the_server": server.connections,
        "objects_a_search": (objects[1] - objects[0]) / half_of_them,
        "memory_kb_a_search": (memory[1] - memory[0]) / half_of_them,
        "seconds": seconds,
    }


def run(searches: int, *, rate: float = RATE, seed: int = 0) -> dict[str, Any]:
    """All of it; what it prints."""
    with chaos_server(rate=rate, seed=seed, keep=False) as server:
        threads, sockets = threading.active_count(), _sockets()
        figures = asyncio.run(storm(searches, server))
        figures["threads_left"] = threading.active_count() - threads
        figures["sockets_left"] = _sockets() - sockets
    return figures


def main() -> None:
    """Print the figures."""
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else SEARCHES)))


if __name__ == "__main__":
    main()
