"""`ChatOptScale`: adaptive best-of-N as a chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables.config import ensure_config
from pydantic import ConfigDict

from langchain_optscale.policy import policy_name
from langchain_optscale.sampling import arun_search, run_search
from langchain_optscale.settings import SearchSettings, settings_in

if TYPE_CHECKING:
    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.results import OptScaleResult

__all__ = ["ChatOptScale"]

_CALL = "optscale_call"


class ChatOptScale(SearchSettings, BaseChatModel):
    """A chat model that returns the best message of an adaptive search.

    Takes the settings of `SearchSettings` as keyword arguments. The message is the policy's own, with

    - `usage_metadata`: the tokens of the whole search, policy and verifier together;
    - `response_metadata["model_name"]`: "optscale/" and the policy's name;
    - `response_metadata["optscale"]`: the search in a few figures, see `OptScaleResult.summary`.

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

    @property
    def _llm_type(self) -> str:
        return "optscale"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in SearchSettings.model_fields if name != "policy"}
        return {"policy": repr(self.policy), **{name: repr(value) for name, value in settings.items()}}

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain\'s name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As for any chat model; `config["configurable"]` may change settings for this call."""
        config = ensure_config(config)
        return super().invoke(input, config, stop=stop, **_for_this_call(config), **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain\'s name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `invoke`, without blocking the event loop; cancelling it cancels every request that is under way."""
        config = ensure_config(config)
        return await super().ainvoke(input, config, stop=stop, **_for_this_call(config), **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        settings, config, kwargs = self._arguments(kwargs, stop, run_manager)
        return self._answer(run_search(settings, ChatPromptValue(messages=messages), config, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        settings, config, kwargs = self._arguments(kwargs, stop, run_manager)
        return self._answer(await arun_search(settings, ChatPromptValue(messages=messages), config, kwargs))

    def _arguments(
        self, kwargs: dict[str, Any], stop: list[str] | None, run_manager: BaseRunManager | None
    ) -> tuple[SearchSettings, RunnableConfig, dict[str, Any]]:
        kwargs = dict(kwargs)
        call = kwargs.pop(_CALL, {})
        config: RunnableConfig = {}
        if run_manager is not None:
            config["callbacks"] = _children_of(run_manager)
        if "max_concurrency" in call:
            config["max_concurrency"] = call["max_concurrency"]
        if stop is not None:
            kwargs["stop"] = stop
        return self.for_call(call.get("settings", {})), config, kwargs

    def _answer(self, result: OptScaleResult) -> ChatResult:
        spent = result.total_usage
        message = result.message.model_copy(
            update={
                "usage_metadata": UsageMetadata(
                    input_tokens=spent.input_tokens,
                    output_tokens=spent.output_tokens,
                    total_tokens=spent.total_tokens,
                ),
                "response_metadata": {
                    **result.message.response_metadata,
                    "model_name": f"optscale/{policy_name(self.policy)}",
                    "optscale": result.summary(),
                },
            }
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _children_of(run: BaseRunManager) -> BaseCallbackManager:
    """Callbacks for the runs below a chat model's own run; LangChain has this for chains and tools only."""
    kind = CallbackManager if isinstance(run, CallbackManagerForLLMRun) else AsyncCallbackManager
    manager = kind(handlers=[], parent_run_id=run.run_id)
    manager.set_handlers(run.inheritable_handlers)
    manager.add_tags(run.inheritable_tags)
    manager.add_metadata(run.inheritable_metadata)
    return manager


def _for_this_call(config: RunnableConfig) -> dict[str, Any]:
    """What `BaseChatModel` does not hand on from a call's config, as one keyword argument, hence in the cache key."""
    call: dict[str, Any] = {}
    if changes := settings_in(config):
        call["settings"] = changes
    if config.get("max_concurrency"):
        call["max_concurrency"] = config["max_concurrency"]
    return {_CALL: call} if call else {}
