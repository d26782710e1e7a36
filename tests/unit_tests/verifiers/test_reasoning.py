"""No verifier and no extractor takes a policy's reasoning for its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_optscale.answers import EXTRACTORS
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.verifiers import JSONCheck, LengthCheck, NumberCheck, RegexCheck, RequiredWords, as_verifier
from langchain_optscale.verifiers.llm_judge.prompt import material
from langchain_optscale.verifiers.reward_model.prompt import answer, conversation, question

PROMPT = StringPromptValue(text="q")
TEXT = {"type": "text", "text": '{"sum": 7}'}
SHAPES = {
    "marks": AIMessage('<think>{"sum": 12}?</think>{"sum": 7}'),
    "lone mark": AIMessage('{"sum": 12}?</think>\n{"sum": 7}'),
    "blocks": AIMessage([{"type": "thinking", "thinking": '{"sum": 12}?'}, TEXT]),
    "standard blocks": AIMessage([{"type": "reasoning", "reasoning": '{"sum": 12}?'}, TEXT]),
    "field": AIMessage('{"sum": 7}', additional_kwargs={"reasoning_content": '{"sum": 12}?'}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "check",
    [
        NumberCheck(7),
        RegexCheck(r'^\{"sum": 7\}$'),
        LengthCheck(at_most=10, unit="characters"),
        RequiredWords(["sum"], forbidden=["12"]),
        JSONCheck({"type": "object", "required": ["sum"], "properties": {"sum": {"const": 7}}}),
        lambda prompt, candidate: json.loads(candidate.text)["sum"] == 7,
        RunnableLambda(lambda given: given["candidate"] == given["message"].text == '{"sum": 7}'),
    ],
    ids=lambda check: type(check).__name__,
)
def test_verifiers(check: Any, shape: str) -> None:
    candidate = Candidate(0, SHAPES[shape], 0)
    assert as_verifier(check).verify(PROMPT, candidate).score == 1.0
    assert candidate.reasoning == '{"sum": 12}?'


@pytest.mark.parametrize("shape", SHAPES)
def test_what_judges_and_reward_models_read(shape: str) -> None:
    candidate = Candidate(0, SHAPES[shape], 0)
    assert answer(candidate) == '{"sum": 7}'
    earlier = ChatPromptValue(messages=[HumanMessage("a"), SHAPES[shape], HumanMessage("b")])
    shown = material(earlier, candidate, None, attach_images=False)
    for read in (repr(shown.request), repr(shown.answer), question(earlier), json.dumps(conversation(earlier))):
        assert "12" not in read
    assert "sum" in question(earlier)


@pytest.mark.parametrize(
    ("extract", "text", "answer"),
    [
        ("choice", "<think>The answer is A. Or?</think>\n\nB", "B"),
        ("math", r"<think>So \boxed{5}. The sign!</think> The answer is $-5$.", "-5"),
        ("number", "<think>12 times 3 is 36. Or", None),
        ("boxed", r"So \boxed{5}, no.</think>\boxed{6}", "6"),
        ("text", "<thinking>hm</thinking>Paris", "Paris"),
    ],
)
def test_extractors(extract: str, text: str, answer: str | None) -> None:
    assert EXTRACTORS[extract](text) == answer
