"""Teams of agents: a supervisor that hands over, a swarm, and both as policies."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from langchain_optscale import ChatOptScale, OptScale, OptScaleMiddleware
from langchain_optscale.stopping import MaxSamples

FIXED = {"stopping": MaxSamples(2), "max_samples": 2, "first_round": 2}
QUESTION = {"messages": [("human", "q")]}


def half(prompt, candidate):
    return 0.5


class Model(BaseChatModel):
    """Calls a tool as its first message, where it has the name of one, and then says something."""

    says: str
    calls: str | None = None
    tools: tuple[str, ...] = ()

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self.model_copy(update={"tools": tuple(tool.name for tool in tools)})

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        message = AIMessage(self.says, usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})
        if self.calls is not None and not any(isinstance(one, AIMessage) for one in messages):
            assert self.calls in self.tools
            message.content, message.tool_calls = "", [{"name": self.calls, "args": {}, "id": "1", "type": "tool_call"}]
        return ChatResult(generations=[ChatGeneration(message=message)])


def searching(model):
    return ChatOptScale(policy=model, verifier=half, **FIXED)


def worker(name, how):
    model = Model(says=f"{name} is here")
    if how == "model":
        return create_agent(searching(model), [], name=name)
    return create_agent(model, [], name=name, middleware=[OptScaleMiddleware(verifier=half, **FIXED)])


def supervised(how, boss=lambda model: model):
    model = boss(Model(says="all done", calls="transfer_to_ann"))
    return create_supervisor([worker("ann", how)], model=model, output_mode="full_history").compile()


def run(graph, path):
    return graph.invoke(QUESTION) if path == "sync" else asyncio.run(graph.ainvoke(QUESTION))


def spoken(state):
    return [(message.name, message.text) for message in state["messages"] if message.type == "ai" and message.text]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("how", ["model", "middleware"])
def test_a_supervisor_hands_over(how, path):
    state = run(supervised(how, searching), path)
    assert ("ann", "ann is here") in spoken(state)
    assert spoken(state)[-1] == ("supervisor", "all done")
    answers = [message for message in state["messages"] if "optscale" in message.response_metadata]
    assert [message.response_metadata["optscale"]["n"] for message in answers] == [2, 2, 2]


def test_events_of_all_members_reach_the_stream():
    events = list(supervised("middleware", searching).stream(QUESTION, stream_mode="custom", subgraphs=True))
    assert sum(event["type"] == "optscale:candidate" for _, event in events) == 6


@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_swarm_hands_over(path):
    first = Model(says="", calls="transfer_to_bob")
    ann = create_agent(searching(first), [create_handoff_tool(agent_name="bob")], name="ann")
    swarm = create_swarm([ann, worker("bob", "middleware")], default_active_agent="ann").compile()
    state = run(swarm, path)
    assert spoken(state) == [("bob", "bob is here")]
    assert state["active_agent"] == "bob"


def test_a_team_is_a_policy():
    def by_steps(prompt, candidate):
        return len(candidate.trajectory) / 10

    result = OptScale(policy=supervised("model"), verifier=by_steps, **FIXED).invoke("q")
    assert (result.text, result.score) == ("all done", 0.7)
    # In each run: twice the supervisor, and two candidates of ann.
    assert result.total_usage.requests == 8
