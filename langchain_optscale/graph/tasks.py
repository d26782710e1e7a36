"""What one task of `draw` or `candidate` knows, and how tasks are sent on their way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import merge_configs
from langgraph.runtime import Runtime
from langgraph.types import Send

from langchain_optscale.errors import EmptyCandidateError
from langchain_optscale.graph.context import changes_of
from langchain_optscale.graph.events import Events
from langchain_optscale.policy import to_prompt
from langchain_optscale.records import Candidate, Failure
from langchain_optscale.search import Raised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.graph.context import Engine, Engines
    from langchain_optscale.graph.retries import Retries
    from langchain_optscale.policy import Drawn
    from langchain_optscale.search import Verify

__all__ = ["Task", "failure_of", "read_state", "runtime_of", "send"]

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
        self.prompt: PromptValue = to_prompt(state["messages"])
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

    def verify_config(self, job: Verify) -> RunnableConfig:
        """The config of a verification, whose model calls stay out of the caller's stream."""
        return merge_configs(self.config, {"tags": [f"optscale:verdict:{job.candidate.index}", "nostream"]})

    def receive(self, index: int, drawn: Drawn, seconds: float) -> tuple[Candidate, Failure | None]:
        """The candidate that was drawn, and why it cannot be verified, if it cannot."""
        candidate = Candidate(index, drawn.message, self.round_of(index), drawn.usage, seconds)
        if not candidate.text.strip() and not drawn.message.tool_calls:
            empty = EmptyCandidateError("the policy answered with neither text nor a tool call")
            return candidate, failure_of("draw", Raised(empty, self.attempt))
        if self.engine.settings.extract is not None:
            try:
                answer = self.engine.settings.extract(candidate.text)
            except Exception as error:  # noqa: BLE001 - the user's function; its error is kept as the failure
                return candidate, failure_of("verify", Raised(error, 1))
            candidate = Candidate(index, drawn.message, candidate.round, drawn.usage, seconds, answer)
        self.events.candidate(candidate)
        return candidate, None


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


def failure_of(stage: Any, raised: Raised) -> Failure:
    """The failure as the record has it."""
    return Failure(stage, f"{type(raised.error).__name__}: {raised.error}", raised.attempts)
