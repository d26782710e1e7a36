"""What a mistake costs over real HTTP: requests that the server saw before the error, and what the error says."""

import asyncio

import pytest

from langchain_optscale import AllCandidatesFailed, ChatOptScale, ConfidenceVerifier, LLMJudge, OptScale, SettingsError
from tests.integration_tests.scripted_server import Reply, scripted_server

openai = pytest.importorskip("langchain_openai")

ERROR = '{"error": {"message": "no", "type": "invalid_request_error", "code": null}}'


def model(url, **settings):
    return openai.ChatOpenAI(base_url=url, model="some-model", api_key="not-a-key", **settings)


def half(prompt, candidate):
    return 0.5


def broken(prompt, candidate):
    return len(candidate)


def out_of_range(prompt, candidate):
    return 8


async def asynchronous(prompt, candidate):
    return 0.5


def answered(number, payload):
    return Reply([f"answer {number}"] * (payload.get("n") or 1))


MISTAKES = {
    "a rejected key": (lambda *_: Reply(status=401, body=ERROR), half, "check the API key of the policy"),
    "no access to the model": (lambda *_: Reply(status=403, body=ERROR), half, "may use this model"),
    "a wrong path or model": (lambda *_: Reply(status=404, body=ERROR), half, "check the address and the name"),
    "a bug in the verifier": (answered, broken, "correct the verifier broken"),
    "a score out of range": (answered, out_of_range, "rescale it in the verifier"),
    "a server without log-probabilities": (answered, ConfidenceVerifier(), "give another verifier, such as LLMJudge"),
}


PATHS = {
    "sync": lambda **settings: OptScale(**settings).invoke("q"),
    "async": lambda **settings: asyncio.run(OptScale(**settings).ainvoke("q")),
    "chat": lambda **settings: ChatOptScale(**settings).invoke("q"),
    "batch": lambda **settings: OptScale(**settings).batch(["a", "b", "c", "d"]),
}


@pytest.mark.parametrize("fanout", ["auto", "calls"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_at_most_two_requests(mistake, path, fanout):
    script, verifier, says = MISTAKES[mistake]
    with scripted_server(script) as server, pytest.raises(AllCandidatesFailed, match=says) as caught:
        PATHS[path](policy=model(server.base_url), verifier=verifier, fanout=fanout)
    assert 1 <= len(server.requests) <= 2
    assert caught.value.__cause__ is not None
    if says.startswith("check"):
        assert f"some-model at {server.base_url}" in str(caught.value)


def test_an_async_verifier_is_refused_before_the_first_request():
    refused = pytest.raises(SettingsError, match="asynchronous is async: use ainvoke")
    with scripted_server(answered) as server, refused:
        OptScale(policy=model(server.base_url), verifier=asynchronous).invoke("q")
    assert not server.requests


def test_a_judge_that_never_grades_costs_the_policy_one_round():
    with scripted_server(answered) as server, scripted_server(lambda *_: Reply(["no idea"])) as judge:
        search = OptScale(policy=model(server.base_url), verifier=LLMJudge(model(judge.base_url), method="text"))
        with pytest.raises(AllCandidatesFailed, match="the judge's reply has no"):
            search.invoke("q")
    assert len(server.requests) <= 2
    assert len(judge.requests) <= 2


def test_a_dead_server_is_named_with_what_to_do():
    with scripted_server(answered) as server:
        url = server.base_url
    with pytest.raises(AllCandidatesFailed, match="start the policy's server or correct its address") as caught:
        OptScale(policy=model(url), verifier=half, max_retries=1).invoke("q")
    assert f"some-model at {url}" in str(caught.value)
    assert f"optscale doctor --policy-url {url}" in str(caught.value)
    assert len(caught.value.failures) == 2
