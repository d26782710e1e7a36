"""Record a pool (a file of drawn and scored candidates) from live endpoints: n candidates for every question.

Candidates are drawn and verified by the same `OptScale` as in production, so retries, seeds, several choices in one
request and traces are the same. This is the one module of `evaluation` that imports LangChain.

With a path, every finished question is appended to the file as one line and flushed to disk. A second call draws only
what is missing: a half-written last line is cut off and its question is drawn again. A crash loses the questions in
progress, at most `max_concurrency`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.evaluation._recording import IncompletePool, Progress, Recording, RecordOptions, id_of
from langchain_optscale.evaluation.samples import question_from_dict, questions_in
from langchain_optscale.records.failures import AllCandidatesFailed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.evaluation.pools import Pool, Question
    from langchain_optscale.runnables.optscale import OptScale
    from langchain_optscale.verifiers.base import Verifier

__all__ = ["IncompletePool", "Progress", "RecordOptions", "arecord_pool", "read_questions", "record_pool"]


def record_pool(
    policy: Runnable[Any, Any],
    verifier: Verifier | Runnable[Any, Any] | Callable[..., Any],
    questions: Iterable[Question | str],
    n: int,
    **options: Unpack[RecordOptions],
) -> Pool:
    """Draw exactly `n` candidates for every question, and record them with their scores.

    Args:
        policy: The chat model, or another Runnable, that draws candidates.
        verifier: Scores them: a `Verifier`, a Runnable or a callable `(prompt, candidate) -> float`.
        questions: What to ask; its samples are ignored. A string becomes a question whose id is made of its text.
        n: Candidates for each question, at least 1.
        **options: See `RecordOptions`.

    Returns:
        The pool, in the order of `questions`. A candidate that could not be drawn or not be verified is missing among
        its question's samples; the file counts it under "recorded".

    Raises:
        IncompletePool: All candidates of a question failed. The other questions are recorded, and the next call with
            this path asks again for those that failed.
        InvalidRecordError: The file at `path` is damaged elsewhere than at its end, or ids occur twice.
        SettingsError: A setting is out of range, the file was recorded with other settings or questions, or another
            process records into it.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale.evaluation.pools import Question
        >>> policy = FakeListChatModel(responses=["4", "5"])
        >>> pool = record_pool(
        ...     policy, lambda prompt, candidate: 0.9, [Question("sum", "2 + 2?", gold="4")], 2,
        ...     gold_check=lambda answer, gold: answer == gold, max_concurrency=1,
        ... )
        >>> [(sample.text, sample.score, sample.correct) for sample in pool.samples]
        [('4', 0.9, True), ('5', 0.9, False)]
    """
    recording = Recording(policy, verifier, questions, n, **options)
    executor = ContextThreadPoolExecutor(max_workers=recording.at_once)
    try:
        ask = partial(_ask, recording.search, recording.config)
        waiting = {executor.submit(ask, question): question for question in recording.missing}
        for future in concurrent.futures.as_completed(waiting):
            recording.write(waiting[future], future.result())
            recording.report(waiting[future], future.result())
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        recording.close()
    return recording.pool()


async def arecord_pool(
    policy: Runnable[Any, Any],
    verifier: Verifier | Runnable[Any, Any] | Callable[..., Any],
    questions: Iterable[Question | str],
    n: int,
    **options: Unpack[RecordOptions],
) -> Pool:
    """As `record_pool`, without blocking the event loop; cancelling it closes every request that is under way."""
    opening = asyncio.ensure_future(asyncio.to_thread(partial(Recording, policy, verifier, questions, n, **options)))
    try:
        recording = await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread goes on, and takes the lock of a file that is not written any more.
        opening.add_done_callback(_close_opened)
        raise
    missing = iter(recording.missing)
    running: dict[asyncio.Task[OptScaleResult | AllCandidatesFailed], Question] = {}

    def start_more() -> None:
        while len(running) < recording.at_once and (question := next(missing, None)) is not None:
            running[asyncio.create_task(_aask(recording.search, recording.config, question))] = question

    try:
        start_more()
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # On disk before anything new is started, so that a crash loses no finished question.
                await asyncio.to_thread(recording.write, running[task], task.result())
                recording.report(running.pop(task), task.result())
            start_more()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        recording.close()
    return recording.pool()


def _close_opened(opening: asyncio.Future[Recording]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def read_questions(path: str | os.PathLike[str]) -> tuple[Question, ...]:
    """Read what to ask: one JSON line a question, `{"prompt", "id"?, "gold"?}`, or a string that is the prompt.

    A pool will do as well: it is asked anew. Without an id, one is made of the prompt.

    Raises:
        InvalidRecordError: A line is no question, a question or an id stands on two lines, or there is none; the
            message names the file and the line.
        SettingsError: The file cannot be read.
    """
    return questions_in(path, _asked)


def _asked(data: Any, lines: Mapping[str, int]) -> Question:
    """The question of one line, given the lines of those before; its prompt stands for an id that is missing."""
    if isinstance(data, str):
        data = {"prompt": data}
    if isinstance(data, dict):
        prompt = data.get("prompt")
        if not isinstance(prompt, str):
            raise InvalidRecordError("prompt missing" if prompt is None else f"prompt must be a string, got {prompt!r}")
        data = {"id": id_of(prompt), **data, "samples": []}
    question = question_from_dict(data)
    if question.id in lines:
        raise InvalidRecordError(
            f"the question or the id of line {lines[question.id]} is repeated: remove this line, or give it its own id"
        )
    return question


def _ask(search: OptScale, config: RunnableConfig, question: Question) -> OptScaleResult | AllCandidatesFailed:
    try:
        return search.invoke(question.prompt, config)
    except AllCandidatesFailed as error:
        return error


async def _aask(search: OptScale, config: RunnableConfig, question: Question) -> OptScaleResult | AllCandidatesFailed:
    try:
        return await search.ainvoke(question.prompt, config)
    except AllCandidatesFailed as error:
        return error
