"""Separating a model's reasoning from its answer, for every form in which providers send it.

Reasoning arrives in three forms:

- content blocks: `thinking`, `redacted_thinking`, `reasoning`, `reasoning_content`, parts that Gemini marks `thought`;
- fields beside the content: `reasoning_content`, `reasoning`, `reasoning_details`, `thinking`;
- marks within the text, see `reasoning_marks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_optscale.records.reasoning_marks import answer_spans, split_text

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_optscale.records.reasoning_marks import ReasoningTag

__all__ = ["plain_messages", "split_message", "without_reasoning"]

_BLOCKS = frozenset({"thinking", "redacted_thinking", "thought", "reasoning", "reasoning_content"})
_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
_TEXT_KEYS = ("thinking", "reasoning", "reasoning_content", "reasoningText", "reasoningContent", "text", "summary")


def split_message(message: BaseMessage, tags: tuple[ReasoningTag, ...] = ()) -> tuple[str, str | None]:
    """The text of a message's answer, and its reasoning.

    Args:
        message: Any message.
        tags: Further tags around reasoning, beside those that are known.

    Returns:
        Both as `split_text` gives them; the reasoning is "" where a provider sent it in a form that cannot be read, and
        None where there is none.
    """
    answer, marked = split_text("".join(_texts(message.content)), tags)
    blocks = [block for block in _listed(message.content) if _is_reasoning(block)]
    held = [message.additional_kwargs[name] for name in _FIELDS if message.additional_kwargs.get(name)]
    # Several fields, as some servers send, hold the same reasoning in several forms.
    sources = [*map(_readable, blocks), *map(_readable, held[:1]), *([] if marked is None else [marked])]
    if not sources:
        return answer, None
    return answer, "\n\n".join(dict.fromkeys(part.strip() for part in sources if part.strip()))


def plain_messages(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """A conversation as a verifier reads it: without the reasoning of the model's earlier messages."""
    return [
        without_reasoning(cast("AIMessage", message), beside_calls=True) if message.type == "ai" else message
        for message in messages
    ]


def without_reasoning(
    message: AIMessage, tags: tuple[ReasoningTag, ...] = (), *, beside_calls: bool = False
) -> AIMessage:
    """The message without its reasoning; the same object where it has none.

    Args:
        message: What a model answered.
        tags: Further tags around reasoning, beside those that are known.
        beside_calls: Whether blocks and fields go also where the message calls tools. By default they stay there, since
            providers want them back with the results of the tools; marks in the text, and what stands between them, go
            in any case.
    """
    changes: dict[str, Any] = {}
    spans = answer_spans("".join(_texts(message.content)), tags)
    content = message.content if spans is None else _cut(message.content, spans)
    if beside_calls or not (message.tool_calls or message.invalid_tool_calls):
        if isinstance(content, list) and any(map(_is_reasoning, content)):
            content = [_detached(block) for block in content if not _is_reasoning(block)]
        if any(name in message.additional_kwargs for name in _FIELDS):
            rest = {name: value for name, value in message.additional_kwargs.items() if name not in _FIELDS}
            changes["additional_kwargs"] = rest
    if content is not message.content:
        changes["content"] = content
    return message.model_copy(update=changes) if changes else message


def _listed(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _text_in(block)) is not None]


def _text_in(block: Any) -> str | None:
    """The text of a block of the answer; None for any other kind."""
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping) or block.get("type") != "text" or _is_reasoning(block):
        return None
    text = block.get("text")
    return text if isinstance(text, str) else None


def _is_reasoning(block: Any) -> bool:
    if not isinstance(block, Mapping):
        return False
    kind = str(block.get("type", ""))
    if kind == "non_standard":
        return _is_reasoning(block.get("value"))
    untyped = not kind and ("reasoningContent" in block or "reasoning_content" in block)
    return kind in _BLOCKS or kind.startswith("reasoning.") or block.get("thought") is True or untyped


def _readable(value: Any) -> str:
    """The text within reasoning, however deep it lies."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n\n".join(text for key in _TEXT_KEYS if key in value and (text := _readable(value[key])))
    if isinstance(value, Sequence):
        return "\n\n".join(text for one in value if (text := _readable(one)))
    return ""


def _detached(block: Any) -> Any:
    """A block of an answer whose reasoning is gone: OpenAI refuses an item by its id without the item before it."""
    if isinstance(block, Mapping) and str(block.get("id", "")).startswith("msg_"):
        return {key: value for key, value in block.items() if key != "id"}
    return block


def _cut(content: Any, spans: list[tuple[int, int]]) -> Any:
    """The content with only these stretches of its joined text, in the form that it has."""
    if isinstance(content, str):
        return "".join(content[start:end] for start, end in spans).strip()
    kept: list[Any] = []
    place = 0
    for block in content:
        text = _text_in(block)
        if text is None:
            kept.append(block)
            continue
        end = place + len(text)
        rest = "".join(text[max(a, place) - place : max(min(b, end) - place, 0)] for a, b in spans if b > place)
        place = end
        if rest.strip():
            kept.append(rest if isinstance(block, str) else {**block, "text": rest.strip() if not kept else rest})
    return kept
