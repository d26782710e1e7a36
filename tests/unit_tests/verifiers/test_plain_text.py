"""Every verifier takes a question and an answer as strings, and gives them the score that a search gives."""

import asyncio
import pickle
from dataclasses import dataclass

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_optscale import (
    AgreementVerifier,
    CachedVerifier,
    Candidate,
    EnsembleVerifier,
    FallbackVerifier,
    LLMJudge,
    Verdict,
    Verifier,
)
from langchain_optscale.errors import MissingLogprobsError
from langchain_optscale.records.content import digest
from langchain_optscale.stats import LogisticCalibration
from langchain_optscale.verifiers import (
    CalibratedVerifier,
    ConfidenceVerifier,
    JSONCheck,
    LengthCheck,
    ToolCallJudge,
    as_verifier,
)
from langchain_optscale.verifiers.conformance import make_candidate
from tests.unit_tests.verifiers.llm_judge.judges import PlainJudge, by_text

QUESTION, ANSWER = "What is 2 + 2?", "It is 4."
JUDGE = PlainJudge(reply=by_text(lambda text: 8 if ANSWER in text else 0))


@dataclass(frozen=True)
class Own(Verifier):
    """An application's verifier: scores 1 where it gets what a search gives it."""

    def verify(self, prompt, candidate, config=None):
        assert prompt.to_messages() == [HumanMessage(QUESTION)]
        assert isinstance(candidate, Candidate)
        return Verdict(float(candidate.text == ANSWER))


@dataclass(frozen=True, slots=True)
class OwnAsync(Own):
    """As `Own`, natively asynchronous, and with slots, for which Python makes the class a second time."""

    async def averify(self, prompt, candidate, config=None):
        return self.verify(prompt, candidate, config)


def share(prompt, candidate):
    return len(candidate.text) / 10


VERIFIERS = {
    "a check": (LengthCheck(at_most=5), 1.0),
    "a check of JSON": (JSONCheck({"type": "object"}), 0.0),
    "a judge": (LLMJudge(JUDGE, method="text"), 0.8),
    "a judge of tool calls": (ToolCallJudge(JUDGE, method="text"), 0.8),
    "a function": (as_verifier(share), 0.8),
    "a Runnable": (as_verifier(RunnableLambda(lambda given: given["candidate"] == ANSWER)), 1.0),
    "an ensemble": (EnsembleVerifier([LengthCheck(at_most=5), lambda prompt, candidate: 0.5]), 0.75),
    "a fallback": (FallbackVerifier([ConfidenceVerifier(), LLMJudge(JUDGE, method="text")]), 0.8),
    "a cache": (CachedVerifier(Own()), 1.0),
    "a calibrated one": (CalibratedVerifier(lambda prompt, candidate: 0.5, LogisticCalibration(-2.0, 4.0)), 0.5),
    "agreement with no other": (AgreementVerifier(), 0.5),
    "an application's": (Own(), 1.0),
    "an application's, async": (OwnAsync(), 1.0),
}


@pytest.mark.parametrize("name", VERIFIERS)
def test_strings_are_a_question_and_a_candidate(name):
    verifier, score = VERIFIERS[name]
    assert verifier.verify(QUESTION, ANSWER).score == pytest.approx(score)
    assert verifier.verify([("human", QUESTION)], AIMessage(ANSWER)).score == pytest.approx(score)
    assert verifier.verify(prompt=QUESTION, candidate=ANSWER, config={}).score == pytest.approx(score)
    assert asyncio.run(verifier.averify(QUESTION, ANSWER)).score == pytest.approx(score)


@pytest.mark.parametrize("name", VERIFIERS)
def test_they_are_scored_as_what_a_search_gives(name):
    verifier, score = VERIFIERS[name]
    assert verifier.verify(StringPromptValue(text=QUESTION), make_candidate(ANSWER)).score == pytest.approx(score)


def test_what_a_text_does_not_have_is_still_missed():
    with pytest.raises(MissingLogprobsError):
        ConfidenceVerifier().verify(QUESTION, ANSWER)


def test_a_verifier_travels_and_its_content_is_the_code_that_was_written():
    assert pickle.loads(pickle.dumps(Own())).verify(QUESTION, ANSWER).score == 1.0  # noqa: S301 - our own

    def content(verify):
        return digest(dataclass(frozen=True)(type("Made", (Verifier,), {"verify": verify, "__module__": __name__}))())

    half, whole = (lambda self, prompt, candidate: Verdict(0.5)), (lambda self, prompt, candidate: Verdict(1.0))
    assert content(half) == content(half)
    assert content(half) != content(whole)
