"""What a user of the graph sees: input and output, conversations, subgraphs, settings, and what goes wrong."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy

from langchain_optscale import (
    AllCandidatesFailed,
    OptScale,
    SettingsError,
    StopReason,
    Verdict,
    Verifier,
    create_optscale_graph,
    create_optscale_node,
)
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.graph import OptScaleContext
from langchain_optscale.graph.loop import supersteps
from langchain_optscale.stopping import MaxSamples, TargetReached
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in, texts, thread

SCORES = [0.2, 0.4, 0.3, 0.95, 0.5, 0.6]


def test_input_and_output():
    graph, _ = graph_of(SCORES, round_size=2)
    state = graph.compile().invoke(QUESTION)
    assert set(state) == {"messages", "optscale"}
    question, answer = state["messages"]
    assert isinstance(question, HumanMessage)
    assert answer.text == "0.95"
    result = result_in(state)
    assert result.to_dict().items() <= state["optscale"].items()
    assert json.loads(json.dumps(state["optscale"])) == state["optscale"]
    assert result.score == 0.95
    assert result.stop_reason is StopReason.TARGET_REACHED
    assert answer.usage_metadata["total_tokens"] == result.total_usage.total_tokens == 4 * 15
    assert answer.response_metadata["optscale"] == result.summary()
    assert answer.response_metadata["model_name"] == "optscale/PlainPolicy"


def test_the_graph_is_uncompiled_and_named():
    graph, _ = graph_of(SCORES)
    assert isinstance(graph, StateGraph)
    assert graph.compile().name == "optscale"
    assert graph.compile(name="mine").name == "mine"


async def test_async_with_the_message_as_text():
    graph, _ = graph_of(SCORES, round_size=2)
    state = await graph.compile().ainvoke({"messages": "How much?"})
    assert state["messages"][-1].text == "0.95"


def test_a_policy_with_several_choices_draws_a_round_in_one_request():
    graph, model = graph_of(SCORES, policy=ScriptedPolicy, round_size=4)
    result = result_in(graph.compile().invoke(QUESTION))
    assert [(request.get("n", 1), request["seed"]) for request in model.requests] == [(2, 0), (4, 2)]
    assert result.usage["policy"].requests == 2
    assert [candidate.text for candidate in result.candidates] == texts(*SCORES)


def test_fanout_calls_makes_one_request_a_candidate():
    graph, model = graph_of(SCORES, policy=ScriptedPolicy, round_size=4, fanout="calls")
    graph.compile().invoke(QUESTION)
    assert sorted(request["seed"] for request in model.requests) == [0, 1, 2, 3, 4, 5]
    assert not any("n" in request for request in model.requests)


def test_a_server_that_rejects_n_is_asked_by_calls_for_the_rest_of_the_search():
    refused = httpx.HTTPStatusError("n?", request=httpx.Request("POST", "http://x"), response=httpx.Response(400))
    graph, model = graph_of(SCORES, policy=ScriptedPolicy, policy_settings={"errors": {0: [refused]}}, round_size=4)
    result = result_in(graph.compile().invoke(QUESTION))
    assert [request.get("n", 1) for request in model.requests] == [2, 1, 1, 1, 1, 1, 1]
    assert [candidate.text for candidate in result.candidates] == texts(*SCORES)
    assert not result.failures


def test_a_server_that_gives_fewer_choices_is_asked_for_the_rest():
    graph, model = graph_of(SCORES, policy=ScriptedPolicy, policy_settings={"limit": 3}, first_round=5, max_samples=5)
    result = result_in(graph.compile().invoke(QUESTION))
    assert [candidate.text for candidate in result.candidates] == texts(*SCORES[:5])
    assert [request.get("n", 1) for request in model.requests] == [5, 1, 1]


def test_a_conversation_of_several_questions():
    graph, _ = graph_of(SCORES, max_samples=2)
    compiled = graph.compile(checkpointer=InMemorySaver())
    first = compiled.invoke(QUESTION, thread())
    second = compiled.invoke({"messages": [("human", "And now?")]}, thread())
    assert [message.type for message in second["messages"]] == ["human", "ai", "human", "ai"]
    assert len({message.id for message in second["messages"]}) == 4
    assert len(result_in(second).candidates) == len(result_in(first).candidates) == 2
    assert first["optscale"]["search"]["id"] != second["optscale"]["search"]["id"]


def test_a_new_question_does_not_inherit_an_unfinished_search():
    graph, _ = graph_of(SCORES, target=0.99)
    saver = InMemorySaver()
    graph.compile(checkpointer=saver, interrupt_after=["decide"]).invoke(QUESTION, thread())
    state = graph.compile(checkpointer=saver).invoke({"messages": [("human", "Another thing")]}, thread())
    assert [message.text for message in state["messages"]] == ["How much?", "Another thing", "0.95"]
    assert len(state["optscale"]["rounds"][0]["indexes"]) == 2
    assert state["optscale"]["candidates"][0]["round"] == 0


def test_a_message_id_that_was_given_before_replaces_nothing():
    class Careless(PlainPolicy):
        def _generate(self, *args, **kwargs):
            result = super()._generate(*args, **kwargs)
            result.generations[0].message.id = "chatcmpl-1"
            return result

    graph, _ = graph_of(SCORES, policy=Careless, max_samples=2)
    compiled = graph.compile(checkpointer=InMemorySaver())
    compiled.invoke(QUESTION, thread())
    state = compiled.invoke({"messages": [("human", "And now?")]}, thread())
    assert [message.type for message in state["messages"]] == ["human", "ai", "human", "ai"]


class ParentState(MessagesState):
    optscale: dict[str, Any]


@pytest.mark.parametrize("review", [False, True])
def test_as_a_node_of_another_graph(review):
    node = create_optscale_node(
        policy=PlainPolicy(texts=texts(*SCORES)), verifier=read_score, target=0.9, round_size=2, review=review
    )
    builder = StateGraph(ParentState).add_node("reason", node).add_edge(START, "reason")
    state = builder.compile(checkpointer=InMemorySaver()).invoke(QUESTION, thread())
    assert [message.text for message in state["messages"]] == ["How much?", "0.95"]
    assert result_in(state).score == 0.95


def test_a_node_needs_no_channel_for_the_record():
    node = create_optscale_node(policy=PlainPolicy(texts=texts(*SCORES)), verifier=read_score)
    state = StateGraph(MessagesState).add_node("reason", node).add_edge(START, "reason").compile().invoke(QUESTION)
    assert set(state) == {"messages"}


# Settings of one run


def test_context_changes_settings_and_models():
    graph, model = graph_of(SCORES)
    other = PlainPolicy(texts=["1.0"])
    state = graph.compile().invoke(QUESTION, context={"policy": other, "max_samples": 3})
    assert result_in(state).score == 1.0
    assert not model.requests
    assert len(other.requests) == 2
    state = graph.compile().invoke(QUESTION, context={"target": 0.35})
    assert result_in(state).text == "0.4"


def test_the_config_changes_settings_and_context_has_precedence():
    graph, _ = graph_of(SCORES)
    config = {"configurable": {"max_samples": 1, "thread_id": "x"}}
    assert len(result_in(graph.compile().invoke(QUESTION, config)).candidates) == 1
    assert len(result_in(graph.compile().invoke(QUESTION, config, context={"max_samples": 2})).candidates) == 2


def test_context_names_settings_that_exist():
    assert OptScaleContext.__annotations__.keys() <= SearchSettings.model_fields.keys()


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"tarket": 0.5}, "unknown setting 'tarket' in context"),
        ({"target": 5}, "target: Input should be less than or equal to 1"),
        ({"max_retries": 9}, r"max_retries=9 is above the 3 of the graph"),
        ({"optscale": 3}, "context field optscale must be a mapping"),
    ],
)
def test_bad_context(context, sentence):
    graph, _ = graph_of(SCORES)
    with pytest.raises(SettingsError, match=sentence):
        graph.compile().invoke(QUESTION, context=context)


@dataclass
class AppContext:
    user: str = "someone"
    target: str = "not ours"
    optscale: dict[str, Any] = field(default_factory=dict)


def test_the_context_of_a_parent_graph():
    node = create_optscale_node(policy=PlainPolicy(texts=texts(*SCORES)), verifier=read_score)
    builder = StateGraph(ParentState, context_schema=AppContext).add_node("reason", node).add_edge(START, "reason")
    app = builder.compile()
    assert result_in(app.invoke(QUESTION, context=AppContext())).score == 0.95
    assert result_in(app.invoke(QUESTION, context=AppContext(optscale={"max_samples": 1}))).score == 0.2
    with pytest.raises(SettingsError, match="unknown setting 'size'"):
        app.invoke(QUESTION, context=AppContext(optscale={"size": 1}))
    plain = StateGraph(ParentState, context_schema=dict).add_node("reason", node).add_edge(START, "reason").compile()
    assert result_in(plain.invoke(QUESTION, context={"user": "x", "max_samples": 1})).score == 0.2


# What goes wrong


def transient(count=1):
    return [ConnectionError("gone") for _ in range(count)]


QUICK = RetryPolicy(initial_interval=0.01, max_interval=0.01, jitter=False, max_attempts=3, retry_on=ConnectionError)


def test_a_draw_is_retried_after_a_transient_error():
    graph, model = graph_of(SCORES, policy_settings={"errors": {1: transient(2)}}, retry_policy=QUICK, max_samples=2)
    result = result_in(graph.compile().invoke(QUESTION))
    assert not result.failures
    assert sorted(request["seed"] for request in model.requests) == [0, 1, 1, 1]


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
async def test_a_draw_that_keeps_failing_is_a_failure(policy):
    broken = {"errors": {1: transient(9), 0: transient(9) if policy is ScriptedPolicy else []}}
    graph, _ = graph_of(SCORES, policy=policy, policy_settings=broken, retry_policy=QUICK, max_samples=4)
    result = result_in(await graph.compile().ainvoke(QUESTION))
    assert result.failures[1].stage == "draw"
    assert result.failures[1].error == "ConnectionError: gone"
    assert result.failures[1].attempts == 3
    assert result.text == "0.95"


def test_the_default_policy_backs_off():
    graph, _ = graph_of(SCORES, policy_settings={"errors": {1: transient(1)}}, max_samples=2)
    began = time.monotonic()
    assert not result_in(graph.compile().invoke(QUESTION)).failures
    assert time.monotonic() - began > 0.2


class Shaky(Verifier):
    """Fails for a passing reason the first times that it sees a candidate."""

    def __init__(self, times, error=ConnectionError):
        self.left = dict(times)
        self.calls = []
        self.error = error

    def verify(self, prompt, candidate, config=None):
        self.calls.append(candidate.index)
        if self.left.get(candidate.index, 0):
            self.left[candidate.index] -= 1
            raise self.error("judge is away")
        return Verdict(float(candidate.text), raw=object())


def test_a_transient_error_of_a_verification_does_not_draw_again():
    verifier = Shaky({1: 2})
    graph, model = graph_of(SCORES, verifier=verifier, retry_policy=QUICK, max_samples=2)
    result = result_in(graph.compile().invoke(QUESTION))
    assert sorted(request["seed"] for request in model.requests) == [0, 1]
    assert sorted(verifier.calls) == [0, 1, 1, 1]
    assert set(result.verdicts) == {0, 1}


def test_a_verification_that_keeps_failing_is_a_failure_with_its_candidate():
    graph, model = graph_of(SCORES, verifier=Shaky({0: 99}), retry_policy=QUICK, max_samples=2)
    result = result_in(graph.compile().invoke(QUESTION))
    assert result.failures[0].stage == "verify"
    assert result.failures[0].attempts == 3
    assert len(result.candidates) == 2
    assert len(model.requests) == 2
    assert result.verdicts[1].raw.startswith("<object object")


def test_a_permanent_error_is_not_retried():
    verifier = Shaky({0: 99}, error=ValueError)
    graph, _ = graph_of(SCORES, verifier=verifier, max_samples=2)
    assert result_in(graph.compile().invoke(QUESTION)).failures[0].attempts == 1
    assert verifier.calls.count(0) == 1


def test_nothing_could_be_scored():
    graph, _ = graph_of(SCORES, verifier=Shaky(dict.fromkeys(range(9), 9), error=ValueError), max_samples=3)
    with pytest.raises(AllCandidatesFailed, match="ValueError: judge is away"):
        graph.compile().invoke(QUESTION)


def test_extract_and_empty_answers():
    graph, _ = graph_of(["0.5", "", "0.7"], extract=lambda text: text[-1] if text != "0.5" else 1 / 0, max_samples=3)
    result = result_in(graph.compile().invoke(QUESTION))
    assert {index: failure.stage for index, failure in result.failures.items()} == {0: "verify", 1: "draw"}
    assert result.best.answer == "7"


def test_no_conversation():
    graph, _ = graph_of(SCORES)
    with pytest.raises(SettingsError, match="messages is empty"):
        graph.compile().invoke({"messages": []})


def test_settings_are_checked_when_the_graph_is_built():
    with pytest.raises(SettingsError, match="unknown setting 'tarket'"):
        create_optscale_graph(policy=PlainPolicy(texts=["0"]), verifier=read_score, tarket=1)
    with pytest.raises(SettingsError, match="max_retries and retry_policy"):
        graph_of(SCORES, max_retries=2, retry_policy=QUICK)
    with pytest.raises(SettingsError, match="timeout must be seconds above 0"):
        graph_of(SCORES, timeout=0)


def test_a_cache_that_is_set_after_the_graph_was_built_is_seen():
    graph = create_optscale_graph(policy=RunnableLambda(lambda prompt: "0.5"), verifier=read_score).compile()
    set_llm_cache(InMemoryCache())
    try:
        with pytest.raises(SettingsError, match="a global LLM cache is set"):
            graph.invoke(QUESTION)
    finally:
        set_llm_cache(None)


# Time


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
async def test_an_attempt_beyond_the_timeout_is_cancelled_and_fails(policy):
    graph, model = graph_of(
        SCORES,
        policy=policy,
        policy_settings={"delays": {0: 30.0}},
        timeout=0.2,
        retry_policy=QUICK._replace(max_attempts=1),
        max_samples=4,
        first_round=1,
        round_size=3,
    )
    result = result_in(await graph.compile().ainvoke(QUESTION))
    assert result.failures[0].stage == "draw"
    assert "run timeout of 0.200s" in result.failures[0].error
    assert model.cancelled == [0]
    assert result.text == "0.95"


async def test_a_verification_that_takes_too_long():
    async def slow(prompt, candidate):
        await asyncio.sleep(30 if candidate.text == "0.2" else 0)
        return float(candidate.text)

    graph, _ = graph_of(
        SCORES, policy=ScriptedPolicy, verifier=slow, timeout=0.2, retry_policy=QUICK._replace(max_attempts=1)
    )
    result = result_in(await graph.compile().ainvoke(QUESTION))
    assert result.failures[0].stage == "verify"


def test_a_timeout_needs_the_async_path():
    graph, _ = graph_of(SCORES, timeout=1.0)
    with pytest.raises(SettingsError, match="run this graph by ainvoke or astream"):
        graph.compile().invoke(QUESTION)


async def test_the_deadline_cancels_requests():
    graph, model = graph_of(SCORES, policy_settings={"delays": {2: 30.0, 3: 30.0}}, round_size=2, deadline_s=0.5)
    began = time.monotonic()
    result = result_in(await graph.compile().ainvoke(QUESTION))
    assert time.monotonic() - began < 5
    assert result.stop_reason is StopReason.DEADLINE
    assert result.text == "0.4"
    assert sorted(model.cancelled) == [2, 3]
    assert result.duration_s >= 0.5


def test_on_the_sync_path_the_deadline_counts_between_rounds():
    graph, _ = graph_of(SCORES, policy_settings={"delays": {2: 0.4}}, round_size=2, deadline_s=0.3, target=1.0)
    result = result_in(graph.compile().invoke(QUESTION))
    assert result.stop_reason is StopReason.DEADLINE
    assert len(result.candidates) == 4


async def test_cancelling_the_run_cancels_requests():
    graph, model = graph_of(SCORES, policy_settings={"delays": {0: 30.0, 1: 30.0}})
    run = asyncio.create_task(graph.compile().ainvoke(QUESTION))
    await asyncio.sleep(0.2)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(model.cancelled) == [0, 1]


async def test_a_library_that_cancels_its_own_task_is_a_failure():
    async def treacherous(prompt, candidate):
        if candidate.text == "0.2":
            raise asyncio.CancelledError
        return float(candidate.text)

    graph, _ = graph_of(SCORES, verifier=treacherous, retry_policy=QUICK, max_samples=2)
    result = result_in(await graph.compile().ainvoke(QUESTION))
    assert result.failures[0].error == "TimeoutError: the request was cancelled by a library that it calls"


# Supersteps


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_the_default_limit_is_enough_for_the_longest_search(policy):
    flaky = Shaky(dict.fromkeys(range(20), 1))
    graph, _ = graph_of(
        [0.1] * 20, policy=policy, verifier=flaky, retry_policy=QUICK, max_samples=20, round_size=1, target=1.0
    )
    compiled = graph.compile()
    assert compiled.config["recursion_limit"] == supersteps(graph.settings)
    assert len(result_in(compiled.invoke(QUESTION)).candidates) == 20


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_a_limit_that_is_too_small_says_what_to_do_and_loses_nothing(policy):
    graph, model = graph_of(SCORES + [0.1] * 10, policy=policy, stopping=MaxSamples(16), round_size=2)
    compiled = graph.compile(checkpointer=InMemorySaver())
    with pytest.raises(
        GraphRecursionError, match=r"recursion_limit=9 is too small for round [23].*'recursion_limit': 7"
    ):
        compiled.invoke(QUESTION, thread(recursion_limit=9))
    drawn = len(model.requests)
    result = result_in(compiled.invoke(None, thread()))
    assert len(result.candidates) == 16
    assert len(model.requests) == (16 if policy is PlainPolicy else 8) > drawn


@pytest.mark.parametrize("limit", range(1, 30))
def test_our_error_always_comes_before_langgraphs(limit):
    graph, _ = graph_of(SCORES, stopping=MaxSamples(6), round_size=1)
    try:
        state = graph.compile().invoke(QUESTION, {"recursion_limit": limit})
    except GraphRecursionError as error:
        assert "is too small" in str(error)  # noqa: PT017
        assert limit < 1 + 5 * 3 + 1  # LangGraph counts the start as well
    else:
        assert len(result_in(state).candidates) == 6


def test_the_limit_of_a_parent_graph_is_respected():
    node = create_optscale_node(policy=PlainPolicy(texts=texts(*SCORES)), verifier=read_score, target=1.0)
    app = StateGraph(MessagesState).add_node("reason", node).add_edge(START, "reason").compile()
    with pytest.raises(GraphRecursionError, match="recursion_limit=6 is too small"):
        app.invoke(QUESTION, {"recursion_limit": 6})


# Tracing


def test_a_trace_shows_every_candidate_and_every_verdict(caplog):
    from langchain_core.callbacks import BaseCallbackHandler

    class Seen(BaseCallbackHandler):
        def __init__(self):
            self.tags = []

        def on_chat_model_start(self, serialized, messages, *, tags=None, **kwargs):
            self.tags += [tag for tag in tags or [] if tag.startswith("optscale:")]

        def on_chain_start(self, serialized, inputs, *, tags=None, name=None, metadata=None, **kwargs):
            verdicts = [tag for tag in tags or [] if tag.startswith("optscale:verdict")]
            self.tags += [f"{name} {tag} by {metadata['verifier']}" for tag in verdicts]

    seen = Seen()
    graph, _ = graph_of(SCORES, max_samples=2, verifier=Shaky({}))
    graph.compile().invoke(QUESTION, {"callbacks": [seen]})
    assert sorted(seen.tags) == [
        "optscale:candidate:0",
        "optscale:candidate:1",
        "optscale:verdict:0 optscale:verdict:0 by Shaky",
        "optscale:verdict:1 optscale:verdict:1 by Shaky",
    ]


def test_a_custom_rule():
    graph, _ = graph_of(SCORES, stopping=TargetReached(0.39) | MaxSamples(4))
    result = result_in(graph.compile().invoke(QUESTION))
    assert result.text == "0.4"
    same = OptScale(policy=PlainPolicy(texts=texts(*SCORES)), verifier=read_score, stopping=MaxSamples(4))
    graph, _ = graph_of(SCORES, stopping=MaxSamples(4))
    assert result_in(graph.compile().invoke(QUESTION)).decision == same.invoke("q", {"max_concurrency": 1}).decision


def test_reducer_annotation_reaches_the_schema():
    graph, _ = graph_of(SCORES)
    schema = graph.compile().get_input_jsonschema()
    assert set(schema["properties"]) == {"messages"}
    assert set(graph.compile().get_output_jsonschema()["properties"]) == {"messages", "optscale"}
    assert "target" in graph.compile().get_context_jsonschema()["properties"]


def test_messages_of_any_kind_go_through():
    class Caller(PlainPolicy):
        def _answer(self, kwargs):
            result = super()._answer(kwargs)
            result.generations[0].message = AIMessage(
                "", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}]
            )
            return result

    graph, _ = graph_of(SCORES, policy=Caller, verifier=lambda prompt, candidate: 0.95, max_samples=1)
    compiled = graph.compile(checkpointer=InMemorySaver())
    state = compiled.invoke(QUESTION, thread())
    assert state["messages"][-1].tool_calls[0]["args"] == {"a": 1}
    assert result_in(compiled.get_state(thread()).values).message.tool_calls[0]["name"] == "add"
