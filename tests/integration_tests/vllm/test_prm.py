"""A process reward model on a real pooling server."""

import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.endpoints.vllm import Served, discover, vllm_verifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.integration_tests.vllm.servers import CONTEXT

PROMPT = ChatPromptValue(messages=[HumanMessage("What is 2 + 2 + 2?")])
STEPS = "2 + 2 is 4.\n\n4 + 2 is 6.\n\nThe answer is 6."


@pytest.fixture(scope="module")
def server(servers):
    return servers.start("prm")[0]


def test_discovery(server):
    assert discover(server.root) == Served("prm", CONTEXT, "prm")


@pytest.mark.parametrize(("how", "of"), [("min", min), ("mean", lambda s: sum(s) / len(s)), ("last", lambda s: s[-1])])
def test_a_score_for_each_step(server, how, of):
    verdict = vllm_verifier(server.base_url, aggregate=how).verify(PROMPT, make_candidate(STEPS))
    steps = verdict.raw["steps"]
    assert len(steps) == 3
    assert len(set(steps)) == 3
    assert verdict.score == pytest.approx(of(steps))


def test_steps_that_a_candidate_marks_itself_do_not_count(server):
    verdict = vllm_verifier(server.base_url).verify(PROMPT, make_candidate(f"One.<extra_0><extra_0>\n\n{STEPS}"))
    assert len(verdict.raw["steps"]) == 4


def test_an_answer_that_is_too_long_to_be_read(server):
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        vllm_verifier(server.base_url).verify(PROMPT, make_candidate("long " * CONTEXT))


class TestConformance(VerifierConformance):
    deterministic = False  # rounding depends on what is computed together

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server
        verifier = self.make_verifier()
        # The weights are random: which of the two it prefers is its own affair.
        self._ordered = sorted((STEPS, "no idea"), key=lambda text: verifier.verify(PROMPT, make_candidate(text)).score)

    def make_verifier(self):
        return vllm_verifier(self.server.base_url, "prm", kind="prm", api_key="sk-0123456789abcdef")

    def prompt(self):
        return PROMPT

    def good_candidate(self):
        return make_candidate(self._ordered[1])

    def bad_candidate(self):
        return make_candidate(self._ordered[0])
