"""Counting tokens per choice.

Servers disagree about a request with several choices: OpenAI and vLLM report the sum over the choices, llama.cpp
reports one of them. Where the choices carry log-probabilities, their tokens are counted; else fewer tokens than words
cannot be the sum, and otherwise the report is read in the way that gives the more plausible length of a token.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from langchain_optscale.records.types import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.messages.ai import UsageMetadata

__all__ = ["choice_usages"]

# Tokens per character of ordinary text under the usual tokenizers (about 4.2 characters a token).
_TYPICAL_DENSITY = 0.24


def choice_usages(messages: Sequence[AIMessage]) -> list[Usage]:
    """What each choice of one request consumed.

    Args:
        messages: All choices of one request, each with the request's `usage_metadata` (if the server sent any).

    Returns:
        One usage a choice. The prompt, the request itself, and what the server tells of kinds of tokens, are counted at
        the first choice, so that sums are right.
        Output tokens are exact where the choices carry log-probabilities or there is one choice, and where the server
        reports the sum their total is; per choice they are then shared out by length.
    """
    if not messages:
        return []
    reported = messages[0].usage_metadata
    prompt = reported["input_tokens"] if reported else 0
    outputs = _outputs(messages, reported["output_tokens"] if reported else 0)
    first = Usage(prompt, outputs[0], 1, _details(reported, "input"), _details(reported, "output"))
    return [first, *(Usage(output_tokens=tokens) for tokens in outputs[1:])]


def _details(reported: UsageMetadata | None, side: str) -> dict[str, int]:
    """Counts by kind of token, where the server tells them."""
    told: Any = reported and reported.get(f"{side}_token_details")
    return dict(told or {})


def _outputs(messages: Sequence[AIMessage], reported: int) -> list[int]:
    if len(messages) == 1:
        return [reported]
    counted = [_logprob_tokens(message) for message in messages]
    if all(counted):
        return counted
    lengths = [
        max(1, len(message.text) + sum(len(str(call["args"])) for call in message.tool_calls)) for message in messages
    ]
    words = sum(len(message.text.split()) for message in messages)
    if reported and (reported < words or not _is_sum(reported, lengths)):
        # No token is shorter than a character: where the one that was reported says little, the rest was not seen.
        return [round(reported * length / max(lengths[0], reported)) for length in lengths]
    edges = [round(reported * sum(lengths[:count]) / sum(lengths)) for count in range(len(lengths) + 1)]
    return [upper - lower for lower, upper in pairwise(edges)]


def _logprob_tokens(message: AIMessage) -> int:
    logprobs = message.response_metadata.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return len(content) if isinstance(content, list) else 0


def _is_sum(reported: int, lengths: Sequence[int]) -> bool:
    """Whether the reported tokens are more plausible as those of all choices than as those of the first alone."""

    def surprise(characters: int) -> float:
        return abs(math.log(reported / characters / _TYPICAL_DENSITY))

    return surprise(sum(lengths)) <= surprise(lengths[0])
