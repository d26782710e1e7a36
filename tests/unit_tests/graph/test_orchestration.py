"""Limits, rate limiters, time, hedges, budgets of money and smaller requests, in the graph's tasks."""

import asyncio
import time

import httpx
import pytest
from langchain_core.rate_limiters import BaseRateLimiter
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import PrivateAttr

from langchain_optscale import SettingsError, StopReason, create_optscale_graph
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.stopping import MaxSamples, Price
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in, thread

PATHS = pytest.mark.parametrize("path", ["sync", "async"])
ALL_FOUR = {"stopping": MaxSamples(4), "first_round": 4}


def invoke(graph, path):
    compiled = graph.compile()
    return result_in(compiled.invoke(QUESTION) if path == "sync" else asyncio.run(compiled.ainvoke(QUESTION)))


class Watched(SharedLimit):
    """A limit that remembers the most places that were taken at once."""

    most = 0

    def _note(self):
        self.most = max(self.most, self.taken)

    def hold(self, **kwargs):
        return self._seen(super().hold(**kwargs))

    def ahold(self, **kwargs):
        return self._seen(super().ahold(**kwargs))

    def _seen(self, place):
        limit = self

        class Seen:
            def __enter__(self):
                place.__enter__()
                limit._note()

            def __exit__(self, *error):
                return place.__exit__(*error)

            async def __aenter__(self):
                await place.__aenter__()
                limit._note()

            async def __aexit__(self, *error):
                return await place.__aexit__(*error)

        return Seen()


@PATHS
def test_limits_count_draws_and_verifications(path):
    policy_limit, verifier_limit = Watched(2), Watched(1)
    graph, _ = graph_of(
        [0.1, 0.2, 0.3, 0.4],
        policy_settings={"delays": dict.fromkeys(range(4), 0.05)},
        policy_limit=policy_limit,
        verifier_limit=verifier_limit,
        **ALL_FOUR,
    )
    assert sorted(invoke(graph, path).scores) == [0.1, 0.2, 0.3, 0.4]
    assert (policy_limit.most, verifier_limit.most) == (2, 1)
    assert policy_limit.taken == verifier_limit.taken == 0


class Counting(BaseRateLimiter):
    def __init__(self):
        self.asked = []

    def acquire(self, *, blocking=True):
        self.asked.append("sync")
        return True

    async def aacquire(self, *, blocking=True):
        self.asked.append("async")
        return True


@PATHS
def test_the_rate_limiter_is_asked_once_for_each_draw(path):
    limiter = Counting()
    graph, _ = graph_of([0.1, 0.2, 0.3, 0.4], policy_settings={"rate_limiter": limiter}, **ALL_FOUR)
    invoke(graph, path)
    assert limiter.asked == [path] * 4


class SlowOnce(PlainPolicy):
    """The first request with seed 1 takes long, the next does not."""

    _slow: list = PrivateAttr(default_factory=lambda: [20.0])

    def _seconds(self, seed):
        return self._slow.pop() if seed == 1 and self._slow else 0.0

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(self._seconds(kwargs["seed"]))
        return self._answer(kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(self._seconds(kwargs["seed"]))
        return self._answer(kwargs)


@PATHS
@pytest.mark.parametrize("settings", [{"candidate_timeout_s": 0.5}, {"hedge_after_s": 0.5, "max_retries": 0}])
def test_a_stuck_draw_times_out_or_is_hedged(path, settings):
    graph, _ = graph_of([0.1, 0.2], policy=SlowOnce, max_samples=2, **settings)
    began = time.monotonic()
    result = invoke(graph, path)
    assert sorted(result.scores) == [0.1, 0.2]
    assert time.monotonic() - began < 15


@PATHS
def test_a_draw_that_stays_stuck_says_which_limit_it_was(path):
    graph, _ = graph_of(
        [0.1, 0.2], policy_settings={"delays": {1: 3.0}}, max_samples=2, candidate_timeout_s=0.3, max_retries=0
    )
    assert "candidate_timeout_s=0.3" in invoke(graph, path).failures[1].error


@PATHS
def test_a_cost_budget_ends_the_search(path):
    # 10 tokens in and 5 out for each candidate: 20 units of money.
    graph, _ = graph_of(
        [0.1, 0.2, 0.3, 0.4, 0.5], first_round=1, round_size=1, price=Price(1e6, 2e6), cost_budget=60.0, target=0.99
    )
    result = invoke(graph, path)
    assert result.stop_reason is StopReason.COST_BUDGET
    assert len(result.candidates) == 3


def test_a_review_may_raise_the_cost_budget():
    graph, _ = graph_of(
        [0.1, 0.2, 0.3, 0.95, 0.5],
        first_round=1,
        round_size=1,
        price=Price(1e6, 2e6),
        cost_budget=40.0,
        review=True,
    )
    compiled = graph.compile(checkpointer=InMemorySaver())
    state = compiled.invoke(QUESTION, thread())
    assert state["__interrupt__"][0].value["reason"] == "COST_BUDGET"
    state = compiled.invoke(Command(resume={"cost_budget": 400.0}), thread())
    assert result_in(state).score == 0.95


class TakesAtMost(ScriptedPolicy):
    """A server that refuses requests for more than `most` choices."""

    most: int = 3

    def _answer(self, kwargs):
        if kwargs.get("n", 1) > self.most:
            self.requests.append(kwargs)
            request = httpx.Request("POST", "http://x")
            raise httpx.HTTPStatusError("n is too large", request=request, response=httpx.Response(400))
        return super()._answer(kwargs)


@PATHS
def test_a_server_that_takes_fewer_choices_is_asked_for_fewer_from_then_on(path):
    scores = [index / 20 for index in range(14)]
    graph, policy = graph_of(scores, policy=TakesAtMost, stopping=MaxSamples(14), first_round=8, round_size=6)
    result = invoke(graph, path)
    assert not result.failures
    assert [candidate.text for candidate in result.candidates] == [str(score) for score in scores]
    asked = [request.get("n", 1) for request in policy.requests]
    assert sorted(asked[1:3]) == [4, 4]
    assert sorted(asked[3:7]) == [2, 2, 2, 2]
    assert sorted(asked[7:]) == [2, 2, 2]


def test_overlap_is_refused():
    with pytest.raises(SettingsError, match="overlap cannot be used in a graph"):
        graph_of([0.1], overlap=True)
    graph = create_optscale_graph(policy=PlainPolicy(texts=["0.1"]), verifier=read_score)
    with pytest.raises(SettingsError, match="overlap cannot be used in a graph"):
        graph.compile().invoke(QUESTION, context={"overlap": True})
