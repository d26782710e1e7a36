"""Drawing candidates from a policy.

A chat model that takes `n` gives several choices for one prefill, so a round is one request (or a few, where the
server limits `n`); from anything else each candidate is one call.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from langchain_core.globals import get_llm_cache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables.config import merge_configs

from langchain_optscale.engine.jobs import Choice
from langchain_optscale.engine.runnable_policy import RecordedCalls, choice_of
from langchain_optscale.engine.tracing import atrace_choices, child_config, trace_choices, with_corrected_usage
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.call_options import CallOptions, call_options, callable_as
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.eager_cancel import astreamed_message, streamed_message
from langchain_optscale.models.isolation import generates_in_thread, streams_in_thread
from langchain_optscale.models.named import is_configurable_model
from langchain_optscale.models.policy import Policy, policy_name
from langchain_optscale.models.token_usage import Estimation, choice_usages

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from langchain_core.outputs import LLMResult
    from langchain_core.prompt_values import PromptValue
    from langchain_core.rate_limiters import BaseRateLimiter
    from langchain_core.runnables import Runnable, RunnableConfig

from langchain_optscale.models.policy import Fanout

__all__ = ["Sampler"]

_LOG = logging.getLogger(__name__)


class Sampler:
    """Draws from one policy for one search.

    Attributes:
        seeded: Whether each candidate is drawn with a seed of its own.

    Args:
        policy: The policy, made ready or not.
        fanout: "n" asks for several choices in one request, "calls" makes one request a candidate, "auto" takes "n"
            where the policy offers it.
        several: Whether more than one candidate may be drawn, so that they have to differ.
        seed: Candidate i is drawn with seed + i. Without it the policy's own seed, if it has one, is spread likewise.
        model_kwargs: What the verifier needs of the model; given to chat models only.
        call_kwargs: The caller's own arguments; given to whatever the policy is.
        hidden: Keys of "configurable" that are no parameters of a policy which reads them.
        estimates_usage: Whether tokens that are not reported are estimated, for a budget.

    Raises:
        SettingsError: Temperature 0 with several candidates, a policy that cannot do what `fanout` or `seed` asks
            for, or an LLM cache that cannot be kept off the draws.
    """

    def __init__(
        self,
        policy: Policy | Runnable[Any, Any],
        *,
        fanout: Fanout = "auto",
        several: bool = True,
        seed: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        call_kwargs: Mapping[str, Any] | None = None,
        hidden: Collection[str] = (),
        estimates_usage: bool = False,
    ) -> None:
        ready = policy if isinstance(policy, Policy) else Policy.of(policy)
        self._name = policy_name(ready.given)
        self._several = several
        self._ready = ready
        self._policy = ready.given
        self._model = ready.model
        self._hidden = hidden
        self._reads_config = is_configurable_model(ready.given)
        self._kwargs = dict(call_kwargs or {})
        if ready.model is not None:
            self._kwargs = {**(model_kwargs or {}), **ready.kwargs, **self._kwargs}
        # What a call takes depends on what it is called with: a built-in tool sends it to another API.
        self._options = call_options(ready.model, self._kwargs) if ready.model is not None else CallOptions()
        self._fanout = fanout
        self._check_draws()
        if ready.model is not None:
            self._kwargs.pop(self._options.choices_argument, None)
            self._model = callable_as(ready.model, self._options)
        if not self._options.stop and self._kwargs.pop("stop", None):
            _LOG.warning("%s is called by an API without stop words: they are ignored", self._name)
        if not self._options.logprobs and self._kwargs.get("logprobs"):
            raise SettingsError(
                f"{self._name} is called by an API that returns no log-probabilities in the form that "
                "the verifier reads: leave out what routes it there, such as use_responses_api or built-in tools"
            )
        self.max_choices = 1 if fanout == "calls" else self._offered
        self.may_fall_back = fanout == "auto"
        self._estimates_usage = estimates_usage
        self._seed = self._first_seed(seed)
        self.seeded = self._seed is not None
        if several and self._temperature() == 0:
            raise SettingsError(
                "the policy's temperature is 0, so all candidates would be the same; raise it or set max_samples=1"
            )

    def _check_draws(self) -> None:
        """Check what may change from one search to the next."""
        if self._ready.model is None and self._several and get_llm_cache() is not None:
            raise SettingsError(
                "a global LLM cache is set and the policy is not a chat model, so every draw would be the same cached "
                "answer; pass the chat model itself as the policy, or unset the cache"
            )
        if self._fanout == "n" and self._offered == 1:
            raise SettingsError(
                f"fanout='n' needs a chat model that takes `n`; {self._name} does not, or not together with what is "
                "bound to it: leave fanout out"
            )

    def for_search(self) -> Sampler:
        """The same for another search.

        Raises:
            SettingsError: An LLM cache was set meanwhile, or the server has given one choice a request.
        """
        self._check_draws()
        return self.renewed()

    def renewed(self, known_limit: int | None = None) -> Sampler:
        """The same for a search whose server is known to give at most so many choices a request."""
        other = copy(self)
        offered = 1 if self._fanout == "calls" else self._offered
        other.max_choices = offered if known_limit is None else min(offered, known_limit)
        return other

    @property
    def _offered(self) -> int:
        """How many choices one request may ask for, by what the call takes and what the server has given so far."""
        return min(self._options.choices, self._ready.choices.limit)

    @property
    def rate_limiter(self) -> BaseRateLimiter | None:
        """The policy's own rate limiter, to be asked before each draw."""
        return self._ready.rate_limiter

    def _first_seed(self, seed: int | None) -> int | None:
        takes_seed = self._options.seed
        if seed is not None and not takes_seed:
            raise SettingsError(f"{self._name} does not accept seeds; leave seed out")
        has_seed = self._model is not None and "seed" in type(self._model).model_fields
        own = self._kwargs.pop("seed", None) if has_seed else None
        if own is None:
            own = getattr(self._model, "seed", None)
        return (own if seed is None else seed) if takes_seed else None

    def _temperature(self) -> float | None:
        own = getattr(self._model, "temperature", None)
        value: float | None = self._kwargs.get("temperature", own)
        return value

    @property
    def tools(self) -> Sequence[Any]:
        """The tools that are offered with each draw, in the form in which the model was given them."""
        tools = self._kwargs.get("tools")
        return tuple(tools) if isinstance(tools, Sequence) and not isinstance(tools, str) else ()

    def requests(self, indexes: Sequence[int]) -> list[tuple[int, ...]]:
        """Split the candidates of a round into requests of at most `max_choices` choices."""
        size = self.max_choices
        return [tuple(indexes[start : start + size]) for start in range(0, len(indexes), size)]

    def fall_back(self, to: int = 1) -> None:
        """Ask for at most so many choices from now on: the server does not give more."""
        self.max_choices = max(1, min(self.max_choices, to))
        self._ready.choices.record_shortfall(self.max_choices)

    def record_success(self, asked: int) -> None:
        """A request for so many choices was answered in full."""
        if self._ready.choices.shortfalls:
            self._ready.choices.record_success(asked)

    def draw(self, prompt: PromptValue, indexes: Sequence[int], config: RunnableConfig) -> list[Choice]:
        """Draw one candidate for each index in one request; a server may answer with fewer.

        Raises:
            Exception: Whatever the policy raises.
        """
        child = self._config(indexes, config)
        if self._model is None:
            calls = RecordedCalls()
            return [
                choice_of(
                    self._policy.invoke(prompt, calls.attach(child), **self._kwargs), calls, self._estimation(prompt)
                )
            ]
        if self._ready.streamed:
            message = streamed_message(self._model.stream(prompt, child, **self._sampling(indexes)))
            return [choice_of(message, estimation=self._estimation(prompt))]
        result = self._model.generate_prompt([prompt], **self._arguments(indexes, child))
        drawn = _choices(result, self._estimation(prompt))
        if len(indexes) > 1:
            trace_choices(config, indexes, [choice.message for choice in drawn])
        return drawn

    async def adraw(self, prompt: PromptValue, indexes: Sequence[int], config: RunnableConfig) -> list[Choice]:
        """As `draw`; cancelling it closes the request."""
        child = self._config(indexes, config)
        if self._model is None:
            calls = RecordedCalls()
            return [
                choice_of(
                    await self._policy.ainvoke(prompt, calls.attach(child), **self._kwargs),
                    calls,
                    self._estimation(prompt),
                )
            ]
        if (streams_in_thread if self._ready.streamed else generates_in_thread)(self._model):
            return await run_in_thread(self.draw, prompt, indexes, config)
        if self._ready.streamed:
            chunks = self._model.astream(prompt, child, **self._sampling(indexes))
            return [choice_of(await astreamed_message(chunks), estimation=self._estimation(prompt))]
        result = await self._model.agenerate_prompt([prompt], **self._arguments(indexes, child))
        drawn = _choices(result, self._estimation(prompt))
        if len(indexes) > 1:
            await atrace_choices(config, indexes, [choice.message for choice in drawn])
        return drawn

    def _estimation(self, prompt: PromptValue) -> Estimation:
        return Estimation(
            # Shared by all searches with the policy, as long as its settings live.
            owner=self._ready.choices,
            whose=f"the server of the policy {self._name}",
            prompt_length=lambda: len(prompt.to_string()),
            fills_gaps=self._estimates_usage,
        )

    def _config(self, indexes: Sequence[int], config: RunnableConfig) -> RunnableConfig:
        config = merge_configs(*self._ready.configs, config)
        if self._reads_config:
            # It takes every key for a parameter of its model.
            own = config.get("configurable", {}).items()
            config["configurable"] = {name: value for name, value in own if not self._is_hidden(name)}
        if len(indexes) > 1:
            # The candidates get a run each when the request is answered.
            return child_config(config, "optscale:request", ["optscale:request"], {"candidates": list(indexes)})
        name = f"optscale:candidate:{indexes[0]}"
        return child_config(config, name, [name])

    def _is_hidden(self, name: str) -> bool:
        """Whether a key of "configurable" is a setting of the search, or LangGraph's own."""
        return name in self._hidden or name.startswith(("__", "checkpoint_")) or name == "thread_id"

    def _arguments(self, indexes: Sequence[int], config: RunnableConfig) -> dict[str, Any]:
        callbacks = config.get("callbacks")
        return {
            **self._sampling(indexes),
            "callbacks": with_corrected_usage(callbacks) if len(indexes) > 1 else callbacks,
            "tags": config.get("tags"),
            "metadata": config.get("metadata"),
            "run_name": config.get("run_name"),
        }

    def _sampling(self, indexes: Sequence[int]) -> dict[str, Any]:
        arguments = dict(self._kwargs)
        if len(indexes) > 1:
            arguments[self._options.choices_argument] = len(indexes)
        elif self._options.choices > 1 and (getattr(self._model, "n", None) or 1) > 1:
            arguments[self._options.choices_argument] = 1  # the model's own setting would draw more than are wanted
        if self._seed is not None:
            # Choice j of a request with seed s uses s + j on vLLM: the first index spaces requests by their sizes.
            arguments["seed"] = self._seed + indexes[0]
        return arguments


def _choices(result: LLMResult, estimation: Estimation) -> list[Choice]:
    generations = [generation for generation in result.generations[0] if isinstance(generation, ChatGeneration)]
    messages = [message for generation in generations if isinstance(message := generation.message, AIMessage)]
    if len(messages) <= 1:
        return [choice_of(message, estimation=estimation) for message in messages]
    # With several choices each message claims the whole request's usage, and none says which model it came from.
    llm_output = {key: value for key, value in (result.llm_output or {}).items() if key != "token_usage"}
    drawn = []
    for message, usage in zip(messages, choice_usages(messages, estimation), strict=True):
        own = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        metadata = {**llm_output, **message.response_metadata}
        update = {"usage_metadata": own, "response_metadata": metadata}
        drawn.append(Choice(message.model_copy(update=update), usage))
    return drawn
