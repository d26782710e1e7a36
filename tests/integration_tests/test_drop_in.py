"""The same chain with the bare policy and with a search around it: the same types, the same behaviour."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser, StrOutputParser
from langchain_core.output_parsers.openai_tools import PydanticToolsParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_optscale import ChatOptScale
from tests.integration_tests.openai_server import openai_server

# What langchain-openai warns of when it streams a pydantic answer by itself.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Be brief."), ("human", "Tell me of {topic} in JSON with 'name'.")]
)
TOPICS = [{"topic": "cats"}, {"topic": "dogs"}, {"topic": "owls"}]


class Named(BaseModel):
    """A name."""

    name: str


@pytest.fixture(scope="module")
def service():
    with openai_server() as running:
        yield running


@pytest.fixture(params=["bare", "n", "calls"])
def model(request, service):
    policy = ChatOpenAI(model="scripted-1", base_url=service.base_url, api_key="test", max_retries=0)
    if request.param == "bare":
        return policy
    return ChatOptScale(policy=policy, verifier=lambda p, c: 0.5, max_samples=3, fanout=request.param)


JSON = {"response_format": {"type": "json_object"}}
CHAINS = {
    "message": (lambda model: PROMPT | model, AIMessage, AIMessageChunk),
    "text": (lambda model: PROMPT | model | StrOutputParser(), str, str),
    "json": (lambda model: PROMPT | model.bind(**JSON) | JsonOutputParser(), dict, dict),
    "pydantic": (lambda model: PROMPT | model.bind(**JSON) | PydanticOutputParser(pydantic_object=Named), Named, Named),
    "tools": (
        lambda model: PROMPT | model.bind_tools([Named]) | PydanticToolsParser(tools=[Named], first_tool_only=True),
        Named,
        Named,
    ),
    "structured": (lambda model: PROMPT | model.with_structured_output(Named), Named, Named),
    "raw": (lambda model: PROMPT | model.with_structured_output(Named, include_raw=True), dict, dict),
    "function": (lambda model: PROMPT | model | (lambda message: len(message.text)), int, int),
}


@pytest.fixture(params=CHAINS)
def case(request, model):
    make, whole, part = CHAINS[request.param]
    return SimpleNamespace(name=request.param, chain=make(model), whole=whole, part=part)


async def test_the_same_types_whichever_way_it_is_called(case):
    assert isinstance(case.chain.invoke(TOPICS[0]), case.whole)
    assert isinstance(await case.chain.ainvoke(TOPICS[0]), case.whole)
    for parts in (list(case.chain.stream(TOPICS[0])), [part async for part in case.chain.astream(TOPICS[0])]):
        assert parts
        assert all(isinstance(part, case.part) for part in parts)
    batches = [case.chain.batch(TOPICS), await case.chain.abatch(TOPICS, {"max_concurrency": 2})]
    assert [[isinstance(item, case.whole) for item in batch] for batch in batches] == [[True] * 3] * 2
    completed = dict(case.chain.batch_as_completed(TOPICS))
    assert sorted(completed) == [0, 1, 2]


async def test_streamed_parts_add_up(model):
    for chain in (PROMPT | model, PROMPT | model | StrOutputParser()):
        parts = [part async for part in chain.astream(TOPICS[0])]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        assert len(parts) > 2
        assert (total if isinstance(total, str) else total.text) in {
            "Hello to you and you!",
            "Good day.",
            "Hi there, how can I help you?",
        }
    assert [part.usage_metadata is not None for part in parts[:-1] if not isinstance(part, str)] == []


async def test_many_at_once(model):
    chain = PROMPT | model | StrOutputParser()
    assert all(await asyncio.gather(*(chain.ainvoke(topic) for topic in TOPICS * 4)))


def test_errors_come_back_or_are_raised(model):
    broken = model.bind(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}], tool_choice="f")
    chain = RunnableLambda(lambda topic: 1 / 0 if topic["topic"] == "dogs" else topic) | PROMPT | model
    answers = chain.batch(TOPICS, return_exceptions=True)
    assert [type(answer) for answer in answers] == [AIMessage, ZeroDivisionError, AIMessage]
    assert chain.with_fallbacks([PROMPT | model]).invoke(TOPICS[1]).text
    assert broken.kwargs["tool_choice"] == "f"


def test_every_kind_of_input_passes_through_unchanged(model, service):
    call = {"name": "look", "args": {"a": 1}, "id": "call_9", "type": "tool_call"}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    conversation = [
        SystemMessage("Be kind."),
        HumanMessage([{"type": "text", "text": "What is this?"}, picture], name="ann"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("it broke", tool_call_id="call_9", status="error"),
        HumanMessage("And now?"),
    ]
    for given in (conversation, ChatPromptTemplate.from_messages(conversation).invoke({})):
        model.invoke(given)
        sent = service.requests[-1]["messages"]
        assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "user"]
        assert sent[1]["name"] == "ann"
        assert sent[1]["content"][1] == picture
        assert json.loads(sent[2]["tool_calls"][0]["function"]["arguments"]) == {"a": 1}
        assert (sent[3]["content"], sent[3]["tool_call_id"]) == ("it broke", "call_9")


def test_bound_arguments_reach_the_server(model, service):
    model.bind(stop=["you"], temperature=0.2, top_p=0.5).invoke("q", model="scripted-2")
    sent = service.requests[-1]
    assert (sent["stop"], sent["temperature"], sent["top_p"], sent["model"]) == (["you"], 0.2, 0.5, "scripted-2")
    assert "optscale_call" not in sent


def test_usage_and_metadata_are_where_they_are_expected(model):
    message = (PROMPT | model).invoke(TOPICS[0])
    assert message.usage_metadata["total_tokens"] > 0
    assert message.response_metadata["model_name"] in {"scripted-1", "optscale/scripted-1"}
    assert message.response_metadata["finish_reason"] == "stop"
