"""Tool calls: as text, as keys, and scored once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableBinding
from pydantic import Field, PrivateAttr

from langchain_optscale import AllCandidatesFailed, ChatOptScale, OptScale
from langchain_optscale.agents.step_model import StepModel
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.tool_calls import call_key, render_calls
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers import JSONCheck, RequiredWords

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def calling(*calls, text="", ident="call_1"):
    return AIMessage(text, tool_calls=[{"name": n, "args": a, "id": ident, "type": "tool_call"} for n, a in calls])


class ToolPolicy(BaseChatModel):
    """Answers request i with `messages[i]`, and remembers its arguments."""

    messages: list[AIMessage]
    seed: int | None = 0
    _requests: list = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self):
        return "tools"

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=[tool["name"] for tool in tools], tool_choice=tool_choice, **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self._requests.append(kwargs)
        message = self.messages[kwargs["seed"]].model_copy()
        return ChatResult(generations=[ChatGeneration(message=message)])


def test_a_candidate_reads_as_its_text_and_its_calls():
    message = calling(("add", {"b": 2, "a": 1}), ("now", {}), text="One moment.")
    expected = 'One moment.\n\nTool call: add\n```json\n{"a": 1, "b": 2}\n```\n\nTool call: now\n```json\n{}\n```'
    assert Candidate(0, message, 0).text == expected
    assert Candidate(0, calling(("now", {})), 0).text == "Tool call: now\n```json\n{}\n```"
    assert Candidate(0, AIMessage(" just text\n"), 0).text == " just text\n"


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), ANYTHING))
def test_arguments_stay_inside_their_fence(arguments):
    text = render_calls(calling(("f", arguments)))
    head, opened, rest = text.partition("```json\n")
    body, closed, tail = rest.partition("\n```")
    assert (head, tail) == ("Tool call: f\n", "")
    assert (opened, closed) == ("```json\n", "\n```")
    assert "`" not in body
    assert json.loads(body) == arguments


def test_a_check_of_json_reads_the_arguments():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    verify = lambda message: JSONCheck(schema).verify(None, Candidate(0, message, 0)).score  # noqa: E731
    assert verify(calling(("f", {"a": 1}))) == 1.0
    assert verify(calling(("f", {"a": "x"}))) < 1.0


def test_what_cannot_be_parsed_is_shown_as_such():
    broken = {"name": "f", "args": '{"a": ```', "id": "1", "error": None, "type": "invalid_tool_call"}
    text = render_calls(AIMessage("", invalid_tool_calls=[broken]))
    assert "not valid JSON" in text
    assert text.count("```") == 2
    assert call_key(AIMessage("", invalid_tool_calls=[broken])) is None


def test_equal_calls_have_equal_keys():
    one = calling(("f", {"a": 1, "b": [1, 2]}), ident="x")
    assert call_key(one) == call_key(calling(("f", {"b": [1, 2], "a": 1}), ident="y"))
    others = [
        calling(("g", {"a": 1, "b": [1, 2]})),
        calling(("f", {"a": 1, "b": [2, 1]})),
        calling(("f", {"a": 1.5, "b": [1, 2]})),
        calling(("f", {"a": 1, "b": [1, 2]}), text="so"),
        calling(("f", {"a": 1, "b": [1, 2]}), ("f", {})),
        AIMessage("f"),
    ]
    assert call_key(one) not in [call_key(other) for other in others]
    assert call_key(AIMessage("f")) is None


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("at_once", [1, 8])
async def test_equal_calls_are_scored_once(path, at_once):
    seen = []

    def verify(prompt, candidate):
        seen.append(candidate.message.tool_calls[0]["args"]["a"])
        return seen[-1] / 10

    messages = [calling(("f", {"a": 3 + i % 2}), ident=f"call_{i}") for i in range(6)]
    search = OptScale(policy=ToolPolicy(messages=messages), verifier=verify, stopping=MaxSamples(6), first_round=6)
    config = {"max_concurrency": at_once}
    result = search.invoke("q", config) if path == "sync" else await search.ainvoke("q", config)
    assert sorted(seen) == [3, 4]
    assert {index: verdict.score for index, verdict in result.verdicts.items()} == {
        i: (3 + i % 2) / 10 for i in range(6)
    }
    assert result.score == 0.4


def test_a_verdict_that_is_shared_is_paid_once():
    from langchain_optscale.records.candidates import Verdict
    from langchain_optscale.records.usage import Usage
    from langchain_optscale.verifiers import Verifier

    class Paid(Verifier):
        def verify(self, prompt, candidate, config=None):
            return Verdict(0.5, usage=Usage(10, 1, 1))

    policy = ToolPolicy(messages=[calling(("f", {}))] * 4)
    result = OptScale(policy=policy, verifier=Paid(), stopping=MaxSamples(4)).invoke("q")
    assert len(result.verdicts) == 4
    assert result.usage["verifier"] == Usage(10, 1, 1)


def test_a_failed_verification_fails_for_its_equals_too():
    calls = []

    def verify(prompt, candidate):
        calls.append(candidate.index)
        if candidate.message.tool_calls[0]["args"] == {"a": 1}:
            raise ValueError("no such city")
        return 0.7

    messages = [calling(("f", {"a": 1})), calling(("f", {"a": 1})), calling(("f", {"a": 2}))]
    result = OptScale(policy=ToolPolicy(messages=messages), verifier=verify, stopping=MaxSamples(3)).invoke("q")
    # Of two equal candidates the one that arrives first is asked about.
    assert sorted(calls) in ([0, 2], [1, 2])
    assert sorted(result.failures) == [0, 1]
    assert result.best.index == 2


def test_text_candidates_are_verified_one_by_one():
    count = []
    policy = ToolPolicy(messages=[AIMessage("same")] * 3)
    OptScale(policy=policy, verifier=lambda p, c: bool(count.append(c.index)), stopping=MaxSamples(3)).invoke("q")
    assert len(count) == 3


def test_the_chosen_message_carries_its_calls_untouched():
    messages = [calling(("f", {"city": "Bonn"}), ident="a"), calling(("f", {"city": "Paris"}), ("f", {}), ident="b")]
    model = ChatOptScale(policy=ToolPolicy(messages=messages), verifier=RequiredWords(["Paris"]), max_samples=2)
    message = model.invoke("q")
    assert message.tool_calls == messages[1].tool_calls
    assert message.content == ""


def test_only_broken_calls_are_a_failure_that_says_so():
    broken = {"name": "f", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}
    messages = [AIMessage("", invalid_tool_calls=[broken]), calling(("f", {}))]
    result = OptScale(policy=ToolPolicy(messages=messages), verifier=lambda p, c: 1.0, first_round=2).invoke("q")
    assert result.failures[0].stage == "draw"
    assert "Tool call that is not valid JSON: f" in result.failures[0].error


def test_tools_reach_the_policy_and_settings_stay():
    policy = ToolPolicy(messages=[calling(("f", {}))] * 9)
    model = ChatOptScale(policy=policy, verifier=lambda p, c: 0.0, max_samples=4, temperature=0.3)
    bound = model.bind_tools([{"name": "f"}], tool_choice="any", strict=True)
    assert isinstance(bound, RunnableBinding)
    assert isinstance(bound.bound, ChatOptScale)
    message = bound.invoke("q", {"configurable": {"max_samples": 2}})
    assert message.response_metadata["optscale"]["n"] == 2
    assert sorted(request.pop("seed") for request in policy._requests) == [0, 1]
    assert policy._requests == [{"tools": ["f"], "tool_choice": "any", "strict": True, "temperature": 0.3}] * 2
    bound.with_config(configurable={"max_samples": 3}).invoke("q")
    assert len(policy._requests) == 5


class HoldingPolicy(ToolPolicy):
    """Answers `bind_tools` with a copy that holds the tools, as some models do, and calls the tools that it holds."""

    tools: list[str] = Field(default_factory=list)

    def bind_tools(self, tools, **kwargs):
        return self.model_copy(update={"tools": [tool["name"] for tool in tools]})

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self._requests.append(kwargs)
        message = calling(*((name, {}) for name in self.tools))
        return ChatResult(generations=[ChatGeneration(message=message)])


def test_a_policy_may_hold_its_tools():
    policy = HoldingPolicy(messages=[])
    wrapped = policy.bind(top_p=0.5).with_config(tags=["mine"]).bind(top_k=3)
    model = ChatOptScale(policy=wrapped, verifier=lambda p, c: 0.0, max_samples=2, temperature=0.3)
    message = model.bind_tools([{"name": "f"}, {"name": "g"}]).invoke("q")
    assert [call["name"] for call in message.tool_calls] == ["f", "g"]
    requests = [{name: value for name, value in request.items() if name != "seed"} for request in policy._requests]
    assert requests == [{"top_p": 0.5, "top_k": 3, "temperature": 0.3}] * 2
    with pytest.raises(AllCandidatesFailed, match="neither text nor a tool call"):
        model.invoke("q")  # it is not changed


def test_a_step_counts_the_tokens_of_a_policy_that_holds_its_tools():
    step = StepModel.of({"policy": HoldingPolicy(messages=[]), "verifier": lambda p, c: 0.0, "max_samples": 2})
    assert step.bind_tools([{"name": "f"}]).invoke("q").tool_calls[0]["name"] == "f"
    assert step.spent.requests == 2


def test_a_policy_without_tools_says_so():
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.runnables import RunnableLambda

    for policy, name in [(FakeListChatModel(responses=["a"]), "FakeListChatModel"), (RunnableLambda(str), "str")]:
        model = ChatOptScale(policy=policy, verifier=lambda p, c: 0.0)
        with pytest.raises(NotImplementedError, match=f"{name}.* does not support tools"):
            model.bind_tools([{"name": "f"}])
