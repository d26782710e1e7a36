"""Whole searches: policy and outcome reward model on two real servers."""

import asyncio
import time

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_optscale import ChatOptScale, OptScale, OptScaleResult
from langchain_optscale.endpoints.vllm import Replicas, vllm_policy, vllm_verifier
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.vllm.servers import KEY


@pytest.fixture(scope="module")
def pair(servers):
    policy, classifier = servers.start("policy", "classifier")
    return (
        vllm_policy(policy.base_url, api_key=KEY, max_tokens=24),
        vllm_verifier(classifier.base_url),
        [policy.root, classifier.root],
    )


@pytest.mark.parametrize("path", ["sync", "async"])
def test_chat_optscale(pair, path):
    policy, verifier, roots = pair
    model = ChatOptScale(policy=policy, verifier=verifier, max_samples=8, target=1.0, seed=1, accept_truncated=True)
    question = "What is 17 + 25?"
    message = model.invoke(question) if path == "sync" else asyncio.run(model.ainvoke(question))
    about = message.response_metadata["optscale"]
    assert message.response_metadata["model_name"] == "optscale/policy"
    assert about["score"] == max(about["scores"])
    assert 1 <= len(about["scores"]) <= 8
    assert len(set(about["scores"])) > 1
    spent = about["usage"]
    assert spent["verifier"]["requests"] == len(about["scores"])
    assert message.usage_metadata["total_tokens"] == sum(
        one["input_tokens"] + one["output_tokens"] for one in spent.values()
    )
    # What a thread has asked for when the search ends ends by itself, and is ignored.
    deadline = time.monotonic() + (10 if path == "sync" else 0)
    while any(state.pending for state in Replicas(roots).states()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [state.pending for state in Replicas(roots).states()] == [0, 0]


def test_sync_and_async_decide_alike(pair):
    policy, verifier, _ = pair
    search = OptScale(
        policy=policy, verifier=verifier, stopping=MaxSamples(6), first_round=3, seed=9, accept_truncated=True
    )
    one, other = search.invoke("Say something."), asyncio.run(search.ainvoke("Say something."))
    assert [c.text for c in one.candidates] == [c.text for c in other.candidates]
    scores = [[result.verdicts[index].score for index in range(6)] for result in (one, other)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    assert len(set(scores[0])) == 6
    assert one.best.index == other.best.index


async def test_many_searches_at_once(pair):
    policy, verifier, _ = pair
    search = OptScale(policy=policy, verifier=verifier, max_samples=6, target=1.0, accept_truncated=True)
    results = await search.abatch([f"Question {i}" for i in range(12)], {"max_concurrency": 6})
    assert all(not result.failures and result.scores for result in results)


async def test_in_a_graph(pair):
    policy, verifier, _ = pair
    model = ChatOptScale(policy=policy, verifier=verifier, max_samples=4, target=1.0, accept_truncated=True)

    async def reason(state: MessagesState):
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("reason", reason)
    builder.add_edge(START, "reason")
    said = await builder.compile().ainvoke({"messages": [HumanMessage("What is 17 + 25?")]})
    assert said["messages"][-1].response_metadata["optscale"]["scores"]


async def test_the_search_as_a_graph(pair):
    graph = pytest.importorskip("langchain_optscale.graph")
    policy, verifier, _ = pair
    built = graph.create_optscale_graph(
        policy=policy, verifier=verifier, stopping=MaxSamples(4), seed=5, accept_truncated=True
    )
    state = await built.compile().ainvoke({"messages": [HumanMessage("What is 17 + 25?")]})
    direct = await OptScale(
        policy=policy, verifier=verifier, stopping=MaxSamples(4), seed=5, accept_truncated=True
    ).ainvoke([HumanMessage("What is 17 + 25?")])
    assert state["messages"][-1].text == direct.text
    result = OptScaleResult.from_dict(state["optscale"])
    assert len(result.scores) == 4
    assert result.best.index == direct.best.index
