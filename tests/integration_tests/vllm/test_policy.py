"""Drawing from real vLLM."""

import asyncio
import re
import time

import openai
import pytest
from langchain_core.messages import HumanMessage

from langchain_optscale import AllCandidatesFailed, ConfidenceVerifier, OptScale, SettingsError, StopReason
from langchain_optscale.endpoints.vllm import Served, discover, vllm_policy
from langchain_optscale.errors import EndpointError
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.vllm.servers import CONTEXT, KEY

QUESTION = [HumanMessage("Name a city.")]


@pytest.fixture(scope="module")
def server(servers):
    # The classifier, which the next tests need, loads at the same time.
    return servers.start("policy", "classifier")[0]


def policy(server, **kwargs):
    return vllm_policy(server.base_url, server.model, **({"api_key": KEY, "max_tokens": 16} | kwargs))


def texts(model, **kwargs):
    return [generation.text for generation in model.generate([QUESTION], **kwargs).generations[0]]


async def auntil(condition, seconds=20.0):
    ends = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < ends, "it did not come true in time"
        await asyncio.sleep(0.05)


def idle(server):
    return server.metric("vllm:num_requests_running") == 0


def stands_still(server):
    before = server.metric("vllm:generation_tokens_total")
    time.sleep(1.0)
    return server.metric("vllm:generation_tokens_total") == before


def test_discovery(server):
    assert discover(server.base_url, api_key=KEY) == Served("policy", CONTEXT, "generate")
    assert vllm_policy(server.root, api_key=KEY).model_name == "policy"
    with pytest.raises(SettingsError, match="does not serve 'gpt'; it serves: policy"):
        discover(server.base_url, "gpt", api_key=KEY)


@pytest.mark.parametrize("n", [1, 8, 32])
def test_n_choices_of_one_request(server, n):
    before = server.metric("vllm:prompt_tokens_total")
    result = policy(server).generate([QUESTION], n=n)
    generations = result.generations[0]
    assert len(generations) == n
    assert len({generation.text for generation in generations}) == n
    usage = result.llm_output["token_usage"]
    assert n <= usage["completion_tokens"] <= 16 * n
    assert server.metric("vllm:prompt_tokens_total") - before >= usage["prompt_tokens"]


@pytest.mark.parametrize("n", [1, 8, 32])
@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_search_with_n_in_a_round(server, n, path):
    search = OptScale(
        policy=policy(server),
        verifier=ConfidenceVerifier(),
        stopping=MaxSamples(n),
        first_round=n,
        round_size=n,
        seed=5,
        accept_truncated=True,
    )
    result = search.invoke("Name a city.") if path == "sync" else asyncio.run(search.ainvoke("Name a city."))
    assert len(result.scores) == n
    assert result.usage["policy"].requests == 1
    # Every choice has its own log-probabilities, so its tokens are counted exactly.
    assert all(1 <= candidate.usage.output_tokens <= 16 for candidate in result.candidates)
    assert all(0 < score < 1 for score in result.scores)


def test_logprobs(server):
    message = policy(server, logprobs=5).invoke(QUESTION)
    entries = message.response_metadata["logprobs"]["content"]
    assert len(entries) == message.usage_metadata["output_tokens"]
    assert {len(entry["top_logprobs"]) for entry in entries} <= {5, 6}
    assert "logprobs" not in (policy(server).invoke(QUESTION).response_metadata.get("logprobs") or {})
    with pytest.raises(SettingsError, match="up to 20"):
        policy(server, logprobs=21)


def test_choice_i_of_seed_s_is_drawn_with_s_plus_i(server):
    model = policy(server)
    first = texts(model, n=4, seed=100)
    assert texts(model, n=4, seed=100) == first
    assert texts(model, n=4, seed=101)[:3] == first[1:]
    assert texts(model, seed=102) == first[2:3]
    assert not set(texts(model, n=4, seed=104)) & set(first)


def test_the_seeds_of_rounds_are_spaced(server):
    search = OptScale(
        policy=policy(server),
        verifier=lambda prompt, candidate: 0.5,
        stopping=MaxSamples(16),
        first_round=4,
        seed=100,
        accept_truncated=True,
    )
    result = search.invoke("Name a city.")
    assert result.usage["policy"].requests > 1
    assert len({candidate.text for candidate in result.candidates}) == 16
    again = search.invoke("Name a city.")
    assert [c.text for c in again.candidates] == [c.text for c in result.candidates]


def test_streaming_tells_its_usage(server):
    chunks = list(policy(server).stream(QUESTION))
    assert len(chunks) > 2
    assert sum((chunk.usage_metadata or {}).get("output_tokens", 0) for chunk in chunks) >= 1


def test_extra_body(server):
    model = policy(server, extra_body={"structured_outputs": {"choice": ["Paris", "Rome"]}})
    assert set(texts(model, n=8)) <= {"Paris", "Rome"}
    greedy = policy(server, extra_body={"top_k": 1})
    assert len(set(texts(greedy, n=4))) == 1


def test_what_the_server_refuses(server):
    with pytest.raises(openai.BadRequestError, match="greedy"):
        texts(policy(server, temperature=0.0), n=2)
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        vllm_policy(server.base_url, "gpt", api_key=KEY).invoke(QUESTION)
    search = OptScale(
        policy=policy(server), verifier=lambda prompt, candidate: 0.5, max_samples=2, accept_truncated=True
    )
    with pytest.raises(AllCandidatesFailed, match=r"(?i)maximum|context|longer"):
        search.invoke("long " * 2 * CONTEXT)


def test_the_key(server, monkeypatch):
    for wrong in ("sk-another-key", None):
        with pytest.raises(openai.AuthenticationError):
            vllm_policy(server.base_url, "policy", api_key=wrong).invoke(QUESTION)
        with pytest.raises(EndpointError, match="rejects the key") as caught:
            discover(server.base_url, api_key=wrong)
        assert "sk-" not in str(caught.value)
    monkeypatch.setenv("OPTSCALE_POLICY_API_KEY", KEY)
    model = vllm_policy(server.base_url, max_tokens=4)
    assert model.invoke(QUESTION).text
    assert KEY not in repr(model) + str(model)


def test_a_server_that_is_not_there():
    with pytest.raises(EndpointError, match=r"http://127.0.0.1:9/v1 cannot be reached .*: is the server running\?"):
        vllm_policy("http://127.0.0.1:9")


async def test_cancelling_a_search_frees_the_slots(server):
    before = server.metric("vllm:generation_tokens_total")
    long = policy(server, max_tokens=3500, extra_body={"ignore_eos": True})
    search = OptScale(policy=long, verifier=ConfidenceVerifier(), first_round=16, round_size=16, accept_truncated=True)
    task = asyncio.create_task(search.ainvoke("Go on."))
    await auntil(lambda: server.metric("vllm:num_requests_running") >= 16)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await auntil(lambda: idle(server))
    assert await asyncio.to_thread(stands_still, server)
    # Idle because it was cancelled, not because it had finished.
    assert server.metric("vllm:generation_tokens_total") - before < 16 * 3500


def piece_of_one_text_only(texts):
    """Three characters that one of the texts has, not at its beginning, and no other."""
    for number, text in enumerate(texts):
        others = "".join(texts[:number] + texts[number + 1 :])
        for found in re.finditer(r"(?=([!-~]{3}))", text):
            if found.start() > 0 and found[1] not in others:
                return found[1]
    raise AssertionError(f"no such piece in {texts}")


async def test_a_stop_frees_the_slots_of_the_draws_under_way(server):
    """One answer is cut short by a stop word that the others do not have; they would go on for long."""

    def search(max_tokens, verify, **kwargs):
        endless = policy(server, max_tokens=max_tokens, extra_body={"ignore_eos": True})
        return OptScale(
            policy=endless, verifier=verify, first_round=8, fanout="calls", seed=5, accept_truncated=True, **kwargs
        )

    drawn = await search(40, lambda prompt, candidate: 0.5, stopping=MaxSamples(8)).ainvoke("Go on.")
    word = piece_of_one_text_only([candidate.text for candidate in drawn.candidates])
    running = []

    def verify(prompt, candidate):
        running.append(server.metric("vllm:num_requests_running"))
        return 1.0

    before = server.metric("vllm:generation_tokens_total")
    result = await search(3500, verify, target=0.9).ainvoke("Go on.", stop=[word])
    assert result.stop_reason is StopReason.TARGET_REACHED
    assert len(result.scores) == 1
    assert running[0] > 0
    await auntil(lambda: idle(server))
    assert await asyncio.to_thread(stands_still, server)
    assert server.metric("vllm:generation_tokens_total") - before < 7 * 3500
