"""What runs on a worker: a search, made of its settings on arrival, that answers block after block of questions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.distributed.journal import Journal
from langchain_optscale.errors import IncompleteBatch, OptScaleError, SettingsError
from langchain_optscale.evaluation._recording import id_of
from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.runnables.optscale import OptScale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.runnables.budget import Budget

__all__ = ["COLUMNS", "Answering", "Plan", "question_of"]

COLUMNS = {
    "id": "string",
    "answer": "string",
    "error": "string",
    "score": "float64",
    "drawn": "int64",
    "tokens": "int64",
    "cost": "float64",
    "stop_reason": "string",
    "duration_s": "float64",
}
"""The columns of what a worker returns, with their Arrow types; `error` or all of the others but `id` are null."""


@dataclass(frozen=True)
class Plan:
    """What every worker is told.

    Attributes:
        search: The search; its models are made anew on the worker, with keys from the environment there. Or a function
            that makes it there.
        max_concurrency: Requests under way at once on this worker.
        output: The directory of the answers; None writes none.
        asked: What tells whether answers that are there were made with the same settings.
        prepare: Makes the prompt of a question, as by an instruction; None takes the question itself.
        budget: Of all questions together; a block of questions gets its share.
        give_up_after: So many questions in a row without an answer end the run.
    """

    search: OptScale | Callable[[], OptScale]
    max_concurrency: int
    output: str | None
    asked: Mapping[str, Any]
    prepare: Callable[[PromptValue], PromptValue] | None
    budget: Budget | None
    give_up_after: int


def question_of(row: Mapping[str, Any]) -> tuple[str, PromptValue]:
    """Id and prompt of a row: {"prompt": ..., "id"?: ...}, {"messages": [...]}, or {"text": a line of JSON lines}.

    Raises:
        SettingsError: The row is no question.
    """
    row = _fields(row)
    asked = row.get("prompt", row.get("messages"))
    if not isinstance(asked, str | list):
        raise SettingsError('a question is a string, or has a "prompt" or "messages"')
    given = row.get("id")
    id_ = id_of(asked if isinstance(asked, str) else json.dumps(asked, sort_keys=True)) if given is None else str(given)
    return id_, to_prompt(asked)


def _fields(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a question, those of its line where the row has one.

    Raises:
        SettingsError: The line is no question.
    """
    if set(row) != {"text"}:
        return row
    try:
        line = json.loads(row["text"])
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(f"not JSON: {error}") from error
    if not isinstance(line, str | dict):
        raise SettingsError(f"a question is a string or an object, got a {type(line).__name__}")
    return {"prompt": line} if isinstance(line, str) else line


def _id_of_bad(row: Mapping[str, Any]) -> str:
    """The id under which a row that is no question is reported."""
    given = None
    with contextlib.suppress(SettingsError):
        given = _fields(row).get("id")
    return id_of(json.dumps(row, sort_keys=True, default=str)) if given is None else str(given)


class Answering:
    """Answers blocks of questions on a worker; Ray Data makes one for each of its actors.

    Args:
        plan: What to do.

    Raises:
        SettingsError: The directory of the answers cannot be continued.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._search = plan.search if isinstance(plan.search, OptScale) else plan.search()
        self._journal = None if plan.output is None else Journal(plan.output, plan.asked)
        # One loop for all blocks: connections belong to the loop in which they were made.
        self._loop = asyncio.new_event_loop()

    def __call__(self, block: Any) -> Any:
        """The rows of a block of questions, an Arrow table with `COLUMNS`; questions that have a line are left out."""
        import pyarrow as pa

        rows = self._loop.run_until_complete(self._answer(block.to_pylist()))
        return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))

    async def _answer(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asked = list(self._questions(rows, told))
        # Written once another question succeeds: until then the endpoint may be at fault.
        failed: list[tuple[str, AllCandidatesFailed]] = []
        completed = self._search.abatch_as_completed(
            [prompt for _, prompt in asked],
            {"max_concurrency": self._plan.max_concurrency},
            return_exceptions=True,
            budget=self._share(len(rows), len(asked)),
        )
        async with contextlib.aclosing(completed):
            async for index, outcome in completed:
                id_ = asked[index][0]
                if isinstance(outcome, AllCandidatesFailed):
                    failed.append((id_, outcome))
                    if len(failed) >= self._plan.give_up_after:
                        raise IncompleteBatch(
                            f"{len(failed)} questions in a row failed on a worker, the last because {outcome}"
                        )
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    await self._keep({"id": id_, "answer": outcome.text, **outcome.summary()})
                    told.append(_row(id_, outcome))
                    told += [await self._refuse(*one) for one in failed]
                    failed.clear()
        return told + [await self._refuse(*one) for one in failed]

    def _questions(
        self, rows: Sequence[Mapping[str, Any]], told: list[dict[str, Any]]
    ) -> Iterator[tuple[str, PromptValue]]:
        """The questions to ask; a row that is none gets its line at once."""
        begun: set[str] = set()
        for row in rows:
            try:
                id_, prompt = question_of(row)
                prompt = self._plan.prepare(prompt) if self._plan.prepare else prompt
            except OptScaleError as error:
                id_ = _id_of_bad(row)
                if not self._is_there(id_):
                    told.append(self._refused(id_, error))
                continue
            if not self._is_there(id_) and id_ not in begun:
                begun.add(id_)
                yield id_, prompt

    def _is_there(self, id_: str) -> bool:
        return self._journal is not None and id_ in self._journal

    def _share(self, rows: int, asked: int) -> Budget | None:
        """The block's share of the budget: a window of its own, the same whichever worker has it."""
        budget = self._plan.budget
        if budget is None or budget.questions is None or not asked:
            return None
        share = budget.share(budget.amount * min(1.0, asked / budget.questions), asked)
        return replace(share, window=max(rows, 1))

    async def _keep(self, line: dict[str, Any]) -> None:
        if self._journal is not None:
            await asyncio.to_thread(self._journal.keep, line)

    async def _refuse(self, id_: str, error: Exception) -> dict[str, Any]:
        return await asyncio.to_thread(self._refused, id_, error)

    def _refused(self, id_: str, error: Exception) -> dict[str, Any]:
        if self._journal is not None:
            self._journal.keep({"id": id_, "error": str(error)})
        return dict.fromkeys(COLUMNS) | {"id": id_, "error": str(error)}


def _row(id_: str, result: OptScaleResult) -> dict[str, Any]:
    return {
        "id": id_,
        "answer": result.text,
        "error": None,
        "score": result.score,
        "drawn": len(result.candidates),
        "tokens": result.total_usage.total_tokens,
        "cost": result.cost,
        "stop_reason": result.stop_reason.name,
        "duration_s": result.duration_s,
    }
