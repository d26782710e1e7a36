"""The inputs of a reward model: the conversation, the question as one text, steps without markers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.records.reasoning import plain_messages

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

__all__ = ["conversation", "encodable", "question", "without_marker"]


def conversation(prompt: PromptValue) -> list[dict[str, Any]]:
    """The messages in OpenAI's form."""
    from langchain_core.messages import convert_to_openai_messages

    messages = convert_to_openai_messages(plain_messages(prompt.to_messages()))
    return list(messages) if isinstance(messages, list) else [messages]


def question(prompt: PromptValue) -> str:
    """The conversation as text; of a single message its text alone."""
    messages = plain_messages(prompt.to_messages())
    return str(messages[0].text) if len(messages) == 1 else ChatPromptValue(messages=messages).to_string()


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
