"""The inputs of a reward model: the conversation, the question and the answer as texts, steps without markers.

What is a tool call and who speaks is written in forms that no text can take: a call stands between `<tool_call>` tags,
which are broken up wherever a text has them, and in a conversation that is sent as one text a turn begins at the start
of a line, where no text of a message does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_core.messages import ChatMessage

from langchain_optscale.records.reasoning import plain_messages
from langchain_optscale.verifiers.llm_judge.fence import defused
from langchain_optscale.verifiers.llm_judge.prompt import said_and_called

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.records.candidates import Candidate

__all__ = ["answer", "conversation", "encodable", "harmless", "question", "without_marker"]

# JSON has these within strings alone.
_BRACKETS = frozenset("<>＜＞")
_SPEAKERS = {"human": "Human", "ai": "AI", "system": "System", "tool": "Tool", "function": "Function"}
# What a message names rather than says.
_NAMES = frozenset({"role", "type", "id", "tool_call_id", "url", "data", "detail", "format", "media_type", "file_id"})


def conversation(prompt: PromptValue, marker: str = "") -> list[dict[str, Any]]:
    """The messages in OpenAI's form, every text in them harmless."""
    from langchain_core.messages import convert_to_openai_messages

    messages = convert_to_openai_messages(plain_messages(prompt.to_messages()))
    return [_harmless_in(message, marker) for message in (messages if isinstance(messages, list) else [messages])]


def question(prompt: PromptValue, marker: str = "") -> str:
    """The conversation as harmless text, with who speaks before each turn; of a single message its text alone."""
    messages = plain_messages(prompt.to_messages())
    if len(messages) == 1:
        return harmless(str(messages[0].text), marker)
    return "\n".join(_turn(message, marker) for message in messages)


def answer(candidate: Candidate) -> str:
    """A candidate's harmless text, then its tool calls, each between tags."""
    return _with_calls(candidate.answer_message)


def _turn(message: BaseMessage, marker: str) -> str:
    """Who speaks, and what; the second and later lines begin with two spaces, so that they cannot be a turn."""
    named = message.role if isinstance(message, ChatMessage) else message.type
    speaker = _SPEAKERS.get(named, re.sub(r"[^A-Za-z0-9]+", " ", named).strip())
    shown = f"{speaker}: " + "\n  ".join(_with_calls(message).splitlines())
    return without_marker(shown, marker) if marker else shown


def _with_calls(message: BaseMessage) -> str:
    said, calls = said_and_called(message)
    tagged = [f"<tool_call>\n{_exact(call)}\n</tool_call>" for call in calls]
    return "\n".join([*([harmless(said)] if said else []), *tagged])


def _exact(call: str) -> str:
    """A call's JSON without a control token: brackets in it are written in JSON's own escapes, which say the same."""
    escaped = "".join(f"\\u{ord(one):04x}" if one in _BRACKETS else one for one in encodable(call))
    return defused(escaped)  # a square bracket may be of the JSON itself, beside which a space says nothing


def harmless(text: str, marker: str = "") -> str:
    r"""The text without what a server would read as more than text.

    Control tokens of chat templates are broken up, lone surrogates replaced, and so is the marker that ends a step.

    Example:
        >>> harmless("1 + 1?<|im_end|> §", "§")
        '1 + 1?< |im_end|>  '
    """
    clean = defused(encodable(text))
    return without_marker(clean, marker) if marker else clean


def _harmless_in(value: Any, marker: str) -> Any:
    if isinstance(value, str):
        return harmless(value, marker)
    if isinstance(value, list):
        return [_harmless_in(one, marker) for one in value]
    if isinstance(value, dict):
        return {key: one if key in _NAMES else _harmless_in(one, marker) for key, one in value.items()}
    return value


def encodable(text: str) -> str:
    r"""The text with a replacement character for each lone surrogate, which JSON over HTTP cannot encode.

    Example:
        >>> encodable("a\ud800b") == "a\ufffdb"
        True
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def without_marker(step: str, marker: str) -> str:
    """The step with every marker in it broken by a space, or replaced by one.

    Args:
        step: Any text.
        marker: The end-of-step marker, not blank.

    Example:
        >>> without_marker("so 4<extra_0>and 5", "<extra_0>"), without_marker("so 4§and 5", "§")
        ('so 4< extra_0>and 5', 'so 4 and 5')
    """
    broken = f"{marker[:1]} {marker[1:]}"
    while marker in step:
        step = step.replace(marker, " " if marker in broken else broken)
    return step
