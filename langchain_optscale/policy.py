"""Drawing candidates from any chat model or Runnable.

A chat model that takes `n` gives several choices for one prefill, so a round is one request (or a few, where the
server limits `n`); from anything else each candidate is one call. Draws never come out of an LLM cache and never
stream into the caller's handlers, and the client below does not retry by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import RunnableBinding
from langchain_core.runnables.config import merge_configs

from langchain_optscale.clients import one_try
from langchain_optscale.errors import SettingsError
from langchain_optscale.streaming import astreamed_message, by_streaming, streamed_message, streams
from langchain_optscale.usage import choice_usages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.outputs import LLMResult
    from langchain_core.rate_limiters import BaseRateLimiter
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_optscale.records import Usage

__all__ = ["Choices", "Drawer", "Drawn", "Fanout", "Policy", "policy_name", "to_prompt"]

Fanout = Literal["auto", "n", "calls"]

# The largest `n` that OpenAI's own service takes. A server with a smaller limit has it in the model's metadata.
_MAX_N = 128
_MAX_N_KEY = "optscale_max_n"
# So many searches in a row must have fallen short of it before what a server offers is believed to be less.
_STRIKES = 3


def to_prompt(value: LanguageModelInput) -> PromptValue:
    """The conversation as a prompt value, from anything that a chat model accepts as its input.

    Raises:
        SettingsError: The input is none of a string, a prompt value and a sequence of messages.
    """
    if isinstance(value, PromptValue):
        return value
    if isinstance(value, str):
        return StringPromptValue(text=value)
    wrong = f"the input must be a string, a prompt value or a list of messages, got {type(value).__name__}"
    if not isinstance(value, Sequence):
        raise SettingsError(wrong)
    try:
        return ChatPromptValue(messages=convert_to_messages(value))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise SettingsError(f"{wrong}: {error}") from error


@dataclass(frozen=True, slots=True)
class Drawn:
    """One choice that the policy gave."""

    message: AIMessage
    usage: Usage


class Choices:
    """How many choices one request may ask a policy for, as its requests show; shared by all searches with it.

    One refusal or one short answer may be an accident, so it counts for one search; a number of them in a row do not.

    Args:
        limit: What the policy offers.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._strikes = 0
        self._short = 0

    def fell_short(self, to: int) -> None:
        """A search had to be content with fewer."""
        self._strikes += 1
        self._short = max(to, self._short)
        if self._strikes >= _STRIKES:
            self.limit, self._strikes, self._short = min(self.limit, self._short), 0, 0

    def went_well(self, asked: int) -> None:
        """A request for so many was answered in full."""
        if asked > max(1, self._short):
            self._strikes = self._short = 0


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy made ready for draws: no cache, no retries of the client's own, its rate limiter at hand.

    Attributes:
        given: The policy as the user gave it.
        model: The copy of its chat model that draws; None for any other Runnable.
        kwargs: What the user had bound to it.
        configs: What the user had configured it with.
        choices: How many choices one request may ask for.
        streamed: Whether each draw is one stream of the model.
        rate_limiter: Of the chat model; to be asked before each draw.
    """

    given: Runnable[Any, Any]
    model: BaseChatModel | None
    kwargs: Mapping[str, Any]
    configs: tuple[RunnableConfig, ...]
    choices: Choices
    streamed: bool = False
    rate_limiter: BaseRateLimiter | None = None

    @classmethod
    def of(cls, policy: Runnable[Any, Any], *, eager: bool = False, timeout_s: float | None = None) -> Policy:
        """Make a policy ready.

        Args:
            policy: A chat model, bound or not, or any other Runnable.
            eager: Draw by streaming, so that a server stops when the client leaves.
            timeout_s: Seconds without a byte after which its client gives up, where it can be told so.

        Raises:
            SettingsError: It is to stream and cannot.
        """
        model, kwargs, configs = _unwrap(policy)
        if model is None:
            if eager:
                raise SettingsError(
                    f"cancel='eager' draws by streaming, which needs a chat model; {policy.get_name()} is none"
                )
            return cls(policy, None, {}, (), Choices(1))
        # The rate limiter is asked by the driver, so that waiting for it does not count as the request's time.
        changes: dict[str, Any] = {"cache": False, "rate_limiter": None}
        silent: dict[str, Any] = {"disable_streaming": True}
        if "streaming" in type(model).model_fields:
            silent["streaming"] = False
        single = one_try(model, timeout_s).model_copy(update=changes)
        copy, streamed = single.model_copy(update=silent), False
        if eager:
            streaming = by_streaming(copy)
            if streaming is None and not streams(model):
                raise SettingsError(f"cancel='eager' draws by streaming, which {policy_name(policy)} cannot")
            copy, streamed = (single, True) if streaming is None else (streaming, False)
        offered = 1 if streamed else _choices_offered(model)
        return cls(policy, copy, kwargs, tuple(configs), Choices(offered), streamed, model.rate_limiter)


class Drawer:
    """Draws from one policy for one search.

    Args:
        policy: The policy, made ready or not.
        fanout: "n" asks for several choices in one request, "calls" makes one request a candidate, "auto" takes "n"
            where the policy offers it.
        several: Whether more than one candidate may be drawn, so that they have to differ.
        seed: Candidate i is drawn with seed + i. Without it the policy's own seed, if it has one, is spread likewise.
        model_kwargs: What the verifier needs of the model; given to chat models only.
        call_kwargs: The caller's own arguments; given to whatever the policy is.

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
    ) -> None:
        ready = policy if isinstance(policy, Policy) else Policy.of(policy)
        self._ready = ready
        self._policy = ready.given
        self._model = ready.model
        self._kwargs = dict(call_kwargs or {})
        if ready.model is not None:
            self._kwargs = {**(model_kwargs or {}), **ready.kwargs, **self._kwargs}
        elif get_llm_cache() is not None and several:
            raise SettingsError(
                "a global LLM cache is set and the policy is not a chat model, so every draw would be the same cached "
                "answer; pass the chat model itself as the policy, or unset the cache"
            )
        if fanout == "n" and ready.choices.limit == 1:
            raise SettingsError(f"fanout='n' needs a chat model that takes `n`; {policy_name(self._policy)} does not")
        self.max_choices = 1 if fanout == "calls" else ready.choices.limit
        self.may_fall_back = fanout == "auto"
        self._seed = self._first_seed(seed)
        if several and self._temperature() == 0:
            raise SettingsError(
                "the policy's temperature is 0, so all candidates would be the same; raise it or set max_samples=1"
            )

    @property
    def rate_limiter(self) -> BaseRateLimiter | None:
        """The policy's own rate limiter, to be asked before each draw."""
        return self._ready.rate_limiter

    def _first_seed(self, seed: int | None) -> int | None:
        takes_seed = self._model is not None and "seed" in type(self._model).model_fields
        if seed is not None and not takes_seed:
            raise SettingsError(f"{policy_name(self._policy)} takes no seed; leave seed=None")
        own = self._kwargs.pop("seed", None) if takes_seed else None
        if own is None and takes_seed:
            own = getattr(self._model, "seed", None)
        return own if seed is None else seed

    def _temperature(self) -> float | None:
        own = getattr(self._model, "temperature", None)
        value: float | None = self._kwargs.get("temperature", own)
        return value

    def requests(self, indexes: Sequence[int]) -> list[tuple[int, ...]]:
        """Split the candidates of a round into requests of at most `max_choices` choices."""
        size = self.max_choices
        return [tuple(indexes[start : start + size]) for start in range(0, len(indexes), size)]

    def fall_back(self, to: int = 1) -> None:
        """Ask for at most so many choices from now on: the server does not give more."""
        self.max_choices = max(1, min(self.max_choices, to))
        self._ready.choices.fell_short(self.max_choices)

    def went_well(self, asked: int) -> None:
        """A request for so many choices was answered in full."""
        self._ready.choices.went_well(asked)

    def draw(self, prompt: PromptValue, indexes: Sequence[int], config: RunnableConfig) -> list[Drawn]:
        """Draw one candidate for each index in one request; a server may answer with fewer.

        Raises:
            Exception: Whatever the policy raises.
        """
        config = self._config(indexes, config)
        if self._model is None:
            return [_coerced(self._policy.invoke(prompt, config, **self._kwargs))]
        if self._ready.streamed:
            return [_coerced(streamed_message(self._model.stream(prompt, config, **self._sampling(indexes))))]
        return _choices(self._model.generate_prompt([prompt], **self._arguments(indexes, config)))

    async def adraw(self, prompt: PromptValue, indexes: Sequence[int], config: RunnableConfig) -> list[Drawn]:
        """As `draw`; cancelling it closes the request."""
        config = self._config(indexes, config)
        if self._model is None:
            return [_coerced(await self._policy.ainvoke(prompt, config, **self._kwargs))]
        if self._ready.streamed:
            chunks = self._model.astream(prompt, config, **self._sampling(indexes))
            return [_coerced(await astreamed_message(chunks))]
        return _choices(await self._model.agenerate_prompt([prompt], **self._arguments(indexes, config)))

    def _config(self, indexes: Sequence[int], config: RunnableConfig) -> RunnableConfig:
        # "nostream" keeps the losers' tokens out of LangGraph's stream_mode="messages".
        tags = [*(f"optscale:candidate:{index}" for index in indexes), "nostream"]
        return merge_configs(*self._ready.configs, config, {"tags": tags})

    def _arguments(self, indexes: Sequence[int], config: RunnableConfig) -> dict[str, Any]:
        return {
            **self._sampling(indexes),
            "callbacks": config.get("callbacks"),
            "tags": config.get("tags"),
            "metadata": config.get("metadata"),
            "run_name": config.get("run_name"),
        }

    def _sampling(self, indexes: Sequence[int]) -> dict[str, Any]:
        arguments = dict(self._kwargs)
        if len(indexes) > 1:
            arguments["n"] = len(indexes)
        if self._seed is not None:
            # Choice j of a request with seed s uses s + j on vLLM: the first index spaces requests by their sizes.
            arguments["seed"] = self._seed + indexes[0]
        return arguments


def _unwrap(
    policy: Runnable[Any, Any],
) -> tuple[BaseChatModel | None, dict[str, Any], list[RunnableConfig]]:
    """The chat model under `bind` and `with_config`, with what was bound; None where something else is below."""
    kwargs: dict[str, Any] = {}
    configs: list[RunnableConfig] = []
    while isinstance(policy, RunnableBinding):
        if policy.config_factories:
            return None, {}, []
        kwargs = {**policy.kwargs, **kwargs}
        configs.insert(0, policy.config)
        policy = policy.bound
    return (policy, kwargs, configs) if isinstance(policy, BaseChatModel) else (None, {}, [])


def _choices_offered(model: BaseChatModel) -> int:
    """How many choices one request may ask the model for."""
    if "n" not in type(model).model_fields or getattr(model, "use_responses_api", None):
        return 1
    limit = (model.metadata or {}).get(_MAX_N_KEY, _MAX_N)
    return int(limit)


def _choices(result: LLMResult) -> list[Drawn]:
    generations = [generation for generation in result.generations[0] if isinstance(generation, ChatGeneration)]
    messages = [message for generation in generations if isinstance(message := generation.message, AIMessage)]
    if len(messages) <= 1:
        return [Drawn(message, usage) for message, usage in zip(messages, choice_usages(messages), strict=True)]
    # With several choices each message claims the whole request's usage, and none says which model it came from.
    llm_output = {key: value for key, value in (result.llm_output or {}).items() if key != "token_usage"}
    drawn = []
    for message, usage in zip(messages, choice_usages(messages), strict=True):
        own = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        metadata = {**llm_output, **message.response_metadata}
        update = {"usage_metadata": own, "response_metadata": metadata}
        drawn.append(Drawn(message.model_copy(update=update), usage))
    return drawn


def _coerced(answer: object) -> Drawn:
    message = AIMessage(content=answer) if isinstance(answer, str) else answer
    if not isinstance(message, AIMessage):
        raise SettingsError(f"the policy must answer with a message or a string, got {type(answer).__name__}")
    return Drawn(message, choice_usages([message])[0])


def policy_name(policy: Runnable[Any, Any]) -> str:
    """The name of the model that the policy calls, or what the Runnable calls itself."""
    model, _, _ = _unwrap(policy)
    for attribute in ("model_name", "model"):
        if isinstance(name := getattr(model, attribute, None), str) and name:
            return name
    return type(model).__name__ if model else policy.get_name()
