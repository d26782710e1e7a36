"""The question of a conversation as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue

__all__ = ["question_text"]


def question_text(prompt: PromptValue) -> str:
    """The text of the last human message, of the whole conversation where there is none."""
    asked = next((message for message in reversed(prompt.to_messages()) if message.type == "human"), None)
    return prompt.to_string() if asked is None else str(asked.text)
