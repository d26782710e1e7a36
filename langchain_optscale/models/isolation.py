"""Runnables whose synchronous parts run in daemon threads of our own on the async path, and whose graphs run apart.

LangChain runs what has no async method in the event loop's default executor. There a part that hangs takes a thread
from the application for ever, and keeps `asyncio.run` from ending.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.tools import BaseTool, StructuredTool

from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.graph_runs import GraphRun, is_graph

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

__all__ = ["generates_in_thread", "isolated", "streams_in_thread"]


def generates_in_thread(model: BaseChatModel) -> bool:
    """Whether a chat model has no async method of its own: LangChain's default calls the sync one in a thread."""
    return type(model)._agenerate.__module__ == BaseChatModel.__module__  # noqa: SLF001 - the method to override


def streams_in_thread(model: BaseChatModel) -> bool:
    """The same of a model's streams."""
    return type(model)._astream.__module__ == BaseChatModel.__module__  # noqa: SLF001 - the method to override


def isolated(runnable: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The Runnable with each part that has no async method put into a daemon thread when it is awaited.

    Sequences, parallels, branches, bindings and fallbacks are looked into; what is awaited natively stays as it is, and
    so does everything on the sync path. A compiled graph in it becomes a `GraphRun`.
    """
    if isinstance(runnable, RunnableBindingBase):
        return runnable.model_copy(update={"bound": isolated(runnable.bound)})
    if isinstance(runnable, RunnableSequence):
        return RunnableSequence(*(isolated(step) for step in runnable.steps), name=runnable.name)
    if isinstance(runnable, RunnableParallel):
        steps = {key: isolated(step) for key, step in runnable.steps__.items()}
        return runnable.model_copy(update={"steps__": steps})
    if isinstance(runnable, RunnableBranch):
        branches = [(isolated(condition), isolated(branch)) for condition, branch in runnable.branches]
        return runnable.model_copy(update={"branches": branches, "default": isolated(runnable.default)})
    if isinstance(runnable, RunnableWithFallbacks):
        others = [isolated(other) for other in runnable.fallbacks]
        return runnable.model_copy(update={"runnable": isolated(runnable.runnable), "fallbacks": others})
    if is_graph(runnable):
        return GraphRun(runnable)
    return _Isolated(runnable) if _is_synchronous(runnable) else runnable


def _is_synchronous(runnable: Runnable[Any, Any]) -> bool:
    if isinstance(runnable, BaseChatModel):
        return generates_in_thread(runnable)
    if isinstance(runnable, RunnableLambda):
        return hasattr(runnable, "func") and not hasattr(runnable, "afunc")
    if isinstance(runnable, StructuredTool):
        return runnable.coroutine is None
    if isinstance(runnable, BaseTool):
        return type(runnable)._arun.__module__ == BaseTool.__module__  # noqa: SLF001 - the method to override
    return type(runnable).ainvoke is Runnable.ainvoke


class _Isolated(Runnable[Any, Any]):
    """One synchronous part."""

    def __init__(self, part: Runnable[Any, Any]) -> None:
        self._part = part
        self.name = part.get_name()

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        return self._part.get_name(suffix, name=name)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return self._part.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return await run_in_thread(partial(self._part.invoke, input, config, **kwargs))
