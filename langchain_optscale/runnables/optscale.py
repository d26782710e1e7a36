"""`OptScale`: adaptive best-of-N as a Runnable that returns the whole result."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import ConfigDict

from langchain_optscale.engine.drivers import arun_search, run_search
from langchain_optscale.engine.failing import has_worked
from langchain_optscale.engine.metadata import result_metadata, settings_metadata
from langchain_optscale.engine.overrides import settings_in, split_keywords
from langchain_optscale.engine.result import OptScaleResult
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.engine.signatures import describe_settings
from langchain_optscale.engine.tracing import add_run_metadata
from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.models.travel import reduced
from langchain_optscale.runnables.batch import Batch, aas_completed, as_completed
from langchain_optscale.runnables.budget import Budget, BudgetedBatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun

    from langchain_optscale.engine.drivers import BatchControl
    from langchain_optscale.runnables.batch import Configs

__all__ = ["OptScale"]


@describe_settings(SearchSettings)
class OptScale(SearchSettings, RunnableSerializable[LanguageModelInput, OptScaleResult]):
    """Draws candidates until no more are worth their price, and returns the best with the record of the search.

    Takes the settings of `SearchSettings` as keyword arguments; `help` lists each below. All but the models
    can be changed for one call: `invoke(question, {"configurable": {"max_samples": 4}})`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4", "I do not know"])
        >>> search = OptScale(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> result = search.invoke("What is 2 + 2?")
        >>> result.text, result.score, result.stop_reason.name
        ('3 + 1 is 4', 1.0, 'MARGINAL_GAIN')
    """

    # LangChain's own base classes would ignore a misspelt setting.
    model_config = ConfigDict(extra="forbid")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Settings, with models that are made anew on arrival; see `models.travel`."""
        return reduced(self)

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> OptScaleResult:
        """Search for the best answer.

        Args:
            input: A question, a prompt value or a list of messages.
            config: As for any Runnable; "configurable" may change settings, "max_concurrency" limits concurrent
                requests.
            **kwargs: Settings to change for this call; everything else is passed on to the policy.

        Raises:
            AllCandidatesFailed: No candidate could be scored.
            SettingsError: The input or a setting cannot be used.
        """
        return self._invoke(input, config, kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> OptScaleResult:
        """As `invoke`, without blocking the event loop; cancelling it cancels every request that is under way."""
        return await self._ainvoke(input, config, kwargs)

    def batch(
        self,
        inputs: Iterable[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        budget: Budget | None = None,
        **kwargs: Any,
    ) -> list[OptScaleResult]:
        """Search for the best answer to each question.

        Args:
            inputs: The questions.
            config: One for all, or one for each. "max_concurrency" limits concurrent requests over all questions, and
                with them the questions; without it 16 questions run at once. Callbacks get the event
                "optscale:progress" after every question: `index`, `done`, `failed`, `total`, `elapsed_s`.
            return_exceptions: Return a question's exception in its place, instead of raising the first.
            budget: What all questions may consume together, as `Budget(samples=4_000)`: further candidates go to the
                questions that they are expected to help most.
            **kwargs: Passed on to the policy.

        Returns:
            The results in the order of `inputs`.
        """
        completed = self.batch_as_completed(
            inputs, config, return_exceptions=return_exceptions, budget=budget, **kwargs
        )
        return _in_order(dict(completed))

    async def abatch(
        self,
        inputs: Iterable[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        budget: Budget | None = None,
        **kwargs: Any,
    ) -> list[OptScaleResult]:
        """As `batch`, without blocking the event loop; cancelling it cancels every request that is under way."""
        completed = self.abatch_as_completed(
            inputs, config, return_exceptions=return_exceptions, budget=budget, **kwargs
        )
        async with aclosing(completed):
            return _in_order({index: outcome async for index, outcome in completed})

    def batch_as_completed(  # type: ignore[override]  # one signature for what LangChain overloads
        self,
        inputs: Iterable[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        budget: Budget | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[int, OptScaleResult | Exception]]:
        """As `batch`, but yields each result as soon as it is there, with the index of its question.

        Questions are read as needed and no result is kept, so that memory does not grow with their number. Closing the
        iterator starts no further question.
        """
        search, batch = self._batch(inputs, config, budget)

        def ask(question: LanguageModelInput, config: RunnableConfig, control: BatchControl) -> OptScaleResult:
            return search._invoke(question, config, kwargs, control)  # noqa: SLF001 - of this class

        return as_completed(batch, inputs, ask, return_exceptions=return_exceptions)

    def abatch_as_completed(  # type: ignore[override]  # one signature for what LangChain overloads
        self,
        inputs: Iterable[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        budget: Budget | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, OptScaleResult | Exception], None]:
        """As `batch_as_completed`, without blocking the event loop; closing it cancels every request under way."""
        search, batch = self._batch(inputs, config, budget)

        async def ask(question: LanguageModelInput, config: RunnableConfig, control: BatchControl) -> OptScaleResult:
            return await search._ainvoke(question, config, kwargs, control)  # noqa: SLF001 - of this class

        return aas_completed(batch, inputs, ask, return_exceptions=return_exceptions)

    def _batch(
        self, inputs: Iterable[LanguageModelInput], configs: Configs, budget: Budget | None
    ) -> tuple[OptScale, Batch]:
        """The search that answers each question of a batch, and what they have in common."""
        if budget is None:
            return self, Batch(inputs, configs, self._is_tried)
        counted = budget.rule_settings({name: getattr(self, name) for name in ("token_budget", "cost_budget")})
        search = self
        if counted:
            given = {
                name: getattr(self, name)
                for name in (SearchSettings.model_fields.keys() | {"name"}) & self.model_fields_set
            }
            search = type(self)(**given | counted)
        return search, BudgetedBatch(inputs, configs, self._is_tried, budget, search.prepared().prices)

    def _is_tried(self) -> bool:
        return has_worked(self.policy) and has_worked(self.verifier)

    def _invoke(
        self,
        question: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        batch: BatchControl | None = None,
    ) -> OptScaleResult:
        prompt = to_prompt(question)
        changes, kwargs = split_keywords(kwargs)

        def search(_: object, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> OptScaleResult:
            settings = self.for_run({**settings_in(config), **changes})
            add_run_metadata(run_manager.handlers, run_manager.run_id, settings_metadata, settings)
            result = run_search(settings, prompt, config, kwargs, batch)
            add_run_metadata(run_manager.handlers, run_manager.run_id, result_metadata, result)
            return result

        return self._call_with_config(search, question, config)

    async def _ainvoke(
        self,
        question: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        batch: BatchControl | None = None,
    ) -> OptScaleResult:
        prompt = to_prompt(question)
        changes, kwargs = split_keywords(kwargs)

        async def search(
            _: object, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> OptScaleResult:
            settings = self.for_run({**settings_in(config), **changes})
            add_run_metadata(run_manager.handlers, run_manager.run_id, settings_metadata, settings)
            result = await arun_search(settings, prompt, config, kwargs, batch)
            add_run_metadata(run_manager.handlers, run_manager.run_id, result_metadata, result)
            return result

        return await self._acall_with_config(search, question, config)


def _in_order(outcomes: dict[int, OptScaleResult | Exception]) -> list[OptScaleResult]:
    return [outcomes[index] for index in sorted(outcomes)]  # type: ignore[misc]  # exceptions only if asked for
