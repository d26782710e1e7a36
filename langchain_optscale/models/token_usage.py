"""Token usage of each choice of a request, of what a server reports taken with care.

A budget that believes its server is lifted by one that reports nothing, negative numbers or text. So counts are whole
numbers of at least 0 and of a size that a request can have; others are estimated by the length of the text, and a
warning says so once for each policy or verifier.

For several choices OpenAI and vLLM report the sum of their tokens, llama.cpp reports one choice. The tokens are counted
where the choices have log-probabilities. Otherwise the report is read as the sum or as one choice, whichever gives the
more plausible length of a token; fewer tokens than words cannot be the sum.
"""

from __future__ import annotations

import logging
import math
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages.ai import UsageMetadata

from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails

__all__ = ["Estimation", "Reported", "choice_usages", "with_usage"]

# Tokens per character of ordinary text under the usual tokenizers (about 4.2 characters a token).
_TYPICAL_DENSITY = 0.24
# More than any context window holds.
_MOST = 20_000_000
# A tokenizer may join words, but never four of them on the average of a long text.
_LONG_TEXT = 32
_WORDS_A_TOKEN = 4

_warning = threading.Lock()
_logger = logging.getLogger(__name__)
_warned: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Estimation:
    """What is counted where a server reports nothing that can be trusted.

    Attributes:
        owner: The policy or verifier, which is warned about once.
        whose: What it is called in the warning.
        prompt_length: The number of characters of the prompt.
        fills_gaps: Whether counts that are missing are estimated, too, as a budget needs it; else they are 0.
    """

    owner: Any
    whose: str
    prompt_length: Callable[[], int]
    fills_gaps: bool = False

    def warn(self, what: str) -> None:
        """Warn, unless this owner was warned about the same before."""
        with _warning:
            known = _warned.setdefault(self.owner, set())
            is_new = what not in known
            known.add(what)
        if is_new:
            _logger.warning("%s %s: its tokens are estimated by the length of the texts", self.whose, what)


@dataclass(frozen=True, slots=True)
class Reported:
    """The counts of one request.

    Attributes:
        input_tokens: Of the prompt.
        output_tokens: Of all choices, or of one, by server.
        input_details: By kind.
        output_details: By kind.
        is_as_sent: Whether these are the numbers that the server sent.
    """

    input_tokens: int
    output_tokens: int
    input_details: Mapping[str, int]
    output_details: Mapping[str, int]
    is_as_sent: bool

    @classmethod
    def of(cls, messages: Sequence[AIMessage], estimation: Estimation | None) -> Reported:
        """Read the usage that the choices of one request carry, at least one choice."""
        sent: Any = messages[0].usage_metadata
        report: Mapping[str, Any] = sent if isinstance(sent, Mapping) else {}
        prompt, output = _count(report.get("input_tokens")), _count(report.get("output_tokens"))
        is_wrong = bool(sent) and (prompt is None or output is None or _is_too_few(output, messages))
        is_missing = not is_wrong and not output and any(map(_text_length, messages))
        if is_wrong:
            output = prompt = None
        fills = is_wrong or (is_missing and estimation is not None and estimation.fills_gaps)
        if fills and estimation is not None:
            estimation.warn("reports a usage that cannot be right" if is_wrong else "reports no usage")
        if fills and not output:
            output = sum(map(_estimated, messages))
        if fills and not prompt:
            prompt = math.ceil(_TYPICAL_DENSITY * estimation.prompt_length()) if estimation else 0
        input_details, output_details = (_kinds(report.get(f"{side}_token_details")) for side in ("input", "output"))
        counts = [report.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")]
        as_sent = (
            not is_wrong
            and all(type(count) is int for count in counts)
            and [report.get(f"{side}_token_details") or {} for side in ("input", "output")]
            == [input_details, output_details]
        )
        return cls(prompt or 0, output or 0, input_details, output_details, as_sent)


def _text_length(message: AIMessage) -> int:
    """Characters that a model generated for a message: its text and the arguments of its tool calls."""
    return len(message.text) + sum(len(str(call["args"])) for call in message.tool_calls)


def _count(value: object) -> int | None:
    """A count of tokens, also from text or a float that is one; None for anything else."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < len(str(_MOST)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        return None
    return value


def _is_too_few(output: int, messages: Sequence[AIMessage]) -> bool:
    """Whether a single choice has far more words than it is said to have tokens; 0 says nothing."""
    if not output or len(messages) > 1:
        return False
    words = len(messages[0].text.split())
    return words > _LONG_TEXT and words > _WORDS_A_TOKEN * output


def _estimated(message: AIMessage) -> int:
    return max(math.ceil(_TYPICAL_DENSITY * _text_length(message)), len(message.text.split()))


def _kinds(details: object) -> dict[str, int]:
    """Counts by kind, without those that are none."""
    known = details.items() if isinstance(details, Mapping) else ()
    counts = {str(name): _count(value) for name, value in known}
    return {name: count for name, count in counts.items() if count is not None}


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
    lengths = [max(1, _text_length(message)) for message in messages]
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
