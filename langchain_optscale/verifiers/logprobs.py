"""Token log-probabilities in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidScoreError
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["read_logprob", "token_entries"]

# In single precision the log of a probability of 1 may be slightly above 0.
_ROUNDING = 1e-6


def token_entries(message: BaseMessage) -> list[Any]:
    """The entries of `response_metadata["logprobs"]["content"]`, one for each token; may be empty."""
    logprobs = message.response_metadata.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return content if isinstance(content, list) else []


def read_logprob(entry: Any) -> float:
    """The log-probability of an entry, at most 0.

    Raises:
        InvalidScoreError: It is missing or invalid.
    """
    value = entry.get("logprob") if isinstance(entry, Mapping) else None
    if not is_finite(value) or value > _ROUNDING:
        raise InvalidScoreError(
            f"a model must return token log-probabilities, finite numbers of at most 0, got {value!r}"
        )
    return min(float(value), 0.0)
