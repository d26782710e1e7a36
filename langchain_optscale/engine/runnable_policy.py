"""Policies that are no chat models: what they answer with, and what the models within them consume."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from pydantic import BaseModel

from langchain_optscale.engine.jobs import Choice
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.token_usage import Estimation, Reported, choice_usages, with_usage
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

__all__ = ["RecordedCalls", "choice_of"]

# What `with_structured_output(..., include_raw=True)` answers with.
_WITH_RAW = {"raw", "parsed", "parsing_error"}


class RecordedCalls(UsageCounter):
    """The messages of the models within a Runnable, and the tokens that they consumed."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[AIMessage] = []

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Keep the message of one request, and count it."""
        super().on_llm_end(response, **kwargs)
        first = response.generations[0][0] if response.generations and response.generations[0] else None
        if isinstance(first, ChatGeneration) and isinstance(first.message, AIMessage):
            self.messages.append(first.message)


def choice_of(answer: Any, calls: RecordedCalls | None = None, estimation: Estimation | None = None) -> Choice:
    """A Runnable's answer as a choice.

    A parsed object, a pydantic model or what structured output gives with `include_raw=True`, becomes `parsed`; the
    message is then that of the model which wrote it, where there was only one.

    Args:
        answer: A message, a string or a parsed object.
        calls: The models that were called for it.
        estimation: How tokens that were not reported are estimated; None estimates none.

    Raises:
        SettingsError: It is anything else.
        Exception: The parser's error, with `include_raw=True`.
    """
    parsed = None
    if isinstance(answer, dict) and answer.keys() == _WITH_RAW:
        if answer["parsing_error"] is not None:
            raise answer["parsing_error"]
        answer, parsed = answer["raw"], answer["parsed"]
    elif (
        isinstance(answer, BaseModel) and not isinstance(answer, AIMessage) and not hasattr(answer, "response_metadata")
    ):
        parsed = answer
        written = calls.messages if calls is not None else []
        answer = written[0] if len(written) == 1 else AIMessage(json.dumps(parsed.model_dump(mode="json")))
    message = AIMessage(content=answer) if isinstance(answer, str) else answer
    if not isinstance(message, AIMessage):
        raise SettingsError(
            f"the policy must answer with a message, a string or a pydantic model, got {type(answer).__name__}; end it "
            "with a step that makes one, such as | (lambda answer: answer['text'])"
        )
    counted = calls.usage if calls is not None else None
    if counted is not None:
        return Choice(message, counted, parsed=parsed)
    (usage,) = choice_usages([message], estimation)
    if message.usage_metadata and not Reported.of([message], None).is_as_sent:
        # Whoever adds up the messages' own counts must be able to.
        message = with_usage(message, usage)
    return Choice(message, usage, parsed=parsed)
