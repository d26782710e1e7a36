"""Responses with choices that a client cannot read, as OpenAI-compatible servers send them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale.errors import ErrorReplyError
from langchain_optscale.models.retry import is_transient
from langchain_optscale.models.single_choices import read_by_choice
from langchain_optscale.records.shortcomings import CHOICE_ERROR

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

openai = pytest.importorskip("langchain_openai")

USAGE = {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}


def choice(content: Any = None, *, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    return {"finish_reason": finish_reason, "message": {"role": "assistant", "content": content, **message}}


def call(arguments: Any) -> list[dict[str, Any]]:
    return [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]


def answered(*choices: Any, **top: Any) -> list[BaseMessage]:
    """What a client makes of a response with these choices."""

    def serve(request: httpx.Request) -> httpx.Response:
        listed = [{"index": index, **one} if isinstance(one, dict) else one for index, one in enumerate(choices)]
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE}
        return httpx.Response(200, json={**head, "choices": listed, **top})

    client = httpx.Client(transport=httpx.MockTransport(serve))
    model = read_by_choice(openai.ChatOpenAI(model="m", api_key="x", http_client=client, max_retries=0))
    result = model.generate_prompt([StringPromptValue(text="q")])
    return [generation.message for generation in result.generations[0]]  # type: ignore[attr-defined]


MALFORMED = [
    choice(tool_calls=call('"{}"'), finish_reason="tool_calls"),
    choice(tool_calls=call("[1]"), finish_reason="tool_calls"),
    choice(tool_calls=[{"id": "c"}], finish_reason="tool_calls"),
    choice(5),
    choice({"text": "x"}),
    {"finish_reason": "stop"},
    {"finish_reason": "stop", "message": None},
    {"finish_reason": "stop", "message": "x"},
    None,
]


@pytest.mark.parametrize("malformed", MALFORMED)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_malformed_choice_costs_itself_alone(malformed: Any, place: int) -> None:
    choices = [choice("a"), choice("b")]
    choices.insert(place, malformed)
    messages = answered(*choices)
    assert [str(message.text) for message in messages if CHOICE_ERROR not in message.response_metadata] == ["a", "b"]
    assert [CHOICE_ERROR in message.response_metadata for message in messages] == [n == place for n in range(3)]
    assert all(message.usage_metadata["input_tokens"] == 5 for message in messages)  # type: ignore[attr-defined]


def test_a_lone_malformed_choice_raises_what_the_client_raises() -> None:
    with pytest.raises(ValueError, match="tool_calls"):
        answered(choice(tool_calls=call('"{}"')))


def test_sound_choices_are_read_together_as_ever() -> None:
    messages = answered(choice("a"), choice("b", finish_reason="length"), choice(tool_calls=call('{"x": 1}')))
    assert [str(message.text) for message in messages] == ["a", "b", ""]
    assert [message.response_metadata["finish_reason"] for message in messages] == ["stop", "length", "stop"]
    assert messages[2].tool_calls[0]["args"] == {"x": 1}  # type: ignore[attr-defined]


def test_a_choice_without_a_role_is_the_assistant_s() -> None:
    messages = answered(choice("a"), {"finish_reason": "stop", "message": {"content": "b"}})
    assert [(type(message).__name__, str(message.text)) for message in messages] == [
        ("AIMessage", "a"),
        ("AIMessage", "b"),
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_beside_the_content_is_kept_for_every_choice(field: str) -> None:
    messages = answered(choice("a", **{field: "x"}), choice("b", **{field: "y"}))
    assert [message.additional_kwargs["reasoning_content"] for message in messages] == ["x", "y"]


def test_a_choice_whose_upstream_request_failed_for_now_is_left_to_be_drawn_again() -> None:
    failed = {**choice(""), "error": {"code": 502, "message": "Provider returned error"}}
    assert [str(message.text) for message in answered(choice("a"), failed, choice("b"))] == ["a", "b"]
    refused = {**choice(""), "error": {"code": 400, "message": "bad"}}
    messages = answered(choice("a"), refused)
    assert "bad (code 400)" in messages[1].response_metadata[CHOICE_ERROR]
    for lost in ([failed], [failed, failed]):
        with pytest.raises(ErrorReplyError, match="Provider returned error") as raised:
            answered(*lost)
        assert raised.value.status_code == 502
        assert is_transient(raised.value)


@pytest.mark.parametrize(
    ("body", "transient"),
    [
        ({"error": {"code": 502, "message": "x"}}, True),
        ({"error": {"type": "rate_limit_exceeded", "message": "x"}}, True),
        ({"object": "error", "message": "x", "code": 503}, True),
        ({"error": {"code": 400, "message": "x"}}, False),
        ({"error": "x"}, False),
    ],
)
def test_an_error_in_a_200_body_is_retried_like_the_status_it_names(body: dict[str, Any], transient: bool) -> None:
    with pytest.raises(ErrorReplyError, match="the server answered with an error: x") as raised:
        answered(**body)
    assert is_transient(raised.value) == transient
