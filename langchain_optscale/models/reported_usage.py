"""What a server reports of tokens, taken with care: numbers that cannot be counts are replaced by an estimate.

A budget that believes its server is lifted by one that reports nothing, negative numbers or text. So counts are whole
numbers of at least 0 and of a size that a request can have; others are estimated by the length of the text, and a
warning says so once for each policy or verifier.
"""

from __future__ import annotations

import logging
import math
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import AIMessage

__all__ = ["TYPICAL_DENSITY", "Estimation", "Reported", "text_length"]

TYPICAL_DENSITY = 0.24
"""Tokens per character of ordinary text under the usual tokenizers (about 4.2 characters a token)."""

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
        output_tokens: Of all choices, or of one; see `token_usage`.
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
        is_missing = not is_wrong and not output and any(map(text_length, messages))
        if is_wrong:
            output = prompt = None
        fills = is_wrong or (is_missing and estimation is not None and estimation.fills_gaps)
        if fills and estimation is not None:
            estimation.warn("reports a usage that cannot be right" if is_wrong else "reports no usage")
        if fills and not output:
            output = sum(map(_estimated, messages))
        if fills and not prompt:
            prompt = math.ceil(TYPICAL_DENSITY * estimation.prompt_length()) if estimation else 0
        input_details, output_details = (_kinds(report.get(f"{side}_token_details")) for side in ("input", "output"))
        counts = [report.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")]
        as_sent = (
            not is_wrong
            and all(type(count) is int for count in counts)
            and [report.get(f"{side}_token_details") or {} for side in ("input", "output")]
            == [input_details, output_details]
        )
        return cls(prompt or 0, output or 0, input_details, output_details, as_sent)


def text_length(message: AIMessage) -> int:
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
    return max(math.ceil(TYPICAL_DENSITY * text_length(message)), len(message.text.split()))


def _kinds(details: object) -> dict[str, int]:
    """Counts by kind, without those that are none."""
    known = details.items() if isinstance(details, Mapping) else ()
    counts = {str(name): _count(value) for name, value in known}
    return {name: count for name, count in counts.items() if count is not None}
