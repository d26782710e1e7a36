"""How `ChatOptScale` is called: the settings of one call, and the run that a stream belongs to."""

from __future__ import annotations

from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)

from langchain_optscale.engine.tracing import planned_children, with_run_id
from langchain_optscale.runnables._chat_metadata import IdentifiedChatModel, for_this_call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.runnables import RunnableConfig

__all__ = ["CalledChatModel", "stream_parent"]

stream_parent: ContextVar[BaseCallbackManager | None] = ContextVar("optscale_parent", default=None)
"""The run whose stream is being made, which LangChain does not pass to `_stream`."""


class CalledChatModel(IdentifiedChatModel):
    """The public methods that call the model."""

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As for any chat model; `config["configurable"]` may change settings for this call."""
        config = ensure_config(config)
        return super().invoke(input, config, stop=stop, **{**for_this_call(self, config), **kwargs})

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `invoke`, without blocking the event loop; cancelling it cancels every request that is under way."""
        config = ensure_config(config)
        return await super().ainvoke(input, config, stop=stop, **{**for_this_call(self, config), **kwargs})

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """The chosen message in chunks after the search; during it, progress as custom events."""
        config = with_run_id(ensure_config(config), get_callback_manager_for_config)
        chunks = super().stream(input, config, stop=stop, **{**for_this_call(self, config), **kwargs})
        while True:
            token = stream_parent.set(planned_children(config))
            try:
                chunk = next(chunks, None)
            finally:
                stream_parent.reset(token)
            if chunk is None:
                return
            yield chunk

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As `stream`, without blocking the event loop."""
        config = with_run_id(ensure_config(config), get_async_callback_manager_for_config)
        chunks = super().astream(input, config, stop=stop, **{**for_this_call(self, config), **kwargs})
        async with aclosing(cast("AsyncGenerator[AIMessageChunk, None]", chunks)) as chunks:
            while True:
                token = stream_parent.set(planned_children(config))
                try:
                    chunk = await anext(chunks, None)
                finally:
                    stream_parent.reset(token)
                if chunk is None:
                    return
                yield chunk

    def stream_events(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """As for any chat model, in every version of LangChain's events."""
        return super().stream_events(input, config, **_event_arguments(self, config, kwargs))

    def astream_events(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """As for any chat model, in every version of LangChain's events."""
        return super().astream_events(input, config, **_event_arguments(self, config, kwargs))


def _event_arguments(model: CalledChatModel, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    # Version 3 does not call `invoke`, so the settings of the call are read here.
    return {**for_this_call(model, ensure_config(config)), **kwargs} if kwargs.get("version") == "v3" else kwargs
