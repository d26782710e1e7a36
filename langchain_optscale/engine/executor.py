"""Executes the jobs of a search under its concurrency limits, timeouts and retries.

A request waits for the shared limits and then for the policy's rate limiter; only then does its timeout begin. The
sync path does so in a thread, the async path in a task.
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

from langchain_optscale.engine.jobs import Cancelled, Compare, Done, Draw
from langchain_optscale.models.clients import endpoint_of
from langchain_optscale.models.eager_cancel import is_cancelled
from langchain_optscale.models.limits import SharedLimit, limit_at
from langchain_optscale.models.retry import attempts, make_async_retrying, make_retrying
from langchain_optscale.records.failures import Raised

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale.engine.jobs import Job
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.engine.worker import Worker

__all__ = ["Executor", "concurrency_limits", "in_thread"]

# How often a thread that waits for a rate limiter checks whether its request was cancelled.
_POLL_S = 0.05
_UNSENT = "the request was cancelled before it was sent"


def concurrency_limits(settings: SearchSettings) -> tuple[SharedLimit | None, SharedLimit | None, SharedLimit | None]:
    """How many requests may be under way at once to policy, verifier and comparing judge; None for no limit."""
    tournament = settings.tournament()
    judge = None if tournament is None else _limit_of(tournament.judge, settings.verifier_limit)
    policy, verifier = settings.policy, settings.verifier
    return _limit_of(policy, settings.policy_limit), _limit_of(verifier, settings.verifier_limit), judge


def _limit_of(thing: object, limit: int | SharedLimit | None) -> SharedLimit | None:
    return limit_at(endpoint_of(thing), limit) if isinstance(limit, int) else limit


class Executor:
    """Executes the jobs of one search.

    Args:
        worker: Runs one request of a job.
        limit: A limit that all jobs share beside those of their endpoints, such as that of a batch.
        cancelled: Once it is set, no thread begins a request.
    """

    def __init__(
        self,
        worker: Worker,
        limit: SharedLimit | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._worker = worker
        self._cancelled = cancelled
        settings = worker.settings
        policy, verifier, judge = concurrency_limits(settings)
        self._draw_limits = [one for one in (limit, policy) if one is not None]
        self._verify_limits = [one for one in (limit, verifier) if one is not None]
        self._compare_limits = [one for one in (limit, judge) if one is not None]
        self._max_retries = settings.max_retries
        self._timeout_s = settings.candidate_timeout_s
        self._hedge_after_s = settings.hedge_after_s

    def _limits(self, job: Job) -> list[SharedLimit]:
        if isinstance(job, Compare):
            return self._compare_limits
        return self._draw_limits if isinstance(job, Draw) else self._verify_limits

    def _hedge_s(self, job: Job) -> float | None:
        """Seconds after which a second request may race the first."""
        return self._hedge_after_s if isinstance(job, Draw) else None

    def outcome_of(self, job: Job, result: Done | Raised | None) -> Done | Raised | Cancelled:
        """The outcome of a job with all that its verification consumed; a verdict that was reached counts.

        Args:
            job: A job that has ended.
            result: None where it was cancelled.
        """
        if isinstance(job, Draw):
            return result or Cancelled()
        verdict, unreported = self._worker.collect(job)
        if isinstance(result, Done):
            return Done(result.value, result.seconds, unreported)
        if result is not None and not isinstance(result.error, Exception):
            return result
        if verdict is not None:
            return Done(verdict, 0.0, unreported)
        return Cancelled(unreported) if result is None else Raised(result.error, result.attempts, unreported)

    async def arun(self, job: Job) -> Done | Raised | Cancelled:
        """Execute a job; cancelling it closes its request, or ends its waiting for a limit."""
        result: Done | Raised
        try:
            result = await self.arun_once(job)
        except Exception as error:  # noqa: BLE001 - any error of policy or verifier is kept as the failure's cause
            result = await self._aretried(job, error)
        return self.outcome_of(job, result)

    async def _aretried(self, job: Job, first: Exception) -> Done | Raised:
        """The job tried again after its first error, where that may help."""
        retrying, errors = make_async_retrying(self._max_retries), [first]

        async def attempt() -> Done:
            if errors:
                raise errors.pop()  # the first attempt, which most jobs need alone, has been made
            return await self.arun_once(job)

        try:
            return await retrying(attempt)
        except Exception as error:  # noqa: BLE001 - as above
            return Raised(error, attempts(retrying.statistics))

    async def arun_once(self, job: Job) -> Done:
        """As `arun`, without retries.

        Raises:
            Exception: Whatever policy or verifier raises; TimeoutError after `candidate_timeout_s`.
        """
        hedge_s = self._hedge_s(job)
        if hedge_s is None:
            return await self._arequest(job)
        begun, answered, hedged = asyncio.Event(), asyncio.Event(), False

        async def hedge() -> Done:
            nonlocal hedged
            await begun.wait()
            await asyncio.sleep(hedge_s)
            hedged = True
            return await self._arequest(job, answered=answered)

        racing = [asyncio.create_task(self._arequest(job, begun, answered)), asyncio.create_task(hedge())]
        try:
            pending = set(racing)
            while True:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                good = [task for task in done if not task.cancelled() and task.exception() is None]
                if good or not pending or not hedged:
                    return (good or list(done))[0].result()
        finally:
            for task in racing:
                task.cancel()
            await asyncio.gather(*racing, return_exceptions=True)

    async def _arequest(
        self, job: Job, begun: asyncio.Event | None = None, answered: asyncio.Event | None = None
    ) -> Done:
        draws = isinstance(job, Draw)
        async with contextlib.AsyncExitStack() as held:
            for limit in self._limits(job):
                await held.enter_async_context(limit.ahold(urgent=not draws))
            if draws and self._worker.rate_limiter is not None:
                await self._worker.rate_limiter.aacquire(blocking=True)
            if answered is not None and answered.is_set():
                raise InterruptedError(_UNSENT)
            if begun is not None:
                begun.set()
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._timeout_s) as timeout:
                    value = await self._worker.arun(job)
            except TimeoutError:
                if timeout.expired():
                    raise self._timed_out() from None
                raise
            if answered is not None:
                answered.set()  # before the limit admits a request that races for the same answer
            return Done(value, time.perf_counter() - began)

    def run(self, job: Job, cancelled: threading.Event) -> Done | Raised | Cancelled:
        """Execute a job; once `cancelled` is set there are no retries, and a stream is closed.

        A request that does not stream cannot be interrupted from outside and its result is dropped. `SystemExit` and
        the like are outcomes as well, to be raised by the thread that reads them.
        """
        result: Done | Raised
        try:
            result = self.run_once(job, cancelled)
        except BaseException as error:  # noqa: BLE001 - kept as the failure's cause, or raised again by the reader
            result = self._retried(job, cancelled, error)
        return self.outcome_of(job, result)

    def _retried(self, job: Job, cancelled: threading.Event, first: BaseException) -> Done | Raised:
        """The job tried again after its first error, where that may help."""
        retrying, errors = make_retrying(self._max_retries, cancelled), [first]

        def attempt() -> Done:
            if errors:
                raise errors.pop()  # the first attempt, which most jobs need alone, has been made
            return self.run_once(job, cancelled)

        try:
            return retrying(attempt)
        except BaseException as error:  # noqa: BLE001 - as above
            return Raised(error, attempts(retrying.statistics))

    def cancel(self, cancelled: threading.Event) -> None:
        """Cancel every job that was given this event; those that wait for a limit stop waiting."""
        cancelled.set()
        for limit in (*self._draw_limits, *self._verify_limits, *self._compare_limits):
            limit.cancel_waiting(cancelled)

    def run_once(self, job: Job, cancelled: threading.Event) -> Done:
        """As `run`, without retries.

        Raises:
            Exception: Whatever policy or verifier raises; TimeoutError after `candidate_timeout_s`.
        """
        hedge_s = self._hedge_s(job)
        if self._timeout_s is None and hedge_s is None:
            return self._request(job, cancelled)
        return self._run_in_background(job, cancelled, hedge_s)

    def _run_in_background(self, job: Job, cancelled: threading.Event, hedge_s: float | None) -> Done:
        """The request in a thread of its own, which is abandoned after the timeout; with a hedge, in two."""
        outcomes: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()
        abandoned = threading.Event()

        def request() -> None:
            try:
                outcomes.put(self._request(job, cancelled, abandoned, lambda: outcomes.put(None)))
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                outcomes.put(error)

        in_thread(request)
        racing, hedge_at, ends_at = 1, math.inf, math.inf
        try:
            while True:
                moment = min(hedge_at, ends_at)
                try:
                    what = outcomes.get(timeout=max(0.0, moment - time.perf_counter()) if moment < math.inf else None)
                except queue.Empty:
                    if time.perf_counter() >= ends_at:
                        raise self._timed_out() from None
                    in_thread(request)
                    racing, hedge_at = racing + 1, math.inf
                    continue
                if isinstance(what, Done):
                    return what
                if isinstance(what, BaseException):
                    racing -= 1
                    if not racing:
                        raise what
                else:  # the request has begun
                    now = time.perf_counter()
                    ends_at = math.inf if self._timeout_s is None else now + self._timeout_s
                    hedge_at = now + hedge_s if hedge_s is not None and racing == 1 else math.inf
        finally:
            abandoned.set()

    def _request(
        self,
        job: Job,
        cancelled: threading.Event,
        abandoned: threading.Event | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> Done:
        draws = isinstance(job, Draw)
        events = [event for event in (cancelled, abandoned, self._cancelled) if event is not None]

        def unwanted() -> bool:
            return any(event.is_set() for event in events)

        with contextlib.ExitStack() as held:
            for limit in self._limits(job):
                held.enter_context(limit.hold(urgent=not draws, owner=cancelled))
            if draws and self._worker.rate_limiter is not None:
                # Not `blocking`, which would take a turn for a request that has been cancelled meanwhile.
                while not unwanted() and not self._worker.rate_limiter.acquire(blocking=False):
                    cancelled.wait(_POLL_S)
            if unwanted():
                raise InterruptedError(_UNSENT)
            if on_begin is not None:
                on_begin()
            began = time.perf_counter()
            token = is_cancelled.set(unwanted)
            try:
                value = self._worker.run(job)
            finally:
                is_cancelled.reset(token)
            if abandoned is not None:
                abandoned.set()  # before the limit admits a request that races for the same answer
            return Done(value, time.perf_counter() - began)

    def _timed_out(self) -> TimeoutError:
        return TimeoutError(f"no answer within candidate_timeout_s={self._timeout_s:g}")


def in_thread(function: Callable[[], Any]) -> None:
    """Call a function in a daemon thread that sees the caller's context."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(function,), name="optscale", daemon=True).start()
