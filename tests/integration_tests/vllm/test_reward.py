"""An outcome reward model on a real pooling server, by each of its routes."""

import json
import math

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.endpoints.doctor.verifier import LESSONS
from langchain_optscale.endpoints.vllm import Served, discover, vllm_verifier
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from langchain_optscale.verifiers.reward_model.logistic import Logistic
from tests.integration_tests.vllm.servers import CONTEXT


@pytest.fixture(scope="module")
def server(servers):
    return servers.start("classifier")[0]


def score(verifier, question, answer):
    prompt = ChatPromptValue(messages=[HumanMessage(question)])
    return verifier.verify(prompt, Candidate(0, AIMessage(answer), round=0)).score


def test_discovery(server):
    assert discover(server.root) == Served("classifier", CONTEXT, "classify")
    assert vllm_verifier(server.root).kind == "classify"


@pytest.mark.parametrize("kind", ["classify", "pooling"])
@pytest.mark.parametrize("logits", [None, Logistic()])
def test_what_the_model_has_learned(server, kind, logits):
    verifier = vllm_verifier(server.base_url, kind=kind, from_logits=logits)
    for question, right, wrong in LESSONS:
        assert score(verifier, question, right) > 0.5
        assert score(verifier, question, wrong) < 0.5


@pytest.mark.parametrize("kind", ["classify", "pooling"])
def test_logits_and_scores_are_those_that_transformers_computes(server, kind):
    expected = iter(json.loads((server.model_directory / "logits.json").read_text()))
    raw = vllm_verifier(server.base_url, kind=kind, from_logits=Logistic())
    activated = vllm_verifier(server.base_url, kind=kind)
    for question, *answers in LESSONS:
        for answer in answers:
            logit = next(expected)
            prompt = ChatPromptValue(messages=[HumanMessage(question)])
            assert raw.verify(prompt, make_candidate(answer)).raw["value"] == pytest.approx(logit, abs=2e-3)
            assert score(activated, question, answer) == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-3)


def test_score(server):
    verifier = vllm_verifier(server.base_url, kind="score")
    prompt = ChatPromptValue(messages=[HumanMessage("What is 2 + 2?")])
    scores = {verifier.verify(prompt, make_candidate(text)).score for text in ("4", "5", "six")}
    assert len(scores) == 3
    assert all(0 < score < 1 for score in scores)


class TestConformance(VerifierConformance):
    deterministic = False  # rounding depends on what is computed together

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def make_verifier(self):
        return vllm_verifier(self.server.base_url, "classifier", kind="classify", api_key="sk-0123456789abcdef")

    def prompt(self):
        return ChatPromptValue(messages=[HumanMessage(LESSONS[0][0])])

    def good_candidate(self):
        return make_candidate(LESSONS[0][1])

    def bad_candidate(self):
        return make_candidate(LESSONS[0][2])
