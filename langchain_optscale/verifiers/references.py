"""What a verification is about besides the candidate: the question's text, and the reference answer.

A reference belongs to the verifier, to the question, or to one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

__all__ = ["REFERENCE_KEY", "Reference", "call_reference", "find_reference", "last_question"]

Reference: TypeAlias = "Callable[[PromptValue], Any] | Any"
"""A correct answer in the form that the evaluator expects, or a function of the prompt that returns it (or None)."""

REFERENCE_KEY = "reference"
"""The key of `config["configurable"]` under which a call passes the reference of its question."""


def last_question(prompt: PromptValue) -> str:
    """The text of the last human message, of the whole conversation where there is none."""
    asked = next((message for message in reversed(prompt.to_messages()) if message.type == "human"), None)
    return prompt.to_string() if asked is None else str(asked.text)


def call_reference(config: RunnableConfig | None) -> Any:
    """The reference of this call, None where `config["configurable"]` has none."""
    return ((config or {}).get("configurable") or {}).get(REFERENCE_KEY)


def find_reference(reference: Reference | None, prompt: PromptValue, config: RunnableConfig | None) -> Any:
    """The reference for one question; that of the call comes before that of the verifier.

    Args:
        reference: What the verifier was given.
        prompt: The question.
        config: The config of the verification.
    """
    own = call_reference(config)
    if own is not None:
        return own
    return reference(prompt) if callable(reference) else reference
