"""A finished message as a stream."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message

from langchain_optscale import ChatOptScale
from langchain_optscale.runnables.messages import message_chunks
from tests.unit_tests.records.test_tool_calls import ToolPolicy, calling

CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(min_size=1),
            "args": st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.lists(st.text())),
            "id": st.text(min_size=1),
            "type": st.just("tool_call"),
        }
    ),
    max_size=3,
)
BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(min_size=1)})
    | st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": st.text()})}),
    min_size=1,
    max_size=3,
)


def added_up(message):
    chunks = list(message_chunks(message))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return chunks, total


@settings(max_examples=60, deadline=None)
@given(st.text() | BLOCKS, CALLS)
def test_chunks_add_up_to_the_message(content, calls):
    message = AIMessage(
        content,
        id="run-1",
        tool_calls=calls,
        usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        response_metadata={"model_name": "m", "optscale": {"scores": [0.1], "n": 1, "deep": {"a": None}}},
        additional_kwargs={"refusal": None},
    )
    chunks, total = added_up(message)
    assert message_chunk_to_message(total) == message
    assert [chunk.usage_metadata for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_words_come_one_by_one():
    chunks, _ = added_up(AIMessage("  a b\nc "))
    assert [chunk.content for chunk in chunks] == ["  ", "a ", "b\n", "c ", ""]


def test_standard_blocks_keep_their_kinds():
    call = {"type": "tool_call", "name": "f", "args": {"a": 1}, "id": "1"}
    content = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "let me see"}, call]
    message = AIMessage(content, tool_calls=[call], response_metadata={"output_version": "v1"})
    _, total = added_up(message)
    assert total.tool_calls == message.tool_calls
    assert total.text == "let me see"
    assert [block["type"] for block in total.content_blocks] == ["reasoning", "text", "tool_call"]


@pytest.mark.parametrize("policy_version", [None, "v1"])
@pytest.mark.parametrize("version", [None, "v1"])
async def test_blocks_are_not_doubled_in_any_combination_of_versions(version, policy_version):
    call = calling(("f", {"a": 1}), text="let me see")
    policy = ToolPolicy(messages=[call], output_version=policy_version)
    chat = ChatOptScale(policy=policy, verifier=lambda p, c: 1.0, max_samples=1, output_version=version)
    whole = chat.invoke("q")
    streamed = [added_up_chunks(list(chat.stream("q"))), added_up_chunks([c async for c in chat.astream("q")])]
    for message in (whole, *streamed):
        assert [call["args"] for call in message.tool_calls] == [{"a": 1}]
        assert message.text == "let me see"
        assert [block["type"] for block in message.content_blocks] == ["text", "tool_call"]
        if "v1" in (version, policy_version):
            assert message.response_metadata["output_version"] == "v1"


def added_up_chunks(chunks):
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total
