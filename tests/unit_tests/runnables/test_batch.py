"""Many questions: bounded, in order or as completed, each on its own."""

import asyncio
import itertools
import threading
import time
from types import SimpleNamespace

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda

from langchain_optscale import AllCandidatesFailed, ChatOptScale, OptScale, OptScaleResult, SettingsError
from langchain_optscale.engine.failing import record_work
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.runnables import batch as batches
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers import Verifier
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
    record_work(runnable.policy)  # else the questions begin one by one
    record_work(runnable.verifier)
    task = asyncio.create_task(runnable.abatch(["q"] * 50))
    await asyncio.sleep(1.0)
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


# A certain failure ends what is under way


class RejectedError(Exception):
    status_code = 401


class SlowlyRejected(Verifier):
    """Takes its time to say that the key is wrong; the question "good" it grades before."""

    def __init__(self, takes_s):
        self.takes_s = takes_s

    def verify(self, prompt, candidate, config=None):
        if candidate.text == "0.9":
            return Verdict(0.9)
        time.sleep(self.takes_s)
        raise RejectedError("no such key")


def as_chat(**settings):
    return ChatOptScale(**settings)


def as_chain(**settings):
    return RunnableLambda(lambda question: question) | ChatOptScale(**settings)


@PATHS
@pytest.mark.parametrize("make", [OptScale, as_chat, as_chain])
def test_a_slow_broken_verifier_costs_a_batch_few_questions(path, make, monkeypatch):
    monkeypatch.setattr(batches, "_LONGEST_TRIAL_S", 0.2)
    policy = Echo(texts=["x"])
    runnable = make(policy=policy, verifier=SlowlyRejected(0.5), max_samples=2, first_round=2, fanout="calls")
    began = time.monotonic()
    outcomes = batch(path, runnable, [f"0.0{number % 10}" for number in range(30)], return_exceptions=True)
    # The first question begins at once, and one more after each trial; all end with the first verdict.
    assert time.monotonic() - began < 0.5 + 1.5
    assert len(outcomes) == 30
    assert all(isinstance(one, AllCandidatesFailed) and "no such key" in str(one) for one in outcomes)
    assert len(policy.requests) <= 3 * 2


@PATHS
@pytest.mark.parametrize("make", [OptScale, as_chat, as_chain])
def test_a_slow_broken_verifier_raises_where_exceptions_are_not_returned(path, make):
    policy = Echo(texts=["x"])
    runnable = make(policy=policy, verifier=SlowlyRejected(0.3), max_samples=2, first_round=2, fanout="calls")
    with pytest.raises(AllCandidatesFailed, match="no such key"):
        batch(path, runnable, ["0.01"] * 30)
    assert len(policy.requests) <= 2


@PATHS
@pytest.mark.parametrize("make", [OptScale, ChatOptScale])
def test_what_has_a_score_goes_on_when_the_rest_ends(path, make):
    class Half(SlowlyRejected):
        def verify(self, prompt, candidate, config=None):
            if "0.5" in candidate.text:
                time.sleep(0.4 if candidate.index else 0.0)
                return Verdict(0.5)
            return super().verify(prompt, candidate, config)

    policy = Echo(texts=["x"])
    settings = {"stopping": MaxSamples(2), "first_round": 2, "fanout": "calls", "reverify_equal": True}
    runnable = make(policy=policy, verifier=Half(0.2), **settings)
    record_work(runnable.policy)
    record_work(runnable.verifier)
    scored, failed = batch(path, runnable, ["0.5", "0.01"], return_exceptions=True)
    assert isinstance(failed, AllCandidatesFailed)
    assert (scored.text, scored.response_metadata["optscale"]["n"] if make is ChatOptScale else len(scored.scores)) == (
        "0.5",
        2,
    )


@PATHS
@pytest.mark.parametrize(("refused", "answered"), [({3}, 29), (set(range(3, 99)), 3)])
def test_a_key_that_is_refused_ends_a_batch_that_had_answers_only_when_it_stays_so(path, refused, answered):
    class Refused(SlowlyRejected):
        def verify(self, prompt, candidate, config=None):
            if int(candidate.text) in refused:
                raise RejectedError("no such key")
            return Verdict(0.9)

    policy = Echo(texts=["x"])
    runnable = OptScale(policy=policy, verifier=Refused(0.0), max_samples=1)
    outcomes = batch(path, runnable, [str(i) for i in range(30)], {"max_concurrency": 1}, return_exceptions=True)
    assert sum(isinstance(one, OptScaleResult) for one in outcomes) == answered
    assert len(policy.requests) == (30 if answered == 29 else 3 + 3)


@PATHS
def test_a_verdict_under_way_is_kept_when_the_rest_ends(path, monkeypatch):
    class Slow(SlowlyRejected):
        def verify(self, prompt, candidate, config=None):
            if candidate.text != "0.5":
                return super().verify(prompt, candidate, config)
            time.sleep(0.4)
            return Verdict(0.5)

    policy = Echo(texts=["x"])
    runnable = OptScale(policy=policy, verifier=Slow(0.1), stopping=MaxSamples(1), reverify_equal=True)
    # The second question fails, in a way that all would, while the first one is verified.
    monkeypatch.setattr(batches, "_LONGEST_TRIAL_S", 0.05)
    scored, failed = batch(path, runnable, ["0.5", "0.02"], return_exceptions=True)
    assert isinstance(failed, AllCandidatesFailed)
    assert (scored.text, scored.score) == ("0.5", 0.5)


@PATHS
def test_questions_with_settings_of_their_own_do_not_end_each_other(path):
    policy = Echo(texts=["x"])
    runnable = OptScale(policy=policy, verifier=SlowlyRejected(0.1), max_samples=1)
    configs = [{"configurable": {"seed": number}} for number in range(3)]
    outcomes = batch(path, runnable, ["0.01", "0.02", "0.9"], configs, return_exceptions=True)
    assert [isinstance(one, AllCandidatesFailed) for one in outcomes] == [True, True, False]


@PATHS
def test_a_chat_models_batch_is_in_order_and_bounded(path):
    chat = ChatOptScale(policy=Echo(texts=["x"]), verifier=read_score, max_samples=1)
    questions = [f"0.{number:02}" for number in range(1, 30)]
    progress = Progress()
    messages = batch(path, chat, questions, {"callbacks": [progress]})
    assert [message.text for message in messages] == questions
    assert progress.told[-1]["done"] == 29
    assert sorted(index for index, _ in completed(path, chat, questions[:4])) == [0, 1, 2, 3]
    METER.most = 0
    metered = ChatOptScale(
        policy=MeteredPolicy(texts=["0.1"] * 8), verifier=read_score, max_samples=6, first_round=6, fanout="calls"
    )
    batch(path, metered, ["a"] * 6, {"max_concurrency": 3})
    assert 2 <= METER.most <= 3


@PATHS
def test_a_search_within_a_question_is_none_of_the_batch(path):
    # Its requests would wait for a limit that the question they are made for holds.
    judge = ChatOptScale(policy=PlainPolicy(texts=["0.7"]), verifier=read_score, max_samples=1)

    def ask(prompt, candidate):
        return float(judge.invoke("How good?").text)

    chat = ChatOptScale(policy=Echo(texts=["x"]), verifier=ask, max_samples=1)
    messages = batch(path, chat, ["0.1", "0.2"], {"max_concurrency": 1})
    assert [message.text for message in messages] == ["0.1", "0.2"]
