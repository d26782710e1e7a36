"""`ChatOptScale`: adaptive best-of-N as a chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import ConfigDict

from langchain_optscale.engine.drivers import arun_search, run_search
from langchain_optscale.engine.metadata import result_metadata
from langchain_optscale.engine.overrides import split_keywords
from langchain_optscale.engine.serialisation import admit
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.engine.signatures import describe_settings
from langchain_optscale.engine.tracing import add_run_metadata, children_of, hide_usage, streams_to_a_user
from langchain_optscale.models.policy import policy_name, rewrapped, unwrap
from langchain_optscale.runnables._chat_invocation import CalledChatModel, stream_parent, take_batch
from langchain_optscale.runnables._chat_metadata import CALL
from langchain_optscale.runnables.messages import answer_message, generation_chunks
from langchain_optscale.runnables.structured_output import structured_search

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForLLMRun,
        BaseCallbackManager,
        CallbackManagerForLLMRun,
    )
    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.sampler import Sampler

__all__ = ["ChatOptScale"]


@describe_settings(SearchSettings)
class ChatOptScale(CalledChatModel):
    """A chat model that returns the best message of an adaptive search.

    Takes the settings of `SearchSettings`, which `help` lists below, and the standard ones of chat models as keyword
    arguments. The message is the policy's own, with

    - `usage_metadata`: the tokens of the whole search, policy and verifier together;
    - `response_metadata["model_name"]`: "optscale/" and the policy's name;
    - `response_metadata["optscale"]`: the figures of the search, see `OptScaleResult.summary`.

    Attributes:
        temperature: Passed to the policy with every draw; None keeps the policy's own.
        max_tokens: The most tokens of one candidate, likewise.
        timeout: Seconds that one request of the policy may take, likewise.
        stop: Words at which a candidate ends, likewise.
        streaming: Whether `invoke`, too, streams the chosen message to callbacks.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> model = ChatOptScale(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> message = model.invoke("What is 2 + 2?")
        >>> message.content, message.response_metadata["optscale"]["stop_reason"]
        ('3 + 1 is 4', 'MARGINAL_GAIN')
    """

    # LangChain's own base classes would ignore a misspelt setting.
    model_config = ConfigDict(extra="forbid")

    def sampler(self, call_kwargs: Mapping[str, Any] | None = None) -> Sampler:
        """The sampler of one search, with the standard settings of this model."""
        return super().sampler({**self.standard(), **(call_kwargs or {})})

    # --- tools and structure ---

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to the policy, in the policy's own form; candidates may then be tool calls.

        Models that keep their tools as fields, and answer with a copy of themselves, become the policy of a copy.
        Candidates that call the same tools with the same arguments are verified once. A verifier reads calls as
        `tool_calls.render_calls` writes them; the chosen message carries its calls untouched.

        Raises:
            NotImplementedError: The policy does not support tools.
        """
        model, _, _ = unwrap(self.policy)
        if model is None or type(model).bind_tools is BaseChatModel.bind_tools:
            raise NotImplementedError(f"the policy {policy_name(self.policy)} does not support tools")
        choice: dict[str, Any] = {} if tool_choice is None else {"tool_choice": tool_choice}
        with_tools = model.bind_tools(tools, **choice, **kwargs)
        bound, arguments, configs = unwrap(with_tools)
        if bound is not model:
            return self.model_copy(update={"policy": rewrapped(with_tools, self.policy)})
        binding = self.bind(**arguments)
        for config in configs:
            binding = cast("Any", binding.with_config(config) if config else binding)
        return binding

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A search over structured candidates: those that do not parse are failures, the best valid one wins.

        Args:
            schema: A pydantic class, a TypedDict or a JSON schema.
            include_raw: Answer with a dict of "raw", the chosen message, "parsed" and "parsing_error" instead of with
                the parsed answer. Where no candidate parses, "raw" is the first, and "parsing_error" is the
                `AllCandidatesFailed` that is raised otherwise; it lists every validation error.
            **kwargs: Passed on to the policy, such as `method` and `strict`.

        Returns:
            A Runnable that searches and parses; a trace shows an `OptScale`, not a chat model.

        Raises:
            NotImplementedError: The policy has no structured output.
        """
        return structured_search(self, schema, include_raw, self.standard(), **kwargs)

    # --- the interface of BaseChatModel ---

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._search(messages, stop, run_manager, kwargs)
        if run_manager is not None:
            hide_usage(run_manager)
        if run_manager is not None and self._shows(run_manager, kwargs):
            for chunk in generation_chunks(message):
                run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = await self._asearch(messages, stop, run_manager, kwargs)
        if run_manager is not None:
            hide_usage(run_manager)
        if run_manager is not None and self._shows(run_manager, kwargs):
            for chunk in generation_chunks(message):
                await run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in generation_chunks(self._search(messages, stop, run_manager, kwargs)):
            yield chunk
            _hide_usage(chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in generation_chunks(await self._asearch(messages, stop, run_manager, kwargs)):
            yield chunk
            _hide_usage(chunk)

    def _should_stream(self, *, run_manager: Any = None, **kwargs: Any) -> bool:
        # Within `invoke`, LangChain would call `_stream` without the run; `_generate` has the run, and streams itself.
        return run_manager is None and super()._should_stream(run_manager=run_manager, **kwargs)

    def _shows(self, run: BaseRunManager, kwargs: dict[str, Any]) -> bool:
        """Whether `invoke` streams the chosen message to callbacks."""
        wanted = self.streaming or kwargs.get("stream") or streams_to_a_user(run.handlers)
        return bool(wanted) and not self._streaming_disabled(**kwargs)

    def _search(
        self, messages: list[BaseMessage], stop: list[str] | None, run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        parent, settings, config, arguments = self._arguments(kwargs, stop, run)
        result = run_search(settings, ChatPromptValue(messages=messages), config, arguments, take_batch())
        return self._answer(result, arguments, parent)

    async def _asearch(
        self, messages: list[BaseMessage], stop: list[str] | None, run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        parent, settings, config, arguments = self._arguments(kwargs, stop, run)
        result = await arun_search(settings, ChatPromptValue(messages=messages), config, arguments, take_batch())
        return self._answer(result, arguments, parent)

    def _arguments(
        self, kwargs: dict[str, Any], stop: list[str] | None, run: BaseRunManager | None
    ) -> tuple[BaseCallbackManager | None, SearchSettings, RunnableConfig, dict[str, Any]]:
        """The callbacks of this call's children, its settings, their config, and the policy's arguments."""
        arguments = {**self.standard(), **kwargs, **({} if stop is None else {"stop": stop})}
        call = arguments.pop(CALL, {})
        arguments.pop("stream", None)
        changes, arguments = split_keywords(arguments)
        parent = stream_parent.get() if run is None else children_of(run)
        config: RunnableConfig = {} if parent is None else {"callbacks": parent}
        if "max_concurrency" in call:
            config["max_concurrency"] = call["max_concurrency"]
        if "configurable" in call:
            config["configurable"] = call["configurable"]
        return parent, self.for_run({**call.get("settings", {}), **changes}), config, arguments

    def _answer(
        self, result: OptScaleResult, arguments: dict[str, Any], parent: BaseCallbackManager | None
    ) -> AIMessage:
        message = answer_message(result, str(arguments.get("model") or policy_name(self.policy)))
        if parent is not None:
            own = self.callbacks if isinstance(self.callbacks, list) else []
            add_run_metadata([*parent.handlers, *own], parent.parent_run_id, result_metadata, result)
            message.id = message.id or f"{LC_ID_PREFIX}-{parent.parent_run_id}-0"
        if self.output_version == "v1" and message.response_metadata.get("output_version") != "v1":
            message.content = cast("Any", message.content_blocks)
            message.response_metadata["output_version"] = "v1"
        return message


def _hide_usage(chunk: ChatGenerationChunk) -> None:
    """Keep the tokens out of the run's own end, as `hide_usage` does: the caller has the chunk's message by now."""
    if isinstance(chunk.message, AIMessageChunk) and chunk.message.usage_metadata is not None:
        chunk.message = chunk.message.model_copy(update={"usage_metadata": None})


admit(ChatOptScale, ("langchain_optscale", "chat_model", "ChatOptScale"))
