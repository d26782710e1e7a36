"""The nodes of the graph.

A node that calls a model is written once, as a generator that yields jobs and is sent their outcomes; a sync and an
async driver run the jobs.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.errors import NodeTimeoutError
from langgraph.types import Command

from langchain_optscale.engine.failing import failure_in
from langchain_optscale.engine.jobs import Done, Draw, Job, Verify
from langchain_optscale.errors import EmptyCandidateError
from langchain_optscale.graph.compact import short_candidate, short_verdict
from langchain_optscale.graph.events import Events
from langchain_optscale.graph.state import candidate_in, candidates_in, record_in
from langchain_optscale.graph.tasks import Task, failures_update, read_state, runtime_of, send
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.retry import is_rejection, may_be_the_number
from langchain_optscale.records.failures import Raised, failure_of

if TYPE_CHECKING:
    from langgraph.errors import NodeError
    from langgraph.runtime import Runtime

    from langchain_optscale.graph.context import SettingsCache
    from langchain_optscale.graph.retries import Retries
    from langchain_optscale.records.candidates import Failure, Verdict

__all__ = ["JobNode", "Step", "candidate", "draw", "record_timeout"]

# Yields jobs, is sent their outcomes, and returns what the node returns.
Flow: TypeAlias = Generator[Job, Any, Command[Any] | dict[str, Any]]


class Step(Runnable[Any, Any]):
    """A node or an edge without I/O: one function for the sync and the async path.

    Args:
        function: Takes the state, the config, LangGraph's runtime, and `is_async`.
        is_slow: Whether it may take seconds, as comparing answers does; it then runs off the event loop.
    """

    def __init__(self, function: Callable[..., Any], is_slow: Callable[..., bool]) -> None:
        self._function = function
        self._is_slow = is_slow
        self.name = getattr(function, "__name__", None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the function."""
        config = config or ensure_config()
        return self._function(input, config, runtime_of(config), is_async=False)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the function on the event loop, or in a thread where it is slow."""
        config = config or ensure_config()
        runtime = runtime_of(config)
        if self._is_slow(input, config, runtime):
            return await run_in_thread(partial(self._function, input, config, runtime, is_async=True))
        return self._function(input, config, runtime, is_async=True)


class JobNode(Runnable[Any, Any]):
    """A node that draws or verifies: runs the jobs of a flow."""

    def __init__(self, flow: Callable[[Task], Flow], settings: SettingsCache, retries: Retries) -> None:
        self._flow = flow
        self.name = getattr(flow, "__name__", None)
        self._settings = settings
        self._retries = retries

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the jobs one after the other."""
        task = Task(input, config or ensure_config(), self._settings, self._retries)
        flow = self._flow(task)
        outcome: Done | Raised | None = None
        cancelled = threading.Event()
        while True:
            try:
                job = flow.send(outcome)
            except StopIteration as end:
                return end.value
            try:
                outcome = task.executor.run_once(job, cancelled)
            except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
                outcome = Raised(error, task.attempt)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """As `invoke`, no job past the deadline; cancelling closes the request under way."""
        task = Task(input, config or ensure_config(), self._settings, self._retries)
        try:
            return await self._drive(task)
        finally:
            task.close()

    async def _drive(self, task: Task) -> Any:
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
                # A library that cancelled the task by itself has failed; other cancellations go on.
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
                outcome = Raised(TimeoutError("the request was cancelled by a library that it calls"), task.attempt)
            except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
                task.timed_out = limit.expired()
                error = TimeoutError("no answer before the search's deadline") if task.timed_out else error
                outcome = Raised(error, task.attempt)


def draw(task: Task) -> Flow:
    """Draw several candidates in one request; each is then verified by a task of its own."""
    indexes = tuple(task.arguments["indexes"])
    outcome: Done | Raised = yield Draw(indexes)
    if isinstance(outcome, Raised):
        if task.sampler.may_fall_back and may_be_the_number(outcome.error):
            # A rejecting server may accept fewer choices; any other cause shows in a single call.
            fewer = _fewer_choices(task, len(indexes) // 2 if is_rejection(outcome.error) else 1)
            return Command(update={"optscale": fewer}, goto=task.send_requests(indexes))
        if task.should_retry(outcome.error):
            raise outcome.error
        failure, seconds = failure_in(task.settings, "draw", outcome), task.elapsed_s
        update = task.failed(dict.fromkeys(indexes, (failure, seconds)))
        return Command(update={"optscale": update}, goto="decide")
    drawn = outcome.value[: len(indexes)]
    candidates: list[dict[str, Any]] = []
    failed: dict[int, tuple[Failure, float]] = {}
    sends = []
    for index, choice in zip(indexes, drawn, strict=False):
        candidate, problem = task.receive(index, choice, outcome.seconds)
        candidates.append(short_candidate(candidate.to_dict()))
        if problem is None:
            sends.append(task.send(index))
        else:
            failed[index] = (problem, outcome.seconds)
    update = {**({"candidates": candidates} if candidates else {}), **task.failed(failed)}
    if missing := indexes[len(drawn) :]:
        update |= _fewer_choices(task, 1)
        sends += task.send_requests(missing)
    else:
        task.sampler.record_success(len(indexes))
    return Command(update={"optscale": update}, goto=sends or "decide")


def candidate(task: Task) -> Flow:
    """Draw one candidate, unless the state has it already, and verify it."""
    index = task.arguments["index"]
    update: dict[str, Any] = {}

    def failed(failure: Failure) -> dict[str, Any]:
        return {"optscale": {**update, **task.failed({index: (failure, task.elapsed_s)})}}

    stored = candidate_in(task.record, index)
    if stored is not None:
        drawn = task.read(stored)
    else:
        outcome: Done | Raised = yield Draw((index,))
        if isinstance(outcome, Done) and not outcome.value:
            outcome = Raised(EmptyCandidateError("the policy's response contains no choices"), task.attempt)
        if isinstance(outcome, Raised):
            if task.should_retry(outcome.error):
                raise outcome.error
            return failed(failure_in(task.settings, "draw", outcome))
        drawn, problem = task.receive(index, outcome.value[0], outcome.seconds)
        update["candidates"] = [short_candidate(drawn.to_dict())]
        if problem is not None:
            return failed(problem)
    outcome = yield Verify(drawn)
    if isinstance(outcome, Raised):
        if task.should_retry(outcome.error):
            if stored is not None:
                raise outcome.error
            # A retry of this task would draw again: store the candidate, and retry in a task that only verifies.
            verify_only = send("candidate", {"index": index, "tried": task.attempt}, task.left_s)
            return Command(update={"optscale": update}, goto=verify_only)
        return failed(failure_in(task.settings, "verify", outcome))
    verdict: Verdict = outcome.value
    task.events.verdict(index, verdict)
    update["verdicts"] = [[index, short_verdict({**verdict.to_dict(), "raw": _plain(verdict.raw)})]]
    update["seconds"] = [[index, task.elapsed_s if stored is None else drawn.latency_s + task.elapsed_s]]
    return {"optscale": update}


def record_timeout(
    arguments: Mapping[str, Any], error: NodeError, config: RunnableConfig, runtime: Runtime[Any]
) -> Command[Any]:
    """Record the candidates of a task as failed whose attempts all exceeded `timeout`."""
    cause = error.error
    if not isinstance(cause, NodeTimeoutError):
        raise cause
    drawn = candidates_in(record_in(read_state(config, "optscale")))
    failed = {
        index: (
            failure_of("verify" if index in drawn else "draw", Raised(cause, 1)),
            (drawn[index]["latency_s"] if index in drawn else 0.0) + cause.elapsed,
        )
        for index in arguments.get("indexes") or [arguments["index"]]
    }
    return Command(update={"optscale": failures_update(Events(runtime.stream_writer), failed)}, goto="decide")


def _fewer_choices(task: Task, to: int) -> dict[str, Any]:
    """Ask for fewer choices a request from now on."""
    task.sampler.fall_back(to)
    return {"search": {"choices": task.sampler.max_choices}}


def _plain(value: Any) -> Any:
    """A verifier's raw answer where it is JSON-ready, else its repr."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
