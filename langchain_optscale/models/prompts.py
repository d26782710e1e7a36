"""Prompts and messages as they are sent: in one form, and with text that every encoding can carry.

Lone surrogates, which have no UTF-8 form, become escapes: a model may write half of a surrogate pair, and a command
line may hold a byte that is no character. No request with
such text can be sent, so what is sent, to policies and to verifiers, has the escape in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.language_models import LanguageModelInput

__all__ = ["encodable_message", "encodable_prompt", "to_prompt"]

_Message = TypeVar("_Message", bound=BaseMessage)
# Of a message, what is sent as text.
_SENT = ("content", "name", "tool_calls", "invalid_tool_calls", "additional_kwargs")


def to_prompt(value: LanguageModelInput) -> PromptValue:
    """The conversation as a prompt value, from anything that a chat model accepts as its input.

    Raises:
        SettingsError: The input is none of a string, a prompt value and a sequence of messages, or has no message.
    """
    if isinstance(value, PromptValue):
        return value
    if isinstance(value, str):
        return StringPromptValue(text=value)
    wrong = f"the input must be a string, a prompt value or a list of messages, got {type(value).__name__}"
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise SettingsError(wrong)
    if not value:
        raise SettingsError("the input is an empty list: it needs at least one message")
    try:
        return ChatPromptValue(messages=convert_to_messages(value))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise SettingsError(f"{wrong}: {error}") from error


def encodable_prompt(prompt: PromptValue) -> PromptValue:
    r"""The prompt with escapes for lone surrogates; the same object where there are none.

    Example:
        >>> encodable_prompt(StringPromptValue(text="a\ud800b")).text == r"a\ud800b"
        True
    """
    if isinstance(prompt, StringPromptValue):
        text = _encodable(prompt.text)
        return prompt if text is prompt.text else StringPromptValue(text=text)
    messages = prompt.to_messages()
    changed = [encodable_message(message) for message in messages]
    return prompt if _are_same(changed, messages) else ChatPromptValue(messages=changed)


def encodable_message(message: _Message) -> _Message:
    """The message with escapes for lone surrogates; the same object where there are none."""
    update = {}
    for name in _sent_of(type(message)):
        # Most parts of most messages are empty.
        if (held := getattr(message, name)) and (changed := _encodable(held)) is not held:
            update[name] = changed
    return message.model_copy(update=update) if update else message


@lru_cache(maxsize=64)
def _sent_of(kind: type[BaseMessage]) -> tuple[str, ...]:
    """What a kind of message has of `_SENT`: pydantic is slow to say that it has no such field."""
    return tuple(name for name in _SENT if name in kind.model_fields)


def _encodable(value: Any) -> Any:
    """A JSON-like value with escapes; the same object where nothing changes."""
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        return value
    if isinstance(value, list):
        items = [_encodable(item) for item in value]
        return value if _are_same(items, value) else items
    if isinstance(value, dict):
        pairs = [(_encodable(key), _encodable(item)) for key, item in value.items()]
        same = all(_are_same(pair, old) for pair, old in zip(pairs, value.items(), strict=True))
        return value if same else dict(pairs)
    return value


def _are_same(ones: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(ones, others, strict=True))
