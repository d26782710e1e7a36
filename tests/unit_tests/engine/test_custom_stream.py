"""The events of a search in LangGraph's `stream_mode="custom"`: chat model, Runnable, tool, middleware."""

import subprocess
import sys

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import MessagesState, StateGraph

from langchain_optscale import ChatOptScale, LLMJudge, OptScale, OptScaleMiddleware, create_optscale_tool
from tests.unit_tests.verifiers.llm_judge.judges import PlainJudge, by_text

agents = pytest.importorskip("langchain.agents")

CHECK = {"verifier": lambda prompt, candidate: 0.5, "max_samples": 3, "first_round": 3}
QUESTION = {"messages": [HumanMessage("q")]}


class Caller(FakeListChatModel):
    """Calls the tool that is bound to it, then answers."""

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[one.name for one in tools])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        made = super()._generate(messages, stop, run_manager)
        if messages[-1].type == "human" and kwargs.get("tools"):
            call = {"name": kwargs["tools"][0], "args": {"question": "2 + 2?"}, "id": "1"}
            made.generations[0].message = AIMessage("", tool_calls=[call])
        return made


def policy():
    return FakeListChatModel(responses=["a", "b"])


def by_chat_model(**check):
    return agents.create_agent(ChatOptScale(policy=policy(), **check), [])


def by_middleware(**check):
    return agents.create_agent(policy(), [], middleware=[OptScaleMiddleware(**check)])


def by_tool(**check):
    check.pop("first_round")
    return agents.create_agent(Caller(responses=["a"]), [create_optscale_tool(policy=policy(), **check)])


def by_runnable(**check):
    search = OptScale(policy=policy(), **check)

    def within(state, config):
        return {"messages": [search.invoke(state["messages"], config).message]}

    async def awithin(state, config):
        return {"messages": [(await search.ainvoke(state["messages"], config)).message]}

    graph = StateGraph(MessagesState).add_node("search", RunnableLambda(within, awithin)).set_entry_point("search")
    return graph.compile()


async def events(agent, path):
    if path == "sync":
        return list(agent.stream(QUESTION, stream_mode="custom"))
    return [event async for event in agent.astream(QUESTION, stream_mode="custom")]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("entry", [by_chat_model, by_middleware, by_tool, by_runnable])
async def test_every_event_arrives_once(entry, path):
    found = await events(entry(**CHECK), path)
    names = [event["type"].removeprefix("optscale:") for event in found]
    verified = sum(name == "verdict" for name in names)
    assert 1 <= verified <= 3
    assert names.count("candidate") == verified
    assert names[0] == "round"
    assert names[-1] == "answer"
    assert names.count("answer") == 1
    assert next(event for event in found if event["type"] == "optscale:verdict")["score"] == 0.5


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_they_are_those_of_callbacks(path):
    agent = by_middleware(**CHECK)
    streamed = await events(agent, path)
    dispatched = [
        event async for event in agent.astream_events(QUESTION, version="v2") if event["event"] == "on_custom_event"
    ]
    assert {event["name"] for event in dispatched} == {event["type"] for event in streamed}
    keys = {event["name"]: event["data"].keys() for event in dispatched}
    assert all(event.keys() == keys[event["type"]] | {"type"} for event in streamed)


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_a_search_within_the_search_writes_none(path):
    grader = PlainJudge(reply=by_text(lambda text: 7))
    judge = LLMJudge(ChatOptScale(policy=grader, verifier=lambda prompt, candidate: 1.0, max_samples=2))
    inner = by_middleware(**CHECK)
    outer = OptScale(policy=inner, verifier=judge, max_samples=2, first_round=2)

    def within(state, config):
        return {"messages": [outer.invoke(state["messages"], config).message]}

    async def awithin(state, config):
        return {"messages": [(await outer.ainvoke(state["messages"], config)).message]}

    graph = StateGraph(MessagesState).add_node("search", RunnableLambda(within, awithin)).set_entry_point("search")
    found = await events(graph.compile(), path)
    assert sum(event["type"] == "optscale:answer" for event in found) == 1
    assert sum(event["type"] == "optscale:verdict" for event in found) <= 2


def test_outside_of_graphs_langgraph_is_not_imported():
    program = (
        "import sys; from langchain_core.language_models import FakeListChatModel; "
        "from langchain_optscale import OptScale; "
        "OptScale(policy=FakeListChatModel(responses=['a']), verifier=lambda p, c: 0.5, max_samples=2).invoke('q'); "
        "sys.exit('langgraph' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603
