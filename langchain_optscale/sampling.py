"""The two pumps of a search: threads for the sync path, tasks for the async one.

Both do the same: start the jobs that the search hands out, wait for the first to finish, tell, and cancel the rest
the moment the session stops. The sync pump never touches an event loop, the async pump never blocks one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_optscale.retry import patient, patient_async
from langchain_optscale.search import Done, Raised, Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.results import OptScaleResult
    from langchain_optscale.search import Job
    from langchain_optscale.settings import SearchSettings

__all__ = ["arun_search", "run_search"]


def run_search(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None = None,
) -> OptScaleResult:
    """Search with threads.

    A request that is under way when the search ends cannot be interrupted from outside: it is left to finish in its
    thread, without a retry, and its answer is dropped. Draws that are still queued are not started.

    Args:
        settings: What to search with.
        prompt: The conversation to answer.
        config: Callbacks, tags and metadata for the child runs; "max_concurrency" limits draws and verifications
            under way at once.
        call_kwargs: The caller's own arguments for the policy.

    Raises:
        AllCandidatesFailed: No candidate could be scored.
        SettingsError: The settings do not fit the policy.
    """
    search = Search(settings, prompt, call_kwargs)
    give_up = threading.Event()
    room = _room(search, config)
    pool = ContextThreadPoolExecutor(max_workers=room)
    running: dict[concurrent.futures.Future[Done | Raised], Job] = {}

    def work(job: Job) -> Done | Raised:
        retrying = patient(settings.max_retries, give_up)
        began = time.perf_counter()
        try:
            return Done(retrying(search.run, job, config), time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
            return Raised(error, _attempts(retrying.statistics))

    try:
        while not search.over:
            running.update((pool.submit(work, job), job) for job in search.take(room - len(running)))
            _emit(search, config)
            done, _ = concurrent.futures.wait(running, search.patience_s, concurrent.futures.FIRST_COMPLETED)
            search.tick()
            for future in [future for future in running if future in done]:
                search.settle(running.pop(future), future.result())
        _emit(search, config)
        result = search.result()
        _emit(search, config)
        return result
    finally:
        give_up.set()
        pool.shutdown(wait=False, cancel_futures=True)


async def arun_search(
    settings: SearchSettings,
    prompt: PromptValue,
    config: RunnableConfig,
    call_kwargs: Mapping[str, Any] | None = None,
) -> OptScaleResult:
    """Search with tasks; as `run_search`, but what is under way when the search ends is cancelled.

    Cancelling the call itself cancels every draw and verification, and waits until they have ended.
    """
    search = Search(settings, prompt, call_kwargs)
    room = _room(search, config)
    running: dict[asyncio.Task[Done | Raised], Job] = {}

    async def work(job: Job) -> Done | Raised:
        retrying = patient_async(settings.max_retries)
        began = time.perf_counter()
        try:
            return Done(await retrying(search.arun, job, config), time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
            return Raised(error, _attempts(retrying.statistics))

    def settle(task: asyncio.Task[Done | Raised]) -> None:
        # A library below may cancel the task by itself; to the search that is a failure like any other.
        outcome = Raised(TimeoutError("cancelled from within"), 1) if task.cancelled() else task.result()
        search.settle(running.pop(task), outcome)

    try:
        while not search.over:
            running.update((asyncio.create_task(work(job)), job) for job in search.take(room - len(running)))
            await _aemit(search, config)
            done, _ = await asyncio.wait(running, timeout=search.patience_s, return_when=asyncio.FIRST_COMPLETED)
            search.tick()
            for task in [task for task in running if task in done]:
                settle(task)
        await _cancel(running)
        # What was finished between the last look and the cancellation has been paid for: keep it.
        for task in [task for task in running if not task.cancelled()]:
            settle(task)
        await _aemit(search, config)
        result = search.result()
        await _aemit(search, config)
        return result
    finally:
        await _cancel(running)


def _room(search: Search, config: RunnableConfig) -> int:
    """How many jobs may be under way at once: the draws of a round, and the verifications of those that arrived."""
    return config.get("max_concurrency") or 2 * max(search.session.round_size, search.session.first_round)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _attempts(statistics: Mapping[str, Any]) -> int:
    return int(statistics.get("attempt_number", 1))


def _watched(config: RunnableConfig) -> bool:
    manager = config.get("callbacks")
    return isinstance(manager, BaseCallbackManager) and bool(manager.handlers)


def _emit(search: Search, config: RunnableConfig) -> None:
    watched = _watched(config)
    for event in search.events():
        if watched:
            dispatch_custom_event(event.name, event.data, config=config)


async def _aemit(search: Search, config: RunnableConfig) -> None:
    watched = _watched(config)
    for event in search.events():
        if watched:
            await adispatch_custom_event(event.name, event.data, config=config)
