"""`OptScale`: adaptive best-of-N as a Runnable that returns the whole record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import ConfigDict

from langchain_optscale.policy import to_prompt
from langchain_optscale.results import OptScaleResult
from langchain_optscale.sampling import arun_search, run_search
from langchain_optscale.settings import SearchSettings, settings_in
from langchain_optscale.tracing import note, result_metadata, settings_metadata

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun

__all__ = ["OptScale"]


class OptScale(SearchSettings, RunnableSerializable[LanguageModelInput, OptScaleResult]):
    """Draws candidates until the computed optimal N, and returns the best with everything that led to it.

    Takes the settings of `SearchSettings` as keyword arguments. Any of them but the models can be changed for one
    call: `invoke(question, {"configurable": {"max_samples": 4}})`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4", "I do not know"])
        >>> search = OptScale(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> result = search.invoke("What is 2 + 2?")
        >>> result.text, result.score, result.stop_reason.name
        ('3 + 1 is 4', 1.0, 'TARGET_REACHED')
    """

    # LangChain's own base classes would ignore a misspelt setting.
    model_config = ConfigDict(extra="forbid")

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> OptScaleResult:
        """Search for the best answer.

        Args:
            input: A question, a prompt value or a list of messages.
            config: As for any Runnable; "configurable" may change settings, "max_concurrency" limits what is under
                way at once.
            **kwargs: Passed on to the policy.

        Raises:
            AllCandidatesFailed: No candidate could be scored.
            SettingsError: The input or a setting cannot be used.
        """
        prompt = to_prompt(input)

        def search(_: object, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> OptScaleResult:
            settings = self.for_call(settings_in(config))
            note(run_manager.handlers, run_manager.run_id, settings_metadata(settings))
            result = run_search(settings, prompt, config, kwargs)
            note(run_manager.handlers, run_manager.run_id, result_metadata(result))
            return result

        return self._call_with_config(search, input, config)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> OptScaleResult:
        """As `invoke`, without blocking the event loop; cancelling it cancels every request that is under way."""
        prompt = to_prompt(input)

        async def search(
            _: object, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> OptScaleResult:
            settings = self.for_call(settings_in(config))
            note(run_manager.handlers, run_manager.run_id, settings_metadata(settings))
            result = await arun_search(settings, prompt, config, kwargs)
            note(run_manager.handlers, run_manager.run_id, result_metadata(result))
            return result

        return await self._acall_with_config(search, input, config)
