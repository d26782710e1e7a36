"""Many questions: bounded, in order or as completed, each on its own."""

import asyncio
import itertools
import threading
import time
from types import SimpleNamespace

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from langchain_optscale import AllCandidatesFailed, OptScale, OptScaleResult, SettingsError
from tests.unit_tests.fakes import PlainPolicy, read_score
from tests.unit_tests.models.test_limits import METER, MeteredPolicy


class Echo(PlainPolicy):
    """Says the question; the one in `slow` after a while."""

    seed: int | None = None
    slow: str = "0.01"

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(0.4 if messages[-1].content == self.slow else 0.0)
        return self._said(messages, kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(0.4 if messages[-1].content == self.slow else 0.0)
        return self._said(messages, kwargs)

    def _said(self, messages, kwargs):
        answer = self._answer(kwargs)
        answer.generations[0].message.content = messages[-1].content
        return answer


def search(**kwargs):
    return OptScale(policy=Echo(texts=["x"]), verifier=read_score, max_samples=1, max_retries=0, **kwargs)


def batch(path, runnable, *args, **kwargs):
    return runnable.batch(*args, **kwargs) if path == "sync" else asyncio.run(runnable.abatch(*args, **kwargs))


def completed(path, runnable, *args, **kwargs):
    if path == "sync":
        return list(runnable.batch_as_completed(*args, **kwargs))

    async def collect():
        return [item async for item in runnable.abatch_as_completed(*args, **kwargs)]

    return asyncio.run(collect())


PATHS = pytest.mark.parametrize("path", ["sync", "async"])


@PATHS
def test_results_stand_in_the_order_of_the_questions(path):
    questions = [f"0.{i:02}" for i in range(1, 40)]
    results = batch(path, search(), iter(questions))
    assert [result.text for result in results] == questions
    assert batch(path, search(), []) == []


@PATHS
def test_as_completed_gives_the_slow_one_last(path):
    runnable = search()
    runnable.invoke("0.5")  # models that have never answered get one question first
    outcomes = completed(path, runnable, ["0.01", "0.02", "0.03"])
    assert [index for index, _ in outcomes] in ([1, 2, 0], [2, 1, 0])
    assert all(outcome.text == f"0.0{index + 1}" for index, outcome in outcomes)


@PATHS
def test_one_failure_does_not_touch_the_others(path):
    results = batch(path, search(), ["0.02", "no score", "0.03"], return_exceptions=True)
    assert isinstance(results[1], AllCandidatesFailed)
    assert [result.text for result in (results[0], results[2])] == ["0.02", "0.03"]
    with pytest.raises(AllCandidatesFailed, match="could not convert"):
        batch(path, search(), ["0.02", "no score", "0.03"])


@PATHS
def test_an_input_that_is_no_question_is_a_failure_of_its_own(path):
    results = batch(path, search(), ["0.02", 7], return_exceptions=True)
    assert isinstance(results[1], SettingsError)
    assert isinstance(results[0], OptScaleResult)


@PATHS
def test_the_questions_are_read_as_they_are_needed(path):
    read = []

    def questions():
        for number in itertools.count():
            read.append(number)
            yield "0.02"

    runnable = search()
    if path == "sync":
        for _ in itertools.islice(runnable.batch_as_completed(questions(), {"max_concurrency": 4}), 10):
            pass
    else:

        async def some():
            outcomes = runnable.abatch_as_completed(questions(), {"max_concurrency": 4})
            seen = 0
            async for _ in outcomes:
                seen += 1
                if seen == 10:
                    break
            await outcomes.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(some())
    assert len(read) <= 14


@PATHS
def test_max_concurrency_limits_the_requests_over_all_questions(path):
    METER.most = 0
    runnable = OptScale(
        policy=MeteredPolicy(texts=["0.1"] * 8), verifier=read_score, max_samples=6, first_round=6, fanout="calls"
    )
    results = batch(path, runnable, ["a"] * 6, {"max_concurrency": 3})
    assert [len(result.scores) for result in results] == [6] * 6
    assert 2 <= METER.most <= 3


class Progress(BaseCallbackHandler):
    run_inline = True

    def __init__(self):
        self.told = []

    def on_custom_event(self, name, data, **kwargs):
        if name == "optscale:progress":
            self.told.append(data)


@PATHS
def test_progress_is_told_after_every_question(path):
    progress = Progress()
    batch(path, search(), ["0.02", "bad", "0.03"], {"callbacks": [progress]}, return_exceptions=True)
    assert [data["done"] for data in progress.told] == [1, 2, 3]
    assert (progress.told[-1]["failed"], progress.told[-1]["total"]) == (1, 3)
    assert sorted(data["index"] for data in progress.told) == [0, 1, 2]
    unknown = Progress()
    batch(path, search(), iter(["0.02"]), {"callbacks": [unknown]})
    assert unknown.told[0]["total"] is None


@PATHS
def test_a_config_for_each(path):
    configs = [{"configurable": {"max_samples": number}} for number in (1, 3)]
    results = batch(path, search(limits={"max_samples": 3}), ["0.02", "0.03"], configs)
    assert [len(result.scores) for result in results] == [1, 3]
    with pytest.raises(SettingsError, match="one config, or one for each input, got 2"):
        batch(path, search(), ["0.02"], configs)


async def test_cancelling_a_batch_cancels_everything():
    policy = PlainPolicy(texts=["0.1"], delays={0: 30.0})
    runnable = OptScale(policy=policy, verifier=read_score, max_samples=1)
    task = asyncio.create_task(runnable.abatch(["q"] * 50))
    await asyncio.sleep(2.0)  # one question alone is given a second
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(policy.cancelled) == 16


class Patient(Echo):
    """Takes a while for each request."""

    takes_s: float = 0.2

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        answer = self._answer(kwargs)
        time.sleep(self.takes_s)
        return answer


@pytest.mark.parametrize("settings", [{}, {"candidate_timeout_s": 30.0}])
def test_leaving_begins_no_further_request(settings):
    policy = Patient(texts=["0.5"])
    runnable = OptScale(
        policy=policy, verifier=read_score, max_samples=8, first_round=8, fanout="calls", max_retries=0, **settings
    )
    before = threading.active_count()
    outcomes = runnable.batch_as_completed(["q"] * 100, {"max_concurrency": 4})
    next(outcomes)
    outcomes.close()
    sent = len(policy.requests)
    ends = time.monotonic() + 1.0  # what is under way takes 0.2 s
    while threading.active_count() > before:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert len(policy.requests) == sent


def test_leaving_ends_searches_that_wait_to_try_again():
    class Down(Echo):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            if messages[-1].content == "0.02":
                time.sleep(0.3)
                return self._said(messages, kwargs)
            self._answer(kwargs)
            raise BusyError

    class BusyError(Exception):
        status_code = 429
        response = SimpleNamespace(headers={"Retry-After": "30"})

    policy = Down(texts=["x"])
    before = threading.active_count()
    outcomes = OptScale(policy=policy, verifier=read_score, max_samples=1).batch_as_completed(["0.02"] + ["q"] * 8)
    next(outcomes)
    outcomes.close()
    ends = time.monotonic() + 2.0
    while threading.active_count() > before:
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_an_exit_is_no_failure_of_a_question():
    def leave(prompt, candidate):
        raise SystemExit(3)

    runnable = OptScale(policy=Echo(texts=["x"]), verifier=leave, max_samples=1)
    with pytest.raises(SystemExit):  # on the async path asyncio itself hands it to whoever runs the loop
        runnable.batch(["0.02"] * 3, return_exceptions=True)


async def test_a_search_that_is_cancelled_from_within_is_a_failure_of_its_own():
    class Cancels(BaseCallbackHandler):
        run_inline = True

        def on_custom_event(self, name, data, **kwargs):
            if name == "optscale:answer" and data["score"] == 0.03:
                raise asyncio.CancelledError

        raise_error = True

    outcomes = search().abatch_as_completed(["0.02", "0.03"], {"callbacks": [Cancels()]}, return_exceptions=True)
    async with asyncio.timeout(5):
        found = dict([outcome async for outcome in outcomes])
    assert found[0].text == "0.02"
    assert isinstance(found[1], TimeoutError)


@PATHS
def test_three_questions_that_fail_alike_stop_the_batch_where_none_was_answered(path):
    policy = Echo(texts=["x"], slow="0.00")
    runnable = OptScale(policy=policy, verifier=lambda prompt, candidate: 1 / 0, max_samples=1, max_retries=0)
    outcomes = batch(path, runnable, [f"0.{i:02}" for i in range(30)], return_exceptions=True)
    assert all(isinstance(outcome, AllCandidatesFailed) for outcome in outcomes)
    assert len(policy.requests) == 3  # one after the other, and then no more
