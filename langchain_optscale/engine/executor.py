"""How one job of a search is tried: in its place in line, within its time, again where that may help.

A request waits for the shared limits and then for the policy's rate limiter; only then does its time begin. Both
manners do the same, one in a thread, one in a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_optscale.engine.jobs import Done, Draw
from langchain_optscale.models.eager_cancel import is_cancelled
from langchain_optscale.models.retry import attempts, make_async_retrying, make_retrying
from langchain_optscale.records.failures import Raised

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.jobs import Job
    from langchain_optscale.engine.worker import Worker
    from langchain_optscale.models.limits import SharedLimit

__all__ = ["Executor", "in_thread"]

# How often a thread that waits for a rate limiter looks whether anybody still wants what it waits for.
_LOOK_S = 0.05
_UNSENT = "nobody wanted this request any more before it was sent"


class Executor:
    """Tries the jobs of one search.

    Args:
        work: Knows how each job is done.
        config: For the runs of the jobs.
        line: A limit that all jobs share beside those of their endpoints, such as that of a batch.
        ended: Once it is set, no thread begins a request any more.
    """

    def __init__(
        self,
        work: Worker,
        config: RunnableConfig,
        line: SharedLimit | None = None,
        ended: threading.Event | None = None,
    ) -> None:
        self._work = work
        self._config = config
        self._ended = ended
        settings = work.settings
        policy, verifier = settings.limits()
        self._to_draw = [limit for limit in (line, policy) if limit is not None]
        self._to_verify = [limit for limit in (line, verifier) if limit is not None]
        self._max_retries = settings.max_retries
        self._timeout_s = settings.candidate_timeout_s
        self._hedge_after_s = settings.hedge_after_s

    def _limits(self, job: Job) -> list[SharedLimit]:
        return self._to_draw if isinstance(job, Draw) else self._to_verify

    def _patience_s(self, job: Job) -> float | None:
        """Seconds after which a second request may race the first."""
        return self._hedge_after_s if isinstance(job, Draw) else None

    async def atry(self, job: Job) -> Done | Raised:
        """What comes of a job; cancelling it closes its request, or gives its place in line up."""
        retrying = make_async_retrying(self._max_retries)
        try:
            return await retrying(self.aonce, job)
        except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
            return Raised(error, attempts(retrying.statistics))

    async def aonce(self, job: Job) -> Done:
        """As `atry`, but one try only, for whoever has retries of his own.

        Raises:
            Exception: Whatever policy or verifier raises; TimeoutError after `candidate_timeout_s`.
        """
        patience_s = self._patience_s(job)
        if patience_s is None:
            return await self._arequest(job, asyncio.Event(), asyncio.Event())
        begun, answered, sent = asyncio.Event(), asyncio.Event(), False

        async def hedge() -> Done:
            nonlocal sent
            await begun.wait()
            await asyncio.sleep(patience_s)
            sent = True
            return await self._arequest(job, asyncio.Event(), answered)

        racing = [asyncio.create_task(self._arequest(job, begun, answered)), asyncio.create_task(hedge())]
        try:
            pending = set(racing)
            while True:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                good = [task for task in done if not task.cancelled() and task.exception() is None]
                if good or not pending or not sent:
                    return (good or list(done))[0].result()
        finally:
            for task in racing:
                task.cancel()
            await asyncio.gather(*racing, return_exceptions=True)

    async def _arequest(self, job: Job, begun: asyncio.Event, answered: asyncio.Event) -> Done:
        draws = isinstance(job, Draw)
        async with contextlib.AsyncExitStack() as places:
            for limit in self._limits(job):
                await places.enter_async_context(limit.ahold(urgent=not draws))
            if draws and self._work.rate_limiter is not None:
                await self._work.rate_limiter.aacquire(blocking=True)
            if answered.is_set():
                raise InterruptedError(_UNSENT)
            begun.set()
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._timeout_s) as clock:
                    value = await self._work.arun(job, self._config)
            except TimeoutError:
                if clock.expired():
                    raise self._too_late() from None
                raise
            answered.set()  # before the place goes to whoever raced for the same answer
            return Done(value, time.perf_counter() - began)

    def try_(self, job: Job, give_up: threading.Event) -> Done | Raised:
        """What comes of a job; once `give_up` is set there are no more tries, and a stream is closed.

        A request that does not stream cannot be interrupted from outside: it ends by itself, unheard. What is more
        than an error, such as `SystemExit`, is an outcome as well: in a thread nobody else would hear of it.
        """
        retrying = make_retrying(self._max_retries, give_up)
        try:
            return retrying(self.once, job, give_up)
        except BaseException as error:  # noqa: BLE001 - kept as the failure's cause, or raised again where it is heard
            return Raised(error, attempts(retrying.statistics))

    def abandon(self, give_up: threading.Event) -> None:
        """End the waiting in line of every job that was told to give up so."""
        give_up.set()
        for limit in (*self._to_draw, *self._to_verify):
            limit.abandon(give_up)

    def once(self, job: Job, give_up: threading.Event) -> Done:
        """As `try_`, but one try only, for whoever has retries of his own.

        Raises:
            Exception: Whatever policy or verifier raises; TimeoutError after `candidate_timeout_s`.
        """
        patience_s = self._patience_s(job)
        if self._timeout_s is None and patience_s is None:
            return self._request(job, give_up, threading.Event(), lambda: None)
        return self._raced(job, give_up, patience_s)

    def _raced(self, job: Job, give_up: threading.Event, patience_s: float | None) -> Done:
        """The request in a thread of its own, so that it can be left behind when its time is up."""
        news: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()
        lost = threading.Event()

        def request() -> None:
            try:
                news.put(self._request(job, give_up, lost, lambda: news.put(None)))
            except BaseException as error:  # noqa: BLE001 - raised again by whoever reads the news
                news.put(error)

        in_thread(request)
        racing, hedge_at, ends_at = 1, math.inf, math.inf
        try:
            while True:
                moment = min(hedge_at, ends_at)
                try:
                    what = news.get(timeout=max(0.0, moment - time.perf_counter()) if moment < math.inf else None)
                except queue.Empty:
                    if time.perf_counter() >= ends_at:
                        raise self._too_late() from None
                    in_thread(request)
                    racing, hedge_at = racing + 1, math.inf
                    continue
                if isinstance(what, Done):
                    return what
                if isinstance(what, BaseException):
                    racing -= 1
                    if not racing:
                        raise what
                else:
                    now = time.perf_counter()
                    ends_at = math.inf if self._timeout_s is None else now + self._timeout_s
                    hedge_at = now + patience_s if patience_s is not None and racing == 1 else math.inf
        finally:
            lost.set()

    def _request(self, job: Job, give_up: threading.Event, lost: threading.Event, begun: Callable[[], None]) -> Done:
        draws = isinstance(job, Draw)
        nobody = [event for event in (give_up, lost, self._ended) if event is not None]

        def unwanted() -> bool:
            return any(event.is_set() for event in nobody)

        with contextlib.ExitStack() as places:
            for limit in self._limits(job):
                places.enter_context(limit.hold(urgent=not draws, owner=give_up))
            if draws and self._work.rate_limiter is not None:
                # Not `blocking`: who waited there for a search that has ended would take the turn of another.
                while not unwanted() and not self._work.rate_limiter.acquire(blocking=False):
                    give_up.wait(_LOOK_S)
            if unwanted():
                raise InterruptedError(_UNSENT)
            begun()
            began = time.perf_counter()
            before = is_cancelled.set(unwanted)
            try:
                value = self._work.run(job, self._config)
            finally:
                is_cancelled.reset(before)
            lost.set()  # before the place goes to whoever raced for the same answer
            return Done(value, time.perf_counter() - began)

    def _too_late(self) -> TimeoutError:
        return TimeoutError(f"no answer within candidate_timeout_s={self._timeout_s:g}")


def in_thread(work: Callable[[], Any]) -> None:
    """Do something in a thread that sees the caller's context, and that keeps no interpreter from exiting."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="optscale", daemon=True).start()
