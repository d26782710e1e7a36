"""Tool calls as text for a verifier, and as keys that are equal for equal calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_optscale.records.content import NoContentError, content_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

__all__ = ["call_key", "render_calls"]


def render_calls(message: AIMessage) -> str:
    r"""The tool calls of a message as text: the name, and the arguments in a fenced block of JSON.

    Arguments cannot close the fence early: backticks inside them are written as JSON escapes.

    Returns:
        One paragraph a call in the order of the message, those that could not be parsed last; "" without calls.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> call = {"name": "add", "args": {"b": 2, "a": 1}, "id": "1", "type": "tool_call"}
        >>> print(render_calls(AIMessage("", tool_calls=[call])))
        Tool call: add
        ```json
        {"a": 1, "b": 2}
        ```
    """
    parts = [
        f"Tool call: {call['name']}\n```json\n{_fenced(_canonical(call['args']))}\n```" for call in message.tool_calls
    ]
    parts += [
        f"Tool call that is not valid JSON: {call['name']}\n```\n{(call['args'] or '').replace('`', chr(0x2BB))}\n```"
        for call in message.invalid_tool_calls
    ]
    return "\n\n".join(parts)


def call_key(message: AIMessage) -> str | None:
    """What two candidates have in common if they call the same tools with the same arguments.

    Identifiers of calls, and the order of keys within arguments, make no difference; the order of the calls and the
    text beside them do, since a tool may have effects and a verifier reads the text.

    Returns:
        Equal strings for equal candidates; None for a message without valid tool calls, or whose arguments cannot be
        compared.
    """
    if not message.tool_calls or message.invalid_tool_calls:
        return None
    try:
        calls = [[call["name"], content_of(call["args"])] for call in message.tool_calls]
    except NoContentError:
        return None
    return json.dumps([str(message.text).strip(), calls], sort_keys=True)


def _canonical(arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)


def _fenced(document: str) -> str:
    return document.replace("`", "\\u0060")
