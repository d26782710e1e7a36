"""The two drivers of a search: threads for the sync path, tasks for the async one.

Both start the jobs that the search hands out, wait for the first to finish, record its outcome, and cancel the rest
the moment the session stops. The sync driver never touches an event loop, the async driver never blocks one.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.executor import Executor, in_thread
from langchain_optscale.engine.jobs import Compare, Draw, Verify
from langchain_optscale.engine.priors import afind_prior, find_prior
from langchain_optscale.engine.recording import Recording
from langchain_optscale.engine.search import Search
from langchain_optscale.engine.tracing import has_callbacks, stream_writer, write_event
from langchain_optscale.engine.worker import Worker
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.failures import Raised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.allowance import Allowance
    from langchain_optscale.engine.jobs import Cancelled, Done, Job
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.models.limits import SharedLimit
    from langchain_optscale.stats.estimation import ScorePrior

__all__ = ["BatchControl", "arun_search", "max_concurrency", "run_search"]

_T = TypeVar("_T")

# A library below may cancel a task by itself; to the search that is a failure like any other.
_CANCELLED_FROM_WITHIN = Raised(TimeoutError("cancelled from within"), 1)


class BatchControl(Protocol):
    """What the searches of a batch share."""

    @property
    def limit(self) -> SharedLimit | None:
        """A limit on the requests of all of them, beside those of the settings."""

    @property
    def allowance(self) -> Allowance | None:
        """What this search may draw of a budget that they share; None without one."""

    @property
    def cancelled(self) -> threading.Event:
        """Set when the rest of the batch is cancelled."""

    @property
    def recurrent(self) -> Exception | None:
        """The error with which every search of the batch would fail, once it is known."""

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Within the block, `callback` is called when either happens."""


def run_search(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None = None,
    batch: BatchControl | None = None,
) -> OptScaleResult:
    """Search with threads.

    A request that is under way when the search ends is closed at its next chunk where it streams (`cancel="eager"`);
    else it cannot be interrupted from outside: it finishes in its thread, without a retry, and its result is dropped.
    Draws that are queued, or wait for a limit, are not started.

    Args:
        settings: What to search with.
        prompt: The conversation to answer.
        config: Callbacks, tags and metadata for the child runs; "max_concurrency" limits draws and verifications
            under way at once.
        call_kwargs: The caller's own arguments for the policy.
        batch: What this search shares with others.

    Raises:
        AllCandidatesFailed: No candidate could be scored.
        SettingsError: The settings do not fit the policy.
        InterruptedError: The batch was cancelled.
        Exception: The batch's recurrent error, where it has one and this search no score.
    """
    settings.verifier.check_sync()
    began = time.perf_counter()
    prior = find_prior(settings, prompt) if settings.prepared().has_question_prior else None
    search, worker, room = _begin(settings, prompt, config, call_kwargs, prior, began, batch)
    executor = Executor(worker, *((batch.limit, batch.cancelled) if batch else ()))
    session = search.session
    cancelled = {Draw: threading.Event(), Verify: threading.Event(), Compare: threading.Event()}
    under_way = {Draw: 0, Verify: 0, Compare: 0}
    # None only wakes the driver.
    finished: queue.SimpleQueue[tuple[Job, Done | Raised | Cancelled | BaseException] | None] = queue.SimpleQueue()

    def run(job: Job) -> None:
        try:
            finished.put((job, executor.run(job, cancelled[type(job)])))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for the job
            finished.put((job, error))

    def start(job: Job) -> None:
        under_way[type(job)] += 1
        in_thread(lambda: run(job))

    def record(job: Job, outcome: Done | Raised | Cancelled | BaseException) -> None:
        under_way[type(job)] -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, Raised) and not isinstance(outcome.error, Exception):
            raise outcome.error  # such as SystemExit: no failure of a candidate, but meant for our caller
        search.record_outcome(job, outcome)

    with contextlib.ExitStack() as leaving:
        leaving.callback(worker.close)
        writer = leaving.enter_context(stream_writer())
        search.emit_events |= writer is not None
        for event in cancelled.values():
            leaving.callback(executor.cancel, event)
        if batch is not None:
            leaving.enter_context(batch.on_cancel(lambda: finished.put(None)))
        while not search.over:
            hopeless = batch is not None and _check_batch(batch, search, verifying=under_way[Verify] > 0)
            if session.decision.stop:
                # Only verifications are waited for now: the draws that are under way take up no room.
                executor.cancel(cancelled[Draw])
            if search.comparing is not None:
                executor.cancel(cancelled[Verify])
                waited_for = under_way[Compare]
            else:
                waited_for = under_way[Verify] + (0 if session.decision.stop else under_way[Draw])
            for job in () if hopeless else search.take(room - waited_for):
                start(job)
            _emit(search, config, writer)
            try:
                item = finished.get(timeout=search.wait_s if session.deadlines else None)
            except queue.Empty:
                item = None
            if session.deadlines:
                search.tick()
            search.resume()
            if item is not None:
                record(*item)
        while not finished.empty():  # what has finished has been paid for: keep it
            if item := finished.get():
                record(*item)
        _emit(search, config, writer)
        result = search.result()
        _emit(search, config, writer)
        return result


async def arun_search(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None = None,
    batch: BatchControl | None = None,
) -> OptScaleResult:
    """Search with tasks; as `run_search`, but what is under way when the search ends is cancelled.

    Cancelling the call itself cancels every draw and verification, and waits until they have ended.
    """
    began = time.perf_counter()
    prior = await afind_prior(settings, prompt) if settings.prepared().has_question_prior else None
    search, worker, room = _begin(settings, prompt, config, call_kwargs, prior, began, batch)
    executor = Executor(worker, batch.limit if batch else None)
    running: dict[asyncio.Task[Done | Raised | Cancelled], Job] = {}
    # None only wakes the driver.
    finished: asyncio.Queue[asyncio.Task[Done | Raised | Cancelled] | None] = asyncio.Queue()

    def start(job: Job) -> None:
        task = asyncio.create_task(executor.arun(job))
        running[task] = job
        task.add_done_callback(finished.put_nowait)

    def record(task: asyncio.Task[Done | Raised | Cancelled] | None, cancelled: Raised | None) -> None:
        if task is not None and task in running:
            job = running.pop(task)
            search.record_outcome(job, executor.outcome_of(job, cancelled) if task.cancelled() else task.result())

    async def cancel(tasks: Iterable[asyncio.Task[Done | Raised | Cancelled]]) -> None:
        """Cancel tasks, and keep what they have finished, since it has been paid for."""
        tasks = list(tasks)
        await _cancel(tasks)
        for task in tasks:
            record(task, None)

    leaving = contextlib.ExitStack()
    try:
        writer = leaving.enter_context(stream_writer())
        search.emit_events |= writer is not None
        if batch is not None:
            leaving.enter_context(batch.on_cancel(lambda: finished.put_nowait(None)))
        while not search.over:
            verifying = any(isinstance(job, Verify) for job in running.values())
            hopeless = batch is not None and _check_batch(batch, search, verifying=verifying)
            for job in () if hopeless else search.take(room - len(running)):
                start(job)
            await _aemit(search, config, writer)
            first = await _first(finished, search.wait_s)
            search.tick()
            search.resume()
            if first is not None:
                record(first, _CANCELLED_FROM_WITHIN)
            while not search.over and not finished.empty():
                record(finished.get_nowait(), _CANCELLED_FROM_WITHIN)
            if search.session.decision.stop:
                await cancel([task for task, job in running.items() if not search.wants(job)])
        await cancel(running)
        await _aemit(search, config, writer)
        result = search.result()
        await _aemit(search, config, writer)
        return result
    finally:
        leaving.close()
        worker.close()
        await _cancel(running)


def _check_batch(batch: BatchControl, search: Search, *, verifying: bool) -> bool:
    """Whether to begin nothing more, since every search of the batch fails; a verdict under way may still disprove it.

    Raises:
        InterruptedError: The batch was cancelled.
        Exception: The batch's recurrent error, where nothing that this search has paid for is of use.
    """
    if batch.cancelled.is_set():
        raise InterruptedError("the batch was cancelled")
    if batch.recurrent is None or search.session.history.n:
        return False
    if not verifying:
        raise batch.recurrent
    return True


def _begin(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None,
    prior: ScorePrior | None,
    began: float,
    batch: BatchControl | None,
) -> tuple[Search, Worker, int]:
    """The search, its worker, and how many jobs may be under way at once.

    Without a limit in the config these are the draws of a round and the verifications of those that have arrived.
    """
    sampler = settings.sampler(call_kwargs)
    worker = Worker(settings, prompt, sampler, AnswerBook(settings.extract), config)
    search = Search(
        settings,
        sampler,
        equality_key=worker.equality_key,
        emit_events=has_callbacks(config),
        recording=None if settings.store is None else Recording(settings, prompt, call_kwargs=call_kwargs),
        prior=prior,
        spent_s=time.perf_counter() - began,
        allowance=None if batch is None else batch.allowance,
    )
    room = max_concurrency(config) or 2 * max(search.session.round_size, search.session.first_round)
    return search, worker, room


def max_concurrency(config: RunnableConfig) -> int | None:
    """The "max_concurrency" of a config; None where it sets none.

    Raises:
        SettingsError: It is no whole number of at least 1.
    """
    limit = config.get("max_concurrency")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SettingsError(f"max_concurrency must be a whole number of at least 1, got {limit!r}")
    return limit


async def _first(finished: asyncio.Queue[_T], wait_s: float | None) -> _T | None:
    """What has finished first; None after `wait_s`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            return await finished.get()
    return None


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _emit(search: Search, config: RunnableConfig, writer: Callable[[Any], None] | None) -> None:
    for event in search.events() if search.emit_events else ():
        if writer is not None:
            write_event(writer, event)
        if has_callbacks(config):
            dispatch_custom_event(event.name, event.data, config=config)


async def _aemit(search: Search, config: RunnableConfig, writer: Callable[[Any], None] | None) -> None:
    for event in search.events() if search.emit_events else ():
        if writer is not None:
            write_event(writer, event)
        if has_callbacks(config):
            await adispatch_custom_event(event.name, event.data, config=config)
