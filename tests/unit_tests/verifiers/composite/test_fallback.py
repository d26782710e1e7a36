"""The next verifier where one fails; neither a cancellation nor a mistake in the settings is a failure."""

import asyncio

import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale import AllCandidatesFailed, FallbackVerifier, OptScale, SettingsError
from langchain_optscale.errors import InvalidScoreError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import ConfidenceVerifier, LengthCheck, RequiredWords
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.unit_tests.fakes import ScriptedPolicy

PROMPT = StringPromptValue(text="q")
CANDIDATE = make_candidate("a")


def failing(error, asked=None):
    def verify(prompt, candidate):
        if asked is not None:
            asked.append(candidate.index)
        raise error

    return verify


def giving(verdict):
    return lambda prompt, candidate: verdict


def both(verifier):
    return [verifier.verify(PROMPT, CANDIDATE), asyncio.run(verifier.averify(PROMPT, CANDIDATE))]


def test_the_first_verdict_counts():
    for verdict in both(FallbackVerifier(giving(0.3), failing(AssertionError("never asked")))):
        assert verdict == Verdict(0.3, raw={"verifier": "CallableVerifier", "raw": None, "failed": {}})


def test_the_next_is_asked_where_one_fails():
    own = Verdict(0.4, "why", Usage(1, 2, 3), raw={"x": 1})
    fallback = FallbackVerifier(failing(ConnectionError("down")), giving("no score"), giving(own))
    for verdict in both(fallback):
        assert (verdict.score, verdict.explanation, verdict.usage) == (0.4, "why", Usage(1, 2, 3))
        assert verdict.raw["verifier"] == "CallableVerifier 2"
        assert verdict.raw["raw"] == {"x": 1}
        assert list(verdict.raw["failed"]) == ["verify", "CallableVerifier 1"]
        assert verdict.raw["failed"]["verify"] == "ConnectionError: down"


def test_where_all_fail_the_last_error_is_raised_with_the_others_noted():
    fallback = FallbackVerifier(failing(ConnectionError("down")), failing(TimeoutError("slow")))
    for _ in range(2):
        with pytest.raises(TimeoutError, match="slow") as caught:
            fallback.verify(PROMPT, CANDIDATE)
        assert caught.value.__notes__ == ["before it verify 1 failed: ConnectionError: down"]
    with pytest.raises(TimeoutError, match="slow"):
        asyncio.run(fallback.averify(PROMPT, CANDIDATE))
    with pytest.raises(InvalidScoreError):
        FallbackVerifier(giving(2)).verify(PROMPT, CANDIDATE)


def test_a_mistake_in_the_settings_is_raised_at_once():
    async def only_async(prompt, candidate):
        return 1.0

    asked = []
    fallback = FallbackVerifier(only_async, failing(ValueError("asked"), asked))
    with pytest.raises(SettingsError, match="async"):
        fallback.verify(PROMPT, CANDIDATE)
    assert asked == []


async def test_a_cancellation_is_no_failure():
    started, asked = asyncio.Event(), []

    async def slow(prompt, candidate):
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(FallbackVerifier(slow, failing(ValueError("asked"), asked)).averify(PROMPT, CANDIDATE))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked == []


def test_in_a_search():
    def flaky(prompt, candidate):
        if candidate.index % 2:
            raise ValueError("odd")
        return 0.6

    policy = ScriptedPolicy(texts=["a", "b", "c", "d"])
    result = OptScale(policy=policy, verifier=FallbackVerifier(flaky, giving(0.2)), max_samples=4).invoke("q")
    assert {index: verdict.score for index, verdict in result.verdicts.items()} == {0: 0.6, 1: 0.2, 2: 0.6, 3: 0.2}
    both_fail = FallbackVerifier(failing(ValueError("first")), failing(ValueError("last")))
    with pytest.raises(AllCandidatesFailed, match="ValueError: last"):
        OptScale(policy=policy, verifier=both_fail, max_samples=1).invoke("q")


def test_settings():
    assert FallbackVerifier(ConfidenceVerifier(), giving(1)).policy_kwargs == {"logprobs": True}
    assert repr(FallbackVerifier(LengthCheck(exactly=1))).startswith("FallbackVerifier(LengthCheck(exactly=1")
    assert len(FallbackVerifier([giving(0), giving(1)]).verifiers) == 2
    for bad in ((), ("text",), ([],), ([giving(0)], giving(1))):
        with pytest.raises(SettingsError):
            FallbackVerifier(*bad)


class TestFallback(VerifierConformance):
    def make_verifier(self):
        return FallbackVerifier(failing(ConnectionError("down")), RequiredWords(["Paris"]))

    def good_candidate(self):
        return make_candidate("Paris, France")

    def bad_candidate(self):
        return make_candidate("I do not know")
