"""A chat model or Runnable prepared for drawing candidates.

A draw never comes from an LLM cache and never streams into the caller's handlers. The client does not retry, and the
model's rate limiter is acquired before a request's timeout begins. All searches with a policy share its `ChoiceLimit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.call_options import call_options
from langchain_optscale.models.clients import without_client_retries, without_client_retries_in, without_streaming
from langchain_optscale.models.eager_cancel import by_streaming, streams
from langchain_optscale.models.isolation import isolated
from langchain_optscale.models.named import is_configurable_model
from langchain_optscale.models.single_choices import read_by_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.rate_limiters import BaseRateLimiter
    from langchain_core.runnables import Runnable, RunnableConfig


__all__ = ["ChoiceLimit", "Fanout", "Policy", "policy_name", "rewrapped", "unwrap"]

Fanout = Literal["auto", "n", "calls"]

# Shortfalls in a row after which the limit is lowered.
_STRIKES = 3


class ChoiceLimit:
    """How many choices one request may ask a policy for, learned from its responses; shared by all searches with it.

    One refusal or one short response may be an accident and affects its own search only; several in a row lower the
    limit.

    Args:
        limit: The initial limit.

    Attributes:
        limit: The limit.
        shortfalls: How many responses in a row were short.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.shortfalls = 0
        self._short = 0

    def record_shortfall(self, to: int) -> None:
        """Record that a search got fewer choices than it asked for."""
        self.shortfalls += 1
        self._short = max(to, self._short)
        if self.shortfalls >= _STRIKES:
            self.limit, self.shortfalls, self._short = min(self.limit, self._short), 0, 0

    def record_success(self, asked: int) -> None:
        """Record that a request got all the choices it asked for."""
        if asked > max(1, self._short):
            self.shortfalls = self._short = 0


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy prepared for draws: without cache and client retries, its rate limiter apart.

    Attributes:
        given: The policy as the user gave it; a Runnable that is no chat model has the client retries in it disabled.
        model: The copy of its chat model that draws; None for any other Runnable.
        kwargs: Arguments that the user bound to it.
        configs: Configs that the user attached to it.
        choices: How many choices one request may ask for.
        streamed: Whether each draw is one stream of the model.
        rate_limiter: The chat model's rate limiter, to be acquired before each draw.
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
        """Prepare a policy.

        Args:
            policy: A chat model, bound or not, or any other Runnable.
            eager: Draw by streaming, so that the server stops generating when the client disconnects.
            timeout_s: The client's read timeout in seconds, where it can be set.

        Raises:
            SettingsError: `eager` is set and the policy cannot stream.
        """
        model, kwargs, configs = unwrap(policy)
        if model is None:
            if eager:
                raise SettingsError(
                    f"cancel='eager' draws by streaming, which needs a chat model; {policy.get_name()} is none: "
                    "leave cancel out"
                )
            return cls(isolated(without_client_retries_in(policy)), None, {}, (), ChoiceLimit(1))
        # The driver acquires the rate limiter, so that waiting for it does not count towards the request's timeout.
        changes: dict[str, Any] = {"cache": False, "rate_limiter": None}
        single = without_client_retries(model, timeout_s).model_copy(update=changes)
        copy, streamed = without_streaming(single), False
        if eager:
            streaming = by_streaming(copy)
            if streaming is None and not streams(model):
                raise SettingsError(
                    f"cancel='eager' draws by streaming, which {policy_name(policy)} cannot: leave cancel out"
                )
            copy, streamed = (single, True) if streaming is None else (streaming, False)
        offered = 1 if streamed else call_options(model, kwargs).choices
        copy = read_by_choice(copy)
        return cls(policy, copy, kwargs, tuple(configs), ChoiceLimit(offered), streamed, model.rate_limiter)


def unwrap(
    policy: Runnable[Any, Any],
) -> tuple[BaseChatModel | None, dict[str, Any], list[RunnableConfig]]:
    """The chat model under `bind` and `with_config`, the bound arguments and the configs; None for other Runnables."""
    kwargs: dict[str, Any] = {}
    configs: list[RunnableConfig] = []
    while isinstance(policy, RunnableBinding):
        if policy.config_factories:
            return None, {}, []
        kwargs = {**policy.kwargs, **kwargs}
        configs.insert(0, policy.config)
        policy = policy.bound
    return (policy, kwargs, configs) if isinstance(policy, BaseChatModel) else (None, {}, [])


def rewrapped(model: Runnable[Any, Any], policy: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """Another model with the bound arguments and the configs that a policy has around its own."""
    _, arguments, configs = unwrap(policy)
    model = model.bind(**arguments) if arguments else model
    for config in filter(None, configs):
        model = model.with_config(config)
    return model


def policy_name(policy: Runnable[Any, Any]) -> str:
    """The name of the model that the policy calls, or what the Runnable calls itself."""
    if is_configurable_model(policy):
        return "configurable model"  # it has no name before a call chooses one
    model, _, _ = unwrap(policy)
    for attribute in ("model_name", "model"):
        if isinstance(name := getattr(model, attribute, None), str) and name:
            return name
    return type(model).__name__ if model else policy.get_name()
