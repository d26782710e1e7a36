"""What is reasoning and what is the answer, in the form in which each provider's client hands it over."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.reasoning import split_message, without_reasoning
from langchain_optscale.records.reasoning_marks import check_tags, split_text

MARKED = [
    ("<think>Is it A? Hmm.</think>\n\nB", "B", "Is it A? Hmm."),
    (r"<think>So \boxed{5}. The sign!</think> It is $-5$.", "It is $-5$.", r"So \boxed{5}. The sign!"),
    ("<thinking>x</thinking>4", "4", "x"),
    ("<reasoning>x</reasoning><answer>4</answer>", "<answer>4</answer>", "x"),
    ("<thought>\nx\n</thought>\n4", "4", "x"),
    ("<THINK>x</THINK> 4", "4", "x"),
    ('<think lang="en">x</think> 4', "4", "x"),
    ("<seed:think>x</seed:think>4", "4", "x"),
    ("Sure. <think>x</think>It is 4.", "Sure. It is 4.", "x"),
    ("<think>x</think>4<think>y</think>", "4", "x\n\ny"),
    ("[THINK]x[/THINK]4", "4", "x"),
    ("◁think▷x◁/think▷4", "4", "x"),
    ("<|START_THINKING|>x<|END_THINKING|>4", "4", "x"),
    ("<|begin_of_thought|>x<|end_of_thought|>4", "4", "x"),
    ("<|channel>thought\nx<channel|>4", "4", "x"),
    (
        "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
        "4",
        "x",
    ),
    ("analysisThe user asks for a sum.assistantfinalIt is 4.", "It is 4.", "The user asks for a sum."),
    # The chat template wrote the opening mark.
    ("x, no, y\n</think>\n\n4", "4", "x, no, y"),
    ("x </think> y </think> 4", "4", "x  y"),
    # Cut off before the closing mark.
    ("<think>x, wait, maybe", "", "x, wait, maybe"),
    ("It is 4.\n<think>Or is it", "It is 4.", "Or is it"),
    ("<think>", "", ""),
    # Marks within reasoning.
    ("<think>a <think>b</think> c</think>4", "4", "a b c"),
    ("<think>I must close <reasoning>x</reasoning> too.</think>4", "4", "I must close x too."),
    ("<think>a <thinking>b</thinking> c", "", "a b c"),
    ("<thinking>x</think>4", "4", "x"),
    ("<think>x</think>4</think>", "4", "x"),
    ("<think>\n\n</think>\n\n4", "4", ""),
]

PLAIN = [
    "It is 4.",
    "",
    "  4\n",
    "Put it between `<think>` and `</think>`.",
    'The tag is called "<think>".',
    "I like the <think> tag.",
    "```\n<think>x</think>\n```\nThis is how a prompt shows it.",
    "a < b and think > c",
    "<b>4</b>",
    "analysis of the sum: 4",
]


@pytest.mark.parametrize(("text", "answer", "reasoning"), MARKED)
def test_marks_in_the_text_separate_reasoning_from_the_answer(text: str, answer: str, reasoning: str) -> None:
    assert split_text(text) == (answer, reasoning)


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_without_reasoning_stays_as_it_is(text: str) -> None:
    assert split_text(text) == (text, None)
    message = AIMessage(text)
    assert split_message(message) == (text, None)
    assert without_reasoning(message) is message


@given(st.text(st.sampled_from('ab`"\n <>/'), max_size=30), st.text(st.sampled_from("ab \n"), max_size=20))
def test_what_stands_before_the_end_of_reasoning_is_never_in_the_answer(thought: str, answer: str) -> None:
    text, reasoning = split_text(f"<think>{thought}</think>{answer}")
    assert text == answer.strip()
    assert reasoning == thought.strip()


@given(st.lists(st.sampled_from(["<think>", "</think>", "<thinking>", "</thinking>", "`", "```", "x", "\n", " "])))
def test_separating_twice_changes_nothing_more_than_white_space(parts: list[str]) -> None:
    answer, reasoning = split_text("".join(parts))
    assert len(answer) <= len("".join(parts))
    if reasoning is None:
        assert answer == "".join(parts)


@pytest.mark.parametrize(
    "part",
    ["<think>", "x <think>", "</think>", "`<think", "```", "<think></think>", "<a:", "<think ", "`a`<think>", "<"],
)
def test_the_time_is_linear_on_texts_that_are_made_to_hurt(part: str) -> None:
    def seconds(size: int) -> float:
        text = part * (size // len(part))
        began = time.perf_counter()
        split_text(text)
        return time.perf_counter() - began

    seconds(1000)
    small, large = min(seconds(40_000) for _ in range(3)), min(seconds(160_000) for _ in range(2))
    assert large < 12 * small + 0.2


def test_custom_tags_are_taken_by_name_and_as_a_pair_of_marks() -> None:
    assert split_text("<plan>x</plan>4") == ("<plan>x</plan>4", None)
    assert split_text("<plan>x</plan>4", ("plan",)) == ("4", "x")
    assert split_text("{{x}}4", (("{{", "}}"),)) == ("4", "x")
    assert split_text("<think>y</think><plan>x</plan>4", ("plan",)) == ("4", "y\n\nx")
    assert check_tags(["<plan>", ["{{", "}}"]]) == ("plan", ("{{", "}}"))
    assert check_tags("plan") == ("plan",)


@pytest.mark.parametrize("tags", [5, [""], ["a b"], [("<a>",)], [("<a>", "")], [None]])
def test_what_is_no_tag_is_refused(tags: Any) -> None:
    with pytest.raises(SettingsError, match="reasoning_tags"):
        check_tags(tags)


TEXT = {"type": "text", "text": "4"}
# As the clients of these providers hand over a response with reasoning "x" and the answer "4".
MESSAGES: dict[str, dict[str, Any]] = {
    "Anthropic": {"content": [{"type": "thinking", "thinking": "x", "signature": "s"}, TEXT]},
    "Anthropic, also redacted": {
        "content": [{"type": "thinking", "thinking": "x"}, {"type": "redacted_thinking", "data": "?"}, TEXT]
    },
    "Anthropic in standard blocks": {
        "content": [
            {"type": "reasoning", "reasoning": "x", "extras": {"signature": "s"}},
            {"type": "non_standard", "value": {"type": "redacted_thinking", "data": "?"}},
            TEXT,
        ]
    },
    "OpenAI Responses": {
        "content": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "x"}]},
            {**TEXT, "id": "msg_1"},
        ]
    },
    "OpenAI Responses, version 0": {
        "content": [TEXT],
        "additional_kwargs": {"reasoning": {"type": "reasoning", "summary": [{"text": "x"}]}},
    },
    "Gemini": {"content": [{"type": "thinking", "thinking": "x"}, "4"]},
    "Gemini's parts": {"content": [{"type": "text", "text": "x", "thought": True}, TEXT]},
    "Mistral": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}, TEXT]},
    "Cohere": {"content": [{"type": "reasoning", "id": "1", "summary": [{"text": "x"}]}, TEXT]},
    "Bedrock": {"content": [{"type": "reasoning_content", "reasoning_content": {"text": "x", "signature": "s"}}, TEXT]},
    "Bedrock's own form": {"content": [{"reasoningContent": {"reasoningText": {"text": "x"}}}, TEXT]},
    "DeepSeek, Groq, xAI, Ollama": {"content": "4", "additional_kwargs": {"reasoning_content": "x"}},
    "OpenRouter": {
        "content": "4",
        "additional_kwargs": {"reasoning": "x", "reasoning_details": [{"type": "reasoning.text", "text": "x"}]},
    },
    "marks": {"content": "<think>x</think>4"},
    "marks over blocks": {"content": [{"type": "text", "text": "<think>x"}, {"type": "text", "text": "</think>4"}]},
}


@pytest.mark.parametrize("provider", MESSAGES)
def test_every_provider_s_reasoning_is_separated(provider: str) -> None:
    message = AIMessage(**MESSAGES[provider], id="1", response_metadata={"finish_reason": "stop"})
    assert split_message(message) == ("4", "x")
    plain = without_reasoning(message)
    assert split_message(plain) == ("4", None)
    assert str(plain.text) == "4"
    assert [block["type"] for block in plain.content_blocks] == ["text"]
    assert (plain.id, plain.response_metadata) == (message.id, message.response_metadata)
    assert split_message(message) == ("4", "x"), "the message itself is left alone"


def test_reasoning_that_cannot_be_read_is_reasoning_all_the_same() -> None:
    message = AIMessage([{"type": "redacted_thinking", "data": "?"}, TEXT])
    assert split_message(message) == ("4", "")


def test_an_item_of_openai_loses_the_id_that_ties_it_to_its_reasoning() -> None:
    message = AIMessage(**MESSAGES["OpenAI Responses"])
    assert without_reasoning(message).content == [TEXT]


def test_beside_tool_calls_blocks_and_fields_stay_and_marked_text_goes() -> None:
    thinking = {"type": "thinking", "thinking": "x", "signature": "s"}
    call = {"name": "f", "args": {}, "id": "1", "type": "tool_call"}
    message = AIMessage(
        [thinking, {"type": "text", "text": "<think>y</think>Now."}],
        tool_calls=[call],
        additional_kwargs={"reasoning_content": "z"},
    )
    plain = without_reasoning(message)
    assert plain.content == [thinking, {"type": "text", "text": "Now."}]
    assert plain.additional_kwargs == {"reasoning_content": "z"}
    assert split_message(message) == ("Now.", "x\n\nz\n\ny")
