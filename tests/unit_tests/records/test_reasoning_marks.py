"""The cheap look for marks misses none of those that the patterns find."""

import random
import time

import pytest

from langchain_optscale.records.reasoning_marks import _marks, may_have_marks, split_text

PIECES = (
    *(
        "<",
        "</",
        "</ ",
        "[",
        "[/",
        "◁",
        "◁/",
        ">",
        "]",
        "▷",
        "|>",
        "<|",
        "\n",
        " ",
        "a",
        ".",
        "ns:",
        "x-y.z:",
        "channel",
    ),
    *("think", "THINK", "THINKING", "thinking", "thought", "Thoughts", "reasoning", "antthinking", "ſ", "channel|>"),
    *("analysis", "assistantfinal", "START_THINKING", "END_THINKING", "begin_of_thought", "end_of_thought", "start"),
    *("｜", "&lt;", "&gt;", "unused94", "unused95", "inner_prefix", "inner_suffix", "scratchpad", "scratch_pad", "cot"),
    *("_start", "_begin", "_end", "start_of_", "end_", "seed:", "longcat_", "_fast", "monologue", "reflection", "\\"),
    *("<|channel|>final", "<|channel|>analysis", "<|message|>", "<|channel>thought", "<|start|>assistant"),
)


def test_every_text_with_a_mark_may_have_one():
    chance, marks = random.Random(0), _marks(()).any_mark
    found = 0
    for _ in range(20_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 7)))
        if marks.search(text) is not None:
            found += 1
            assert may_have_marks(text), text
    assert found > 300


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<seed:think>", "</seed:think>"),
        ("<think:deep>", "</think:deep>"),
        ("<longcat_think>", "</longcat_think>"),
        ("<think_fast>", "</think_fast>"),
        ("<thinking_process>", "</thinking_process>"),
        ("<inner_thoughts>", "</inner_thoughts>"),
        ("<chain_of_thought>", "</chain_of_thought>"),
        ("<reasoning_content>", "</reasoning_content>"),
        ("<redacted_reasoning>", "</redacted_reasoning>"),
        ("<scratchpad>", "</scratchpad>"),
        ("<scratch_pad>", "</scratch_pad>"),
        ("<inner_monologue>", "</inner_monologue>"),
        ("<reflection>", "</reflection>"),
        ("< think >", "</ think >"),
        ("<think>", "<\\/think>"),
        ("&lt;think&gt;", "&lt;/think&gt;"),
        ("[think]", "[/think]"),
        ("[THOUGHT]", "[/THOUGHT]"),
        ("<|think|>", "<|/think|>"),
        ("<|thinking|>", "<|/thinking|>"),
        ("<|think_start|>", "<|think_end|>"),
        ("<|thought_begin|>", "<|thought_end|>"),
        ("<|begin_of_thinking|>", "<|end_of_thinking|>"),
        ("<|start_of_thinking|>", "<|end_of_thinking|>"),
        ("<|begin_think|>", "<|end_think|>"),
        ("<｜think｜>", "<｜/think｜>"),
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        ("<unused94>thought\n", "<unused95>"),
        ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>\n<|begin_of_solution|>"),
        ("Here is my thought process:\n", "\nHere is my response:\n"),
    ],
)
def test_marks_of_every_family(opening, closing):
    assert split_text(f"{opening}12, or 13?{closing}The answer is 15.") == ("The answer is 15.", "12, or 13?")
    if "Here is" not in opening:
        assert split_text(f"12, or 13?{closing}15") == ("15", "12, or 13?")
        assert split_text(f"{opening}12, or") == ("", "12, or")


@pytest.mark.parametrize("end", ["<|END_RESPONSE|>", "<|end_of_solution|>"])
def test_tokens_around_the_answer_are_not_part_of_it(end):
    assert split_text(f"<think>6?</think><|START_RESPONSE|>7{end}") == ("7", "6?")


@pytest.mark.parametrize(
    "text",
    ["<plan>12</plan>15", "<analysis>12</analysis>15", "<rethinking>1</rethinking>", "Here is my response: 5", "[1] 5"],
)
def test_tags_that_an_answer_may_have(text):
    assert split_text(text) == (text, None)


@pytest.mark.parametrize("text", ["a <b>bold</b> claim [1]", "if a < b: [x]", "", "an analysis", "<p>think</p> [THEM]"])
def test_other_texts_have_none(text):
    assert not may_have_marks(text)
    assert split_text(text) == (text, None)


def test_channels_whose_tokens_were_removed():
    assert may_have_marks("analysisIt is 5?assistantfinalIt is 7.")


@pytest.mark.parametrize("unit", ["<", "</", "<a", "[/", "<a.", "<x:", "<a_", "<|a", "&lt;"])
def test_takes_time_linear_in_the_text(unit):
    def seconds(times: int) -> float:
        text, began = unit * times, time.process_time()
        may_have_marks(text)
        return time.process_time() - began

    assert min(seconds(200_000) for _ in range(3)) < 1.0
