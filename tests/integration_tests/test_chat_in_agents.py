"""Agents whose model is a search: tools, tool errors, parallel calls, structured answers, streams."""

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_optscale import ChatOptScale
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.openai_server import openai_server, write


class Weather(BaseModel):
    """The weather."""

    city: str
    sunny: bool


@tool
def look(city: str) -> str:
    """Look at the sky above a city."""
    return f"sunny in {city}"


@pytest.fixture(scope="module")
def service():
    with openai_server() as running:
        yield running


def searching(service, **kwargs):
    policy = ChatOpenAI(model="scripted-1", base_url=service.base_url, api_key="test", max_retries=0)
    settings = {"verifier": lambda p, c: 0.5, "stopping": MaxSamples(3), "first_round": 3, **kwargs}
    return ChatOptScale(policy=policy, **settings)


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_an_agent_calls_tools_and_answers(service, path):
    seen = []
    chat = searching(service, verifier=lambda p, c: bool(seen.append(c.text)) or 0.5)
    agent = create_agent(chat, tools=[look])
    question = {"messages": [HumanMessage("How is the weather in 'Paris'?")]}
    state = agent.invoke(question) if path == "sync" else await agent.ainvoke(question)
    kinds = [type(message) for message in state["messages"]]
    assert kinds == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert state["messages"][2].content == "sunny in Paris"
    assert [m.response_metadata["optscale"]["n"] for m in state["messages"] if isinstance(m, AIMessage)] == [3, 3]
    # Three equal calls are judged once, three texts each on its own.
    assert [text for text in seen if text.startswith("Tool call: look")] == [
        'Tool call: look\n```json\n{"city": "Paris"}\n```'
    ]
    assert len(seen) == 4


def test_settings_of_the_call_reach_the_model_in_an_agent(service):
    agent = create_agent(searching(service), tools=[look])
    config = {"configurable": {"stopping": MaxSamples(2), "first_round": 1}}
    state = agent.invoke({"messages": [HumanMessage("'Paris'?")]}, config)
    assert {m.response_metadata["optscale"]["n"] for m in state["messages"] if isinstance(m, AIMessage)} == {2}


async def test_an_agents_stream_has_the_chosen_words_alone(service):
    agent = create_agent(searching(service), tools=[look])
    question = {"messages": [HumanMessage("'Paris'?")]}
    parts = [part async for part in agent.astream(question, stream_mode="messages")]
    shown = {}
    for message, _ in parts:
        shown[message.id] = shown[message.id] + message if message.id in shown else message
    assert [type(message).__name__ for message in shown.values()] == ["AIMessageChunk", "ToolMessage", "AIMessageChunk"]
    assert next(iter(shown.values())).tool_calls[0]["args"] == {"city": "Paris"}


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_an_agents_structured_answer(service, strategy):
    agent = create_agent(searching(service), tools=[], response_format=strategy(Weather))
    state = agent.invoke({"messages": [HumanMessage("How is the weather in 'Paris'?")]})
    assert state["structured_response"] == Weather(city="Paris", sunny=True)


def test_parallel_calls_and_a_tool_that_fails():
    @tool
    def fail(city: str) -> str:
        """Fail."""
        raise ValueError("no such city")

    def author(payload, number):
        if payload["messages"][-1]["role"] == "tool":
            return {"content": "I could not find out."}
        calls = [
            {
                "id": f"call_{number}_{i}",
                "type": "function",
                "function": {"name": name, "arguments": '{"city": "Rome"}'},
            }
            for i, name in enumerate(["look", "look", "fail"])
        ]
        return {"content": None, "tool_calls": calls}

    with openai_server(author) as service:
        chat = searching(service)
        message = chat.bind_tools([look, fail]).invoke("q")
        assert [call["name"] for call in message.tool_calls] == ["look", "look", "fail"]
        history = [
            HumanMessage("q"),
            message,
            *(ToolMessage("sunny", tool_call_id=call["id"]) for call in message.tool_calls[:2]),
            ToolMessage("no such city", tool_call_id=message.tool_calls[2]["id"], status="error"),
        ]
        assert chat.bind_tools([look, fail]).invoke(history).text == "I could not find out."
        assert [item["role"] for item in service.requests[-1]["messages"]] == ["user", "assistant", *["tool"] * 3]


def test_a_broken_candidate_does_not_win(service):
    def author(payload, number):
        return (
            None
            if number == 1
            else {
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{"}}],
            }
        )

    with openai_server(author) as broken:
        message = searching(broken).bind_tools([look]).invoke("'Oslo'?")
    assert message.tool_calls[0]["args"] == {"city": "Oslo"}
    assert message.response_metadata["optscale"]["failed"] == 2


@pytest.mark.parametrize("fanout", ["n", "calls"])
def test_true_totals_under_true_names(service, fanout):
    judge = ChatOpenAI(model="judge-1", base_url=service.base_url, api_key="test")
    chat = searching(service, fanout=fanout, verifier=lambda p, c: 0.5 if judge.invoke("Is it good?") else 0.0)
    before = len(service.requests)
    with get_usage_metadata_callback() as usage:
        message = chat.invoke("q")
    from tests.integration_tests.openai_server import _usage

    assert usage.usage_metadata.keys() == {"scripted-1", "judge-1"}  # every token is counted once
    sent = service.requests[before:]
    prompts = {
        name: sum(_usage(r, [])["prompt_tokens"] for r in sent if r["model"] == name)
        for name in ("scripted-1", "judge-1")
    }
    for name, tokens in prompts.items():
        assert usage.usage_metadata[name]["input_tokens"] == tokens
    true = [usage.usage_metadata[name]["total_tokens"] for name in prompts]
    assert message.usage_metadata["total_tokens"] == sum(true)
    # The judge was asked the same again, and its server had read it before.
    policys, judges = (usage.usage_metadata[name]["input_token_details"] for name in prompts)
    ours = message.usage_metadata["input_token_details"]
    assert judges["cache_read"] > 0
    assert ours == {kind: policys[kind] + judges[kind] for kind in ("audio", "cache_read", "cache_creation")}


def test_the_profile_is_the_policys(service):
    policy = ChatOpenAI(model="gpt-4o", base_url=service.base_url, api_key="test")
    assert ChatOptScale(policy=policy, verifier=lambda p, c: 1.0).profile == policy.profile
    assert write({"messages": [{"role": "user", "content": "q"}]}, 0)["content"]
