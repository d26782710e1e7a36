"""What one call of a chat model can be asked for: several choices, a seed, log-probabilities, stop words.

It is a property of the call and not of the model's class: `ChatOpenAI` sends a call to the Responses API as soon as a
built-in tool is bound or `reasoning` is set, and that API takes neither `n` nor `seed`, `logprobs` or `stop`; Gemini's
client has a field `n` whose argument in a call is `candidate_count`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

__all__ = ["CallOptions", "call_options", "callable_as"]

# The largest `n` that OpenAI's own service takes, and Gemini's largest `candidate_count`. A server with a smaller limit
# has it in the model's metadata.
_MAX_N = 128
_MAX_CANDIDATES = 8
_MAX_N_KEY = "optscale_max_n"
# Settings of a model that its client sends with every call, also where the API of the call refuses them.
_OF_CHAT_COMPLETIONS = ("n", "seed", "logprobs", "top_logprobs")


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a call can be asked for.

    Attributes:
        choices: How many choices it may be asked for, at least 1.
        choices_argument: The name of the argument that asks for them.
        seed: Whether it takes a seed.
        logprobs: Whether it may be asked for the log-probabilities of tokens in OpenAI's form.
        stop: Whether it takes stop words.
    """

    choices: int = 1
    choices_argument: str = "n"
    seed: bool = False
    logprobs: bool = True
    stop: bool = True


def call_options(model: BaseChatModel, kwargs: Mapping[str, Any]) -> CallOptions:
    """What a call of the model with these keyword arguments can be asked for.

    Args:
        model: A chat model, without its bindings.
        kwargs: What is bound to it, and what the call adds.
    """
    fields = type(model).model_fields
    if _goes_to_responses_api(model, kwargs):
        return CallOptions(logprobs=False, stop=False)
    gemini = any(kind.__module__.startswith("langchain_google_genai.") for kind in type(model).__mro__)
    most = _MAX_CANDIDATES if gemini else _MAX_N
    limit = int((model.metadata or {}).get(_MAX_N_KEY, most)) if "n" in fields else 1
    return CallOptions(limit, "candidate_count" if gemini else "n", "seed" in fields)


def callable_as(model: BaseChatModel, options: CallOptions) -> BaseChatModel:
    """The model without the settings that a call with these options does not take; itself where it has none of them."""
    if options.logprobs:
        return model
    fields = type(model).model_fields
    unset = {name: None for name in _OF_CHAT_COMPLETIONS if name in fields and getattr(model, name) is not None}
    return model.model_copy(update=unset) if unset else model


def _goes_to_responses_api(model: BaseChatModel, kwargs: Mapping[str, Any]) -> bool:
    stated = getattr(model, "use_responses_api", None)
    routes = getattr(model, "_use_responses_api", None)
    if not callable(routes):
        return bool(stated)
    defaults = getattr(model, "_default_params", None)
    try:
        return bool(routes({**(defaults if isinstance(defaults, dict) else {}), **kwargs}))
    except Exception:  # noqa: BLE001 - the client's own, private method: without its word the setting counts
        return bool(stated)
