"""Many questions with bounded memory: a fixed number is under way at once, the next begins when one has finished."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from langchain_core.exceptions import ModelError
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)

from langchain_optscale.engine.drivers import max_concurrency
from langchain_optscale.engine.executor import in_thread
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.error_status import refuses, status_of
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.records.failures import AllCandidatesFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.allowance import Allowance
    from langchain_optscale.engine.drivers import BatchControl

__all__ = ["DEFAULT_CONCURRENCY", "Batch", "Configs", "aas_completed", "as_completed"]

_Input = TypeVar("_Input")
_Output = TypeVar("_Output")
Configs: TypeAlias = "RunnableConfig | Sequence[RunnableConfig] | None"

DEFAULT_CONCURRENCY = 16
"""Where the caller sets no limit: enough to keep a server busy, few enough to keep the memory small."""

# How long one question alone may try models that have never done their work, after which one more begins each time;
# and how often to look whether they have.
_LONGEST_TRIAL_S = 1.0
_POLL_S = 0.02
# So many questions in a row whose candidates all failed alike say that no other will be answered.
_ALIKE = 3


class Batch:
    """What the questions of one batch have in common.

    Args:
        inputs: The questions; read one by one as they are needed, so that they may be a generator.
        configs: One config for all of them, or one for each. The "max_concurrency" of the first limits the requests
            under way at once over all questions, and the questions under way with it; without it 16 questions are.
        is_tried: Whether the models have done their work before. Until then one question is under way at a time, so
            that a mistake is paid for once; where the first takes longer than a moment, one more begins each moment.

    Attributes:
        recurrent: The error of questions which failed in a way that every other would; None while there is none. The
            rest of the batch then fails with it, without a request, and so do searches that have no score yet.
        limit: On the requests of all questions; None without one.
        cancelled: Set when the rest is cancelled.

    Raises:
        SettingsError: The inputs are one question, or there is not one config for each.
    """

    def __init__(self, inputs: Iterable[Any], configs: Configs, is_tried: Callable[[], bool] = lambda: True) -> None:
        if isinstance(inputs, str | bytes | PromptValue | Mapping) or not isinstance(inputs, Iterable):
            raise SettingsError(
                f"the inputs of a batch must be a list of questions, got {type(inputs).__name__}; put a single "
                "question into a list, or use invoke"
            )
        self._total = len(inputs) if isinstance(inputs, Sequence) else None
        self._each = list(configs) if isinstance(configs, Sequence) else None
        if self._each is not None and len(self._each) != self._total:
            raise SettingsError(f"a batch needs one config, or one for each input, got {len(self._each)}")
        self._shared = ensure_config(None if isinstance(configs, Sequence) else configs)
        first = self._each[0] if self._each else self._shared
        # A chain gives each of its questions a config, whose callbacks alone differ.
        self._is_uniform = all(one.get("configurable") == first.get("configurable") for one in self._each or ())
        limit = max_concurrency(first)
        self._questions_at_once = limit or DEFAULT_CONCURRENCY
        self._is_tried = is_tried
        self.recurrent: AllCandidatesFailed | None = None
        self._answered = False
        self._alike = 0
        self.limit = SharedLimit(limit) if limit else None
        self.cancelled = threading.Event()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self._done = self._failed = 0

    @property
    def allowance(self) -> Allowance | None:
        """None: the questions share no budget."""
        return None

    def member(self, index: int) -> BatchControl:
        """What the search of one question is given of the batch; `leave` when it has ended."""
        return self

    def leave(self, member: BatchControl) -> None:
        """The search of a member has ended, however it did."""

    @property
    def questions_at_once(self) -> int:
        """Questions under way at once: at first one, until the models have done their work, in case they never do."""
        if self._is_settled:
            return self._questions_at_once
        slow = int((time.perf_counter() - self._began) / _LONGEST_TRIAL_S) if self._done == 0 else 0
        return min(self._questions_at_once, 1 + slow)

    @property
    def poll_s(self) -> float | None:
        """Seconds after which to ask again for `questions_at_once`; None where it does not change."""
        return None if self._is_settled else _POLL_S

    @property
    def _is_settled(self) -> bool:
        return self._answered or self._is_tried()

    def check(self) -> None:
        """Check before a question that it has a chance.

        Raises:
            AllCandidatesFailed: Other questions failed in a way that every question would.
        """
        if self.recurrent is not None:
            raise self.recurrent

    def _record(self, outcome: object) -> None:
        """Learn from how a question ended whether every other would fail alike; not where each has its own settings."""
        if not isinstance(outcome, Exception):
            self._answered = True
            self._alike = 0
            return
        if not self._is_uniform or not isinstance(outcome, AllCandidatesFailed) or not outcome.is_recurrent:
            return
        failures = outcome.failures.values()
        certain = any(failure.recurrence == "certain" for failure in failures)
        refused = all(failure.cause is not None and refuses(status_of(failure.cause)) for failure in failures)
        if not certain and not refused and isinstance(outcome, ModelError):
            return  # such as a context that is too long: the question may be to blame
        self._alike += 1
        # Once there are answers, an accident is likelier: but for a key that is refused again and again.
        if certain or (self._alike >= _ALIKE and (refused or not self._answered)):
            self.recurrent = self.recurrent or outcome
            self._wake()

    def config(self, index: int) -> RunnableConfig:
        """The config of one question."""
        config: RunnableConfig = {**(self._each[index] if self._each is not None else self._shared)}
        if self._each is None and index:
            config.pop("run_id", None)  # one run cannot stand for several questions
        return config

    def cancel(self) -> None:
        """Cancel the rest: no thread begins another request, and the searches under way end."""
        self.cancelled.set()
        self._wake()

    def _wake(self) -> None:
        """Let the searches under way see that something has changed."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    @contextlib.contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        """Within the block, `callback` is called where `cancelled` or `recurrent` changes; check both then."""
        with self._lock:
            self._callbacks[id(callback)] = callback
        try:
            yield
        finally:
            with self._lock:
                del self._callbacks[id(callback)]

    def count(self, index: int, outcome: object) -> dict[str, Any]:
        """Count a finished question and report the batch's progress.

        Returns:
            `index` of the question, `done` and `failed` questions so far, `total` (None where it is not known
            beforehand) and `elapsed_s` since the batch began; the data of the event "optscale:progress".
        """
        self._record(outcome)
        self._done += 1
        self._failed += isinstance(outcome, Exception)
        return {
            "index": index,
            "done": self._done,
            "failed": self._failed,
            "total": self._total,
            "elapsed_s": time.perf_counter() - self._began,
        }


@contextlib.contextmanager
def _member(batch: Batch, index: int) -> Iterator[BatchControl]:
    member = batch.member(index)
    try:
        yield member
    finally:
        batch.leave(member)


def as_completed(
    batch: Batch,
    inputs: Iterable[_Input],
    ask: Callable[[_Input, RunnableConfig, BatchControl], _Output],
    *,
    return_exceptions: bool,
) -> Iterator[tuple[int, _Output | Exception]]:
    """Ask each question in a thread; gives index and outcome of each as it ends.

    Leaving the iteration begins nothing more, and ends the searches under way; the result of a request that does not
    stream is dropped.
    """
    finished: queue.SimpleQueue[tuple[int, _Output | BaseException]] = queue.SimpleQueue()
    waiting = enumerate(inputs)
    running, more = 0, True

    def run(index: int, value: _Input) -> None:
        try:
            with _member(batch, index) as member:
                batch.check()
                outcome = ask(value, batch.config(index), member)
            finished.put((index, outcome))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            finished.put((index, error))

    try:
        while True:
            while more and running < batch.questions_at_once:
                item = next(waiting, None)
                more = item is not None
                if item is not None:
                    in_thread(lambda item=item: run(*item))  # type: ignore[misc]
                    running += 1
            if not running:
                return
            try:
                index, outcome = finished.get(timeout=batch.poll_s if more else None)
            except queue.Empty:
                continue
            running -= 1
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome  # such as SystemExit: no failure of a question
            progress = batch.count(index, outcome)
            get_callback_manager_for_config(batch.config(index)).on_custom_event("optscale:progress", progress)
            if isinstance(outcome, Exception) and not return_exceptions:
                raise outcome
            yield index, outcome
    finally:
        batch.cancel()


async def aas_completed(
    batch: Batch,
    inputs: Iterable[_Input],
    ask: Callable[[_Input, RunnableConfig, BatchControl], Awaitable[_Output]],
    *,
    return_exceptions: bool,
) -> AsyncGenerator[tuple[int, _Output | Exception], None]:
    """As `as_completed`, with tasks; leaving the iteration cancels what is under way."""
    finished: asyncio.Queue[asyncio.Task[_Output]] = asyncio.Queue()
    waiting = enumerate(inputs)
    running: dict[asyncio.Task[_Output], int] = {}
    more = True

    async def run(index: int, value: _Input) -> _Output:
        with _member(batch, index) as member:
            batch.check()
            return await ask(value, batch.config(index), member)

    def outcome_of(task: asyncio.Task[_Output]) -> _Output | Exception:
        # A library below may cancel the task by itself; to the batch that is a failure like any other.
        error = TimeoutError("cancelled from within") if task.cancelled() else task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, Exception):
            raise error
        return error

    try:
        while True:
            while more and len(running) < batch.questions_at_once:
                item = next(waiting, None)
                more = item is not None
                if item is not None:
                    task = asyncio.create_task(run(*item))
                    running[task] = item[0]
                    task.add_done_callback(finished.put_nowait)
            if not running:
                return
            try:
                async with asyncio.timeout(batch.poll_s if more else None):
                    task = await finished.get()
            except TimeoutError:
                continue
            index, outcome = running.pop(task), outcome_of(task)
            progress = batch.count(index, outcome)
            callbacks = get_async_callback_manager_for_config(batch.config(index))
            await callbacks.on_custom_event("optscale:progress", progress)
            if isinstance(outcome, Exception) and not return_exceptions:
                raise outcome
            yield index, outcome
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
