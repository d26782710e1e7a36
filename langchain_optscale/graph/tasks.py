"""The inputs of one task of `draw` or `candidate`, and how tasks are sent."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langgraph.runtime import Runtime
from langgraph.types import Send

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.executor import Executor
from langchain_optscale.engine.worker import Worker, candidate_of
from langchain_optscale.graph.events import Events
from langchain_optscale.graph.process_memory import spent_by
from langchain_optscale.graph.state import candidates_in, failures_in
from langchain_optscale.models.private_names import READ_KEY, RUNTIME_KEY
from langchain_optscale.records.candidates import Candidate, Failure
from langchain_optscale.records.identical import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.jobs import Choice
    from langchain_optscale.graph.context import RunSettings, SettingsCache
    from langchain_optscale.graph.retries import Retries

__all__ = ["Task", "failures_update", "read_state", "runtime_of", "send"]


class Task:
    """One task of `draw` or `candidate`: its arguments, the state, the settings and the number of the attempt."""

    def __init__(
        self, arguments: Mapping[str, Any], config: RunnableConfig, settings: SettingsCache, retries: Retries
    ) -> None:
        runtime = runtime_of(config)
        self.arguments = arguments
        self.config = config
        state = read_state(config, "messages", "optscale")
        self.record = settings.record_in(state)
        run: RunSettings = settings.get(settings.changes_of(self.record, config, runtime), self.record)
        self.settings = run.settings
        self._causes = settings.causes
        search: str = self.record["search"]["id"]
        once = run.reader(search).once
        self.read = once(Candidate.from_dict)
        answers = AnswerBook(run.settings.extract, spent_by(search))
        if run.settings.extract is not None:
            failures = failures_in(self.record, once(Failure.from_dict))
            no_answers = {index for index, failure in failures.items() if failure.stage == "draw"}
            for index, entry in candidates_in(self.record).items():
                if index in no_answers:
                    continue
                candidate = self.read(entry)
                answers.restore(index, candidate.answer, fingerprint(candidate, seeded=run.seeded))
        self.sampler = run.sampler(self.record)
        worker = Worker(run.settings, run.prompt(state["messages"]), self.sampler, answers, config)
        for role, done in (("policy", "candidates"), ("verifier", "verdicts")):
            if self.record.get(done):
                worker.record_work(role)  # in an earlier task, maybe of another process
        self.close = worker.close  # the task has ended
        self.executor = Executor(worker)
        self.events = Events(runtime.stream_writer)
        info = runtime.execution_info
        # The attempts at a verification in the task before this one count as well.
        self.attempt: int = (info.node_attempt if info else 1) + arguments.get("tried", 0)
        self._max_attempts = retries.max_attempts_for(run.settings)
        # The start of the first attempt, so that pauses before a retry count.
        self._began: float = (info and info.node_first_attempt_time) or time.time()
        self.timed_out = False
        self._retries = retries

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first attempt began."""
        return max(0.0, time.time() - self._began)

    @property
    def left_s(self) -> float | None:
        """Seconds until the search's deadline, None where it has none."""
        return None if "left_s" not in self.arguments else self.arguments["left_s"] - self.elapsed_s

    def send(self, index: int) -> Send:
        """The task for one candidate, with the time that is left until the deadline."""
        return send("candidate", {"index": index}, self.left_s)

    def should_retry(self, error: BaseException) -> bool:
        """Whether this error should be raised, so that LangGraph's retry policy runs the task again."""
        return not self.timed_out and self._retries.is_retryable(error) and self.attempt < self._max_attempts

    def receive(self, index: int, choice: Choice, seconds: float) -> tuple[Candidate, Failure | None]:
        """The candidate of a choice, and the failure where it cannot be verified."""
        number = next(entry["number"] for entry in self.record["rounds"] if index in entry["indexes"])
        candidate, failed = candidate_of(index, choice, number, seconds), choice.failure
        if failed is not None and failed.stage == "draw":
            failed = replace(failed, attempts=self.attempt).caused_by(failed.cause)
        if failed is None:
            self.events.candidate(candidate)
        return candidate, failed

    def failed(self, failed: Mapping[int, tuple[Failure, float]]) -> dict[str, Any]:
        """Emit failures and keep their exceptions; the update of the record."""
        self._causes.keep(self.record["search"]["id"], {index: failure for index, (failure, _) in failed.items()})
        return failures_update(self.events, failed)

    def send_requests(self, indexes: Sequence[int]) -> list[Send]:
        """The tasks that draw these candidates, as many a request as the policy's server accepts."""
        return [
            self.send(one[0]) if len(one) == 1 else send("draw", {"indexes": list(one)}, self.left_s)
            for one in self.sampler.requests(indexes)
        ]


def failures_update(events: Events, failed: Mapping[int, tuple[Failure, float]]) -> dict[str, Any]:
    """Emit the failures of candidates, by index with their seconds; the update of the record."""
    for index, (failure, _) in failed.items():
        events.failure(index, failure)
    if not failed:
        return {}
    return {
        "failures": [[index, failure.to_dict()] for index, (failure, _) in failed.items()],
        "seconds": [[index, seconds] for index, (_, seconds) in failed.items()],
    }


def read_state(config: RunnableConfig, *channels: str) -> dict[str, Any]:
    """The values of some channels, for the task of a `Send`.

    It gets only what was sent, and a conversation sent with every draw would be stored as often.
    """
    state: dict[str, Any] = config["configurable"][READ_KEY](list(channels))
    return state


def send(node: str, arguments: Mapping[str, Any], left_s: float | None) -> Send:
    """A task for a node, with the seconds until the search's deadline, if it has one."""
    return Send(node, {**arguments} if left_s is None else {**arguments, "left_s": left_s})


def runtime_of(config: RunnableConfig) -> Runtime[Any]:
    """LangGraph's runtime, for nodes and edges."""
    runtime: Runtime[Any] = config["configurable"].get(RUNTIME_KEY) or Runtime()
    return runtime
