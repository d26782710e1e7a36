"""The events in every stream mode."""

import json
from typing import get_args, get_type_hints

import pytest
from langgraph.graph import START, MessagesState, StateGraph

from langchain_optscale import Verdict, Verifier, create_optscale_node
from langchain_optscale.graph import GraphEvent
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score
from tests.unit_tests.graph.searches import QUESTION, graph_of, texts

SCORES = [0.2, 0.4, 0.3, 0.95]
EVENTS = {get_args(get_type_hints(event)["type"])[0]: event for event in get_args(GraphEvent)}


def fits(event):
    hints = get_type_hints(EVENTS[event["type"]])
    assert event.keys() == hints.keys()
    for name, hint in hints.items():
        plain = {"list[int]": list, "dict[str, float]": dict, "dict[str, typing.Any]": dict}.get(str(hint))
        if name != "type":
            assert isinstance(event[name], plain or hint), (name, hint)
    assert json.loads(json.dumps(event)) == event


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
async def test_events_are_typed_and_complete(policy):
    graph, _ = graph_of(SCORES, policy=policy, round_size=2)
    events = [event async for event in graph.compile().astream(QUESTION, stream_mode="custom")]
    for event in events:
        fits(event)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "round_started"
    assert kinds.count("round_started") == 2
    assert kinds.count("candidate") == kinds.count("verdict") == 4
    assert kinds[-3:] == ["estimate", "decision", "answer"]
    assert [event["indexes"] for event in events if event["type"] == "round_started"] == [[0, 1], [2, 3]]
    assert [event["stop"] for event in events if event["type"] == "decision"] == [False, True]
    (answer,) = [event for event in events if event["type"] == "answer"]
    assert (answer["text"], answer["score"], answer["summary"]["n"]) == ("0.95", 0.95, 4)
    drawn = [event["index"] for event in events if event["type"] == "candidate"]
    scored = [event["index"] for event in events if event["type"] == "verdict"]
    for index in range(4):
        at = [i for i, event in enumerate(events) if event.get("index") == index]
        assert [events[i]["type"] for i in at][:2] == ["candidate", "verdict"]
    assert sorted(drawn) == sorted(scored) == [0, 1, 2, 3]


def test_failures_are_events():
    graph, _ = graph_of(SCORES, policy_settings={"errors": {0: [ValueError("no")]}}, max_samples=2)
    events = list(graph.compile().stream(QUESTION, stream_mode="custom"))
    (failure,) = [event for event in events if event["type"] == "failure"]
    fits(failure)
    assert failure == {"type": "failure", "index": 0, "stage": "draw", "error": "ValueError: no", "attempts": 1}


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_messages_show_only_the_final_answer(policy):
    judge = PlainPolicy(texts=["0.5"])

    class Judged(Verifier):
        def verify(self, prompt, candidate, config=None):
            judge.invoke("how good?", config)
            return Verdict(float(candidate.text))

    graph, _ = graph_of(SCORES, policy=policy, round_size=2, verifier=Judged())
    parts = list(graph.compile().stream(QUESTION, stream_mode="messages"))
    assert [message.text for message, _ in parts] == ["0.95"]
    assert parts[0][1]["langgraph_node"] == "answer"


async def test_messages_of_a_node_in_another_graph():
    node = create_optscale_node(policy=PlainPolicy(texts=texts(*SCORES)), verifier=read_score, round_size=2)
    app = StateGraph(MessagesState).add_node("reason", node).add_edge(START, "reason").compile()
    parts = [part async for part in app.astream(QUESTION, stream_mode="messages", subgraphs=True)]
    assert [message.text for _, (message, _) in parts] == ["0.95"]
    custom = [part async for part in app.astream(QUESTION, stream_mode="custom", subgraphs=True)]
    assert [event["type"] for _, event in custom][-1] == "answer"


def test_updates_of_each_step():
    graph, _ = graph_of(SCORES, round_size=2)
    updates = list(graph.compile().stream(QUESTION, stream_mode="updates"))
    nodes = [name for update in updates for name in update]
    assert nodes == ["ask", "candidate", "candidate", "decide", "ask", "candidate", "candidate", "decide", "answer"]
    decided = [update["decide"]["optscale"]["decision"]["stop"] for update in updates if "decide" in update]
    assert decided == [False, True]


def test_values_grow_with_the_search():
    graph, _ = graph_of(SCORES, round_size=2)
    values = list(graph.compile().stream(QUESTION, stream_mode="values"))
    sizes = [len(value["optscale"]["verdicts"]) for value in values if value.get("optscale")]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 4
    assert values[-1]["messages"][-1].text == "0.95"
