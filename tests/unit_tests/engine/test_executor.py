"""Timeouts, hedges, rate limiters, and what a search keeps when it ends; on both paths."""

import asyncio
import threading
import time

import pytest
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from pydantic import PrivateAttr

from langchain_optscale import (
    AllCandidatesFailed,
    OptScale,
    OptScaleResult,
    SettingsError,
    Usage,
    Verdict,
    Verifier,
)
from langchain_optscale.engine.worker import Worker
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.stopping import Price
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score

PATHS = pytest.mark.parametrize("path", ["sync", "async"])
ASKED = ChatPromptTemplate.from_template("rate {candidate}")


def run(search, path, config=None):
    return search.invoke("q", config) if path == "sync" else asyncio.run(search.ainvoke("q", config))


class SlowOnce(PlainPolicy):
    """The first request of each seed in `slow` takes long, the next ones do not."""

    slow: dict[int, float]
    _asked: set = PrivateAttr(default_factory=set)
    _finished: list = PrivateAttr(default_factory=list)

    @property
    def finished(self):
        """Seeds of the slow requests that have slept to their end."""
        return self._finished

    def _seconds(self, seed):
        first = seed not in self._asked
        self._asked.add(seed)
        return self.slow.get(seed, 0.0) if first else 0.0

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if seconds := self._seconds(kwargs["seed"]):
            time.sleep(seconds)
            self._finished.append(kwargs["seed"])
        return self._answer(kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            await asyncio.sleep(self._seconds(kwargs["seed"]))
        except asyncio.CancelledError:
            self.cancelled.append(kwargs["seed"])
            raise
        return self._answer(kwargs)


@PATHS
def test_a_draw_that_times_out_is_retried(path):
    policy = SlowOnce(texts=["0.1", "0.2"], slow={1: 20.0})
    search = OptScale(policy=policy, verifier=read_score, max_samples=2, candidate_timeout_s=0.3)
    result = run(search, path)
    assert sorted(result.scores) == [0.1, 0.2]
    assert policy.finished == []
    assert policy.cancelled == ([1] if path == "async" else [])


@PATHS
def test_a_draw_that_always_times_out_is_a_failure(path):
    policy = PlainPolicy(texts=["0.1"], delays={0: 6.0})
    search = OptScale(policy=policy, verifier=read_score, max_samples=1, candidate_timeout_s=0.05, max_retries=1)
    with pytest.raises(AllCandidatesFailed) as caught:
        run(search, path)
    assert caught.value.failures[0].error == "TimeoutError: no answer within candidate_timeout_s=0.05"
    assert caught.value.failures[0].attempts == 2


@PATHS
def test_a_verification_that_times_out_is_a_failure(path):
    async def averify(prompt, candidate):
        await asyncio.sleep(6.0 if candidate.index else 0.0)
        return 0.5

    def verify(prompt, candidate):
        time.sleep(6.0 if candidate.index else 0.0)
        return 0.5

    search = OptScale(
        policy=PlainPolicy(texts=["x"]),
        verifier=verify if path == "sync" else averify,
        max_samples=2,
        candidate_timeout_s=0.5,
        max_retries=0,
    )
    assert run(search, path).failures[1].stage == "verify"


@PATHS
def test_a_slow_draw_is_hedged_and_the_first_answer_counts(path):
    policy = SlowOnce(texts=["0.1", "0.2"], slow={1: 20.0})
    search = OptScale(policy=policy, verifier=read_score, max_samples=2, hedge_after_s=0.2)
    result = run(search, path)
    assert sorted(result.scores) == [0.1, 0.2]
    assert policy.finished == []
    assert policy.cancelled == ([1] if path == "async" else [])
    assert result.candidates[1].latency_s < 1.0


@PATHS
def test_a_quick_draw_is_not_hedged(path):
    policy = PlainPolicy(texts=["0.1", "0.2"])
    run(OptScale(policy=policy, verifier=read_score, max_samples=2, hedge_after_s=5.0), path)
    assert len(policy.requests) == 2


@PATHS
def test_an_error_before_the_hedge_is_retried(path):
    policy = PlainPolicy(texts=["0.1"], errors={0: [ConnectionError("reset")]})
    search = OptScale(policy=policy, verifier=read_score, max_samples=1, hedge_after_s=5.0)
    assert run(search, path).scores == (0.1,)
    assert len(policy.requests) == 2


@PATHS
def test_a_hedge_that_fails_does_not_end_the_first_request(path):
    class FailsTheSecond(SlowOnce):
        def _answer(self, kwargs):
            if len(self.requests) == 0 and kwargs["seed"] == 0:
                self.requests.append(kwargs)
                raise ValueError("no")
            return super()._answer(kwargs)

    policy = FailsTheSecond(texts=["0.7"], slow={0: 0.6})
    search = OptScale(policy=policy, verifier=read_score, max_samples=1, hedge_after_s=0.1, max_retries=0)
    assert run(search, path).scores == (0.7,)


class Counting(BaseRateLimiter):
    def __init__(self, wait_s=0.0):
        self.wait_s, self.asked = wait_s, 0

    def acquire(self, *, blocking=True):
        self.asked += 1
        time.sleep(self.wait_s)
        return True

    async def aacquire(self, *, blocking=True):
        self.asked += 1
        await asyncio.sleep(self.wait_s)
        return True


@PATHS
@pytest.mark.parametrize(("fanout", "requests"), [("n", 1), ("calls", 4)])
def test_the_rate_limiter_is_asked_once_a_request(path, fanout, requests):
    limiter = Counting()
    policy = ScriptedPolicy(texts=["0.1"], rate_limiter=limiter)
    run(OptScale(policy=policy, verifier=read_score, max_samples=4, first_round=4, fanout=fanout), path)
    assert limiter.asked == requests


@PATHS
def test_the_timeout_does_not_count_the_wait_for_the_rate_limiter(path):
    policy = ScriptedPolicy(texts=["0.1"], rate_limiter=Counting(0.3))
    search = OptScale(policy=policy, verifier=read_score, max_samples=1, candidate_timeout_s=0.2, max_retries=0)
    assert run(search, path).scores == (0.1,)


class Streaming(BaseChatModel):
    """Streams its words one by one; records those that were read."""

    words: list[str]
    pause_s: float = 0.0
    _sent: list = PrivateAttr(default_factory=list)

    @property
    def sent(self):
        return self._sent

    @property
    def _llm_type(self):
        return "streaming"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        raise AssertionError("it was to stream")

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for word in self.words:
            time.sleep(self.pause_s)
            self._sent.append(word)
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


@PATHS
def test_eager_draws_stream_any_chat_model_that_can(path):
    policy = Streaming(words=["0", ".", "7"])
    result = run(OptScale(policy=policy, verifier=read_score, max_samples=2, cancel="eager"), path)
    assert result.scores == (0.7, 0.7)


def test_a_stream_is_closed_when_the_search_ends():
    policy = Streaming(words=["0.1"] * 500, pause_s=0.01)
    search = OptScale(policy=policy, verifier=lambda *_: 0.5, max_samples=1, cancel="eager", deadline_s=0.2)
    with pytest.raises(AllCandidatesFailed, match="the time is up"):
        search.invoke("q")
    time.sleep(0.2)
    sent = len(policy.sent)
    time.sleep(0.3)
    assert len(policy.sent) <= sent + 1 < 200


@pytest.mark.parametrize("policy", [PlainPolicy(texts=["x"]), RunnableLambda(lambda prompt: "x")])
def test_eager_needs_a_model_that_streams(policy):
    with pytest.raises(SettingsError, match="cancel='eager' draws by streaming"):
        OptScale(policy=policy, verifier=read_score, cancel="eager")


async def test_a_verdict_that_was_reached_counts_even_if_its_task_was_cancelled():
    reached = asyncio.Event()

    class Late(Verifier):
        """The second candidate's verdict is there, but what brings it home still waits when the search ends."""

        def verify(self, prompt, candidate, config=None):
            raise AssertionError("the async path is meant")

        async def averify(self, prompt, candidate, config=None):
            if candidate.index == 0:
                await reached.wait()
                return Verdict(0.95)
            return Verdict(0.97)

    from langchain_core.callbacks import AsyncCallbackHandler

    class Slow(AsyncCallbackHandler):
        async def on_chain_end(self, outputs, **kwargs):
            if isinstance(outputs, Verdict) and outputs.score == 0.97:
                reached.set()
                await asyncio.sleep(5.0)

    policy = ScriptedPolicy(texts=["a", "b"])
    result = await OptScale(policy=policy, verifier=Late(), target=0.9).ainvoke("q", {"callbacks": [Slow()]})
    assert sorted(result.scores) == [0.95, 0.97]
    assert result.score == 0.97


def test_the_cause_of_a_broken_connection_is_named_and_long_errors_are_cut():
    def fail(prompt):
        raise RuntimeError("x" * 2000) from OSError("Connection refused")

    search = OptScale(policy=RunnableLambda(fail), verifier=read_score, max_samples=1)
    with pytest.raises(AllCandidatesFailed) as caught:
        search.invoke("q")
    assert len(caught.value.failures[0].error) == 500

    def refuse(prompt):
        raise RuntimeError("Connection error.") from OSError("Connection refused")

    with pytest.raises(AllCandidatesFailed, match=r"Connection error\. \(because of OSError: Connection refused\)"):
        OptScale(policy=RunnableLambda(refuse), verifier=read_score, max_samples=1).invoke("q")


async def test_one_short_response_does_not_lower_the_limit_of_choices():
    policy = ScriptedPolicy(texts=["0.1"], limit=1)
    search = OptScale(policy=policy, verifier=read_score, max_samples=4, first_round=4)
    await search.ainvoke("q")
    policy.requests.clear()
    await search.ainvoke("q")
    assert policy.requests[0]["n"] == 4
    await search.ainvoke("q")
    policy.requests.clear()
    await search.ainvoke("q")
    assert "n" not in policy.requests[0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"candidate_timeout_s": 0}, "candidate_timeout_s"),
        ({"hedge_after_s": -1}, "hedge_after_s"),
        ({"cancel": "now"}, "cancel"),
        ({"policy_limit": 0}, "a limit must be a whole number of at least 1"),
        ({"verifier_limit": "8"}, "a limit must be a whole number of at least 1"),
        ({"cost_budget": 1.0}, "cost_budget needs prices: give price="),
        ({"price": "0.5"}, "a price must be a Price"),
        ({"price": -0.5}, "price"),
        ({"cost_budget": 0, "price": Price(1, 1)}, "cost_budget"),
        ({"cost_budget": 1.0, "price": {"judge": Price(1, 1)}}, "no role 'judge'"),
        ({"overlap": "yes"}, "overlap"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(SettingsError, match=sentence) as caught:
        OptScale(policy=ScriptedPolicy(texts=["x"]), verifier=read_score, **settings)
    assert "\n" not in str(caught.value)


def test_threads_end_with_their_requests():
    before = threading.active_count()
    policy = ScriptedPolicy(texts=["0.95"] * 8, delays={1: 0.3, 2: 0.3, 3: 0.3})
    OptScale(policy=policy, verifier=read_score, first_round=4, fanout="calls").invoke("q")
    ends = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < ends
        time.sleep(0.02)


class SlowPolicy(PlainPolicy):
    """Every request takes as long."""

    takes_s: float

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(self.takes_s)
        return self._answer(kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        answer = self._answer(kwargs)
        await asyncio.sleep(self.takes_s)
        return answer


def until(condition, seconds=5.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_draw_that_waits_for_the_rate_limiter_is_not_sent_after_the_end():
    limiter = InMemoryRateLimiter(requests_per_second=4, check_every_n_seconds=0.02, max_bucket_size=1)
    policy = PlainPolicy(texts=["0.95"] * 8, rate_limiter=limiter)
    before = threading.active_count()
    OptScale(policy=policy, verifier=read_score, target=0.9, first_round=8).invoke("q")
    sent = len(policy.requests)
    assert sent < 4
    until(lambda: threading.active_count() <= before, 1.0)  # seven of them would have waited for their turns
    assert len(policy.requests) <= sent + 1
    time.sleep(0.3)
    assert limiter.acquire(blocking=False)  # and took none from the next request


@PATHS
def test_a_hedge_that_waits_for_a_limit_is_not_sent_after_the_first_answer(path):
    policy = SlowPolicy(texts=["0.5"], takes_s=0.4)
    limit = SharedLimit(1)
    search = OptScale(policy=policy, verifier=read_score, max_samples=1, hedge_after_s=0.1, policy_limit=limit)
    assert run(search, path).scores == (0.5,)
    until(lambda: (limit.taken, limit.waiting) == (0, 0))
    assert len(policy.requests) == 1


@PATHS
@pytest.mark.parametrize("settings", [{}, {"candidate_timeout_s": 30.0}])
@pytest.mark.parametrize("stage", ["draw", "verify"])
def test_an_exit_is_no_failure_of_a_candidate(path, settings, stage):
    def leave(*_):
        raise SystemExit(3)

    policy = RunnableLambda(leave) if stage == "draw" else PlainPolicy(texts=["0.1"])
    verifier = leave if stage == "verify" else read_score
    with pytest.raises(SystemExit):
        run(OptScale(policy=policy, verifier=verifier, max_samples=1, **settings), path)


@PATHS
def test_the_usage_of_a_judge_that_fails_is_recorded(path):
    policy, judge = PlainPolicy(texts=["x"]), PlainPolicy(texts=["no idea"])  # 15 tokens a request
    search = OptScale(
        policy=policy,
        verifier=ASKED | judge | StrOutputParser() | float,
        max_samples=64,
        round_size=2,
        token_budget=100,
        max_failures=None,
    )
    with pytest.raises(AllCandidatesFailed, match="the token budget"):
        run(search, path)
    assert 15 * (len(policy.requests) + len(judge.requests)) <= 100 + 2 * 30


@PATHS
def test_the_usage_of_a_failed_attempt_is_recorded(path):
    judge, broken = PlainPolicy(texts=["0.5"]), [ConnectionError("reset")]

    def second(message):
        if broken:
            raise broken.pop()
        return float(message.text)

    search = OptScale(policy=PlainPolicy(texts=["x"]), verifier=ASKED | judge | RunnableLambda(second), max_samples=1)
    result = run(search, path)
    assert result.usage["verifier"] == Usage(20, 10, 2)
    assert result.verdicts[0].usage == Usage(10, 5, 1)
    assert OptScaleResult.from_dict(result.to_dict()).usage == result.usage


async def test_the_usage_of_a_cancelled_verification_is_recorded():
    judge, waiting = PlainPolicy(texts=["0.5"]), asyncio.Event()

    class TwoQuestions(Verifier):
        def verify(self, prompt, candidate, config=None):
            raise AssertionError("the async path is meant")

        async def averify(self, prompt, candidate, config=None):
            if candidate.index == 0:
                await waiting.wait()
                return Verdict(0.95)
            await judge.ainvoke("first", config)
            waiting.set()
            await asyncio.sleep(30.0)
            return Verdict(0.5)

    result = await OptScale(policy=PlainPolicy(texts=["x"]), verifier=TwoQuestions(), target=0.9).ainvoke("q")
    assert result.usage["verifier"] == Usage(10, 5, 1)
    assert list(result.verdicts) == [0]


@PATHS
def test_money_for_a_verdict_is_counted_once(path):
    judge = PlainPolicy(texts=["0.5"])
    search = OptScale(
        policy=PlainPolicy(texts=["a", "b", "c"]), verifier=ASKED | judge | StrOutputParser() | float, max_samples=3
    )
    assert run(search, path).usage["verifier"] == Usage(30, 15, 3)


class Careless(Verifier):
    """Answers with a number, or with nothing, where a verdict was asked for."""

    def verify(self, prompt, candidate, config=None):
        return 0.7 if candidate.index == 0 else None


@PATHS
def test_a_verifier_that_gives_no_verdict_is_a_failure_of_its_candidate(path):
    result = run(OptScale(policy=PlainPolicy(texts=["x"]), verifier=Careless(), max_samples=2), path)
    assert result.scores == (0.7,)
    assert "InvalidScoreError" in result.failures[1].error


@pytest.mark.parametrize("path", ["sync", "async"])
def test_an_error_outside_the_request_reaches_the_caller_at_once(path, monkeypatch):
    """Such as one in what counts a verification's usage: nobody waits for a job that cannot report."""

    def broken(self, job):
        raise RuntimeError("the usage cannot be read")

    monkeypatch.setattr(Worker, "collect", broken)
    search = OptScale(policy=FakeListChatModel(responses=["a"]), verifier=lambda prompt, candidate: 0.5, max_samples=2)
    ask = search.invoke if path == "sync" else lambda question: asyncio.run(search.ainvoke(question))
    with pytest.raises(RuntimeError, match="the usage cannot be read"):
        ask("q")
