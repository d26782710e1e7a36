"""The model of one agent step: it searches, and returns one message."""

from __future__ import annotations

import threading
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, cast

from langchain_core.prompt_values import ChatPromptValue
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import PrivateAttr

from langchain_optscale.agents.recognisable import RecognisablePolicy
from langchain_optscale.agents.when import FirstIsGood, Gate
from langchain_optscale.engine.drivers import arun_search, run_search
from langchain_optscale.engine.jobs import Choice
from langchain_optscale.engine.overrides import changeable
from langchain_optscale.engine.permissions import Scope
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.models.policy import policy_name
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.runnables.chat_model import ChatOptScale
from langchain_optscale.verifiers import Verifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.sampler import Sampler
    from langchain_optscale.records.usage import Usage
    from langchain_optscale.stopping import Rule

__all__ = ["StepModel", "StepSettings"]


class StepSettings(SearchSettings):
    """Settings of the search for one step, which may begin with a candidate that is drawn already."""

    _first: Choice | None = PrivateAttr(default=None)
    _good_enough: float | None = PrivateAttr(default=None)

    @classmethod
    def of(
        cls,
        settings: SearchSettings,
        *,
        first: Choice | None = None,
        good_enough: float | None = None,
        most_tokens: int | None = None,
    ) -> StepSettings:
        """The same settings for one step.

        Args:
            settings: Those of the agent's steps.
            first: Candidate 0, where it is drawn already.
            good_enough: A score of candidate 0 that ends the search.
            most_tokens: What is left of the run's budget.
        """
        values = _given(settings)
        if good_enough is not None or (first is not None and "first_round" not in values):
            values["first_round"] = 1
        if most_tokens is not None:
            values["token_budget"] = min(most_tokens, values.get("token_budget") or most_tokens)
        made = cls(**values)
        made._first, made._good_enough = first, good_enough
        made._known = None  # what was prepared for the check of the settings does not know them
        return made

    def rule(self) -> Rule:
        """The stopping rule, which a good first candidate satisfies as well."""
        own = super().rule()
        return own if self._good_enough is None else FirstIsGood(self._good_enough) | own

    def sampler(self, call_kwargs: Mapping[str, Any] | None = None) -> Sampler:
        """The sampler, from the second candidate on where the first is known."""
        sampler = super().sampler(call_kwargs)
        return sampler if self._first is None else cast("Sampler", _Continued(sampler, self._first))


class _Continued:
    """A sampler whose candidate 0 is known."""

    def __init__(self, sampler: Sampler, first: Choice) -> None:
        self._sampler = sampler
        self._first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def requests(self, indexes: Sequence[int]) -> list[tuple[int, ...]]:
        rest = [index for index in indexes if index != 0]
        return [(0,)] * (0 in indexes) + self._sampler.requests(rest)

    def draw(self, prompt: PromptValue, indexes: Sequence[int], config: RunnableConfig) -> list[Choice]:
        return [self._first] if tuple(indexes) == (0,) else self._sampler.draw(prompt, indexes, config)

    async def adraw(self, prompt: PromptValue, indexes: Sequence[int], config: RunnableConfig) -> list[Choice]:
        return [self._first] if tuple(indexes) == (0,) else await self._sampler.adraw(prompt, indexes, config)


class _Unscored(Verifier):
    """The verifier where a candidate is drawn without a score."""

    def __init__(self, policy_kwargs: Mapping[str, Any]) -> None:
        self._policy_kwargs = policy_kwargs

    @property
    def name(self) -> str:
        return "when"

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        return self._policy_kwargs

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        return Verdict(0.0, "not scored: `when` decides whether to search")

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        return self.verify(prompt, candidate, config)


class StepModel(RecognisablePolicy, ChatOptScale):
    """The agent's model for one step, with a search behind it.

    The agent binds tools, structured output and settings to it as to its own model. Only the best candidate appears in
    the agent's streams. Other middleware recognises the agent's own model behind it.
    """

    _gate: Gate | None = PrivateAttr(default=None)
    _good_enough: float | None = PrivateAttr(default=None)
    _most_tokens: int | None = PrivateAttr(default=None)
    _metadata: dict[str, Any] = PrivateAttr(default_factory=dict)
    _spent: list[Usage] = PrivateAttr(default_factory=list)
    _usage_lock: Any = PrivateAttr(default_factory=threading.Lock)

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Any],
        *,
        gate: Gate | None = None,
        good_enough: float | None = None,
        most_tokens: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> StepModel:
        """The model for one step.

        Args:
            settings: Those of the search, the agent's model as the policy among them.
            gate: Decides from the first candidate whether to search.
            good_enough: A score of the first candidate that ends the search.
            most_tokens: What is left of the run's budget.
            metadata: For every child run.
        """
        model = cls(**settings)
        # What a trace calls the step's run, above the runs of its candidates and verdicts.
        model.name = f"optscale:step ({policy_name(model.policy)})"
        model._gate, model._good_enough, model._most_tokens = gate, good_enough, most_tokens
        model._metadata = dict(metadata or {})
        return model

    @property
    def model_name(self) -> str:
        """The policy's name, by which an agent chooses the method for structured output."""
        return policy_name(self.policy)

    @property
    def spent(self) -> Usage | None:
        """The usage of this step's searches so far; None where there was no search."""
        with self._usage_lock:
            return reduce(add, self._spent) if self._spent else None

    def _arguments(
        self, kwargs: dict[str, Any], stop: list[str] | None, run: BaseRunManager | None
    ) -> tuple[BaseCallbackManager | None, SearchSettings, RunnableConfig, dict[str, Any]]:
        parent, settings, config, arguments = super()._arguments(kwargs, stop, run)
        config["metadata"] = {**config.get("metadata", {}), **self._metadata}
        return parent, settings, config, arguments

    def _search(
        self, messages: list[BaseMessage], stop: list[str] | None, run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        parent, settings, config, arguments = self._arguments(kwargs, stop, run)
        prompt = ChatPromptValue(messages=messages)
        first: OptScaleResult | None = None
        try:
            if self._gate is not None:
                first = run_search(self._first_settings(settings), prompt, config, arguments)
                if not self._gate.opens(first.message):
                    return self._unsearched(first, parent)
            result = run_search(self._step_settings(settings, first), prompt, config, arguments)
        except AllCandidatesFailed as error:
            self._add_usage(error.total_usage)
            raise
        self._add_usage(result.total_usage)
        return self._answer(result, arguments, parent)

    async def _asearch(
        self, messages: list[BaseMessage], stop: list[str] | None, run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        parent, settings, config, arguments = self._arguments(kwargs, stop, run)
        prompt = ChatPromptValue(messages=messages)
        first: OptScaleResult | None = None
        try:
            if self._gate is not None:
                first = await arun_search(self._first_settings(settings), prompt, config, arguments)
                if not self._gate.opens(first.message):
                    return self._unsearched(first, parent)
            result = await arun_search(self._step_settings(settings, first), prompt, config, arguments)
        except AllCandidatesFailed as error:
            self._add_usage(error.total_usage)
            raise
        self._add_usage(result.total_usage)
        return self._answer(result, arguments, parent)

    def _first_settings(self, settings: SearchSettings) -> SearchSettings:
        """The settings that draw the first candidate alone, unscored, with the search's own retries."""
        searching = changeable(Scope.STEP)
        drawing = {name: value for name, value in _given(settings).items() if name not in searching}
        # As it came: where nothing is searched it is the agent's answer, as without this middleware.
        as_it_came: dict[str, Any] = {"accept_truncated": True, "keep_reasoning": True}
        verifier = _Unscored(settings.verifier.policy_kwargs)
        # What is not scored teaches nothing.
        return SearchSettings(**{**drawing, "store": None}, **as_it_came, verifier=verifier, max_samples=1)

    def _step_settings(self, settings: SearchSettings, first: OptScaleResult | None) -> SearchSettings:
        choice = None if first is None else Choice(first.message, first.best.usage)
        return StepSettings.of(settings, first=choice, good_enough=self._good_enough, most_tokens=self._most_tokens)

    def _unsearched(self, first: OptScaleResult, parent: BaseCallbackManager | None) -> AIMessage:
        """The first candidate as it came, without figures of a search."""
        self._add_usage(first.total_usage)
        message = first.message
        if message.id is None and parent is not None:
            return message.model_copy(update={"id": f"{LC_ID_PREFIX}-{parent.parent_run_id}-0"})
        return message

    def _add_usage(self, usage: Usage) -> None:
        with self._usage_lock:
            self._spent.append(usage)


def _given(settings: SearchSettings) -> dict[str, Any]:
    names = SearchSettings.model_fields.keys() & settings.model_fields_set
    return {name: getattr(settings, name) for name in names}
