"""Token usage of each choice of a request.

For several choices OpenAI and vLLM report the sum of their tokens, llama.cpp reports one choice. The tokens are counted
where the choices have log-probabilities. Otherwise the report is read as the sum or as one choice, whichever gives the
more plausible length of a token; fewer tokens than words cannot be the sum.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from langchain_core.messages.ai import UsageMetadata

from langchain_optscale.models.reported_usage import TYPICAL_DENSITY, Reported, text_length
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails

    from langchain_optscale.models.reported_usage import Estimation

__all__ = ["choice_usages", "with_usage"]


def choice_usages(messages: Sequence[AIMessage], estimation: Estimation | None = None) -> list[Usage]:
    """The usage of each choice of one request.

    Args:
        messages: All choices of the request, each with the request's `usage_metadata`, if any.
        estimation: What is counted where the server reports nothing that can be trusted.

    Returns:
        One usage for each choice. The first includes the prompt, the request and the counts by kind of token. Output
        tokens are exact for one choice and for choices with log-probabilities; otherwise the total is divided by
        length.
    """
    if not messages:
        return []
    reported = Reported.of(messages, estimation)
    outputs = _outputs(messages, reported.output_tokens)
    first = Usage(reported.input_tokens, outputs[0], 1, reported.input_details, reported.output_details)
    return [first, *(Usage(output_tokens=tokens) for tokens in outputs[1:])]


def with_usage(message: AIMessage, spent: Usage) -> AIMessage:
    """A copy of a message with this `usage_metadata`."""
    usage = UsageMetadata(
        input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, total_tokens=spent.total_tokens
    )
    if spent.input_token_details:
        usage["input_token_details"] = cast("InputTokenDetails", dict(spent.input_token_details))
    if spent.output_token_details:
        usage["output_token_details"] = cast("OutputTokenDetails", dict(spent.output_token_details))
    return message.model_copy(update={"usage_metadata": usage})


def _outputs(messages: Sequence[AIMessage], reported: int) -> list[int]:
    if len(messages) == 1:
        return [reported]
    counted = [_logprob_tokens(message) for message in messages]
    if all(counted):
        return counted
    lengths = [max(1, text_length(message)) for message in messages]
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
        return abs(math.log(reported / characters / TYPICAL_DENSITY))

    return surprise(sum(lengths)) <= surprise(lengths[0])
