"""The tool: what an agent gets back, what it may ask for, what it costs, and how it reports errors."""

import asyncio
import re

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException
from langgraph.errors import GraphInterrupt
from scipy import stats

from langchain_optscale import OptScale, OptScaleResult, SettingsError, create_optscale_tool
from langchain_optscale.agents import Effort
from langchain_optscale.stopping import MaxSamples, TargetReached
from tests.unit_tests.fakes import ScriptedPolicy, read_score


def tool(texts=("0.2", "0.95"), **settings):
    return create_optscale_tool(policy=ScriptedPolicy(texts=list(texts)), verifier=read_score, **settings)


def call(one, **arguments):
    return {"type": "tool_call", "id": "1", "name": one.name, "args": {"question": "Why?", **arguments}}


def line(message):
    return message.content.splitlines()[-1]


async def used(one, path, **arguments):
    asked = call(one, **arguments)
    return one.invoke(asked) if path == "sync" else await one.ainvoke(asked)


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_content_and_artifact(path):
    message = await used(tool(target=0.9), path)
    assert isinstance(message, ToolMessage)
    assert message.status == "success"
    assert isinstance(message.artifact, OptScaleResult)
    assert message.content == (
        "0.95\n\n[reason_carefully: score 0.95; target 0.90 reached (confidence 1.00); claim: target reached (1.00); "
        "2 of at most 16 candidates; a candidate reached the target score; budget left: 14 candidates]"
    )


def test_confidence_where_the_target_is_not_reached():
    message = tool(["0.2", "0.5"] * 4, target=0.9, max_samples=6, stopping=None).invoke(call(tool()))
    result = message.artifact
    law = stats.truncnorm(
        -result.estimate.mu / result.estimate.sigma,
        (1 - result.estimate.mu) / result.estimate.sigma,
        loc=result.estimate.mu,
        scale=result.estimate.sigma,
    )
    expected = 1 - law.cdf(0.9) ** 6
    said = re.search(r"target 0\.90 not reached \(confidence (\d\.\d\d)\)", line(message))
    assert said
    assert float(said[1]) == pytest.approx(expected, abs=0.006)


def test_question_context_and_effort_reach_the_search():
    prompts = []
    policy = RunnableLambda(lambda prompt: prompts.append(prompt.to_string()) or "0.5")
    one = create_optscale_tool(policy=policy, verifier=read_score, max_samples=4)
    drawn = {level: len(one.invoke(call(one, effort=level)).artifact.candidates) for level in ("low", "medium", "high")}
    assert drawn == {"low": 1, "medium": 4, "high": 8}
    assert prompts[0] == "Why?"
    one.invoke(call(one, context="Since 1999."))
    assert prompts[-1] == "Why?\n\nContext:\nSince 1999."
    assert set(one.args) == {"question", "context", "effort"}
    assert one.get_input_schema().model_json_schema()["required"] == ["question"]


def test_efforts_by_default_and_by_hand():
    assert tool(target=0.8, confidence=0.9, max_samples=10).efforts == {
        "low": Effort(pytest.approx(0.72), 0.8, 3, "low"),
        "medium": Effort(0.8, 0.9, 10),
        "high": Effort(0.9, 0.95, 20, "high"),
    }
    own = tool(efforts={"low": Effort(0.1, 0.5, 1)})
    assert len(own.invoke(call(own, effort="low")).artifact.candidates) == 1
    assert own.efforts["medium"] == Effort(None, 0.95, 16)
    ruled = tool(stopping=TargetReached(0.1) | MaxSamples(8), first_round=4)
    assert ruled.efforts["low"].max_samples == 2
    message = ruled.invoke(call(ruled, effort="low"))
    assert len(message.artifact.candidates) == 2
    assert "target" not in line(message).replace("the target score", "")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"efforts": {"huge": Effort(0.9, 0.9, 4)}}, "unknown effort 'huge'"),
        ({"efforts": {"low": Effort(2.0, 0.9, 4)}}, "target"),
        ({"total_token_budget": 0}, "total_token_budget must be"),
        ({"max_sample": 3}, "unknown setting 'max_sample'"),
    ],
)
def test_bad_settings_are_one_sentence_at_once(settings, words):
    with pytest.raises(SettingsError, match=words):
        tool(**settings)


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_errors_are_returned_not_raised(path):
    def broken(prompt, candidate):
        raise RuntimeError("the scale fell down")

    one = create_optscale_tool(policy=ScriptedPolicy(texts=["x"]), verifier=broken, max_samples=2)
    message = await used(one, path)
    assert (message.status, message.artifact) == ("error", None)
    assert message.content.startswith("reason_carefully has no answer: no candidate could be scored")
    assert "the scale fell down (2x)" in message.content


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_wrong_arguments_are_returned_not_raised(path):
    message = await used(tool(), path, effort="heroic")
    assert message.status == "error"
    assert message.content == "the arguments do not fit: effort: Input should be 'low', 'medium' or 'high'"


def test_errors_of_user_functions_are_returned_too():
    one = tool(select=lambda scored, scores: 1 / 0)
    message = one.invoke(call(one))
    assert message.status == "error"
    assert "ZeroDivisionError" in message.content


def test_an_interrupt_of_the_graph_is_not_an_error():
    def pause(scored, scores):
        raise GraphInterrupt([])

    one = tool(select=pause)
    with pytest.raises(GraphInterrupt):
        one.invoke(call(one))


def test_a_budget_over_all_calls():
    one = tool(["0.5"], total_token_budget=100, max_samples=4, first_round=2, round_size=2)
    # A request costs ten tokens, and five a choice: twenty for two.
    first = one.invoke(call(one))
    assert one.spent_tokens == first.artifact.total_usage.total_tokens == 40
    assert "budget left: 60 of 100 tokens" in line(first)
    second = one.invoke(call(one))
    assert "budget left: 20 of 100 tokens" in line(second)
    third = one.invoke(call(one))
    assert third.artifact.stop_reason.name == "TOKEN_BUDGET"
    assert "budget left: 0 of 100 tokens" in line(third)
    spent = one.spent_tokens
    last = one.invoke(call(one))
    assert (last.status, one.spent_tokens) == ("error", spent)
    assert "the budget of 100 tokens is spent" in last.content


def test_a_budget_for_each_call():
    one = tool(["0.5"], token_budget=40, first_round=2, round_size=2)
    assert "budget left: 0 of 40 tokens of this call" in line(one.invoke(call(one)))


async def test_a_cancelled_call_cancels_its_requests():
    policy = ScriptedPolicy(texts=["0.5"], delays={0: 30.0})
    one = create_optscale_tool(policy=policy, verifier=read_score)
    task = asyncio.create_task(one.ainvoke(call(one)))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert policy.cancelled == [0]


async def test_candidates_are_not_streamed():
    one = tool()
    events = [event async for event in one.astream_events({"question": "Why?"}, version="v2")]
    assert not [event for event in events if event["event"].startswith("on_chat_model")]
    assert "optscale:verdict" in [event["name"] for event in events]


def test_the_answer_is_that_of_the_search_itself():
    one, search = tool(), OptScale(policy=ScriptedPolicy(texts=["0.2", "0.95"]), verifier=read_score)
    assert one.invoke(call(one)).artifact.scores == search.invoke("Why?").scores


def test_a_custom_handler():
    def broken(prompt, candidate):
        raise RuntimeError("no")

    one = create_optscale_tool(policy=ScriptedPolicy(texts=["x"]), verifier=broken, max_samples=1)
    one.handle_tool_error = False
    with pytest.raises(ToolException, match="has no answer"):
        one.invoke(call(one))
