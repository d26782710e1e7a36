"""The inputs of a reward model: the conversation, the question as one text, steps without markers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.records.reasoning import plain_messages
from langchain_optscale.verifiers.llm_judge.fence import defused

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

__all__ = ["conversation", "encodable", "harmless", "question", "without_marker"]

# What a message names rather than says.
_NAMES = frozenset({"role", "type", "id", "tool_call_id", "url", "data", "detail", "format", "media_type", "file_id"})


def conversation(prompt: PromptValue, marker: str = "") -> list[dict[str, Any]]:
    """The messages in OpenAI's form, every text in them harmless."""
    from langchain_core.messages import convert_to_openai_messages

    messages = convert_to_openai_messages(plain_messages(prompt.to_messages()))
    return [_harmless_in(message, marker) for message in (messages if isinstance(messages, list) else [messages])]


def question(prompt: PromptValue, marker: str = "") -> str:
    """The conversation as harmless text; of a single message its text alone."""
    messages = plain_messages(prompt.to_messages())
    whole = str(messages[0].text) if len(messages) == 1 else ChatPromptValue(messages=messages).to_string()
    return harmless(whole, marker)


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
