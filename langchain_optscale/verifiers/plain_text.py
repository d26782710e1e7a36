"""Questions and candidates given as plain text, so that any verifier can be tried on a line of a console."""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.records.candidates import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.prompt_values import PromptValue

__all__ = ["takes_plain_text", "to_candidate", "to_question"]


def to_question(value: Any) -> PromptValue:
    """A string or a list of messages as a prompt; anything else as it is."""
    return to_prompt(value) if isinstance(value, str | list) else value


def to_candidate(value: Any) -> Candidate:
    """A string or a message as the first candidate of a search; anything else as it is."""
    if isinstance(value, str):
        value = AIMessage(value)
    return Candidate(0, value, round=0) if isinstance(value, AIMessage) else value


def takes_plain_text(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method `(self, prompt, candidate, config)`, `verify` or `averify`, that takes plain text for either."""
    if getattr(method, "takes_plain_text", False):
        return method
    wrapped = _in_async(method) if iscoroutinefunction(method) else _in_sync(method)
    wrapped.takes_plain_text = True  # type: ignore[attr-defined]
    return wrapped


def _in_sync(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def verify(self: Any, prompt: Any, candidate: Any, *rest: Any, **named: Any) -> Any:
        return method(self, to_question(prompt), to_candidate(candidate), *rest, **named)

    return verify


def _in_async(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def averify(self: Any, prompt: Any, candidate: Any, *rest: Any, **named: Any) -> Any:
        return await method(self, to_question(prompt), to_candidate(candidate), *rest, **named)

    return averify
