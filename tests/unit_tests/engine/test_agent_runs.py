"""Agents and other graphs as policies: a candidate is a whole run, and everything that it left in its state."""

import json
from operator import add
from typing import Annotated, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel

from langchain_optscale import (
    AllCandidatesFailed,
    CachedVerifier,
    ChatOptScale,
    OptScale,
    OptScaleResult,
    SettingsError,
    create_optscale_graph,
    create_optscale_tool,
)
from langchain_optscale.answers import BoxedAnswer, LastNumber, StateAnswer
from langchain_optscale.answers.base import Compared
from langchain_optscale.answers.equivalence import NormalForm
from langchain_optscale.evaluation.pools import Question
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.stopping import MaxSamples

agents = pytest.importorskip("langchain.agents")

FIXED = {"stopping": MaxSamples(4), "max_samples": 4, "first_round": 4}


class Adder(BaseChatModel):
    """Calls `add` with 1 and the number of its run, then says that it is done."""

    runs: list[int]

    @property
    def _llm_type(self) -> str:
        return "adder"

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[one.name for one in tools])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        usage = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage("done", usage_metadata=usage)
        else:
            self.runs.append(len(self.runs))
            call = {"name": "add", "args": {"a": 1, "b": len(self.runs)}, "id": f"c{len(self.runs)}"}
            message = AIMessage("", tool_calls=[call], usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


def make_agent(**settings: Any) -> Any:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    return agents.create_agent(Adder(runs=[]), [add], **settings)


def sum_found(prompt, candidate):
    """A fifth of what the tool answered: 1 + the number of the run."""
    assert isinstance(candidate.trajectory[0], HumanMessage)
    return int(candidate.trajectory[-2].text) / 5


async def ask(search, path, question="1 + ?"):
    return search.invoke(question) if path == "sync" else await search.ainvoke(question)


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_the_verifier_sees_the_run_and_the_result_returns_it(path):
    result = await ask(OptScale(policy=make_agent(), verifier=sum_found, **FIXED), path)
    assert (result.text, result.score) == ("done", 1.0)
    assert [message.type for message in result.best.trajectory] == ["human", "ai", "tool", "ai"]
    assert result.state["messages"][-2].text == "5"
    assert len(result.verdicts) == 4  # equal last messages are not equal runs
    assert result.total_usage.to_dict() == {"input_tokens": 80, "output_tokens": 16, "requests": 8}
    again = OptScaleResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    assert again.best.trajectory == result.best.trajectory


@pytest.mark.parametrize("wrap", [lambda agent: agent.with_config(tags=["x"]), lambda agent: agent.bind()])
def test_agents_with_a_config(wrap):
    result = OptScale(policy=wrap(make_agent()), verifier=sum_found, **FIXED).invoke("q")
    assert result.state["messages"][-2].text == "5"


@pytest.mark.parametrize(
    ("extract", "answers"),
    [
        (StateAnswer(("messages", -2, "content")), ["2", "3", "4", "5"]),
        (BoxedAnswer() | StateAnswer(("messages", -2, "content")), ["2", "3", "4", "5"]),
        (Compared(StateAnswer(("messages", -2, "content")), NormalForm()), ["2", "3", "4", "5"]),
        (lambda text, message, state: state["messages"][-2].text, ["2", "3", "4", "5"]),
        (lambda text: text, ["done"] * 4),
        (StateAnswer("missing") | LastNumber(), [None] * 4),
    ],
)
def test_the_answer_is_read_from_the_state(extract, answers):
    result = OptScale(policy=make_agent(), verifier=sum_found, extract=extract, **FIXED).invoke("q")
    assert sorted((candidate.answer for candidate in result.candidates), key=str) == answers


def test_state_answers():
    class Plan(BaseModel):
        steps: list[str]

    state = {"plan": Plan(steps=["a", "b"]), "none": None, "blank": " "}
    assert StateAnswer(("plan", "steps", 1))("", None, state) == "b"
    assert StateAnswer("plan")("", None, state) == '{"steps": ["a", "b"]}'
    assert [StateAnswer(key)("x", None, state) for key in ("none", "blank", "other")] == [None] * 3
    assert StateAnswer("plan")("x") is None
    for keys in ((), "", 1.5):
        with pytest.raises(SettingsError, match="keys must be those of a value in the state"):
            StateAnswer(keys)


def test_any_runnable_that_answers_with_a_state():
    agent = make_agent()
    policy = (
        RunnableLambda(lambda prompt: {"messages": prompt.to_messages()}) | agent | (lambda state: {**state, "x": 1})
    )
    result = OptScale(policy=policy, verifier=sum_found, **FIXED).invoke("q")
    assert result.state["x"] == 1
    assert result.score == 1


def test_structured_responses_are_parsed():
    class Sum(BaseModel):
        total: int

    answers = [
        {
            "messages": [HumanMessage("q"), ToolMessage("Returning", tool_call_id="1")],
            "structured_response": Sum(total=3),
        },
        {"messages": [AIMessage("It is 4.")], "structured_response": Sum(total=4)},
        {"messages": [AIMessage("", tool_calls=[]), ToolMessage("5", tool_call_id="1")]},
    ]
    result = OptScale(
        policy=RunnableLambda(lambda prompt: answers.pop(0)),
        verifier=lambda prompt, candidate: 0.5,
        **FIXED | {"stopping": MaxSamples(3), "max_samples": 3, "first_round": 1, "round_size": 1},
    ).invoke("q")
    assert [(one.text, one.parsed) for one in result.candidates] == [
        ('{"total": 3}', Sum(total=3)),
        ("It is 4.", Sum(total=4)),
        ("5", None),
    ]


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_a_run_that_waits_for_a_person_has_failed(path):
    graph = StateGraph(MessagesState).add_node("ask", lambda state: {"messages": [AIMessage(interrupt("sure?"))]})
    policy = graph.set_entry_point("ask").compile(checkpointer=InMemorySaver())
    with pytest.raises(
        AllCandidatesFailed, match="was interrupted before it had an answer: leave out of it what waits"
    ):
        await ask(OptScale(policy=policy, verifier=lambda prompt, candidate: 1.0, **FIXED), path)


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("checkpointer", [None, InMemorySaver()])
async def test_each_candidate_is_a_run_of_its_own_inside_another_graph(path, checkpointer):
    class State(MessagesState):
        visits: Annotated[list[str], add]

    inner = StateGraph(State).add_node(
        "visit", lambda state: {"messages": [AIMessage(f"saw {len(state['visits'])}")], "visits": ["here"]}
    )
    policy = inner.set_entry_point("visit").compile(checkpointer=checkpointer)
    search = OptScale(policy=policy, verifier=lambda prompt, candidate: 0.5, **FIXED)
    found = []

    def within(state):
        found.append(search.invoke(state["messages"]))
        return {}

    async def awithin(state):
        found.append(await search.ainvoke(state["messages"]))
        return {}

    outer = StateGraph(MessagesState).add_node("search", RunnableLambda(within, awithin)).set_entry_point("search")
    graph = outer.compile(checkpointer=InMemorySaver())
    question, config = {"messages": [HumanMessage("q")]}, {"configurable": {"thread_id": "one"}}
    for _ in range(2):
        seen = (
            [*graph.stream(question, config, stream_mode="messages", subgraphs=True)]
            if path == "sync"
            else [item async for item in graph.astream(question, config, stream_mode="messages", subgraphs=True)]
        )
        assert not [item for item in seen if "saw" in str(item)]
    assert [candidate.text for result in found for candidate in result.candidates] == ["saw 0"] * 8
    assert all(candidate.state["visits"] == ["here"] for result in found for candidate in result.candidates)


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_the_graph_checkpoints_the_runs(path):
    graph = create_optscale_graph(
        policy=make_agent(),
        verifier=sum_found,
        extract=StateAnswer(("messages", -2, "content")),
        **FIXED,
    ).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "one"}}
    question = {"messages": [HumanMessage("1 + ?")]}
    out = graph.invoke(question, config) if path == "sync" else await graph.ainvoke(question, config)
    result = OptScaleResult.from_dict(graph.get_state(config).values["optscale"])
    assert out["messages"][-1].text == "done"
    assert result.score == 1
    assert result.best.answer == "5"
    assert [message.type for message in result.best.trajectory] == ["human", "ai", "tool", "ai"]


def test_in_the_chat_model_and_the_tool():
    assert ChatOptScale(policy=make_agent(), verifier=sum_found, **FIXED).invoke("q").text == "done"
    tool_ = create_optscale_tool(policy=make_agent(), verifier=sum_found, max_samples=4)
    call = {"name": tool_.name, "args": {"question": "q"}, "id": "1", "type": "tool_call"}
    message = tool_.invoke(call)
    assert message.status == "success"
    assert message.artifact.state["messages"][-1].text == "done"


def test_a_cache_of_verdicts_tells_runs_apart():
    seen = []
    verifier = CachedVerifier(lambda prompt, candidate: seen.append(candidate) or sum_found(prompt, candidate))
    for _ in range(2):  # the second agent does what the first has done
        result = OptScale(policy=make_agent(), verifier=verifier, **FIXED).invoke("q")
        assert result.score == 1
    assert len(seen) == 4


def test_a_pool_of_runs():
    extract = StateAnswer(("messages", -2, "content"))
    question = Question("one", "1 + 4?", (), "5")
    pool = record_pool(make_agent(), sum_found, [question], 4, extract=extract, gold_check=str.__eq__)
    assert sorted(sample.answer for sample in pool.questions[0].samples) == ["2", "3", "4", "5"]
    assert sum(bool(sample.correct) for sample in pool.questions[0].samples) == 1


def searching_agents():
    """Agents whose own steps search two candidates, in each of the ways there are; the last draws one of them alone."""
    from langchain_optscale import OptScaleMiddleware

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    two = {"verifier": lambda prompt, candidate: 0.5, "stopping": MaxSamples(2), "max_samples": 2, "first_round": 2}
    chat, streaming = (ChatOptScale(policy=Adder(runs=[]), streaming=streams, **two) for streams in (False, True))
    yield agents.create_agent(chat, [add]), 4
    yield agents.create_agent(streaming, [add]), 4
    yield agents.create_agent(Adder(runs=[]), [add], middleware=[OptScaleMiddleware(**two)]), 4
    yield agents.create_agent(Adder(runs=[]), [add], middleware=[OptScaleMiddleware(**two, when="tool_calls")]), 3


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("budget", [None, 10_000])
async def test_a_search_within_a_run_is_no_request_of_its_own(which, path, budget):
    agent, requests = list(searching_agents())[which]
    settings = {"verifier": lambda prompt, candidate: 0.5, "stopping": MaxSamples(1), "max_samples": 1}
    result = await ask(OptScale(policy=agent, token_budget=budget, **settings), path)
    assert result.total_usage.to_dict() == {
        "input_tokens": 10 * requests,
        "output_tokens": 2 * requests,
        "requests": requests,
    }
