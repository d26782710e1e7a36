"""The answer of a search: the policy's message with usage and figures, whole or in chunks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_optscale.models.token_usage import with_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import AIMessage

    from langchain_optscale.engine.result import OptScaleResult

__all__ = ["answer_message", "generation_chunks", "message_chunks", "with_usage"]

_PIECE = re.compile(r"\S+\s*|\s+")


def answer_message(result: OptScaleResult, policy: str) -> AIMessage:
    """The chosen candidate's message with the figures of its search.

    Args:
        result: The search.
        policy: The name of the policy's model.

    Returns:
        A copy with the policy's content, tool calls and identifier. `usage_metadata` is that of the whole search,
        `response_metadata["model_name"]` is "optscale/" and the policy's name, and `response_metadata["optscale"]` is
        `OptScaleResult.summary`.
    """
    message = with_usage(result.message, result.total_usage)
    message.response_metadata = {
        **message.response_metadata,
        "model_name": f"optscale/{policy}",
        "optscale": result.summary(),
    }
    return message


def message_chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """Chunks that add up to a message.

    Text comes word by word, other content block by block, tool calls one by one; usage and metadata come with the last
    chunk.

    Yields:
        At least one chunk; the last one has `chunk_position="last"`.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> [chunk.text for chunk in message_chunks(AIMessage("Paris, of course."))]
        ['Paris, ', 'of ', 'course.', '']
    """
    standard = message.response_metadata.get("output_version") == "v1"
    # On every chunk, or LangChain would add their tool calls to their blocks a second time.
    metadata = {"output_version": "v1"} if standard else {}
    for fields in _standard_parts(message) if standard else _parts(message):
        yield AIMessageChunk(id=message.id, response_metadata=dict(metadata), **fields)
    yield AIMessageChunk(
        content=[] if isinstance(message.content, list) else "",
        id=message.id,
        name=message.name,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )


def generation_chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """The chunks of a message for LangChain's callbacks."""
    for chunk in message_chunks(message):
        yield ChatGenerationChunk(message=chunk)


def _parts(message: AIMessage) -> Iterator[dict[str, Any]]:
    if isinstance(message.content, str):
        for piece in _PIECE.findall(message.content):
            yield {"content": piece}
    else:
        for block in message.content:
            yield {"content": [block]}
    empty: Any = "" if isinstance(message.content, str) else []
    for index, call in enumerate([*message.tool_calls, *message.invalid_tool_calls]):
        yield {"content": empty, "tool_call_chunks": [_call_chunk(call, index)]}


def _standard_parts(message: AIMessage) -> Iterator[dict[str, Any]]:
    """As `_parts` for LangChain's standard content blocks, which are merged by their "index"."""
    calls = 0
    for index, block in enumerate(message.content_blocks):
        if block["type"] == "text":
            for piece in _PIECE.findall(block["text"]) or [""]:
                yield {"content": [{**block, "text": piece, "index": index}]}
        elif block["type"] in {"tool_call", "invalid_tool_call"}:
            chunk = _call_chunk(block, calls)
            yield {"content": [{**chunk, "type": "tool_call_chunk", "index": index}], "tool_call_chunks": [chunk]}
            calls += 1
        else:
            yield {"content": [{**block, "index": index}]}


def _call_chunk(call: Any, index: int) -> Any:
    arguments = call["args"]
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return tool_call_chunk(name=call["name"], args=written, id=call["id"], index=index)
