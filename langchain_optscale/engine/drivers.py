"""The two pumps of a search: threads for the sync path, tasks for the async one.

Both do the same: start the jobs that the search hands out, wait for the first to finish, tell, and cancel the rest
the moment the session stops. The sync pump never touches an event loop, the async pump never blocks one.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event

from langchain_optscale.engine.executor import Executor, in_thread
from langchain_optscale.engine.jobs import Draw, Verify
from langchain_optscale.engine.search import Search
from langchain_optscale.engine.tracing import has_callbacks
from langchain_optscale.models.limits import at_once
from langchain_optscale.records.failures import Raised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.jobs import Done, Job
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.models.limits import SharedLimit

__all__ = ["Shared", "arun_search", "run_search"]

_T = TypeVar("_T")


class Shared(Protocol):
    """What the searches of a batch share: a line that their requests wait in, and whether it has ended."""

    @property
    def line(self) -> SharedLimit | None:
        """A limit on the requests of all of them, beside those of the settings."""

    @property
    def ended(self) -> threading.Event:
        """Set when nobody wants the rest any more."""

    def waking(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Within the block, `wake` is called when that happens."""


def run_search(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None = None,
    batch: Shared | None = None,
) -> OptScaleResult:
    """Search with threads.

    A request that is under way when the search ends is closed at its next chunk where it streams (`cancel="eager"`);
    else it cannot be interrupted from outside, is left to finish in its thread, without a retry, and its answer is
    dropped. Draws that are still queued, or wait in line, are not started.

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
        InterruptedError: The batch has ended.
    """
    search = Search(settings, prompt, call_kwargs, heard=has_callbacks(config))
    attempts = Executor(search.work, config, *((batch.line, batch.ended) if batch else ()))
    room = _room(search, config)
    give_up = {Draw: threading.Event(), Verify: threading.Event()}
    under_way = {Draw: 0, Verify: 0}
    # None only wakes the pump.
    finished: queue.SimpleQueue[tuple[Job, Done | Raised] | None] = queue.SimpleQueue()

    def start(job: Job) -> None:
        under_way[type(job)] += 1
        in_thread(lambda: finished.put((job, attempts.try_(job, give_up[type(job)]))))

    def settle(news: tuple[Job, Done | Raised] | None) -> None:
        if news is None:
            return
        job, outcome = news
        under_way[type(job)] -= 1
        if isinstance(outcome, Raised) and not isinstance(outcome.error, Exception):
            raise outcome.error  # such as SystemExit: no failure of a candidate, but meant for whoever called us
        search.settle(job, outcome)

    with contextlib.ExitStack() as leaving:
        for event in give_up.values():
            leaving.callback(attempts.abandon, event)
        if batch is not None:
            leaving.enter_context(batch.waking(lambda: finished.put(None)))
        while not search.over:
            if batch is not None and batch.ended.is_set():
                raise InterruptedError("nobody waits for the batch any more")
            if search.session.decision.stop:
                # Only verifications are waited for now: the draws that are under way take up no room.
                attempts.abandon(give_up[Draw])
            waited_for = under_way[Verify] + (0 if search.session.decision.stop else under_way[Draw])
            for job in search.take(room - waited_for):
                start(job)
            _emit(search, config)
            try:
                news = finished.get(timeout=search.patience_s)
            except queue.Empty:
                news = None
            search.tick()
            settle(news)
        while not finished.empty():  # what was finished by now has been paid for: keep it
            settle(finished.get())
        _emit(search, config)
        result = search.result()
        _emit(search, config)
        return result


async def arun_search(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None = None,
    batch: Shared | None = None,
) -> OptScaleResult:
    """Search with tasks; as `run_search`, but what is under way when the search ends is cancelled.

    Cancelling the call itself cancels every draw and verification, and waits until they have ended.
    """
    search = Search(settings, prompt, call_kwargs, heard=has_callbacks(config))
    attempts = Executor(search.work, config, batch.line if batch else None)
    room = _room(search, config)
    running: dict[asyncio.Task[Done | Raised], Job] = {}
    finished: asyncio.Queue[asyncio.Task[Done | Raised]] = asyncio.Queue()

    def start(job: Job) -> None:
        task = asyncio.create_task(attempts.atry(job))
        running[task] = job
        task.add_done_callback(finished.put_nowait)

    def settle(task: asyncio.Task[Done | Raised]) -> None:
        if task in running:
            # A library below may cancel the task by itself; to the search that is a failure like any other.
            outcome = Raised(TimeoutError("cancelled from within"), 1) if task.cancelled() else task.result()
            search.settle(running.pop(task), outcome)

    async def end(unwanted: Iterable[asyncio.Task[Done | Raised]]) -> None:
        """Cancel tasks, and keep what they had finished by then, since it has been paid for."""
        unwanted = list(unwanted)
        await _cancel(unwanted)
        for task in unwanted:
            if not task.cancelled() or search.saw(running[task]):
                settle(task)
            else:
                search.forget(running.pop(task))

    try:
        while not search.over:
            for job in search.take(room - len(running)):
                start(job)
            await _aemit(search, config)
            first = await _first(finished, search.patience_s)
            search.tick()
            if first is not None:
                settle(first)
            while not search.over and not finished.empty():
                settle(finished.get_nowait())
            if search.session.decision.stop:
                await end([task for task, job in running.items() if not search.wants(job)])
        await end(running)
        await _aemit(search, config)
        result = search.result()
        await _aemit(search, config)
        return result
    finally:
        await _cancel(running)


def _room(search: Search, config: RunnableConfig) -> int:
    """How many jobs may be under way at once: the draws of a round, and the verifications of those that arrived."""
    return at_once(config) or 2 * max(search.session.round_size, search.session.first_round)


async def _first(finished: asyncio.Queue[_T], wait_s: float | None) -> _T | None:
    """What has finished first; None when the time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            return await finished.get()
    return None


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _emit(search: Search, config: RunnableConfig) -> None:
    for event in search.events():
        dispatch_custom_event(event.name, event.data, config=config)


async def _aemit(search: Search, config: RunnableConfig) -> None:
    for event in search.events():
        await adispatch_custom_event(event.name, event.data, config=config)
