"""The client that sends a chat model's requests, and the endpoint that answers them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding, RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from langchain_core.runnables import Runnable

__all__ = [
    "address_of",
    "endpoint_of",
    "model_and_address",
    "models_in",
    "without_client_retries",
    "without_client_retries_in",
    "without_streaming",
]

_URLS = ("openai_api_base", "azure_endpoint", "anthropic_api_url", "base_url", "endpoint", "endpoint_url")
_NAMES = ("deployment_name", "model_name", "model", "model_id")


def without_client_retries(model: BaseChatModel, timeout_s: float | None = None) -> BaseChatModel:
    """A copy of the model whose client does not retry; it shares the connections of the original.

    Clients of the OpenAI, Anthropic and Groq kind are copied by their own `with_options`; other models with a field
    `max_retries` get 0 there. A model that retries in any other way still does.

    Args:
        model: Any chat model.
        timeout_s: The client's read timeout in seconds, where its `with_options` can set it.
    """
    options: dict[str, Any] = {"max_retries": 0}
    if timeout_s is not None:
        options["timeout"] = timeout_s
    changes: dict[str, Any] = {}
    if "max_retries" in type(model).model_fields:
        changes["max_retries"] = 0
    for name, value in vars(model).items():
        owner: Any = getattr(value, "_client", None)
        if _is_client(value):
            changes[name] = value.with_options(**options)
        elif _is_client(owner):  # a resource such as `client.chat.completions`
            changes[name] = type(value)(owner.with_options(**options))
    copy = model.model_copy(update=changes)
    for name in [name for name in vars(copy) if isinstance(getattr(type(copy), name, None), cached_property)]:
        if name not in changes:
            del vars(copy)[name]
    return copy


def without_streaming(model: BaseChatModel) -> BaseChatModel:
    """A copy of the model that neither streams nor reads an LLM cache."""
    changes: dict[str, Any] = {"cache": False, "disable_streaming": True}
    if "streaming" in type(model).model_fields:
        changes["streaming"] = False
    return model.model_copy(update=changes)


def _is_client(value: Any) -> bool:
    return callable(getattr(value, "with_options", None)) and hasattr(value, "max_retries")


def without_client_retries_in(runnable: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The Runnable with `without_client_retries` of every chat model that it binds, chains or falls back to.

    An explicit `with_retry` stays.
    """
    if isinstance(runnable, BaseChatModel):
        return without_client_retries(runnable)
    if isinstance(runnable, RunnableBindingBase):
        return runnable.model_copy(update={"bound": without_client_retries_in(runnable.bound)})
    if isinstance(runnable, RunnableSequence):
        return RunnableSequence(*(without_client_retries_in(step) for step in runnable.steps), name=runnable.name)
    if isinstance(runnable, RunnableWithFallbacks):
        others = [without_client_retries_in(other) for other in runnable.fallbacks]
        first = without_client_retries_in(runnable.runnable)
        return runnable.model_copy(update={"runnable": first, "fallbacks": others})
    return runnable


def models_in(runnable: object) -> Iterator[BaseChatModel]:
    """The chat models that a Runnable is, binds or chains."""
    if isinstance(runnable, BaseChatModel):
        yield runnable
    elif isinstance(runnable, RunnableBinding):
        yield from models_in(runnable.bound)
    elif isinstance(runnable, RunnableSequence):
        for step in runnable.steps:
            yield from models_in(step)


def endpoint_of(thing: object) -> Hashable:
    """The endpoint of a policy or verifier as a key: equal for two that call the same model at the same address.

    An attribute `endpoint` takes precedence; otherwise it is that of the one chat model that is bound or chained.
    Anything else is its own endpoint.
    """
    own = getattr(thing, "endpoint", None)
    if isinstance(own, str | tuple):
        return own
    models = list(models_in(getattr(thing, "runnable", thing)))
    if len(models) == 1:
        name, address = model_and_address(models[0])
        if address or name:
            return (type(models[0]).__name__, address, name)
        thing = models[0]
    return ("object", id(thing))


def model_and_address(model: BaseChatModel) -> tuple[str, str]:
    """The name of a chat model and the address of its server, each empty where it is unknown."""
    client = getattr(model, "root_client", None) or getattr(model, "root_async_client", None)
    address = str(getattr(client, "base_url", "")) or _first(model, _URLS)
    return _first(model, _NAMES), address.rstrip("/")


def address_of(model: BaseChatModel) -> str:
    """The address of a chat model's server to be shown, without a user name, a password or a query; or empty."""
    parts = urlsplit(model_and_address(model)[1])
    if not parts.hostname:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _first(model: BaseChatModel, names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := getattr(model, name, None), str) and value), "")
