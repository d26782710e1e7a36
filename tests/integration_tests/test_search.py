"""Searches over real HTTP: against the embedded model, and against a server with scripted faults."""

import asyncio
import time

import pytest

from langchain_optscale import AllCandidatesFailed, ChatOptScale, ConfidenceVerifier, OptScale, Session, StopReason
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import LengthCheck
from tests.integration_tests.scripted_server import Reply, scripted_server

pytest.importorskip("langchain_openai")

QUESTION = "Write one sentence about the sea with exactly 9 words."


def assert_as_a_bare_session(result, **settings):
    session = Session(settings.pop("stopping"), **settings)
    for round_ in result.rounds:
        assert session.ask() == len(round_.indexes)
        for look in round_.observations:
            assert session.tell(look.index, result.verdicts[look.index]) == look.decision
    assert (session.ask(), session.best) == (0, result.best.index)


@pytest.mark.parametrize("fanout", ["n", "calls"])
@pytest.mark.parametrize("path", ["sync", "async"])
def test_the_embedded_model_end_to_end(local_server, path, fanout):
    search = OptScale(
        policy=local_server.policy(max_tokens=32),
        verifier=LengthCheck(exactly=9),
        stopping=TargetReached(1.0) | MaxSamples(12),
        first_round=4,
        seed=1,
        fanout=fanout,
        accept_truncated=True,
    )
    result = search.invoke(QUESTION) if path == "sync" else asyncio.run(search.ainvoke(QUESTION))
    assert 1 <= len(result.scores) <= 12
    assert result.score == max(result.scores)
    assert len({candidate.text for candidate in result.candidates}) > len(result.candidates) // 2
    assert not result.failures
    # Every choice carries its log-probabilities, so tokens are counted exactly: here, within what was allowed.
    assert all(1 <= candidate.usage.output_tokens <= 33 for candidate in result.candidates)
    assert_as_a_bare_session(
        result, stopping=search.stopping, max_samples=12, first_round=4, round_size=search.round_size
    )


def test_a_round_is_chunked_to_the_slots(local_server):
    search = OptScale(
        policy=local_server.policy(max_tokens=4),
        verifier=ConfidenceVerifier(),
        stopping=MaxSamples(11),
        first_round=11,
        seed=3,
        accept_truncated=True,
    )
    result = search.invoke("Name a city.")
    assert len(result.scores) == 11
    assert result.usage["policy"].requests == 2  # 8 slots: 8 + 3
    assert all(0 < score < 1 for score in result.scores)


def test_the_same_seed_gives_the_same_candidates(local_server):
    search = OptScale(
        policy=local_server.policy(max_tokens=8),
        verifier=ConfidenceVerifier(),
        stopping=MaxSamples(4),
        seed=11,
        accept_truncated=True,
    )
    first, again = (search.invoke("Name a city.") for _ in range(2))
    assert [c.text for c in first.candidates] == [c.text for c in again.candidates]
    other = search.invoke("Name a city.", {"configurable": {"seed": 99}})
    assert [c.text for c in first.candidates] != [c.text for c in other.candidates]


async def test_chat_model_on_the_embedded_model(local_server):
    model = ChatOptScale(
        policy=local_server.policy(max_tokens=16),
        verifier=LengthCheck(at_most=9),
        max_samples=4,
        target=1.0,
        accept_truncated=True,
    )
    message = await model.ainvoke(QUESTION)
    assert message.text
    about = message.response_metadata["optscale"]
    assert message.response_metadata["model_name"] == f"optscale/{local_server.model}"
    assert about["score"] == max(about["scores"])
    assert message.usage_metadata["output_tokens"] == about["usage"]["policy"]["output_tokens"]


def policy(server, **kwargs):
    from langchain_openai import ChatOpenAI

    settings = {"model": "m", "api_key": "sk-secret-key", "max_retries": 0, "timeout": 20} | kwargs
    return ChatOpenAI(base_url=server.base_url, **settings)


async def until(condition, seconds=5.0):
    """Wait for what another thread does; a failure where it takes too long."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


def by_length(prompt, candidate):
    return len(candidate.text) / 10


def test_passing_faults_are_retried_and_lasting_ones_are_not():
    faults = [
        Reply(status=500, body="{}"),
        Reply(status=429, body="{}", headers={"Retry-After": "0"}),
        Reply(reset=True),
        Reply(status=503, body="<html>"),
    ]

    def script(number, payload):
        return faults[number] if number < len(faults) else Reply(["four"])

    with scripted_server(script) as server:
        result = OptScale(policy=policy(server), verifier=by_length, max_samples=1, max_retries=4).invoke("q")
        assert result.score == 0.4
        assert len(server.requests) == 5

    with scripted_server(lambda number, payload: Reply(status=401, body='{"error": "Unauthorized"}')) as server:
        search = OptScale(policy=policy(server), verifier=by_length, max_samples=2, fanout="calls", max_failures=None)
        with pytest.raises(AllCandidatesFailed, match="401") as caught:
            search.invoke("q")
        assert len(server.requests) == 2
        assert "sk-secret-key" not in str(caught.value)


@pytest.mark.parametrize("reply", [Reply(body="not json"), Reply(body="{}"), Reply([]), Reply([""])])
def test_garbage_becomes_a_failure_with_a_cause(reply):
    with scripted_server(lambda number, payload: reply) as server, pytest.raises(AllCandidatesFailed) as caught:
        OptScale(policy=policy(server), verifier=by_length, max_samples=2, max_retries=0).invoke("q")
    assert len(caught.value.failures) == 2


def test_a_server_that_ignores_n_or_refuses_it():
    def ignores(number, payload):
        return Reply(["x" * (number + 1)])

    def refuses(number, payload):
        return Reply(status=400, body='{"error": {"message": "n"}}') if payload.get("n", 1) > 1 else Reply(["xx"])

    # One that ignores `n` is asked by calls; of one that refuses, it is found out whether it takes fewer at once.
    for script, smaller in ((ignores, set()), (refuses, {2})):
        with scripted_server(script) as server:
            result = OptScale(policy=policy(server), verifier=by_length, max_samples=6, first_round=4).invoke("q")
            assert len(result.scores) == 6
            asked = [request.get("n", 1) for request in server.requests]
            assert asked[0] == 4
            assert set(asked[1:]) == {1} | smaller
            assert asked.count(2) <= 2


async def test_a_stop_closes_the_requests_that_are_under_way():
    def script(number, payload):
        return Reply(["0123456789"], delay_s=0.5 if number == 0 else 15.0)  # 0.5 s, so that all are under way

    with scripted_server(script) as server:
        search = OptScale(policy=policy(server), verifier=by_length, target=0.9, first_round=4, fanout="calls")
        began = time.monotonic()
        result = await search.ainvoke("q")
        assert result.stop_reason is StopReason.TARGET_REACHED
        assert time.monotonic() - began < 5
        await until(lambda: len(server.abandoned) == 3)
        assert len(server.requests) == 4
        assert all(seconds < 5 for seconds in server.abandoned)


async def test_cancelling_the_search_closes_every_request():
    with scripted_server(lambda number, payload: Reply(["x"], delay_s=15.0)) as server:
        search = OptScale(policy=policy(server), verifier=by_length, first_round=3, fanout="calls")
        task = asyncio.create_task(search.ainvoke("q"))
        await until(lambda: len(server.requests) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: len(server.abandoned) == 3)
