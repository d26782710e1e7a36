"""The state in which an agent or a graph ended: its messages, and its JSON form.

A state holds whatever its graph keeps in it. Its JSON form has messages whole and plain data as they are; pydantic
models, dataclasses, dates and the like become plain data, and what has no such form is named by its type alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["MESSAGES", "messages_in", "state_from_json", "state_to_json"]

MESSAGES = "messages"
"""The key of a state under which LangGraph keeps the conversation."""

_MESSAGE = "optscale_message"
_DEEPEST = 60


def messages_in(state: Any) -> tuple[BaseMessage, ...]:
    """The conversation in a state; empty where it keeps none."""
    from langchain_core.messages import BaseMessage

    kept = state.get(MESSAGES) if isinstance(state, Mapping) else None
    kept = kept if isinstance(kept, list | tuple) else ()
    return tuple(kept) if all(isinstance(one, BaseMessage) for one in kept) else ()


def state_to_json(value: Any, depth: int = 0) -> Any:
    """JSON-ready form of a state; `state_from_json` reads it.

    Args:
        value: The state, or a part of it.
        depth: How deep within the state it stands.
    """
    from langchain_core.messages import BaseMessage, message_to_dict
    from pydantic_core import from_json, to_json

    if depth > _DEEPEST:
        return _omitted(value)
    if isinstance(value, BaseMessage):
        written = message_to_dict(value)
        return {_MESSAGE: {"type": written["type"], "data": state_to_json(written["data"], depth + 1)}}
    if isinstance(value, Mapping):
        return {str(key): state_to_json(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [state_to_json(one, depth + 1) for one in value]
    if isinstance(value, Set):
        return sorted((state_to_json(one, depth + 1) for one in value), key=repr)
    try:
        return from_json(to_json(value, bytes_mode="base64", inf_nan_mode="strings", fallback=_omitted))
    except ValueError:  # it contains itself
        return _omitted(value)


def state_from_json(data: Any) -> Any:
    """What `state_to_json` wrote, with its messages; other objects stay plain data.

    Raises:
        Exception: A message cannot be read.
    """
    from langchain_core.messages import messages_from_dict

    if isinstance(data, Mapping):
        if data.keys() == {_MESSAGE}:
            return messages_from_dict([data[_MESSAGE]])[0]
        return {key: state_from_json(one) for key, one in data.items()}
    return [state_from_json(one) for one in data] if isinstance(data, list) else data


def _omitted(value: Any) -> str:
    """What stands for an object without a JSON form: its repr might show a secret."""
    kind = type(value)
    return f"<{kind.__module__}.{kind.__qualname__}>"
