"""The search as a node under LangGraph's own policies: cached, and deferred until parallel branches have ended."""

from operator import add
from typing import Annotated

from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import CachePolicy

from langchain_optscale import create_optscale_node
from tests.unit_tests.fakes import ScriptedPolicy, read_score


def question_of(state):
    return state["messages"][-1].text


def test_a_cached_node_searches_once_for_a_question():
    policy = ScriptedPolicy(texts=["0.5", "0.9"])
    node = create_optscale_node(policy=policy, verifier=read_score, max_samples=2, price=1e-9)
    builder = StateGraph(MessagesState).add_edge(START, "reason")
    builder.add_node("reason", node, cache_policy=CachePolicy(key_func=question_of))
    graph = builder.compile(cache=InMemoryCache())
    answers = [graph.invoke({"messages": [("human", "q")]})["messages"][-1].text for _ in range(3)]
    assert answers == ["0.9"] * 3
    once = len(policy.requests)
    assert graph.invoke({"messages": [("human", "another")]})["messages"][-1].text == "0.9"
    assert len(policy.requests) == 2 * once


class State(MessagesState):
    seen: Annotated[list[int], add]


def test_a_deferred_node_waits_for_searches_of_different_lengths():
    def search(cap):
        policy = ScriptedPolicy(texts=["0.5", "0.9", "0.6"])
        return create_optscale_node(policy=policy, verifier=read_score, max_samples=cap, price=1e-9, round_size=1)

    builder = StateGraph(State)
    for name, cap in (("short", 1), ("long", 3)):
        builder.add_node(name, search(cap))
        builder.add_edge(START, name)
    builder.add_node("between", lambda state: {})
    builder.add_node("join", lambda state: {"seen": [len(state["messages"])]}, defer=True)
    builder.add_edge("short", "join")
    builder.add_edge("long", "between")
    builder.add_edge("between", "join")
    builder.add_edge("join", END)
    assert builder.compile().invoke({"messages": [("human", "q")]})["seen"] == [3]
