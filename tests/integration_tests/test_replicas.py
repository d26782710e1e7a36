"""One chat model over several servers: real HTTP, real faults."""

import asyncio
import concurrent.futures
import json
import socket
import threading
import time

import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale import OptScale
from langchain_optscale.endpoints.vllm import Replicas
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers.conformance import make_candidate
from tests.integration_tests.scripted_server import Reply, scripted_server

pytest.importorskip("langchain_openai")
from langchain_optscale.endpoints.vllm import vllm_policy, vllm_verifier


def free_url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def model(*urls, **kwargs):
    return vllm_policy(list(urls), "m", api_key="sk-test-0123456789", **({"timeout_s": 20} | kwargs))


def pending(*urls):
    return [state.pending for state in Replicas(list(urls)).states()]


def call(chat, path):
    if path == "sync":
        return chat.invoke("q").text
    if path == "async":
        return asyncio.run(chat.ainvoke("q")).text
    if path == "stream":
        return "".join(chunk.text for chunk in chat.stream("q"))

    async def astream():
        return "".join([chunk.text async for chunk in chat.astream("q")])

    return asyncio.run(astream())


def sse(*texts, complete=True):
    head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    events = [json.dumps({**head, "choices": [{"index": 0, "delta": {"content": text}}]}) for text in texts]
    return "".join(f"data: {event}\n\n" for event in [*events, *(["[DONE]"] if complete else [])])


def says(text):
    """A server that says this, streaming where it is asked to."""

    def script(number, payload):
        if payload.get("stream"):
            return Reply(body=sse(*text), headers={"Content-Type": "text/event-stream"})
        return Reply([text] * payload.get("n", 1))

    return script


async def until(condition, seconds=5.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


PATHS = ["sync", "async", "stream", "astream"]


@pytest.mark.parametrize("path", PATHS)
def test_requests_are_shared_out(path):
    with scripted_server(says("one")) as one, scripted_server(says("two")) as two:
        chat = model(one.base_url, two.base_url)
        assert sorted(call(chat, path) for _ in range(6)) == ["one"] * 3 + ["two"] * 3
        assert pending(one.base_url, two.base_url) == [0, 0]
        assert set(one.keys + two.keys) == {"Bearer sk-test-0123456789"}
        assert set(one.paths + two.paths) == {"/v1/chat/completions"}


@pytest.mark.parametrize("path", PATHS)
def test_a_server_that_is_gone_is_passed_over(path):
    gone = free_url()
    with scripted_server(says("here")) as server:
        chat = model(gone, server.base_url)
        assert [call(chat, path) for _ in range(4)] == ["here"] * 4
        states = Replicas([gone, server.base_url]).states()
    assert states[0].failures == 1  # it was asked once, and rests
    assert states[1].failures == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "fault",
    [Reply(reset=True), Reply(status=503, body="{}"), Reply(status=429, body="{}"), Reply(status=502, body="<")],
)
def test_faults_before_the_answer_go_to_the_next_server(path, fault):
    with scripted_server(lambda number, payload: fault) as bad, scripted_server(says("good")) as good:
        chat = model(bad.base_url, good.base_url)
        assert [call(chat, path) for _ in range(3)] == ["good"] * 3
        assert len(bad.requests) == 1
        assert pending(bad.base_url, good.base_url) == [0, 0]


@pytest.mark.parametrize("path", ["sync", "async"])
def test_an_error_of_the_server_is_the_callers_but_the_retry_goes_elsewhere(path):
    broken = Reply(status=500, body='{"error": {"message": "EngineDeadError"}}')
    with scripted_server(lambda number, payload: broken) as bad, scripted_server(says("good")) as good:
        chat = model(bad.base_url, good.base_url)
        with pytest.raises(openai.InternalServerError):
            call(chat, path)
        assert call(chat, path) == "good"
        search = OptScale(policy=chat, verifier=lambda prompt, candidate: 0.5, stopping=MaxSamples(3))
        assert not search.invoke("q").failures


@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_bad_request_is_nobodys_failure(path):
    refuse = Reply(status=400, body='{"error": {"message": "no"}}')
    with scripted_server(lambda number, payload: refuse) as one, scripted_server(says("two")) as two:
        with pytest.raises(openai.BadRequestError):
            call(model(one.base_url, two.base_url), path)
        assert [state.failures for state in Replicas([one.base_url, two.base_url]).states()] == [0, 0]
        assert not two.requests


@pytest.mark.parametrize("path", ["stream", "astream"])
def test_a_break_within_the_answer_is_the_callers(path):
    half = Reply(body=sse("on", complete=False), headers={"Content-Type": "text/event-stream"}, cut=True)
    with scripted_server(lambda number, payload: half) as bad, scripted_server(says("good")) as good:
        chat = model(bad.base_url, good.base_url)
        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
            call(chat, path)
        assert call(chat, path) == "good"
        assert pending(bad.base_url, good.base_url) == [0, 0]


def test_all_gone_is_a_connection_error():
    urls = [free_url(), free_url()]
    with pytest.raises(openai.APIConnectionError):
        call(model(*urls), "sync")
    assert [state.failures for state in Replicas(urls).states()] == [1, 1]


def test_a_timeout_is_not_waited_for_twice():
    slow = Reply(["late"], delay_s=5)
    with scripted_server(lambda number, payload: slow) as bad, scripted_server(says("good")) as good:
        chat = model(bad.base_url, good.base_url, timeout_s=0.3)
        with pytest.raises(openai.APITimeoutError):
            call(chat, "sync")
        assert not good.requests
        assert call(chat, "sync") == "good"


def test_a_redirect_does_not_carry_the_key_away():
    with scripted_server(says("elsewhere")) as thief:
        away = Reply(status=307, body="", headers={"Location": f"{thief.base_url}/chat/completions"})
        with scripted_server(lambda number, payload: away) as server:
            with pytest.raises(openai.APIStatusError):
                call(model(server.base_url), "sync")
            assert not thief.requests


def test_a_path_before_v1_is_kept_for_each_server():
    with scripted_server(says("one")) as one, scripted_server(says("two")) as two:
        chat = model(one.base_url.replace("/v1", "/team/a/v1"), two.base_url.replace("/v1", "/b/v1"))
        assert {call(chat, "sync") for _ in range(2)} == {"one", "two"}
        assert (one.paths, two.paths) == (["/team/a/v1/chat/completions"], ["/b/v1/chat/completions"])


async def test_cancelling_closes_the_request_and_blames_nobody():
    with scripted_server(lambda number, payload: Reply(["x"], delay_s=15)) as server:
        task = asyncio.create_task(model(server.base_url).ainvoke("q"))
        await until(lambda: server.requests)
        assert pending(server.base_url) == [1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.abandoned)
        assert pending(server.base_url) == [0]
        assert Replicas(server.base_url).states()[0].failures == 0


def test_a_request_for_eight_weighs_eight():
    begun = threading.Event()

    def slow(number, payload):
        begun.set()
        return Reply(["x"] * payload.get("n", 1), delay_s=1.0)

    with scripted_server(slow) as one, scripted_server(says("two")) as two:
        chat = model(one.base_url, two.base_url)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            big = pool.submit(chat.generate, [[HumanMessage("q")]], n=8)
            assert begun.wait(5)
            assert pending(one.base_url, two.base_url) == [8, 0]
            assert [call(chat, "sync") for _ in range(4)] == ["two"] * 4
            assert len(big.result().generations[0]) == 8


def test_threads_and_event_loops_share_one_model():
    with scripted_server(says("one")) as one, scripted_server(says("two")) as two:
        chat = model(one.base_url, two.base_url)

        async def several():
            return [message.text for message in await asyncio.gather(*(chat.ainvoke("q") for _ in range(8)))]

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            loops = [pool.submit(asyncio.run, several()) for _ in range(3)]
            calls = [pool.submit(call, chat, "sync") for _ in range(24)]
            answers = [text for loop in loops for text in loop.result()] + [one.result() for one in calls]
        assert len(answers) == 48
        assert set(answers) == {"one", "two"}
        assert pending(one.base_url, two.base_url) == [0, 0]


@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_server_that_dies_within_fifty_searches_costs_none_of_them(path):
    alive = threading.Event()
    alive.set()

    def mortal(number, payload):
        if not alive.is_set():
            return Reply(reset=True)
        return Reply(["x"] * payload.get("n", 1), delay_s=0.02)

    with scripted_server(mortal) as one, scripted_server(says("y")) as two:
        search = OptScale(
            policy=model(one.base_url, two.base_url),
            verifier=lambda prompt, candidate: 0.5,
            stopping=MaxSamples(6),
            first_round=2,
            round_size=2,
        )
        killer = threading.Timer(0.2, alive.clear)
        killer.start()
        questions = [f"question {i}" for i in range(50)]
        if path == "sync":
            results = search.batch(questions, {"max_concurrency": 10})
        else:
            results = asyncio.run(search.abatch(questions, {"max_concurrency": 10}))
        killer.join()
        assert len(results) == 50
        assert all(len(result.scores) == 6 and not result.failures for result in results)
        assert one.requests
        assert two.requests


@pytest.mark.parametrize("path", ["sync", "async", "loops"])
def test_a_reward_model_on_several_servers(path):
    def scores(number, payload):
        return Reply(body=json.dumps({"data": [{"index": 0, "probs": [0.75]}], "usage": {"prompt_tokens": 3}}))

    gone = free_url()
    prompt, candidate = ChatPromptValue(messages=[HumanMessage("q")]), make_candidate("a")
    with scripted_server(scores) as one, scripted_server(scores) as two:
        verifier = vllm_verifier([gone, one.base_url, two.base_url], "m", kind="classify", api_key="sk-test-0123456789")

        async def several():
            return await asyncio.gather(*(verifier.averify(prompt, candidate) for _ in range(4)))

        if path == "sync":
            verdicts = [verifier.verify(prompt, candidate) for _ in range(4)]
            verifier.close()  # the clients are shared, and stay of use
            verdicts.append(verifier.verify(prompt, candidate))
        else:
            verdicts = [verdict for _ in range(1 if path == "async" else 3) for verdict in asyncio.run(several())]
        assert {verdict.score for verdict in verdicts} == {0.75}
        assert len(one.requests) + len(two.requests) == len(verdicts)
        assert min(len(one.requests), len(two.requests)) >= 2
        assert set(one.paths + two.paths) == {"/classify"}
        assert pending(gone, one.base_url, two.base_url) == [0, 0, 0]


def test_a_server_that_comes_back_is_used_again():
    down = threading.Event()
    down.set()

    def script(number, payload):
        return Reply(status=503, body="{}") if down.is_set() else Reply(["back"])

    with scripted_server(script) as one, scripted_server(says("two")) as two:
        chat = model(one.base_url, two.base_url)
        assert call(chat, "sync") == "two"
        down.clear()
        ends = time.monotonic() + 10
        while call(chat, "sync") != "back":
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert {call(chat, "sync") for _ in range(2)} == {"back", "two"}
