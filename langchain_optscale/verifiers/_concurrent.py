"""Several calls at once: threads on the sync path, tasks on the async one."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_optscale.models.daemon_threads import as_finished

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.runnables import RunnableConfig

__all__ = ["arun_together", "run_together"]

T = TypeVar("T")


def run_together(calls: Sequence[Callable[[], T]], config: RunnableConfig | None) -> list[T]:
    """Make all calls in daemon threads, at most "max_concurrency" of the config at once.

    Returns:
        What each call returned, in their order.

    Raises:
        Exception: The error of the first call that failed; those under way are left to themselves.
    """
    if len(calls) == 1:
        return [calls[0]()]
    values: dict[int, T] = {}
    for place, outcome in as_finished(calls, (config or {}).get("max_concurrency")):
        if isinstance(outcome, BaseException):
            raise outcome
        values[place] = outcome
    return [values[place] for place in range(len(calls))]


async def arun_together(calls: Sequence[Callable[[], Awaitable[T]]], config: RunnableConfig | None) -> list[T]:
    """As `run_together`; on a failure or a cancellation the other calls are cancelled and waited for."""
    limit = (config or {}).get("max_concurrency")
    room: Any = asyncio.Semaphore(limit) if limit else nullcontext()

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with room:
            return await call()

    error: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in calls]
    except BaseExceptionGroup as errors:
        error = errors.exceptions[0]
    if error is not None:
        raise error  # outside the handler, so that the group does not become its context
    return [task.result() for task in tasks]
