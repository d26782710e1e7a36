"""The steps of the loop.

What a step does to a model is written once, as a generator that asks for jobs and is sent what came of them; a sync
and an async driver do the jobs, each by its own means.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.errors import NodeTimeoutError
from langgraph.types import Command

from langchain_optscale.engine.jobs import Done, Draw, Job, Verify
from langchain_optscale.errors import EmptyCandidateError
from langchain_optscale.graph.compact import short_candidate, short_verdict
from langchain_optscale.graph.events import Events
from langchain_optscale.graph.state import candidates_in
from langchain_optscale.graph.tasks import Task, read_state, runtime_of, send
from langchain_optscale.models.retry import is_rejection
from langchain_optscale.records.failures import Raised, failure_of
from langchain_optscale.records.types import Candidate, Failure, Verdict

if TYPE_CHECKING:
    from langgraph.errors import NodeError
    from langgraph.runtime import Runtime

    from langchain_optscale.graph.context import Engines
    from langchain_optscale.graph.retries import Retries

__all__ = ["Sampling", "Step", "candidate", "draw", "give_up"]

# It is first sent None, as any generator is; from then on the outcome of the job that it asked for.
Flow: TypeAlias = Generator[Job, Any, Command[Any] | dict[str, Any]]


class Step(Runnable[Any, Any]):
    """A node or an edge that computes without waiting: one function for both paths, told which of them it is on.

    Args:
        function: Takes the state, the config, LangGraph's runtime, and whether it `waits` by awaiting.
        slow: Whether it may take long, as comparing answers does; it is then kept off the event loop.
    """

    def __init__(self, function: Callable[..., Any], slow: Callable[..., bool]) -> None:
        self._function = function
        self._slow = slow
        self.name = getattr(function, "__name__", None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Take the step in a thread."""
        config = config or ensure_config()
        return self._function(input, config, runtime_of(config), waits=False)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Take the step on the event loop, or in a thread where it may take long."""
        config = config or ensure_config()
        runtime = runtime_of(config)
        if self._slow(input, config, runtime):
            return await asyncio.to_thread(self._function, input, config, runtime, waits=True)
        return self._function(input, config, runtime, waits=True)


class Sampling(Runnable[Any, Any]):
    """A node that draws or verifies: drives a flow by threads on the sync path, by awaiting on the async one."""

    def __init__(self, flow: Callable[[Task], Flow], engines: Engines, retries: Retries) -> None:
        self._flow = flow
        self.name = getattr(flow, "__name__", None)
        self._engines = engines
        self._retries = retries

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Do the jobs one after the other, and wait for each."""
        task = Task(input, config or ensure_config(), self._engines, self._retries)
        flow = self._flow(task)
        outcome: Done | Raised | None = None
        give_up = threading.Event()
        while True:
            try:
                job = flow.send(outcome)
            except StopIteration as end:
                return end.value
            try:
                outcome = task.executor.run_once(job, give_up)
            except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
                outcome = Raised(error, task.attempt)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Do the jobs one after the other, none past the deadline; cancelling closes the request under way."""
        task = Task(input, config or ensure_config(), self._engines, self._retries)
        flow = self._flow(task)
        outcome: Done | Raised | None = None
        while True:
            try:
                job = flow.send(outcome)
            except StopIteration as end:
                return end.value
            limit = asyncio.timeout(task.left_s)
            try:
                async with limit:
                    outcome = await task.executor.arun_once(job)
            except asyncio.CancelledError:
                # A library below may cancel the task by itself; to the search that is a failure like any other.
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
                outcome = Raised(TimeoutError("cancelled from within"), task.attempt)
            except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
                task.late = limit.expired()
                outcome = Raised(TimeoutError("the deadline came first") if task.late else error, task.attempt)


def draw(task: Task) -> Flow:
    """Draw several candidates in one request; each is then verified by a task of its own."""
    indexes = tuple(task.words["indexes"])
    outcome: Done | Raised = yield Draw(indexes)
    if isinstance(outcome, Raised):
        seconds = task.spent_s
        if task.sampler.may_fall_back and is_rejection(outcome.error):
            # It may be that the server takes fewer at once; what else it may be, a single call will show.
            return Command(
                update={"optscale": _fewer_choices(task, len(indexes) // 2)}, goto=task.send_requests(indexes)
            )
        if task.worth_another_try(outcome.error):
            raise outcome.error
        failure = failure_of("draw", outcome)
        for index in indexes:
            task.events.failure(index, failure)
        update: dict[str, Any] = {
            "failures": [[index, asdict(failure)] for index in indexes],
            "seconds": [[index, seconds] for index in indexes],
        }
        return Command(update={"optscale": update}, goto="decide")
    drawn = outcome.value[: len(indexes)]
    update = {"candidates": [], "failures": [], "seconds": []}
    sends = []
    for index, choice in zip(indexes, drawn, strict=False):
        candidate, failed = task.receive(index, choice, outcome.seconds)
        update["candidates"].append(short_candidate(candidate.to_dict()))
        if failed is None:
            sends.append(task.send(index))
        else:
            task.events.failure(index, failed)
            update["failures"].append([index, asdict(failed)])
            update["seconds"].append([index, outcome.seconds])
    if missing := indexes[len(drawn) :]:
        update |= _fewer_choices(task, 1)
        sends += task.send_requests(missing)
    else:
        task.sampler.record_success(len(indexes))
    update = {name: value for name, value in update.items() if value}
    return Command(update={"optscale": update}, goto=sends or "decide")


def candidate(task: Task) -> Flow:
    """Draw one candidate, unless the state has it already, and verify it."""
    index = task.words["index"]
    update: dict[str, Any] = {}
    stored = candidates_in(task.record).get(index)
    if stored is not None:
        drawn = Candidate.from_dict(stored)
    else:
        outcome: Done | Raised = yield Draw((index,))
        if isinstance(outcome, Done) and not outcome.value:
            outcome = Raised(EmptyCandidateError("the policy gave no choice"), task.attempt)
        if isinstance(outcome, Raised):
            if task.worth_another_try(outcome.error):
                raise outcome.error
            return _failed(task, index, failure_of("draw", outcome), update)
        drawn, failed = task.receive(index, outcome.value[0], outcome.seconds)
        update["candidates"] = [short_candidate(drawn.to_dict())]
        if failed is not None:
            return _failed(task, index, failed, update)
    outcome = yield Verify(drawn)
    if isinstance(outcome, Raised):
        if task.worth_another_try(outcome.error):
            if stored is not None:
                raise outcome.error
            # A retry of this task would draw again. The candidate is kept, and a task that only verifies follows.
            verify_only = send("candidate", {"index": index, "tried": task.attempt}, task.left_s)
            return Command(update={"optscale": update}, goto=verify_only)
        return _failed(task, index, failure_of("verify", outcome), update)
    verdict: Verdict = outcome.value
    task.events.verdict(index, verdict)
    update["verdicts"] = [[index, short_verdict({**verdict.to_dict(), "raw": _plain(verdict.raw)})]]
    update["seconds"] = [[index, task.spent_s if stored is None else drawn.latency_s + task.spent_s]]
    return {"optscale": update}


def give_up(words: Mapping[str, Any], error: NodeError, config: RunnableConfig, runtime: Runtime[Any]) -> Command[Any]:
    """What becomes of a task whose tries all took longer than `timeout`: its candidates have failed."""
    cause = error.error
    if not isinstance(cause, NodeTimeoutError):
        raise cause
    drawn = candidates_in(read_state(config, "optscale")["optscale"])
    update: dict[str, Any] = {"failures": [], "seconds": []}
    for index in words.get("indexes") or [words["index"]]:
        failure = failure_of("verify" if index in drawn else "draw", Raised(cause, 1))
        Events(runtime.stream_writer).failure(index, failure)
        update["failures"].append([index, asdict(failure)])
        update["seconds"].append([index, (drawn[index]["latency_s"] if index in drawn else 0.0) + cause.elapsed])
    return Command(update={"optscale": update}, goto="decide")


def _fewer_choices(task: Task, to: int) -> dict[str, Any]:
    """The server does not give so many choices in one request: ask for fewer at once from now on."""
    task.sampler.fall_back(to)
    return {"search": {"choices": task.sampler.max_choices}}


def _failed(task: Task, index: int, failure: Failure, update: dict[str, Any]) -> dict[str, Any]:
    task.events.failure(index, failure)
    update |= {"failures": [[index, asdict(failure)]], "seconds": [[index, task.spent_s]]}
    return {"optscale": update}


def _plain(value: Any) -> Any:
    """A verifier's raw answer as a checkpoint can hold it: as it is where it is JSON-ready, else its repr."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
