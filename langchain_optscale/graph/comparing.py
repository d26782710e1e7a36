"""The comparisons of a tournament in the graph: each by a task of its own, so that a resumed run makes none twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.errors import NodeTimeoutError
from langgraph.types import Command

from langchain_optscale.engine.choosing import Comparing, failed_comparison
from langchain_optscale.engine.jobs import Compare, Done
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.graph.events import Events
from langchain_optscale.graph.replay import drawn_in
from langchain_optscale.graph.state import candidates_in, verdicts_in
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.comparisons import Comparison, FailedComparison
from langchain_optscale.records.failures import Raised
from langchain_optscale.records.stored import Fields, read_pairs

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from langchain_core.runnables import RunnableConfig
    from langgraph.errors import NodeError
    from langgraph.runtime import Runtime

    from langchain_optscale.engine.jobs import Job
    from langchain_optscale.graph.replay import ReplayedSession
    from langchain_optscale.graph.tasks import Task

__all__ = ["compare", "comparing_in", "most_supersteps", "record_comparison_timeout"]

_ALL = 1 << 20


def comparing_in(record: Mapping[str, Any], replay: ReplayedSession) -> tuple[Comparing, list[Compare]] | None:
    """The comparisons of a search that has stopped, and those that are missing; None where it has no tournament.

    Args:
        record: The search so far.
        replay: Its session.

    Raises:
        InvalidRecordError: A recorded comparison is not what was asked for.
    """
    settings, drawn = replay.run.settings, drawn_in(record, replay)
    comparing = Comparing.of(settings, replay.session, drawn, verdicts_in(record), seeded=replay.run.seeded)
    if comparing is None:
        return None
    told = read_pairs(Fields(record, "the search in this thread"), "comparisons", _read, ())
    while jobs := comparing.take(_ALL):
        if missing := [job for job in jobs if job.number not in told]:
            return comparing, missing
        for job in jobs:
            if told[job.number].order != job.order:
                raise InvalidRecordError(f"comparison {job.number} of the search in this thread compares others")
            comparing.record(job, Done(told[job.number], 0.0), replay.session.history.elapsed_s)
    return comparing, []


def compare(task: Task) -> Generator[Job, Any, Command[Any] | dict[str, Any]]:
    """Make one comparison."""
    number, order = task.arguments["number"], tuple(task.arguments["order"])
    drawn = candidates_in(task.record)
    outcome: Done | Raised = yield Compare(number, tuple(Candidate.from_dict(drawn[index]) for index in order))
    if isinstance(outcome, Raised):
        if task.should_retry(outcome.error):
            raise outcome.error
        return _update(task.events, number, failed_comparison(order, outcome.error))
    made: Comparison = outcome.value
    return _update(task.events, number, made)


def record_comparison_timeout(
    arguments: Mapping[str, Any], error: NodeError, config: RunnableConfig, runtime: Runtime[Any]
) -> Command[Any]:
    """Record a comparison as failed whose attempts all exceeded `timeout`."""
    if not isinstance(error.error, NodeTimeoutError):
        raise error.error
    failed = failed_comparison(arguments["order"], error.error)
    return Command(update=_update(Events(runtime.stream_writer), arguments["number"], failed), goto="choose")


def most_supersteps(budget: int) -> int:
    """The most supersteps of a tournament: each group takes two comparisons and a step that says what is next."""
    return 2 + 2 * (budget // 2)


def _update(events: Events, number: int, made: Comparison | FailedComparison) -> dict[str, Any]:
    events.comparison(number, made)
    return {"optscale": {"comparisons": [[number, made.to_dict()]]}}


def _read(data: object) -> Comparison | FailedComparison:
    failed = "error" in Fields(data, "a comparison").data
    return FailedComparison.from_dict(data) if failed else Comparison.from_dict(data)
