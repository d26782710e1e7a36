"""Ensembles, fallbacks, caches and agreement over real servers that fail in every way."""

import asyncio

import openai
import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale import AllCandidatesFailed, OptScale
from langchain_optscale.verifiers import (
    CachedVerifier,
    EnsembleVerifier,
    FallbackVerifier,
    RewardModelVerifier,
)
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.integration_tests.verifier_server import GOOD_LOGIT, Fault, sigmoid, verifier_server
from tests.unit_tests.fakes import PlainPolicy

PROMPT = StringPromptValue(text="What is the capital of France?")
GOOD = make_candidate("It is Paris.")
# As vLLM answers them, and as networks do.
FAULTS = {
    "wrong key": Fault(401, '"Unauthorized"'),
    "no such route": Fault(404, '{"detail": "Not Found"}'),
    "bad request": Fault(400, '{"error": {"message": "too long"}}'),
    "busy": Fault(429, '{"error": {"message": "busy"}}', {"Retry-After": "1"}),
    "broken": Fault(500, "boom"),
    "truncated": Fault(200, '{"data": [{"probs": [0.'),
    "rows missing": Fault(200, '{"data": []}'),
    "nan": Fault(200, '{"data": [{"index": 0, "probs": [NaN], "num_classes": 1}]}'),
}


@pytest.fixture
def first():
    with verifier_server() as running:
        yield running


@pytest.fixture
def second():
    with verifier_server() as running:
        yield running


def judged(verifier, path):
    if path == "sync":
        return verifier.verify(PROMPT, GOOD)
    return asyncio.run(verifier.averify(PROMPT, GOOD))


_MADE = []


@pytest.fixture(autouse=True)
def _close():
    yield
    while _MADE:
        _MADE.pop().close()


def reward(server):
    _MADE.append(RewardModelVerifier(server.root, "rm"))
    return _MADE[-1]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fallback_asks_the_next_whatever_went_wrong(first, second, name, path):
    first.faults.append(FAULTS[name])
    verdict = judged(FallbackVerifier(reward(first), reward(second)), path)
    assert verdict.score == pytest.approx(sigmoid(GOOD_LOGIT))
    assert (len(first.requests), len(second.requests)) == (1, 1)


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("name", FAULTS)
def test_an_ensemble_skips_a_member_only_where_it_may(first, second, name, path):
    first.faults.append(FAULTS[name])
    lenient = EnsembleVerifier([reward(first), reward(second)], on_failure="skip")
    assert judged(lenient, path).score == pytest.approx(sigmoid(GOOD_LOGIT))
    first.faults.append(FAULTS[name])
    with pytest.raises((openai.APIError, ValueError)):
        judged(EnsembleVerifier([reward(first), reward(second)]), path)


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_cache_never_keeps_a_fault(first, name, path):
    cached = CachedVerifier(reward(first))
    first.faults.append(FAULTS[name])
    with pytest.raises((openai.APIError, ValueError)):
        judged(cached, path)
    for _ in range(2):
        assert judged(cached, path).score == pytest.approx(sigmoid(GOOD_LOGIT))
    assert len(first.requests) == 2


def test_a_search_goes_on_while_one_of_two_servers_is_down(first, second):
    first.faults += [FAULTS["broken"]] * 40
    search = OptScale(
        policy=PlainPolicy(texts=[f"It is Paris, {index}." for index in range(4)]),
        verifier=FallbackVerifier(reward(first), reward(second)),
        target=1.0,
        price=1e-9,
        max_samples=4,
        fanout="calls",
        seed=0,
        max_retries=0,
    )
    result = search.invoke("What is the capital of France?")
    assert len(result.scores) == 4
    assert not result.failures


def test_where_all_are_down_every_cause_is_named(first, second):
    first.faults += [FAULTS["broken"]] * 40
    second.faults += [FAULTS["wrong key"]] * 40
    search = OptScale(
        policy=PlainPolicy(texts=["one", "two"]),
        verifier=FallbackVerifier(reward(first), reward(second)),
        max_samples=2,
        fanout="calls",
        seed=0,
        max_retries=0,
    )
    with pytest.raises(AllCandidatesFailed) as caught:
        search.invoke("q")
    for cause in ("AuthenticationError", "401", "before it RewardModelVerifier 1 failed: InternalServerError", "500"):
        assert cause in str(caught.value)


class _OverHTTP(VerifierConformance):
    @pytest.fixture(autouse=True)
    def _serve(self):
        with verifier_server() as one, verifier_server() as two:
            self.servers = one, two
            yield

    def good_candidate(self):
        return GOOD

    def bad_candidate(self):
        return make_candidate("It is Rome.")


class TestFallback(_OverHTTP):
    def make_verifier(self):
        return FallbackVerifier(*map(reward, self.servers))


class TestEnsemble(_OverHTTP):
    def make_verifier(self):
        return EnsembleVerifier([reward(server) for server in self.servers])


class TestCached(_OverHTTP):
    def make_verifier(self):
        return CachedVerifier(reward(self.servers[0]))
