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
    before = other.metric("vllm:request_success_total")
    seen = {}
    over = threading.Event()

    def kill_in_the_middle():
        """When searches have been answered by both, and the doomed one is computing, however long that takes."""
        while not over.wait(0.02):
            answered = doomed.metric("vllm:request_success_total")
            computing = doomed.metric("vllm:num_requests_running")
            if answered >= 16 and computing:
                seen.update(answered=answered, computing=computing)
                doomed.kill()
                seen["by_other"] = other.metric("vllm:request_success_total")
                return

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    questions = [f"Question {number}" for number in range(SEARCHES)]
    try:
        in_threads, in_tasks = await asyncio.gather(
            asyncio.to_thread(search.batch, questions[::2], {"max_concurrency": 5}),
            search.abatch(questions[1::2], {"max_concurrency": 5}),
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
    assert before + drawn > seen["by_other"], f"the server was killed when all was done: {seen}, {drawn} drawn"
    gone, well = Replicas([doomed.root, other.root]).states()
    assert (gone.pending, well.pending, well.failures) == (0, 0, 0)
    assert gone.failures > 0, (seen, drawn)
