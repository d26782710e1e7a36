"""Token usage of each choice of a request.

For several choices OpenAI and vLLM report the sum of their tokens, llama.cpp reports one choice. The tokens are counted
where the choices have log-probabilities. Otherwise the report is read as the sum or as one choice, whichever gives the
more plausible length of a token; fewer tokens than words cannot be the sum.
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
    """The usage of each choice of one request.

    Args:
        messages: All choices of the request, each with the request's `usage_metadata`, if any.

    Returns:
        One usage for each choice. The first includes the prompt, the request and the counts by kind of token. Output
        tokens are exact for one choice and for choices with log-probabilities; otherwise the total is divided by
        length.
    """
    if not messages:
        return []
    reported = messages[0].usage_metadata
    prompt = reported["input_tokens"] if reported else 0
    outputs = _outputs(messages, reported["output_tokens"] if reported else 0)
    first = Usage(prompt, outputs[0], 1, _details(reported, "input"), _details(reported, "output"))
    return [first, *(Usage(output_tokens=tokens) for tokens in outputs[1:])]


def _details(reported: UsageMetadata | None, side: str) -> dict[str, int]:
    details: Any = reported and reported.get(f"{side}_token_details")
    return dict(details or {})


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
        # The report is the first choice's; no token is shorter than a character.
        return [round(reported * length / max(lengths[0], reported)) for length in lengths]
    edges = [round(reported * sum(lengths[:count]) / sum(lengths)) for count in range(len(lengths) + 1)]
    return [upper - lower for lower, upper in pairwise(edges)]


def _logprob_tokens(message: AIMessage) -> int:
    logprobs = message.response_metadata.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return len(content) if isinstance(content, list) else 0


def _is_sum(reported: int, lengths: Sequence[int]) -> bool:
    """Whether the report is more plausible as the sum than as the first choice's."""

    def surprise(characters: int) -> float:
        return abs(math.log(reported / characters / _TYPICAL_DENSITY))

    return surprise(sum(lengths)) <= surprise(lengths[0])
