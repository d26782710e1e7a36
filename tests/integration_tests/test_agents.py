"""Agents of LangChain with the searching model and with the middleware, against a real server that counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from langchain_optscale import (
    AllCandidatesFailed,
    ChatOptScale,
    OptScaleMiddleware,
    OptScaleResult,
    SettingsError,
    create_optscale_tool,
)
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import ToolCallAgreement, ToolCallCheck
from tests.integration_tests.openai_server import openai_server
from tests.unit_tests.verifiers.llm_judge.judges import PlainJudge, grade_line, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration_tests.openai_server import Service

QUESTION = {"messages": [HumanMessage("What is the weather in 'Rome'?")]}
RIGHT = 2
"""The number of the candidate, in a request, whose call is right."""


@pytest.fixture
def executed() -> list[str]:
    return []


@pytest.fixture
def weather(executed: list[str]) -> Any:
    @tool
    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        executed.append(city)
        return "It's sunny."

    return get_weather


def author(payload: dict[str, Any], number: int) -> dict[str, Any] | None:
    """Candidate s + j of a request with seed s: the right city where that is `RIGHT`, a wrong one otherwise."""
    asked = payload["messages"][-1]
    text = asked["content"] if isinstance(asked["content"], str) else json.dumps(asked["content"])
    if payload["model"] == "broken" or "boom" in text:
        raise ConnectionAbortedError("the server closed the connection")
    place = (payload.get("seed") or 0) + number
    if asked["role"] == "tool":
        return {"content": "It is sunny." if place == RIGHT else f"No idea {place}."}
    if not payload.get("tools"):
        return {"content": "A summary."}
    city = "Rome" if place == RIGHT else f"Town {place}"
    call = {"name": payload["tools"][0]["function"]["name"], "arguments": json.dumps({"city": city})}
    return {"content": None, "tool_calls": [{"id": f"call_{place}", "type": "function", "function": call}]}


class _Choices:
    """Numbers the choices within each request, where the server numbers them over all requests."""

    def __init__(self) -> None:
        self.first: dict[int, int] = {}

    def __call__(self, payload: dict[str, Any], number: int) -> dict[str, Any] | None:
        first = self.first.setdefault(id(payload), number)
        return author(payload, number - first)


@pytest.fixture
def service() -> Iterator[Service]:
    with openai_server(_Choices()) as running:
        yield running


def policy(service: Service, model: str = "scripted-1") -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=service.base_url, api_key="test", seed=0, max_retries=0)  # type: ignore[arg-type]


def right(prompt: Any, candidate: Any) -> float:
    calls = candidate.message.tool_calls
    good = calls[0]["args"].get("city") == "Rome" if calls else candidate.text == "It is sunny."
    return 1.0 if good else 0.3


def searched(**settings: Any) -> OptScaleMiddleware:
    return OptScaleMiddleware(**({"verifier": right, "max_samples": 6, "first_round": 4} | settings))


def choices(service: Service) -> list[int]:
    return [request.get("n") or 1 for request in service.requests]


async def run(agent: Any, path: str, value: Any = QUESTION, config: Any = None) -> list[Any]:
    out = agent.invoke(value, config) if path == "sync" else await agent.ainvoke(value, config)
    assert "optscale_tokens" not in out
    messages: list[Any] = out["messages"]
    return messages


# --- a step is the best of its candidates, and only that is executed ---


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("fanout", ["n", "calls"])
async def test_only_the_best_step_is_executed(
    service: Service, weather: Any, executed: list[str], path: str, fanout: str
) -> None:
    agent = create_agent(policy(service), [weather], middleware=[searched(fanout=fanout)])
    _, step, result, final = await run(agent, path)
    assert executed == ["Rome"]
    assert step.tool_calls[0]["args"] == {"city": "Rome"}
    assert (result.content, final.text) == ("It's sunny.", "It is sunny.")
    if fanout == "n":
        assert choices(service) == [4, 4]
        assert step.response_metadata["optscale"]["n"] >= 3
    assert step.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_chat_optscale_as_the_agents_model(
    service: Service, weather: Any, executed: list[str], path: str
) -> None:
    model = ChatOptScale(policy=policy(service), verifier=right, max_samples=6, first_round=4)
    messages = await run(create_agent(model, [weather]), path)
    assert (executed, messages[-1].text) == (["Rome"], "It is sunny.")


def test_requests_are_bound_as_the_agent_binds_them(service: Service, weather: Any) -> None:
    bare, ours = (
        create_agent(policy(service), [weather], system_prompt="Be kind."),
        create_agent(policy(service), [weather], system_prompt="Be kind.", middleware=[searched()]),
    )
    bare.invoke(QUESTION)
    theirs = service.requests[0]
    service.requests.clear()
    ours.invoke(QUESTION)
    assert {key: value for key, value in service.requests[0].items() if key != "n"} == theirs


class Report(BaseModel):
    """The weather."""

    city: str


def test_structured_output_of_the_agent(service: Service) -> None:
    agent = create_agent(
        policy(service), response_format=ToolStrategy(Report), middleware=[searched(when="final_answers")]
    )
    assert agent.invoke(QUESTION)["structured_response"] == Report(city="Rome")


def test_structured_output_is_asked_for_as_of_the_bare_model(service: Service) -> None:
    # By its name: gpt-4.1 supports JSON schemas.
    asked = []
    for middleware in ([], [searched(max_samples=1, first_round=1)]):
        agent = create_agent(policy(service, "gpt-4.1"), response_format=Report, middleware=middleware)
        with pytest.raises(Exception, match="structured"):
            agent.invoke(QUESTION)
        asked.append(service.requests[-1]["response_format"]["type"])
    assert asked == ["json_schema", "json_schema"]


class TestAgentLoop(ChatModelIntegrationTests):
    """LangChain's own agent loop, on the model that the middleware puts in the agent's place, and on ours."""

    @property
    def chat_model_class(self) -> Any:
        return ChatOptScale

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"policy": self.policy, "verifier": lambda p, c: 1.0, "max_samples": 4}

    policy: ChatOpenAI

    @pytest.fixture(autouse=True)
    def _served(self) -> Iterator[None]:
        with openai_server() as running:
            type(self).policy = policy(running)
            yield

    @pytest.mark.parametrize("kind", ["model", "middleware"])
    @pytest.mark.parametrize("path", ["sync", "async"])
    async def test_agent(self, kind: str, path: str) -> None:
        # The question and the tool of the standard test, in `create_agent`.
        @tool
        def get_weather(location: str) -> str:
            """Get the weather at a location."""
            return "It's sunny."

        question = {"messages": [HumanMessage("What is the weather in San Francisco, CA?")]}
        if kind == "model":
            agent = create_agent(ChatOptScale(**self.chat_model_params), [get_weather])
        else:
            middleware = [OptScaleMiddleware(verifier=lambda p, c: 1.0, max_samples=4)]
            agent = create_agent(self.policy, [get_weather], middleware=middleware)
        messages = await run(agent, path, question)
        assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
        assert any(block["type"] == "tool_call" for block in messages[1].content_blocks)
        assert len(messages[1].tool_calls) == 1


# Of the standard suite the agent loop alone; the rest of it runs in test_standard.
for _name in [
    name for name in dir(ChatModelIntegrationTests) if name.startswith("test_") and name != "test_agent_loop"
]:
    setattr(TestAgentLoop, _name, None)


# --- streams ---


def agents(service: Service, weather: Any, kind: str) -> Any:
    if kind == "model":
        model = ChatOptScale(policy=policy(service), verifier=right, max_samples=6, first_round=4)
        return create_agent(model, [weather])
    return create_agent(
        policy(service), [weather], middleware=[searched(when=kind) if kind != "middleware" else searched()]
    )


KINDS = ["model", "middleware", "tool_calls"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_messages_show_one_message_a_step(service: Service, weather: Any, kind: str, path: str) -> None:
    agent = agents(service, weather, kind)
    if path == "sync":
        parts = [message for message, _ in agent.stream(QUESTION, stream_mode="messages")]
    else:
        parts = [message async for message, _ in agent.astream(QUESTION, stream_mode="messages")]
    said = [message for message in parts if not isinstance(message, ToolMessage)]
    assert all(isinstance(message, AIMessageChunk) for message in said)
    assert len(dict.fromkeys(message.id for message in said)) == 2
    assert [message.id for message in said] == sorted((message.id for message in said), key=lambda i: i != said[0].id)
    last = [message for message in said if message.id == said[-1].id]
    assert "".join(str(message.content) for message in last) == (
        "No idea 0." if kind == "tool_calls" else "It is sunny."
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_events_show_one_message_a_step(service: Service, weather: Any, kind: str) -> None:
    events = [event async for event in agents(service, weather, kind).astream_events(QUESTION, version="v2")]
    for what in ("on_chat_model_start", "on_chat_model_end"):
        assert len([event for event in events if event["event"] == what]) == 2
    streamed = {event["run_id"] for event in events if event["event"] == "on_chat_model_stream"}
    assert len(streamed) == 2
    assert "optscale:verdict" in {event["name"] for event in events if event["event"] == "on_custom_event"}


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_events_of_version_three_show_one_message_a_step(service: Service, weather: Any, kind: str) -> None:
    stream = agents(service, weather, kind).stream_events(QUESTION, version="v3")
    said = ["".join(message.text) for message in stream.messages]
    assert len(said) == 2
    assert said[1] == ("No idea 0." if kind == "tool_calls" else "It is sunny.")


class Seen(BaseCallbackHandler):
    """A tracer of sorts: every run of a chat model."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, name: str = "", **kwargs: Any) -> None:
        self.names.append(name)


def test_traces_show_what_streams_do_not(service: Service, weather: Any) -> None:
    seen = Seen()
    agents(service, weather, "middleware").invoke(QUESTION, {"callbacks": [seen]})
    assert seen.names.count("optscale:request") == 2
    assert len(seen.names) == 4


# --- when ---


def test_only_tool_calls(service: Service, weather: Any, executed: list[str]) -> None:
    middleware = searched(when="tool_calls", first_round=2, round_cost=100.0)
    agent = create_agent(policy(service), [weather], middleware=[middleware])
    final = agent.invoke(QUESTION)["messages"][-1]
    assert (executed, final.text) == (["Rome"], "No idea 0.")
    # The first candidate is drawn once and counts: one of the first round's two is asked for, then the rest.
    assert choices(service) == [1, 1, 4, 1]
    assert "optscale" not in final.response_metadata


def test_only_final_answers(service: Service, weather: Any, executed: list[str]) -> None:
    agent = create_agent(policy(service), [weather], middleware=[searched(when="final_answers", first_round=4)])
    final = agent.invoke(QUESTION)["messages"][-1]
    assert (executed, final.text) == (["Town 0"], "It is sunny.")
    assert choices(service) == [1, 1, 3]
    assert [request["seed"] for request in service.requests] == [0, 0, 1]
    assert final.response_metadata["optscale"]["best"] == RIGHT


@pytest.mark.parametrize(("threshold", "cities"), [(0.2, ["Town 0"]), (0.5, ["Rome"])])
def test_only_where_the_first_scores_below(
    service: Service, weather: Any, executed: list[str], threshold: float, cities: list[str]
) -> None:
    agent = create_agent(policy(service), [weather], middleware=[searched(when=threshold)])
    agent.invoke(QUESTION)
    assert executed == cities
    assert service.requests[0].get("n") is None


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_a_function_decides(service: Service, weather: Any, executed: list[str], path: str) -> None:
    late = searched(when=lambda request: len(request.messages) > 1)
    messages = await run(create_agent(policy(service), [weather], middleware=[late]), path)
    assert (executed, messages[-1].text) == (["Town 0"], "It is sunny.")
    executed.clear()
    wrong = searched(when=lambda request, first: "Town" in str(first.tool_calls))
    messages = await run(create_agent(policy(service), [weather], middleware=[wrong]), path)
    assert (executed, messages[-1].text) == (["Rome"], "No idea 0.")


# --- the budget of a run ---


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_a_run_spends_its_budget_and_goes_on_plainly(
    service: Service, weather: Any, executed: list[str], path: str
) -> None:
    saver = InMemorySaver()
    agent = create_agent(policy(service), [weather], middleware=[searched(run_token_budget=100)], checkpointer=saver)
    config = {"configurable": {"thread_id": "1"}}
    _, step, _, final = await run(agent, path, config=config)
    spent = agent.get_state(config).values["optscale_tokens"]
    assert (executed, final.text) == (["Rome"], "No idea 0.")
    assert step.usage_metadata["total_tokens"] + final.usage_metadata["total_tokens"] == spent > 100
    assert choices(service) == [4, 1]
    # A new run of the same thread has its whole budget again.
    await run(agent, path, config=config)
    assert choices(service) == [4, 1, 4, 1]


def test_the_caller_cannot_raise_the_budget_of_a_run(service: Service, weather: Any) -> None:
    agent = create_agent(policy(service), [weather], middleware=[searched(run_token_budget=60, first_round=1)])
    message = agent.invoke(QUESTION, {"configurable": {"token_budget": 10**6}})["messages"][1]
    assert message.response_metadata["optscale"]["stop_reason"] == "TOKEN_BUDGET"


def test_a_call_changes_settings_for_its_run(service: Service, weather: Any) -> None:
    agent = create_agent(policy(service), [weather], middleware=[searched()])
    message = agent.invoke(QUESTION, {"configurable": {"max_samples": 1, "first_round": 1}})["messages"][1]
    assert message.response_metadata["optscale"]["drawn"] == 1


# --- together with other middleware, in either order ---


def in_order(order: str, other: AgentMiddleware[Any, Any, Any]) -> list[Any]:
    return [other, searched()] if order == "outside" else [searched(), other]


BOTH = pytest.mark.parametrize("order", ["outside", "inside"])


@BOTH
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_with_retry(weather: Any, executed: list[str], order: str, path: str) -> None:
    failures = iter([True])

    def flaky(payload: dict[str, Any], number: int) -> dict[str, Any] | None:
        if next(failures, False):
            raise ConnectionAbortedError
        return author(payload, number)

    numbered = _Choices()
    with openai_server(lambda payload, n: flaky(payload, n) and numbered(payload, n)) as service:
        other = ModelRetryMiddleware(max_retries=2, initial_delay=0.01, on_failure="error")
        settings = {"max_retries": 0, "max_failures": 1}
        ours = searched(**settings)
        middleware = [other, ours] if order == "outside" else [ours, other]
        messages = await run(create_agent(policy(service), [weather], middleware=middleware), path)
    assert (executed, messages[-1].text) == (["Rome"], "It is sunny.")


@BOTH
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_with_fallback(service: Service, weather: Any, executed: list[str], order: str, path: str) -> None:
    ours = searched(max_retries=0, run_token_budget=10_000)
    other = ModelFallbackMiddleware(policy(service))
    middleware = [other, ours] if order == "outside" else [ours, other]
    messages = await run(create_agent(policy(service, "broken"), [weather], middleware=middleware), path)
    # Outside, the other model is searched; inside, it answers once.
    assert executed == (["Rome"] if order == "outside" else ["Town 0"])
    assert messages[-1].text == ("It is sunny." if order == "outside" else "No idea 0.")


@BOTH
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_with_summarisation(service: Service, weather: Any, executed: list[str], order: str, path: str) -> None:
    other = SummarizationMiddleware(policy(service), trigger=("messages", 3), keep=("messages", 1))
    long = {"messages": [HumanMessage("Hello."), AIMessage("Hi."), *QUESTION["messages"]]}
    messages = await run(create_agent(policy(service), [weather], middleware=in_order(order, other)), path, long)
    assert executed == ["Rome"]
    assert messages[-1].text == "It is sunny."
    assert "A summary." in str(messages[0].content)


@BOTH
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_human_review_does_not_draw_again(
    service: Service, weather: Any, executed: list[str], order: str, path: str
) -> None:
    other = HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})
    saver = InMemorySaver()

    def agent() -> Any:
        return create_agent(policy(service), [weather], middleware=in_order(order, other), checkpointer=saver)

    config = {"configurable": {"thread_id": "1"}}
    paused = agent().invoke(QUESTION, config) if path == "sync" else await agent().ainvoke(QUESTION, config)
    [interrupt] = paused["__interrupt__"]
    assert interrupt.value["action_requests"][0]["args"] == {"city": "Rome"}
    assert (executed, choices(service)) == ([], [4])
    answer = Command(resume={"decisions": [{"type": "approve"}]})
    # Another process would have another agent on the same checkpoints.
    messages = await run(agent(), path, answer, config)
    assert (executed, messages[-1].text) == (["Rome"], "It is sunny.")
    # One request for the step before the pause, one for the step after it.
    assert choices(service) == [4, 4]


@BOTH
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_an_edited_call_is_executed_as_edited(
    service: Service, weather: Any, executed: list[str], order: str, path: str
) -> None:
    other = HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})
    middleware = in_order(order, other)
    agent = create_agent(policy(service), [weather], middleware=middleware, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    await run(agent, path, config=config)
    edited = {"name": "get_weather", "args": {"city": "Oslo"}}
    await run(agent, path, Command(resume={"decisions": [{"type": "edit", "edited_action": edited}]}), config)
    assert (executed, choices(service)) == (["Oslo"], [4, 4])


@BOTH
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_with_a_limit_on_tool_calls(
    service: Service, weather: Any, executed: list[str], order: str, path: str
) -> None:
    other = ToolCallLimitMiddleware(run_limit=1, exit_behavior="continue")
    agent = create_agent(policy(service), [weather], middleware=in_order(order, other))
    assert (await run(agent, path))[-1].text == "It is sunny."
    # The candidates that were not chosen count for nothing.
    assert executed == ["Rome"]


# --- errors, verifiers of calls, and the tool ---


def test_a_step_without_a_single_candidate_is_an_error(service: Service, weather: Any) -> None:
    agent = create_agent(policy(service, "broken"), [weather], middleware=[searched(max_retries=0)])
    with pytest.raises(AllCandidatesFailed):
        agent.invoke(QUESTION)


def test_a_model_that_searches_by_itself_is_refused(service: Service, weather: Any) -> None:
    model = ChatOptScale(policy=policy(service), verifier=right)
    with pytest.raises(SettingsError, match="searches by itself"):
        create_agent(model, [weather], middleware=[searched()]).invoke(QUESTION)


def test_checks_know_the_agents_tools(service: Service, weather: Any, executed: list[str]) -> None:
    agent = create_agent(policy(service), [weather], middleware=[searched(verifier=ToolCallCheck(), target=1.0)])
    step = agent.invoke(QUESTION)["messages"][1]
    assert set(step.response_metadata["optscale"]["scores"]) == {1.0}
    assert len(executed) == 1


@pytest.mark.parametrize("bound", [False, True])
def test_a_chat_model_judges_steps_and_sees_the_tools(
    service: Service, weather: Any, executed: list[str], bound: bool
) -> None:
    asked: list[str] = []

    def reply(messages: list[Any]) -> str:
        asked.append(text_of(messages[-1]))
        good = '{"city": "Rome"}' in asked[-1].rpartition("<<<ANSWER")[2] or "\nIt is sunny." in asked[-1]
        return grade_line(messages, 10 if good else 3)

    judge: Any = PlainJudge(reply=reply)
    ours = searched(verifier=judge.bind(stop=["END"]) if bound else judge)
    assert create_agent(policy(service), [weather], middleware=[ours]).invoke(QUESTION)["messages"][-1].text
    assert executed == ["Rome"]
    assert all("TOOLS ON OFFER" in text for text in asked)


def test_agreement_needs_no_other_setting(weather: Any, executed: list[str]) -> None:
    def mostly(payload: dict[str, Any], number: int) -> dict[str, Any] | None:
        """The first candidate is wrong, all others agree on the right city."""
        wrong = number == 0
        return author({**payload, "seed": 0}, 0 if wrong else RIGHT)

    with openai_server(mostly) as service:
        rule = TargetReached(0.7) | MaxSamples(8)
        ours = OptScaleMiddleware(verifier=ToolCallAgreement(), when="tool_calls", stopping=rule)
        create_agent(policy(service), [weather], middleware=[ours]).invoke(QUESTION)
    assert executed == ["Rome"]


def test_the_tool_in_an_agent_with_checkpoints(service: Service) -> None:
    def answer(prompt: Any, candidate: Any) -> float:
        return 1.0 if candidate.text == "A summary." else 0.0

    one = create_optscale_tool(policy=policy(service), verifier=answer, max_samples=2)

    def asks(payload: dict[str, Any], number: int) -> dict[str, Any]:
        if payload["messages"][-1]["role"] == "tool":
            return {"content": "Thanks."}
        function = {"name": "reason_carefully", "arguments": json.dumps({"question": "Why?", "effort": "low"})}
        return {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}

    with openai_server(asks) as other:
        agent = create_agent(policy(other), [one], checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "1"}}
        agent.invoke(QUESTION, config)
        message = agent.get_state(config).values["messages"][2]
    assert message.status == "success"
    assert message.content.startswith("A summary.\n\n[reason_carefully: score 1.00")
    # What a checkpoint keeps is the JSON form of the whole record.
    assert OptScaleResult.from_dict(message.artifact).score == 1.0
