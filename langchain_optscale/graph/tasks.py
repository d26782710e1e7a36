"""What one task of `draw` or `candidate` knows, and how tasks are sent on their way."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langgraph.runtime import Runtime
from langgraph.types import Send

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.executor import Executor
from langchain_optscale.engine.search import candidate_of
from langchain_optscale.engine.worker import Worker
from langchain_optscale.graph.context import changes_of
from langchain_optscale.graph.events import Events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.jobs import Choice
    from langchain_optscale.graph.context import Engine, Engines
    from langchain_optscale.graph.retries import Retries
    from langchain_optscale.records.types import Candidate, Failure

__all__ = ["Task", "read_state", "runtime_of", "send"]

# The key under which LangGraph gives a task the means to read channels, as its own ToolNode uses it: the task of a
# `Send` sees only what was sent, and sending the conversation with every draw would store it once for each.
_READ = "__pregel_read"
# Likewise the runtime: LangGraph's `get_runtime` knows it in nodes, but not in the edges that follow them.
_RUNTIME = "__pregel_runtime"


class Task:
    """What one task of `draw` or `candidate` knows: the state, the settings, and how often it was tried."""

    def __init__(
        self,
        words: Mapping[str, Any],
        config: RunnableConfig,
        engines: Engines,
        retries: Retries,
    ) -> None:
        runtime = runtime_of(config)
        self.words = words
        self.config = config
        state = read_state(config, "messages", "optscale")
        self.record: Mapping[str, Any] = state["optscale"]
        self.engine: Engine = engines.get(changes_of(self.record, config, runtime))
        settings = self.engine.settings
        answers = AnswerBook(settings.extract)
        if settings.extract is not None:
            for entry in self.record["candidates"]:
                answers.restore(entry["index"], entry["answer"])
        self.sampler = self.engine.sampler(self.record)
        worker = Worker(settings, self.engine.prompt(state["messages"]), self.sampler, answers, config)
        self.executor = Executor(worker)
        self.events = Events(runtime.stream_writer)
        info = runtime.execution_info
        # A verification that was tried in the task before this one has had that try.
        self.attempt: int = (info.node_attempt if info else 1) + words.get("tried", 0)
        # Of the first attempt, so that pauses before a retry count as well.
        self._began: float = (info and info.node_first_attempt_time) or time.time()
        self.late = False
        self._retries = retries

    def round_of(self, index: int) -> int:
        """The round in which a candidate was asked for."""
        number: int = next(entry["number"] for entry in self.record["rounds"] if index in entry["indexes"])
        return number

    @property
    def spent_s(self) -> float:
        """Seconds since the task was first tried."""
        return max(0.0, time.time() - self._began)

    @property
    def left_s(self) -> float | None:
        """Seconds until the search's deadline, None where it has none."""
        return None if "left_s" not in self.words else self.words["left_s"] - self.spent_s

    def send(self, index: int) -> Send:
        """The task for one candidate, which may take what this one leaves of the deadline, if there is one."""
        return send("candidate", {"index": index}, self.left_s)

    def worth_another_try(self, error: BaseException) -> bool:
        """Whether LangGraph's retry policy should have this error and run the task again."""
        return (
            not self.late and self._retries.wants(error) and self.attempt < self._retries.attempts(self.engine.settings)
        )

    def receive(self, index: int, drawn: Choice, seconds: float) -> tuple[Candidate, Failure | None]:
        """The candidate that was drawn, and why it cannot be verified, if it cannot."""
        candidate, failed = candidate_of(index, drawn, self.round_of(index), seconds), drawn.failure
        if failed is not None and failed.stage == "draw":
            failed = replace(failed, attempts=self.attempt)
        if failed is None:
            self.events.candidate(candidate)
        return candidate, failed

    def send_requests(self, indexes: Sequence[int]) -> list[Send]:
        """Tasks for candidates that are to be drawn, as many in one request as the policy's server takes."""
        return [
            self.send(one[0]) if len(one) == 1 else send("draw", {"indexes": list(one)}, self.left_s)
            for one in self.sampler.requests(indexes)
        ]


def read_state(config: RunnableConfig, *channels: str) -> dict[str, Any]:
    """The values of some channels, for the task of a `Send`."""
    state: dict[str, Any] = config["configurable"][_READ](list(channels))
    return state


def send(node: str, words: Mapping[str, Any], left_s: float | None) -> Send:
    """A task for a node, with the seconds that it may take, where the search has a deadline."""
    return Send(node, {**words} if left_s is None else {**words, "left_s": left_s})


def runtime_of(config: RunnableConfig) -> Runtime[Any]:
    """LangGraph's runtime, in nodes and in the edges that follow them alike."""
    runtime: Runtime[Any] = config["configurable"].get(_RUNTIME) or Runtime()
    return runtime
