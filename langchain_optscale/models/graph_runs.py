"""Agents and other compiled LangGraph graphs as policies: each candidate is a run of its own.

Within a node of another graph, LangGraph would take a graph that is called there for a part of the outer one, and its
parallel runs for one and the same: they would share a checkpoint and write into the caller's streams. Here each run
gets a thread of its own, nothing of the outer graph, and the prompt as its `messages`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.utils.uuid import uuid7

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.states import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

__all__ = ["GraphRun", "check_graph", "is_graph"]


def is_graph(runnable: object) -> bool:
    """Whether a Runnable is a compiled graph that answers with its state."""
    # By its attributes, since importing LangGraph takes longer than this package; an `entrypoint` has no builder.
    parts = getattr(runnable, "__dict__", {})
    return "builder" in parts and isinstance(parts.get("output_channels"), list | tuple)


def check_graph(policy: Runnable[Any, Any]) -> None:
    """Refuse a graph that takes no conversation, before it is paid for.

    Raises:
        SettingsError: The policy is such a graph.
    """
    while isinstance(policy, RunnableBindingBase):
        policy = policy.bound
    if not is_graph(policy):
        return
    builder: Any = vars(policy)["builder"]
    channels = getattr(builder, "schemas", {}).get(getattr(builder, "input_schema", None))
    if channels is not None and MESSAGES not in channels:
        raise SettingsError(
            f"the policy {policy.get_name()} is a graph whose input has no `messages`: begin with a step that makes "
            "its input of the prompt, such as RunnableLambda(lambda prompt: {'question': prompt.to_string()}) | graph"
        )


class GraphRun(Runnable[Any, Any]):
    """A graph that runs by itself, wherever it is called.

    Args:
        graph: The compiled graph.
    """

    def __init__(self, graph: Runnable[Any, Any]) -> None:
        self._graph = graph
        self.name = graph.get_name()

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the graph with a prompt, or with an input of its own."""
        with _outside_of_graphs():
            return self._graph.invoke(_input(input), _apart(config), **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """As `invoke`; cancelling it cancels the run."""
        with _outside_of_graphs():
            return await self._graph.ainvoke(_input(input), _apart(config), **kwargs)


@contextmanager
def _outside_of_graphs() -> Iterator[None]:
    """Within the block no config is inherited: LangGraph would add the callbacks of the graph around it."""
    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _input(given: Any) -> Any:
    return {MESSAGES: given.to_messages()} if isinstance(given, PromptValue) else given


def _apart(config: RunnableConfig | None) -> RunnableConfig:
    """The config without what belongs to a graph around it, and with a thread of its own."""
    given: RunnableConfig = config or {}
    own = {
        name: value
        for name, value in given.get("configurable", {}).items()
        if not name.startswith(("__", "checkpoint_"))
    }
    return {**given, "configurable": {**own, "thread_id": str(uuid7())}}
