"""A chat model or Runnable made ready to draw candidates.

Draws never come out of an LLM cache and never stream into the caller's handlers, the client below does not retry by
itself, and the model's rate limiter is asked before a request's time begins. How many choices one request may ask for
is remembered here for all searches with the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import convert_to_messages
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import RunnableBinding

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.clients import without_client_retries, without_client_retries_in
from langchain_optscale.models.eager_cancel import by_streaming, streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.rate_limiters import BaseRateLimiter
    from langchain_core.runnables import Runnable, RunnableConfig


__all__ = ["ChoiceLimit", "Fanout", "Policy", "policy_name", "to_prompt", "unwrap"]

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


class ChoiceLimit:
    """How many choices one request may ask a policy for, as its requests show; shared by all searches with it.

    One refusal or one short answer may be an accident, so it counts for one search; a number of them in a row do not.

    Args:
        limit: What the policy offers.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._strikes = 0
        self._short = 0

    def record_shortfall(self, to: int) -> None:
        """A search had to be content with fewer."""
        self._strikes += 1
        self._short = max(to, self._short)
        if self._strikes >= _STRIKES:
            self.limit, self._strikes, self._short = min(self.limit, self._short), 0, 0

    def record_success(self, asked: int) -> None:
        """A request for so many was answered in full."""
        if asked > max(1, self._short):
            self._strikes = self._short = 0


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy made ready for draws: no cache, no retries of the client's own, its rate limiter at hand.

    Attributes:
        given: The policy as the user gave it; what is no chat model, with the retries of the clients below it off.
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
    choices: ChoiceLimit
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
        model, kwargs, configs = unwrap(policy)
        if model is None:
            if eager:
                raise SettingsError(
                    f"cancel='eager' draws by streaming, which needs a chat model; {policy.get_name()} is none"
                )
            return cls(without_client_retries_in(policy), None, {}, (), ChoiceLimit(1))
        # The rate limiter is asked by the driver, so that waiting for it does not count as the request's time.
        changes: dict[str, Any] = {"cache": False, "rate_limiter": None}
        silent: dict[str, Any] = {"disable_streaming": True}
        if "streaming" in type(model).model_fields:
            silent["streaming"] = False
        single = without_client_retries(model, timeout_s).model_copy(update=changes)
        copy, streamed = single.model_copy(update=silent), False
        if eager:
            streaming = by_streaming(copy)
            if streaming is None and not streams(model):
                raise SettingsError(f"cancel='eager' draws by streaming, which {policy_name(policy)} cannot")
            copy, streamed = (single, True) if streaming is None else (streaming, False)
        offered = 1 if streamed else _choices_offered(model)
        return cls(policy, copy, kwargs, tuple(configs), ChoiceLimit(offered), streamed, model.rate_limiter)


def unwrap(
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


def policy_name(policy: Runnable[Any, Any]) -> str:
    """The name of the model that the policy calls, or what the Runnable calls itself."""
    model, _, _ = unwrap(policy)
    for attribute in ("model_name", "model"):
        if isinstance(name := getattr(model, attribute, None), str) and name:
            return name
    return type(model).__name__ if model else policy.get_name()
