"""A judge and the policy's own confidence over real HTTP, with every fault that a server may have."""

import asyncio
import json
import math

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_optscale import ChatOptScale, OptScale
from langchain_optscale.errors import InvalidReplyError, InvalidScoreError
from langchain_optscale.models.retry import is_transient
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import (
    ConfidenceVerifier,
    GroupwiseJudge,
    LLMJudge,
    PairwiseJudge,
    TournamentSelection,
    as_verifier,
)
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate
from tests.integration_tests.verifier_server import Fault, completion, verifier_server
from tests.unit_tests.fakes import PlainPolicy
from tests.unit_tests.verifiers.llm_judge.attacks import ATTACKS

openai = pytest.importorskip("openai")
pytest.importorskip("langchain_openai")

PROMPT = StringPromptValue(text="What is the capital of France?")
GOOD, BAD = make_candidate("It is Paris."), make_candidate("It is Rome.")
SCORES = {"logprobs": (9 * 0.8 + 8 * 0.15) / 0.95 / 10, "structured": 0.9, "text": 0.9}


@pytest.fixture(scope="module")
def server():
    with verifier_server(key="sk-judge-key-1234") as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(request):
    if "server" in request.fixturenames:
        running = request.getfixturevalue("server")
        running.requests.clear()
        running.faults.clear()


def model(server, name="judge", **settings):
    from langchain_openai import ChatOpenAI
    from openai import DefaultAsyncHttpxClient

    # Without idle connections, so that a client that is not closed leaves none behind.
    defaults = {
        "api_key": "sk-judge-key-1234",
        "max_retries": 0,
        "timeout": 2.0,
        "default_headers": {"Connection": "close"},
        "http_async_client": DefaultAsyncHttpxClient(),
        "http_socket_options": (),
    }
    return ChatOpenAI(base_url=server.api, model=name, **defaults | settings)


def verify(verifier, candidate, path="sync"):
    if path == "sync":
        return verifier.verify(PROMPT, candidate)
    return asyncio.run(verifier.averify(PROMPT, candidate))


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("method", SCORES)
def test_each_way_of_saying_a_grade(server, method, path):
    verdict = verify(LLMJudge(model(server), method=method), GOOD, path)
    assert verdict.score == pytest.approx(SCORES[method])
    assert verdict.usage == Usage(100, 10, 1)
    [(_, payload, _)] = server.requests
    assert payload.get("top_logprobs") == (20 if method == "logprobs" else None)
    if method == "structured":
        schema = payload["response_format"]["json_schema"]
        assert list(schema["schema"]["properties"]) == ["explanation", "code", "grade"]
        assert schema["strict"] is True


def test_auto_takes_what_the_server_gives(server, caplog):
    assert verify(LLMJudge(model(server)), GOOD).raw["method"] == "logprobs"
    with verifier_server(logprobs=False) as silent:
        judge = LLMJudge(model(silent))
        assert verify(judge, GOOD).raw["method"] == "text"  # its reply has the grade, and is not paid for again
        assert verify(judge, BAD).score == 0.2
        assert len(silent.requests) == 2
        assert verify(LLMJudge(model(silent)), BAD).raw["method"] == "text"  # another judge at this endpoint knows
        assert len(silent.requests) == 3
    assert "does not support method logprobs: using method='text' from now on" in caplog.text
    refusing = LLMJudge(model(server, "another"))
    server.faults += [Fault(400, '{"error": {"message": "logprobs are not supported"}}')] * 2
    assert verify(refusing, GOOD).raw["method"] == "text"


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("method", SCORES)
def test_a_comparison_in_each_way(server, method, path):
    judge = PairwiseJudge(model(server), method=method)
    candidates = [make_candidate("It is Rome.", 0), make_candidate("It is Paris.", 1)]
    ranking = (
        judge.rank(PROMPT, candidates) if path == "sync" else asyncio.run(judge.arank(PROMPT, candidates, votes=1))
    )
    assert ranking.best == 1
    assert ranking.usage == Usage(200, 20, 2)
    shares = [one.shares[one.order.index(1)] for one in ranking.comparisons]
    assert shares == pytest.approx([0.775, 0.775] if method == "logprobs" else [1.0, 1.0])


@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_tournament_is_retried_after_real_faults_and_ended_by_none(server, path):
    policy = PlainPolicy(texts=["It is Rome.", "It is Paris.", "It is Oslo."])
    select = TournamentSelection(GroupwiseJudge(model(server), group_size=3, method="logprobs"), noise=0.1)
    server.faults += [Fault(429, "{}", {"Retry-After": "0"}), Fault(reset=True)]
    search = OptScale(
        policy=policy, verifier=lambda prompt, candidate: 0.5, select=select, max_samples=3, price=1e-9, seed=0
    )
    result = search.invoke(PROMPT) if path == "sync" else asyncio.run(search.ainvoke(PROMPT))
    assert result.text == "It is Paris."
    assert result.ranking.failures == ()
    assert len(server.requests) == len(result.ranking.comparisons) + 2
    assert result.usage["verifier"].requests == len(result.ranking.comparisons)


FAULTS = {
    "401 with a string": (Fault(401, '{"error": "Unauthorized"}'), openai.AuthenticationError, False),
    "404 with a detail": (Fault(404, '{"detail": "Not Found"}'), openai.NotFoundError, False),
    "400": (Fault(400, '{"error": {"message": "too long"}}'), openai.BadRequestError, False),
    "429": (Fault(429, "{}", {"Retry-After": "1"}), openai.RateLimitError, True),
    "500": (Fault(500, "{}"), openai.InternalServerError, True),
    "connection closed": (Fault(reset=True), openai.APIConnectionError, True),
    "timeout": (Fault(body="{}", delay_s=2.5), openai.APITimeoutError, True),
    "truncated JSON": (Fault(body='{"choices": [{"mess'), Exception, False),
    "no choices": (
        Fault(body='{"id": "x", "object": "chat.completion", "created": 0, "model": "m"}'),
        Exception,
        False,
    ),
}


@pytest.mark.parametrize("method", SCORES)
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_raised_and_none_is_a_score(server, name, method):
    fault, error, transient = FAULTS[name]
    judge = LLMJudge(model(server), method=method)
    server.faults.append(fault)
    with pytest.raises(error) as caught:
        verify(judge, GOOD)
    assert is_transient(caught.value) is transient
    assert "sk-judge" not in str(caught.value)
    assert len(server.requests) == 1
    assert verify(judge, GOOD).score == pytest.approx(SCORES[method])


def test_a_search_retries_the_judge_and_grades_equal_candidates_once(server):
    server.faults += [Fault(429, "{}", {"Retry-After": "0"}), Fault(500, "{}")]
    search = OptScale(
        policy=PlainPolicy(texts=["It is Paris."]),
        verifier=LLMJudge(model(server), method="text"),
        target=1.0,
        price=1e-9,
        max_samples=4,
        first_round=4,
    )
    result = search.invoke("What is the capital of France?")
    assert result.score == 0.9
    assert len(result.verdicts) == 4
    assert len(server.requests) == 3
    assert result.usage["verifier"] == Usage(100, 10, 1)


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("method", SCORES)
def test_the_judges_client_does_not_retry_beside_the_search(server, method, path):
    chat = model(server, max_retries=2)
    judges = [LLMJudge(chat, method=method), LLMJudge(chat.bind(temperature=0.5), method=method)]
    if method == "text":
        judges.append(LLMJudge(RunnableLambda(lambda messages: messages) | chat))
    for judge in judges:
        server.requests.clear()
        server.faults.append(Fault(500, "{}"))
        with pytest.raises(openai.InternalServerError):
            verify(judge, GOOD, path)
        assert len(server.requests) == 1
        assert verify(judge, GOOD, path).score == pytest.approx(SCORES[method])
    assert chat.max_retries == 2


@pytest.mark.parametrize("method", SCORES)
def test_attacks_over_the_wire(server, method):
    judge = LLMJudge(model(server), method=method)
    names = [
        "many grade lines",
        "closes the fence",
        "our schema",
        "ChatML",
        "lone surrogates",
        "null bytes",
        "deep JSON",
    ]
    for name in names:
        assert verify(judge, make_candidate(ATTACKS[name].replace("Paris", "Rome"))).score < 0.25, name


def test_a_chat_model_as_the_verifier(server):
    judge = model(server)
    assert isinstance(as_verifier(judge), LLMJudge)
    chat = ChatOptScale(policy=model(server, "policy", n=1), verifier=judge, max_samples=2, target=0.8)
    assert chat.invoke("What is the capital of France?").text == "It is Paris."


def drawn(server, **settings):
    """Two choices of one request, as a policy draws them."""
    result = model(server, "policy", logprobs=True, **settings).generate([[HumanMessage("q")]], n=2)
    return [Candidate(index, one.message, 0) for index, one in enumerate(result.generations[0])]


@pytest.mark.parametrize("statistic", ["mean", "minimum", "lowest", "last"])
def test_confidence_of_several_choices_of_one_request(server, statistic):
    scores = [verify(ConfidenceVerifier(statistic), candidate).score for candidate in drawn(server)]
    assert scores == pytest.approx([math.exp(-0.1), math.exp(-2.0)])


@pytest.mark.parametrize("path", ["sync", "async"])
def test_confidence_of_a_streamed_message(server, path):
    policy = model(server, "policy", logprobs=True, stream_usage=True)

    async def gathered():
        return [chunk async for chunk in policy.astream("q")]

    chunks = list(policy.stream("q")) if path == "sync" else asyncio.run(gathered())
    assert len(chunks) > 3
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    verdict = verify(ConfidenceVerifier(), Candidate(0, message, 0), path)
    assert verdict.score == pytest.approx(math.exp(-0.1))
    assert verdict.raw["tokens"] == 3


def test_confidence_in_a_search_that_streams(server):
    chat = ChatOptScale(policy=model(server, "policy", streaming=True), verifier=ConfidenceVerifier(), max_samples=2)
    assert "".join(chunk.text for chunk in chat.stream("q")) == "It is Paris."


def test_a_policy_without_logprobs(server):
    candidate = Candidate(0, model(server, "policy").invoke("q"), 0)
    with pytest.raises(InvalidScoreError, match=r"has no token log-probabilities.*or a policy that returns them"):
        verify(ConfidenceVerifier(), candidate)


def test_a_judge_cut_off_at_its_token_limit(server):
    body = json.dumps(completion([{"text": "GRADE-", "logprobs": None}], {"model": "m"}))
    server.faults.append(Fault(body=body.replace("stop", "length")))
    with pytest.raises(InvalidReplyError, match="max_tokens"):
        verify(LLMJudge(model(server), method="text"), GOOD)


class JudgeConformance(VerifierConformance):
    method: str

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def make_verifier(self):
        return LLMJudge(model(self.server), method=self.method)

    def good_candidate(self):
        return GOOD

    def bad_candidate(self):
        return BAD


class TestLogprobsJudge(JudgeConformance):
    method = "logprobs"


class TestStructuredJudge(JudgeConformance):
    method = "structured"


class TestTextJudge(JudgeConformance):
    method = "text"


class TestAutoJudge(JudgeConformance):
    method = "auto"


class TestConfidence(JudgeConformance):
    def make_verifier(self):
        return ConfidenceVerifier("lowest")

    def good_candidate(self):
        return drawn(self.server)[0]

    def bad_candidate(self):
        return drawn(self.server)[1]
