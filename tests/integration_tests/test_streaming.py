"""The embedded model: what is abandoned while it streams frees its slots at once."""

import asyncio
import time

import pytest

from langchain_optscale import AllCandidatesFailed, OptScale, StopReason
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import ConfidenceVerifier

QUESTION = "Tell a very long story about a river, with every detail."


def seconds_until_free(server, limit_s=20.0):
    began = time.monotonic()
    while server.busy_slots():
        assert time.monotonic() - began < limit_s
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("fanout", ["calls", "n"])
def test_slots_are_free_half_a_second_after_an_early_stop(local_server, path, fanout):
    # By calls, the first paragraph that comes to its end stops the search. The others are amid theirs: their
    # lengths differ by dozens of words, while whole stories may all come to the limit, at the same moment. With several
    # choices in one request it is the time that stops it, since they come together.
    by_time = {"deadline_s": 1.5, "max_retries": 0}
    policy = local_server.policy(max_tokens=250, temperature=1.5)
    search = OptScale(
        policy=policy if fanout == "n" else policy.bind(stop=["\n"]),
        verifier=lambda prompt, candidate: 1.0,
        stopping=TargetReached(1.0) | MaxSamples(6),
        first_round=6,
        fanout=fanout,
        cancel="eager",
        seed=0,
        **(by_time if fanout == "n" else {}),
    )
    if fanout == "n":
        with pytest.raises(AllCandidatesFailed, match="the time is up"):
            _ = search.invoke(QUESTION) if path == "sync" else asyncio.run(search.ainvoke(QUESTION))
    else:
        result = search.invoke(QUESTION) if path == "sync" else asyncio.run(search.ainvoke(QUESTION))
        assert result.stop_reason is StopReason.TARGET_REACHED
        assert len(result.candidates) < 6
    assert seconds_until_free(local_server) < 0.5


def test_several_choices_in_one_stream_are_those_of_one_request(local_server):
    results = []
    for cancel in ("close", "eager"):
        search = OptScale(
            policy=local_server.policy(max_tokens=12),
            verifier=ConfidenceVerifier(),
            stopping=MaxSamples(4),
            first_round=4,
            cancel=cancel,
            seed=5,
        )
        results.append(search.invoke("Name a city."))
    closed, eager = results
    assert [c.text for c in eager.candidates] == [c.text for c in closed.candidates]
    # Of a stream the server does not report the token that ends it.
    for ours, theirs in zip(eager.candidates, closed.candidates, strict=True):
        assert 0 <= theirs.usage.output_tokens - ours.usage.output_tokens <= 1
    assert eager.usage["policy"].input_tokens == closed.usage["policy"].input_tokens
    assert all(0 < score < 1 for score in eager.scores)
