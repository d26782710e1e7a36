"""`ChatOptScale`: adaptive best-of-N as a chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.load import dumpd, dumps, loads
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import ConfigDict, Field

from langchain_optscale.errors import SettingsError
from langchain_optscale.messages import answer_message, message_chunks
from langchain_optscale.policy import policy_name, unwrap
from langchain_optscale.sampling import arun_search, run_search
from langchain_optscale.serialisation import NoJSONForm, admit, identity, to_spec
from langchain_optscale.settings import SearchSettings, settings_in
from langchain_optscale.structured_output import structured_search
from langchain_optscale.tracing import children_of, note, result_metadata, settings_metadata, streams_to_a_user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.language_models import LangSmithParams, ModelProfile
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool

    from langchain_optscale.policy import Drawer
    from langchain_optscale.results import OptScaleResult

__all__ = ["ChatOptScale"]

_CALL = "optscale_call"
# What every LangChain chat model takes; handed to the policy with each draw.
_STANDARD = ("temperature", "max_tokens", "timeout", "stop")


class ChatOptScale(SearchSettings, BaseChatModel):
    """A chat model that returns the best message of an adaptive search.

    Takes the settings of `SearchSettings` and the standard ones of chat models below as keyword arguments. The
    message is the policy's own, with

    - `usage_metadata`: the tokens of the whole search, policy and verifier together;
    - `response_metadata["model_name"]`: "optscale/" and the policy's name;
    - `response_metadata["optscale"]`: the search in a few figures, see `OptScaleResult.summary`.

    Attributes:
        temperature: Given to the policy with every draw; None leaves the policy's own.
        max_tokens: The most tokens of one candidate, likewise.
        timeout: Seconds that one request of the policy may take, likewise.
        stop: Words at which a candidate ends, likewise.
        streaming: Whether `invoke`, too, shows the chosen message to callbacks chunk by chunk.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> model = ChatOptScale(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> message = model.invoke("What is 2 + 2?")
        >>> message.content, message.response_metadata["optscale"]["stop_reason"]
        ('3 + 1 is 4', 'TARGET_REACHED')
    """

    # LangChain's own base classes would ignore a misspelt setting.
    model_config = ConfigDict(extra="forbid")

    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout: float | None = Field(default=None, gt=0)
    stop: list[str] | None = None
    streaming: bool = False

    @property
    def _llm_type(self) -> str:
        return "optscale"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        model, bound, _ = unwrap(self.policy)
        about = {
            "policy": model.asdict() if model else self.policy.get_name(),
            **({"policy_kwargs": bound} if bound else {}),
        }
        for name in sorted(self.model_fields_set & _own_fields() - {"policy"}):
            value = getattr(self, name)
            try:
                about[name] = dumpd(to_spec(value))
            except NoJSONForm:
                about[name] = repr(value)
        return about

    def _resolve_model_profile(self) -> ModelProfile | None:
        model, _, _ = unwrap(self.policy)
        return model.profile if model else None

    def drawer(self, call_kwargs: Mapping[str, Any] | None = None) -> Drawer:
        """What draws the candidates of one search, with the standard settings of this model."""
        return super().drawer({**self._standard(), **(call_kwargs or {})})

    def _standard(self) -> dict[str, Any]:
        return {name: value for name in _STANDARD if (value := getattr(self, name)) not in (None, [])}

    # --- calls ---

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
        return super().invoke(input, config, stop=stop, **{**_for_this_call(config), **kwargs})

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
        return await super().ainvoke(input, config, stop=stop, **{**_for_this_call(config), **kwargs})

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """The chosen message in chunks, once it is chosen; until then, progress comes as custom events."""
        yield from message_chunks(self.invoke(input, config, stop=stop, **{"stream": True, **kwargs}))

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As `stream`, without blocking the event loop."""
        for chunk in message_chunks(await self.ainvoke(input, config, stop=stop, **{"stream": True, **kwargs})):
            yield chunk

    def stream_events(  # type: ignore[override]  # the overloads say no more than this
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        **kwargs: Any,
    ) -> Any:
        """As for any chat model, in every version of LangChain's events."""
        # Version 3 does not pass through `invoke`, so the settings of the call are read here.
        call = _for_this_call(ensure_config(config)) if version == "v3" else {}
        return super().stream_events(input, config, version=cast("Any", version), **{**call, **kwargs})

    def astream_events(  # type: ignore[override]  # the overloads say no more than this
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        **kwargs: Any,
    ) -> Any:
        """As for any chat model, in every version of LangChain's events."""
        call = _for_this_call(ensure_config(config)) if version == "v3" else {}
        return super().astream_events(input, config, version=cast("Any", version), **{**call, **kwargs})

    # --- tools and structure ---

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the policy, in the policy's own form; candidates may then be tool calls.

        Candidates that call the same tools with the same arguments are verified once. A verifier reads calls as
        `tool_calls.render_calls` writes them; the chosen message carries its calls untouched.

        Raises:
            NotImplementedError: The policy takes no tools.
        """
        model, _, _ = unwrap(self.policy)
        if model is None or type(model).bind_tools is BaseChatModel.bind_tools:
            raise NotImplementedError(f"the policy {policy_name(self.policy)} takes no tools")
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        bound, arguments, configs = unwrap(model.bind_tools(tools, **choice, **kwargs))
        if bound is not model:
            raise NotImplementedError(
                f"{policy_name(self.policy)} does not bind tools as arguments; give the model with its tools bound as "
                "the policy"
            )
        binding = self.bind(**arguments)
        for config in configs:
            binding = cast("Any", binding.with_config(config) if config else binding)
        return binding

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Candidates of one structure: those that do not parse are failures, the best valid one wins.

        Args:
            schema: A pydantic class, a TypedDict or a JSON schema.
            include_raw: Answer with a dict of "raw", the chosen message, "parsed" and "parsing_error" instead of with
                the parsed answer. Where no candidate parses, "raw" is the first, and "parsing_error" is the
                `AllCandidatesFailed` that is raised otherwise; it lists every validation error.
            **kwargs: Passed on to the policy, such as `method` and `strict`.

        Returns:
            A Runnable. It is a search of its own and not a chat model that is parsed: a trace shows an `OptScale`.

        Raises:
            NotImplementedError: The policy has no structured output.
        """
        return structured_search(self, schema, include_raw, self._standard(), **kwargs)

    # --- what LangChain asks of a chat model ---

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        settings, config, arguments, shown = self._arguments(kwargs, stop, run_manager)
        result = run_search(settings, ChatPromptValue(messages=messages), config, arguments)
        message = self._answer(result, arguments, run_manager)
        if shown and run_manager is not None:
            for chunk in _generations(message):
                run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        settings, config, arguments, shown = self._arguments(kwargs, stop, run_manager)
        result = await arun_search(settings, ChatPromptValue(messages=messages), config, arguments)
        message = self._answer(result, arguments, run_manager)
        if shown and run_manager is not None:
            for chunk in _generations(message):
                await run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _should_stream(self, **_: Any) -> bool:
        # LangChain would call `_stream` without the run, and the children would have no parent. `stream` goes
        # through `_generate` instead, which shows its chunks itself.
        return False

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        result = self._generate(messages, stop, run_manager, **{**kwargs, "stream": False})
        yield from _generations(cast("AIMessage", result.generations[0].message))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        result = await self._agenerate(messages, stop, run_manager, **{**kwargs, "stream": False})
        for chunk in _generations(cast("AIMessage", result.generations[0].message)):
            yield chunk

    def _arguments(
        self, kwargs: dict[str, Any], stop: list[str] | None, run_manager: BaseRunManager | None
    ) -> tuple[SearchSettings, RunnableConfig, dict[str, Any], bool]:
        """The settings of this call, the config of its children, the policy's arguments, and whether to show chunks."""
        shown = self.streaming or streams_to_a_user(run_manager.handlers if run_manager else ())
        silent = self._streaming_disabled(**{key: value for key, value in kwargs.items() if key != "stream"})
        kwargs = {**self._standard(), **kwargs}
        call = kwargs.pop(_CALL, {})
        wished = kwargs.pop("stream", None)
        config: RunnableConfig = {}
        if run_manager is not None:
            config["callbacks"] = children_of(run_manager)
        if "max_concurrency" in call:
            config["max_concurrency"] = call["max_concurrency"]
        if stop is not None:
            kwargs["stop"] = stop
        return (
            self.for_call(call.get("settings", {})),
            config,
            kwargs,
            not silent and (shown if wished is None else wished),
        )

    def _answer(self, result: OptScaleResult, arguments: dict[str, Any], run: BaseRunManager | None) -> AIMessage:
        if run is not None:
            note(run, result_metadata(result))
        message = answer_message(result, str(arguments.get("model") or policy_name(self.policy)))
        if message.id is None and run is not None:
            message.id = f"{LC_ID_PREFIX}-{run.run_id}-0"
        if self.output_version == "v1" and message.response_metadata.get("output_version") != "v1":
            message.content = cast("Any", message.content_blocks)
            message.response_metadata["output_version"] = "v1"
        return message

    # --- tracing, caching, serialisation ---

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "optscale"
        params["ls_model_name"] = str(kwargs.get("model") or f"optscale/{policy_name(self.policy)}")
        settings = self.for_call(kwargs.get(_CALL, {}).get("settings", {}))
        return cast("LangSmithParams", {**params, **settings_metadata(settings)})

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """What tells this model from another in a cache: everything that is set, however it was set."""
        parts = {name: identity(getattr(self, name)) for name in self.model_fields_set & _own_fields()}
        call = {key: value for key, value in kwargs.items() if key != "stream"}
        return str([self._llm_type, sorted(parts.items()), sorted(call.items()), stop])

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Yes, where its parts are: see `to_json`."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where `load` finds the class."""
        return ["langchain_optscale", "chat_model"]

    def to_json(self) -> Any:
        """The form that LangChain's `dumpd` and `load` use, with secrets named and not told.

        Returns:
            A constructor, where every part has such a form; else LangChain's mark for what has none. Functions have
            none, neither as a verifier nor elsewhere.
        """
        given = self.model_fields_set & type(self).model_fields.keys()
        try:
            kwargs = {
                name: to_spec(getattr(self, name))
                for name in type(self).model_fields
                if name in given and not type(self).model_fields[name].exclude
            }
        except NoJSONForm:
            return self.to_json_not_implemented()
        return {"lc": 1, "type": "constructor", "id": self.lc_id(), "kwargs": kwargs}

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By its serialised form, so that no secret is in a pickle; the process that reads it needs them itself.

        Raises:
            SettingsError: A part has no serialised form.
        """
        try:
            for name in self.model_fields_set & _own_fields():
                to_spec(getattr(self, name))
        except NoJSONForm as error:
            raise SettingsError(
                f"this ChatOptScale cannot be sent to another process: {error}; build the model there, for instance in "
                "the initializer of the process pool"
            ) from None
        return _revive, (dumps(self),)


admit(ChatOptScale)


def _revive(text: str) -> ChatOptScale:
    model = loads(text, allowed_objects="all", valid_namespaces=["langchain_optscale"], secrets_from_env=True)
    return cast("ChatOptScale", model)


def _own_fields() -> frozenset[str]:
    return frozenset({*SearchSettings.model_fields, *_STANDARD, "output_version"})


def _generations(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    for chunk in message_chunks(message):
        yield ChatGenerationChunk(message=chunk)


def _for_this_call(config: RunnableConfig) -> dict[str, Any]:
    """What `BaseChatModel` does not hand on from a call's config, as one keyword argument, hence in the cache key."""
    call: dict[str, Any] = {}
    if changes := settings_in(config):
        call["settings"] = changes
    if config.get("max_concurrency"):
        call["max_concurrency"] = config["max_concurrency"]
    return {_CALL: call} if call else {}
