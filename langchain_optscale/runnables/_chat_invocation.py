"""How `ChatOptScale` is called: the settings of one call, many questions, and the run that a stream belongs to."""

from __future__ import annotations

from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)

from langchain_optscale.engine.failing import has_worked
from langchain_optscale.engine.tracing import planned_children, with_run_id
from langchain_optscale.runnables._chat_metadata import IdentifiedChatModel, for_this_call
from langchain_optscale.runnables.batch import Batch, aas_completed, as_completed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.drivers import BatchControl
    from langchain_optscale.runnables.batch import Configs

__all__ = ["CalledChatModel", "stream_parent", "take_batch"]

stream_parent: ContextVar[BaseCallbackManager | None] = ContextVar("optscale_parent", default=None)
"""The run whose stream is being made, which LangChain does not pass to `_stream`."""


_batch: ContextVar[BatchControl | None] = ContextVar("optscale_batch", default=None)


def take_batch() -> BatchControl | None:
    """The batch that this call is a question of; searches within the search, as of a judge, are not."""
    batch = _batch.get()
    _batch.set(None)
    return batch


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

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """As for any chat model; questions that would all fail alike end together, see `OptScale.batch`.

        Args:
            inputs: The questions.
            config: One for all, or one for each. "max_concurrency" limits concurrent requests over all questions, and
                with them the questions; without it 16 questions run at once.
            return_exceptions: Return a question's exception in its place, instead of raising the first.
            **kwargs: As for `invoke`.
        """
        return _in_order(self.batch_as_completed(inputs, config, return_exceptions=return_exceptions, **kwargs))

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """As `batch`, without blocking the event loop; cancelling it cancels every request that is under way."""
        completed = self.abatch_as_completed(inputs, config, return_exceptions=return_exceptions, **kwargs)
        async with aclosing(completed):
            return _in_order([one async for one in completed])

    def batch_as_completed(  # type: ignore[override]  # one signature for what LangChain overloads
        self,
        inputs: Sequence[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, AIMessage | Exception]]:
        """As `batch`, but yields each message as soon as it is there, with the index of its question."""
        batch = Batch(inputs, config, self._is_tried)

        def ask(question: LanguageModelInput, config: RunnableConfig, control: BatchControl) -> AIMessage:
            _batch.set(control)  # of this question's own thread
            return self.invoke(question, config, **kwargs)

        return as_completed(batch, inputs, ask, return_exceptions=return_exceptions)

    def abatch_as_completed(  # type: ignore[override]  # one signature for what LangChain overloads
        self,
        inputs: Sequence[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, AIMessage | Exception], None]:
        """As `batch_as_completed`, without blocking the event loop; closing it cancels every request under way."""
        batch = Batch(inputs, config, self._is_tried)

        async def ask(question: LanguageModelInput, config: RunnableConfig, control: BatchControl) -> AIMessage:
            _batch.set(control)  # of this question's own task
            return await self.ainvoke(question, config, **kwargs)

        return aas_completed(batch, inputs, ask, return_exceptions=return_exceptions)

    def _is_tried(self) -> bool:
        return has_worked(self.policy) and has_worked(self.verifier)

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


def _in_order(outcomes: Iterable[tuple[int, AIMessage | Exception]]) -> list[AIMessage]:
    by_index = dict(outcomes)
    return [by_index[index] for index in sorted(by_index)]  # type: ignore[misc]  # exceptions only if asked for


def _event_arguments(model: CalledChatModel, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    # Version 3 does not call `invoke`, so the settings of the call are read here.
    return {**for_this_call(model, ensure_config(config)), **kwargs} if kwargs.get("version") == "v3" else kwargs
