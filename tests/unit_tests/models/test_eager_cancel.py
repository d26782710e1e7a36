"""Streams: progress while candidates are drawn, then the chosen message, and never a word of another model."""

import asyncio

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_optscale import ChatOptScale, OptScale
from tests.unit_tests.fakes import ScriptedPolicy, read_score
from tests.unit_tests.records.test_tool_calls import ToolPolicy, calling

LOSER, WINNER = "0.1 a loser", "0.95 the winner"
PROMPT = ChatPromptTemplate.from_template("Is this good, {prompt}: {candidate}")


def judging():
    """A verifier whose model streams wherever it is let to."""
    judge = GenericFakeChatModel(messages=iter(lambda: AIMessage("secret thoughts of a judge"), None))
    say = lambda text: 0.95 if text else 0.0  # noqa: E731

    def score(inputs):
        return float(inputs["candidate"].split()[0]) if (PROMPT | judge | StrOutputParser() | say).invoke(inputs) else 0

    from langchain_core.runnables import RunnableLambda

    return RunnableLambda(score, name="judge")


def model(**kwargs):
    policy = ScriptedPolicy(texts=[LOSER, WINNER])
    return ChatOptScale(policy=policy, verifier=judging(), **{"target": 0.9, "first_round": 2} | kwargs)


def total(chunks):
    result = chunks[0]
    for chunk in chunks[1:]:
        result = result + chunk
    return result


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_the_winner_comes_in_chunks(path):
    chunks = list(model().stream("q")) if path == "sync" else [chunk async for chunk in model().astream("q")]
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert [chunk.content for chunk in chunks] == ["0.95 ", "the ", "winner", ""]
    full = total(chunks)
    assert full.usage_metadata["total_tokens"] == 20
    assert full.response_metadata["optscale"]["best"] == 1
    assert full.response_metadata["model_name"] == "optscale/ScriptedPolicy"
    assert full.id


def test_tool_calls_stream_as_chunks():
    call = calling(("f", {"city": "Paris"}), ("g", {}))
    chat = ChatOptScale(policy=ToolPolicy(messages=[call]), verifier=lambda p, c: 1.0, max_samples=1)
    chunks = list(chat.stream("q"))
    assert [chunk["name"] for item in chunks for chunk in item.tool_call_chunks] == ["f", "g"]
    assert total(chunks).tool_calls == call.tool_calls


@pytest.mark.filterwarnings("ignore:astream_events version='v1'")
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_events_show_progress_and_only_the_winners_words(version):
    events = [event async for event in model().astream_events("q", version=version)]
    words = [event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(words) == WINNER
    assert {event["run_id"] for event in events if event["event"] == "on_chat_model_stream"} == {events[0]["run_id"]}
    if version == "v2":  # version 1 has no custom events
        progress = [event["name"] for event in events if event["event"] == "on_custom_event"]
        assert progress[0] == "optscale:round"
        assert progress.count("optscale:candidate") == 2
        assert progress.count("optscale:verdict") in {1, 2}  # the winner's may end the search before the other's
        assert progress[-1] == "optscale:answer"
        kinds = [event["event"] for event in events]
        assert kinds.index("on_custom_event") < kinds.index("on_chat_model_stream")


async def test_a_runnable_search_does_not_leak_either():
    search = OptScale(policy=ScriptedPolicy(texts=[LOSER, WINNER]), verifier=judging(), first_round=2)
    events = [event async for event in search.astream_events("q", version="v2")]
    assert not [event for event in events if event["event"] == "on_chat_model_stream"]
    assert "optscale:verdict" in [event["name"] for event in events]


async def test_a_chain_as_the_policy_does_not_leak():
    texts = iter([LOSER, WINNER] * 9)
    policy = PROMPT.partial(candidate="c") | GenericFakeChatModel(messages=iter(lambda: AIMessage(next(texts)), None))
    chain = (lambda messages: {"prompt": messages.to_string()}) | policy
    chat = ChatOptScale(policy=chain, verifier=lambda p, c: float(c.text.split()[0]), first_round=2)
    events = [event async for event in chat.astream_events("q", version="v2")]
    words = [event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(words) == WINNER


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_events_of_version_three():
    config = {"configurable": {"max_samples": 1, "first_round": 1}}
    stream = model(target=1.0).stream_events("q", version="v3")
    assert "".join(stream.text) == WINNER
    assert stream.output.usage_metadata["total_tokens"] > 20
    message = model(target=1.0).stream_events("q", config, version="v3").output
    assert (message.text, message.response_metadata["optscale"]["n"]) == (LOSER, 1)
    stream = await model(target=1.0).astream_events("q", config, version="v3")
    assert (await stream.output).response_metadata["optscale"]["n"] == 1


class Progress(BaseCallbackHandler):
    def __init__(self):
        self.seen = []

    def on_custom_event(self, name, data, **kwargs):
        self.seen.append(name.removeprefix("optscale:"))


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_progress_of_version_three_comes_to_callbacks(path):
    """The protocol of a chat model's stream has no place for it."""
    watch = Progress()
    config = {"callbacks": [watch], "configurable": {"max_samples": 1, "first_round": 1}}
    if path == "sync":
        parts = list(model().stream_events("q", config, version="v3"))
    else:
        parts = [part async for part in await model().astream_events("q", config, version="v3")]
    assert watch.seen == ["round", "candidate", "verdict", "answer"]
    assert {part["event"].partition("-")[0] for part in parts} == {"message", "content"}


class Tokens(BaseCallbackHandler):
    def __init__(self):
        self.tokens = []

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


def test_a_handler_hears_the_winner_where_it_streams():
    listening = Tokens()
    for _ in model().stream("q", {"callbacks": [listening]}):
        pass
    assert "".join(listening.tokens) == WINNER
    silent = Tokens()
    model().invoke("q", {"callbacks": [silent]})
    assert silent.tokens == []
    model(streaming=True).invoke("q", {"callbacks": [silent]})
    assert "".join(silent.tokens) == WINNER
    off = Tokens()
    (whole,) = list(model(disable_streaming=True).stream("q", {"callbacks": [off]}))
    assert (whole.content, off.tokens) == (WINNER, [])


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_langgraph_streams_the_winner_alone(path):
    from langgraph.graph import START, MessagesState, StateGraph

    chat = model()

    def node(state):
        return {"messages": [chat.invoke(state["messages"])]}

    async def anode(state, config):
        return {"messages": [await chat.ainvoke(state["messages"], config)]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", node if path == "sync" else anode)
    graph.add_edge(START, "answer")
    compiled = graph.compile()
    question = {"messages": [HumanMessage("q")]}
    if path == "sync":
        parts = list(compiled.stream(question, stream_mode="messages"))
    else:
        parts = [part async for part in compiled.astream(question, stream_mode="messages")]
    assert "".join(message.content for message, _ in parts) == WINNER
    assert len({message.id for message, _ in parts}) == 1


async def test_a_cancelled_stream_cancels_what_is_under_way():
    policy = ScriptedPolicy(texts=[LOSER], delays={0: 30.0})
    chat = ChatOptScale(policy=policy, verifier=read_score)

    async def consume():
        async for _ in chat.astream("q"):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert policy.cancelled == [0]
