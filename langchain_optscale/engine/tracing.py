"""What a search writes into traces, and what it keeps out of the caller's stream.

Every draw and every verification is a child run of the search's own run, named and tagged
`optscale:candidate:3` or `optscale:verdict:3`. Tracers see everything. What a losing candidate says, or a judge, is
not part of the answer: streams to a user (`astream_events`, LangGraph's "messages") show none of the children, only the
search's custom events, and other handlers get none of their tokens. The same events go to LangGraph's
`stream_mode="custom"`, wherever in a graph the search runs.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)
from langchain_core.tracers.base import BaseTracer
from langchain_core.utils.uuid import uuid7

from langchain_optscale.models.private_names import STREAMING_HANDLERS, USER_STREAM_HANDLER
from langchain_optscale.models.token_usage import choice_usages
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.jobs import Event

__all__ = [
    "add_run_metadata",
    "atrace_choices",
    "child_config",
    "children_of",
    "has_callbacks",
    "hide_usage",
    "planned_children",
    "stream_writer",
    "streams_to_a_user",
    "trace_choices",
    "with_corrected_usage",
    "with_run_id",
    "write_event",
]

_T = TypeVar("_T")
_TOKENS = frozenset({"on_llm_new_token", "on_stream_event"})

_is_searching: ContextVar[bool] = ContextVar("optscale_is_searching", default=False)


def child_config(
    config: RunnableConfig, name: str, tags: Sequence[str] = (), metadata: Mapping[str, Any] | None = None
) -> RunnableConfig:
    """The config of one draw or verification: named, tagged, and without tokens for streams to a user.

    The tag "nostream" says the same to LangGraph's `stream_mode="messages"`.
    """
    child = ensure_config(config)  # a copy, down to what is changed here
    child["run_name"] = name
    child["tags"] = sorted({*child["tags"], *tags, "nostream"})
    child["metadata"].update(metadata or {})
    callbacks = child["callbacks"]
    if isinstance(callbacks, BaseCallbackManager):
        callbacks.handlers = _without_tokens_in(callbacks.handlers)
        callbacks.inheritable_handlers = _without_tokens_in(callbacks.inheritable_handlers)
    elif callbacks:
        child["callbacks"] = _without_tokens_in(callbacks)
    return child


def streams_to_a_user(handlers: Iterable[BaseCallbackHandler]) -> bool:
    """Whether one of the handlers makes LangChain's models stream when they are only invoked."""
    return any(isinstance(handler, USER_STREAM_HANDLER) for handler in handlers)


def has_callbacks(config: RunnableConfig) -> bool:
    """Whether a callback handler is attached under this config."""
    manager = config.get("callbacks")
    return bool(manager.handlers if isinstance(manager, BaseCallbackManager) else manager)


def _without_tokens_in(handlers: Iterable[BaseCallbackHandler]) -> list[BaseCallbackHandler]:
    """The handlers for a child run: without those that stream to a user, and without tokens for all others."""
    return [_without_tokens(handler) for handler in handlers if not isinstance(handler, STREAMING_HANDLERS)]


def _without_tokens(handler: BaseCallbackHandler) -> BaseCallbackHandler:
    bases = (BaseCallbackHandler, AsyncCallbackHandler)
    listens = any(getattr(type(handler), name) not in [getattr(base, name) for base in bases] for name in _TOKENS)
    if isinstance(handler, _WithoutTokens | BaseTracer) or not listens:
        return handler
    return _WithoutTokens(handler)


class _WithoutTokens(BaseCallbackHandler):
    """Passes everything to another handler, except tokens."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self._handler = handler

    def __getattribute__(self, name: str) -> Any:
        handed_on = name.startswith(("on_", "ignore_")) or name in {"raise_error", "run_inline"}
        if handed_on and name not in _TOKENS:
            return getattr(object.__getattribute__(self, "_handler"), name)
        return object.__getattribute__(self, name)


def children_of(run: BaseRunManager) -> BaseCallbackManager:
    """Callbacks for the runs below a chat model's own run; LangChain has this for chains and tools only."""
    kind = CallbackManager if isinstance(run, CallbackManagerForLLMRun) else AsyncCallbackManager
    manager = kind(handlers=[], parent_run_id=run.run_id)
    manager.set_handlers(run.inheritable_handlers)
    manager.add_tags(run.inheritable_tags)
    # What describes the outer model would be wrong of the inner ones.
    own = ("ls_", "optscale_")
    manager.add_metadata({key: value for key, value in run.inheritable_metadata.items() if not key.startswith(own)})
    return manager


def with_run_id(config: RunnableConfig, manager_of: Callable[[RunnableConfig], BaseCallbackManager]) -> RunnableConfig:
    """The config with its callbacks made ready and the run's identifier chosen, so that both are known beforehand."""
    return {**config, "callbacks": manager_of(config), "run_id": config.get("run_id") or uuid7()}


def planned_children(config: RunnableConfig) -> BaseCallbackManager:
    """As `children_of`, for the run that a config from `with_run_id` is going to start."""
    manager = cast("BaseCallbackManager", config["callbacks"]).copy()
    manager.parent_run_id = config["run_id"]
    return manager


def hide_usage(run: BaseRunManager) -> None:
    """Keep the tokens of a search out of the end of its own run, for handlers and tracers that add up tokens.

    They have counted the runs of policy and verifier below it already. Streams to a user show everything.
    """
    run.handlers = [
        handler
        if isinstance(handler, (*STREAMING_HANDLERS, _WithoutUsage))
        else (_AsyncWithoutUsage if isinstance(handler, AsyncCallbackHandler) else _WithoutUsage)(handler)
        for handler in run.handlers
    ]


class _WithoutUsage(BaseCallbackHandler):
    """Hands everything on to another handler, the end of a model's run without its tokens."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self._handler = handler

    def __getattribute__(self, name: str) -> Any:
        handed_on = name.startswith(("on_", "ignore_")) or name in {"raise_error", "run_inline"}
        if handed_on and name != "on_llm_end":
            return getattr(object.__getattribute__(self, "_handler"), name)
        return object.__getattribute__(self, name)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> Any:
        return self._handler.on_llm_end(_without_usage(response), **kwargs)


class _AsyncWithoutUsage(_WithoutUsage, AsyncCallbackHandler):
    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        await cast("AsyncCallbackHandler", self._handler).on_llm_end(_without_usage(response), **kwargs)


def _without_usage(response: LLMResult) -> LLMResult:
    """A copy; the messages themselves are the caller's and keep their usage."""
    generations = [
        [
            item.model_copy(update={"message": item.message.model_copy(update={"usage_metadata": None})})
            if isinstance(item, ChatGeneration) and isinstance(item.message, AIMessage)
            else item
            for item in several
        ]
        for several in response.generations
    ]
    return response.model_copy(update={"generations": generations})


class _CorrectedUsage(BaseCallbackHandler):
    """Corrects the usage of a request with several choices before other handlers read it.

    Integrations give each choice the usage of the whole request and none the model's name. Here the first choice gets
    the request's usage, the others none, and all of them the name.
    """

    run_inline = True

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        for generations in response.generations:
            messages = [
                item.message
                for item in generations
                if isinstance(item, ChatGeneration) and isinstance(item.message, AIMessage)
            ]
            if len(messages) < 2:
                continue
            total = sum(choice_usages(messages), Usage())
            reported = messages[0].usage_metadata
            output = {key: value for key, value in (response.llm_output or {}).items() if key != "token_usage"}
            for position, message in enumerate(messages):
                message.response_metadata = {**output, **message.response_metadata}
                message.usage_metadata = (
                    {
                        **reported,
                        "input_tokens": total.input_tokens,
                        "output_tokens": total.output_tokens,
                        "total_tokens": total.total_tokens,
                    }
                    if reported and position == 0
                    else None
                )


def with_corrected_usage(callbacks: Any) -> Any:
    """Callbacks for a request with several choices, with its usage and model name corrected."""
    first = _CorrectedUsage()
    if not isinstance(callbacks, BaseCallbackManager):
        return [first, *(callbacks or [])]
    manager = callbacks.copy()
    manager.handlers = [first, *callbacks.handlers]
    return manager


def trace_choices(config: RunnableConfig, indexes: Sequence[int], messages: Sequence[AIMessage]) -> None:
    """One run a candidate, where several of them came in one request."""
    for index, message in zip(indexes, messages, strict=False):
        name = f"optscale:candidate:{index}"
        manager = get_callback_manager_for_config(child_config(config, name, [name]))
        if manager.handlers:
            manager.on_chain_start(None, {"candidate": index}, name=name).on_chain_end({"message": message})


async def atrace_choices(config: RunnableConfig, indexes: Sequence[int], messages: Sequence[AIMessage]) -> None:
    """As `trace_choices`, without blocking the event loop."""
    for index, message in zip(indexes, messages, strict=False):
        name = f"optscale:candidate:{index}"
        manager = get_async_callback_manager_for_config(child_config(config, name, [name]))
        if manager.handlers:
            run = await manager.on_chain_start(None, {"candidate": index}, name=name)
            await run.on_chain_end({"message": message})


def add_run_metadata(
    handlers: Iterable[BaseCallbackHandler], run_id: object, describe: Callable[[_T], dict[str, Any]], subject: _T
) -> None:
    """Add `describe(subject)` to the metadata of a run under way, in every tracer that keeps the run."""
    for handler in handlers:
        if isinstance(handler, BaseTracer) and (traced := handler.run_map.get(str(run_id))):
            traced.add_metadata(describe(subject))


@contextmanager
def stream_writer() -> Iterator[Callable[[Any], None] | None]:
    """LangGraph's stream writer for the search of the block; None outside of graphs, and within another search.

    A judge may search itself: the events of its search would look like those of the outer one.
    """
    writer = None if _is_searching.get() else _writer_here()
    token = _is_searching.set(True)
    try:
        yield writer
    finally:
        _is_searching.reset(token)


def write_event(writer: Callable[[Any], None], event: Event) -> None:
    """Write one event: its name as `type`, beside its data."""
    writer({"type": event.name, **event.data})


def _writer_here() -> Callable[[Any], None] | None:
    # Importing LangGraph takes longer than this package, and where it is not loaded there is no graph.
    config = sys.modules.get("langgraph.config")
    if config is None:
        return None
    try:
        writer: Callable[[Any], None] = config.get_stream_writer()
    except (RuntimeError, KeyError):  # outside of a Runnable, or in one that no graph runs
        return None
    return writer
