"""Policies that are no chat models: what they answer with, and what the models within them consume.

An answer is a message, a string, a parsed object, or the state in which an agent or another graph ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from langchain_optscale.engine.jobs import Choice
from langchain_optscale.errors import FailedCandidateError, SettingsError
from langchain_optscale.models.token_usage import Estimation, Reported, choice_usages, with_usage
from langchain_optscale.records.states import messages_in
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

__all__ = ["RecordedCalls", "choice_of"]

# What `with_structured_output(..., include_raw=True)` answers with.
_WITH_RAW = {"raw", "parsed", "parsing_error"}
# Keys of the states of LangChain's agents, and of what an interrupted graph returns.
_STRUCTURED, _INTERRUPT = "structured_response", "__interrupt__"


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
    message is then that of the model which wrote it, where there was only one. A mapping whose `messages` end with an
    answer is a state: its last message is the candidate's, and `structured_response`, if it has one, becomes `parsed`.

    Args:
        answer: A message, a string, a parsed object or a state.
        calls: The models that were called for it.
        estimation: How tokens that were not reported are estimated; None estimates none.

    Raises:
        SettingsError: It is anything else.
        FailedCandidateError: The graph was interrupted, so that its state holds no answer.
        Exception: The parser's error, with `include_raw=True`.
    """
    parsed = state = None
    if isinstance(answer, dict) and answer.keys() == _WITH_RAW:
        if answer["parsing_error"] is not None:
            raise answer["parsing_error"]
        answer, parsed = answer["raw"], answer["parsed"]
    elif isinstance(answer, Mapping):
        state, parsed = answer, answer.get(_STRUCTURED)
        answer = _last_message(state, parsed)
    elif (
        isinstance(answer, BaseModel) and not isinstance(answer, AIMessage) and not hasattr(answer, "response_metadata")
    ):
        parsed = answer
        written = calls.messages if calls is not None else []
        answer = written[0] if len(written) == 1 else _written(parsed)
    message = AIMessage(content=answer) if isinstance(answer, str) else answer
    if not isinstance(message, AIMessage):
        raise SettingsError(
            f"the policy must answer with a message, a string or a pydantic model, got {type(answer).__name__}; end it "
            "with a step that makes one, such as | (lambda answer: answer['text']), or that puts the answer at the end "
            "of the state's `messages`"
        )
    counted = calls.usage if calls is not None else None
    if counted is not None:
        return Choice(message, counted, parsed=parsed, state=state)
    (usage,) = choice_usages([message], estimation)
    if message.usage_metadata and not Reported.of([message], None).is_as_sent:
        # Whoever adds up the messages' own counts must be able to.
        message = with_usage(message, usage)
    return Choice(message, usage, parsed=parsed, state=state)


def _last_message(state: Mapping[str, Any], parsed: Any) -> Any:
    """The message that a state ends with; the state itself where there is none.

    Raises:
        FailedCandidateError: The graph waits to be resumed.
    """
    if state.get(_INTERRUPT):
        raise FailedCandidateError(
            "the policy's graph was interrupted before it had an answer: leave out of it what waits for a person, such "
            "as the review of tool calls"
        )
    messages = messages_in(state)
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage) and (parsed is None or last.text.strip()):
        return last
    if parsed is not None:
        return _written(parsed)
    # A tool with `return_direct` ends the run with its result.
    return AIMessage(last.content) if isinstance(last, ToolMessage) else state


def _written(parsed: Any) -> AIMessage:
    """A parsed object as the message that a model would have written it in."""
    return AIMessage(json.dumps(to_jsonable_python(parsed, fallback=repr)))
