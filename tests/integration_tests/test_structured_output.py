"""Structured output: invalid candidates are failures, the best valid one wins."""

import json
from typing import Annotated, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from langchain_optscale import AllCandidatesFailed, ChatOptScale
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.openai_server import openai_server


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0)


class PersonDict(TypedDict):
    """A person."""

    name: Annotated[str, ..., "the name"]
    age: Annotated[int, ..., "in years"]


SCHEMAS = {"pydantic": Person, "typeddict": PersonDict, "json": {**Person.model_json_schema()}}
METHODS = ["json_schema", "function_calling", "json_mode"]
GOOD = [{"name": "Ann", "age": 30}, {"name": "Bob", "age": 40}]
BAD = {"name": "Eve", "age": "old"}


def spoken(payload, answer, finish_reason=None):
    """A message that says `answer` in the form that the request asks for."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    if payload.get("tools"):
        call = {"name": payload["tools"][0]["function"]["name"], "arguments": text}
        message = {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    else:
        message = {"content": text}
    return message | ({"finish_reason": finish_reason} if finish_reason else {})


@pytest.fixture
def serve():
    """Serves the given answers, in turns, over all choices of all requests."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*answers):
            def author(payload, number):
                answer = answers[number % len(answers)]
                return spoken(payload, *answer) if isinstance(answer, tuple) else spoken(payload, answer)

            return stack.enter_context(openai_server(author))

        yield start


def searching(service, n, verifier=None, **kwargs):
    policy = ChatOpenAI(model="scripted-1", base_url=service.base_url, api_key="test", max_retries=0)
    by_age = lambda prompt, candidate: int("40" in candidate.text) or 0.5  # noqa: E731
    return ChatOptScale(policy=policy, verifier=verifier or by_age, stopping=MaxSamples(n), first_round=n, **kwargs)


def fields_of(answer):
    return answer.model_dump() if isinstance(answer, BaseModel) else answer


class Failures(BaseCallbackHandler):
    def __init__(self):
        self.errors = {}

    def on_custom_event(self, name, data, **kwargs):
        if name == "optscale:failure":
            self.errors[data["index"]] = data["error"]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("fanout", ["n", "calls"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SCHEMAS)
async def test_the_best_valid_one_wins(serve, kind, method, fanout, path):
    service = serve(GOOD[0], BAD, GOOD[1], "{ no")
    chat = searching(service, 4, fanout=fanout).with_structured_output(SCHEMAS[kind], method=method)
    watch = Failures()
    config = {"callbacks": [watch], "max_concurrency": 1}
    answer = chat.invoke("q", config) if path == "sync" else await chat.ainvoke("q", config)
    assert fields_of(answer) == GOOD[1]
    assert type(answer) is (Person if kind == "pydantic" else dict)
    assert sorted(watch.errors) == [1, 3]
    assert "age" in watch.errors[1]
    assert len(service.requests) == (1 if fanout == "n" else 4)


@pytest.mark.parametrize("method", METHODS)
def test_all_invalid_raises_every_validation_error(serve, method):
    chat = searching(serve(BAD, "{ no"), 2).with_structured_output(Person, method=method)
    with pytest.raises(AllCandidatesFailed) as caught:
        chat.invoke("q")
    assert "age" in caught.value.failures[0].error
    # Arguments of a tool that are no JSON are no tool call, so there is nothing to verify.
    assert caught.value.failures[1].stage == ("draw" if method == "function_calling" else "verify")
    assert len(caught.value.candidates) == 2


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("method", METHODS)
async def test_include_raw(serve, method, path):
    chat = searching(serve(BAD, GOOD[1]), 2).with_structured_output(Person, method=method, include_raw=True)
    answer = chat.invoke("q") if path == "sync" else await chat.ainvoke("q")
    assert answer["parsed"] == Person(**GOOD[1])
    assert answer["parsing_error"] is None
    about = answer["raw"].response_metadata["optscale"]
    assert (about["n"], about["failed"], about["best"]) == (1, 1, 1)
    assert answer["raw"].response_metadata["model_name"] == "optscale/scripted-1"


@pytest.mark.parametrize("path", ["sync", "async"])
async def test_include_raw_tells_of_errors_instead_of_raising_them(serve, path):
    chat = searching(serve(BAD), 2).with_structured_output(Person, include_raw=True)
    answer = chat.invoke("q") if path == "sync" else await chat.ainvoke("q")
    assert answer["parsed"] is None
    assert isinstance(answer["parsing_error"], AllCandidatesFailed)
    assert json.loads(answer["raw"].text) == BAD
    assert answer["raw"].usage_metadata["total_tokens"] > 0


def test_include_raw_still_raises_where_nothing_was_drawn():
    policy = ChatOpenAI(model="m", base_url="http://127.0.0.1:9/v1", api_key="test", max_retries=0)
    chat = ChatOptScale(policy=policy, verifier=lambda p, c: 1.0, max_samples=2, max_retries=0)
    with pytest.raises(AllCandidatesFailed, match=r"draw \(m at http://127\.0\.0\.1:9/v1\): "):
        chat.with_structured_output(Person, include_raw=True).invoke("q")


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_that_was_cut_off_has_not_parsed(serve, method):
    # Read leniently, both would be a person: the second one of age 4 instead of 40.
    service = serve(GOOD[0], ('{"name": "Bob", "age": 4', "length"), (json.dumps(GOOD[1]), "length"))
    watch = Failures()
    chat = searching(service, 3).with_structured_output(Person, method=method)
    assert chat.invoke("q", {"callbacks": [watch]}) == Person(**GOOD[0])
    assert sorted(watch.errors) == [1, 2]
    assert all("cut off at the token limit" in error for error in watch.errors.values())
    assert not any("accept_truncated" in error for error in watch.errors.values())  # which would change nothing here


def test_a_cut_off_structure_fails_whatever_is_accepted(serve):
    service = serve((json.dumps(GOOD[1]), "length"), GOOD[0])
    watch = Failures()
    policy = searching(service, 2, accept_truncated=True).with_structured_output(Person)
    assert policy.invoke("q", {"callbacks": [watch]}) == Person(**GOOD[0])
    assert watch.errors.keys() == {0}
    assert "raise max_tokens" in watch.errors[0]


def test_a_refusal_is_a_failure(serve):
    def author(payload, number):
        return {"content": None, "refusal": "I would rather not."} if number == 0 else spoken(payload, GOOD[0])

    with openai_server(author) as service:
        watch = Failures()
        chat = searching(service, 2).with_structured_output(Person)
        assert chat.invoke("q", {"callbacks": [watch]}) == Person(**GOOD[0])
    assert watch.errors.keys() == {0}


def test_the_server_is_asked_for_the_schema(serve):
    service = serve(GOOD[0])
    searching(service, 2).with_structured_output(Person, strict=True).invoke("q")
    asked = service.requests[0]["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"]) == ("Person", True)
    assert asked["schema"]["required"] == ["name", "age"]
    assert asked["schema"]["additionalProperties"] is False
    assert service.requests[0]["n"] == 2


def test_settings_of_the_call_and_of_the_policy_count(serve):
    service = serve(GOOD[0])
    bound = ChatOpenAI(model="m", base_url=service.base_url, api_key="test", extra_body={"mine": 1}).bind(top_p=0.4)
    chat = ChatOptScale(policy=bound, verifier=lambda p, c: 0.5, max_samples=8, temperature=0.7)
    chat.with_structured_output(Person).invoke("q", {"configurable": {"max_samples": 2}})
    assert sum(request.get("n", 1) for request in service.requests) == 2
    sent = service.requests[0]
    assert (sent["top_p"], sent["temperature"], sent["mine"]) == (0.4, 0.7, 1)


def test_a_verifier_sees_what_was_parsed_from(serve):
    seen = []
    chat = searching(serve(GOOD[0]), 1, verifier=lambda p, c: bool(seen.append(c.text)) or 1.0)
    chat.with_structured_output(Person, method="function_calling").invoke("q")
    assert seen == ['Tool call: Person\n```json\n{"age": 30, "name": "Ann"}\n```']


def test_a_policy_that_has_none_says_so():
    chat = ChatOptScale(policy=RunnableLambda(lambda q: "a"), verifier=lambda p, c: 1.0)
    with pytest.raises(NotImplementedError, match="no structured output"):
        chat.with_structured_output(Person)


@pytest.mark.timeout(300)
def test_a_small_local_model_gets_there(local_server):
    policy = local_server.policy(max_tokens=60)
    chat = ChatOptScale(policy=policy, verifier=lambda p, c: 1.0, max_samples=24, target=1.0)
    chat = chat.with_structured_output(Person, method="json_mode")
    answer = chat.invoke('Ann is 30 years old. JSON with "name" and "age" of Ann:')
    assert isinstance(answer, Person)
