"""One of two servers is killed in the middle of fifty searches."""

import asyncio
import threading

from langchain_optscale import ConfidenceVerifier, OptScale
from langchain_optscale.endpoints.vllm import Replicas, vllm_policy
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.vllm.servers import KEY

SEARCHES = 50


async def test_all_searches_finish(servers):
    """Half of them run in threads, the other half in tasks."""
    doomed, other = servers.start("policy-2", "policy")
    policy = vllm_policy([doomed.base_url, other.base_url], api_key=KEY, max_tokens=48)
    search = OptScale(
        policy=policy,
        verifier=ConfidenceVerifier(),
        stopping=MaxSamples(8),
        first_round=4,
        round_size=4,
        accept_truncated=True,
    )
    for server in (doomed, other):  # the first answer of a server that has just started takes long
        await vllm_policy(server.base_url, api_key=KEY, max_tokens=48).ainvoke("Hello")
    before = other.metric("vllm:request_success_total")
    replicas = Replicas([doomed.root, other.root])
    seen = {}
    over = threading.Event()

    def kill_in_the_middle():
        """What we wait for tells the time: a busy server is slow to say how busy it is."""
        answered, before = 0, 0
        while not over.wait(0.001):
            pending = replicas.states()[0].pending
            answered, before = answered + max(0, before - pending), pending
            if answered >= 16 and pending:
                doomed.kill()
                seen.update(answered=answered, pending=pending)
                return

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    config = {"max_concurrency": 5}
    questions = [f"Question {number}" for number in range(SEARCHES)]
    try:
        in_threads, in_tasks = await asyncio.gather(
            asyncio.to_thread(search.batch, questions[::2], config),
            search.abatch(questions[1::2], config),
        )
    finally:
        over.set()
        await asyncio.to_thread(killer.join)
    results = in_threads + in_tasks
    assert seen, "the server was not killed while it was computing"
    assert not doomed.alive
    assert len(results) == SEARCHES
    assert all(len(result.scores) == 8 and not result.failures for result in results)
    drawn = other.metric("vllm:request_success_total") - before
    assert 0 < drawn < SEARCHES * 8
    gone, well = replicas.states()
    assert (gone.pending, well.pending, well.failures) == (0, 0, 0)
    assert gone.failures > 0, (seen, drawn)
