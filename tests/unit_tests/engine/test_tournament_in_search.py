"""The choice among a search's leaders by comparison, through every entry."""

import asyncio
import threading
import time

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_optscale import (
    ChatOptScale,
    LLMJudge,
    OptScale,
    OptScaleResult,
    SettingsError,
    create_optscale_graph,
)
from langchain_optscale.records.comparisons import Comparison
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers import ComparisonJudge, GroupwiseJudge, PairwiseJudge, TournamentSelection
from tests.unit_tests.fakes import ScriptedPolicy
from tests.unit_tests.verifiers.llm_judge.judges import PlainJudge, code_in, text_of

TEXTS = ["0.80 aa", "0.75 bbbb", "0.82 c", "0.50 dd"]
SPENT = Usage(20, 3, 1)


class Longest(ComparisonJudge):
    """Prefers the longest; counts its calls, fails or waits as configured."""

    def __init__(self, errors=(), delay=0.0):
        self.errors, self.delay, self.calls, self.cancelled = list(errors), delay, [], 0
        self._lock = threading.Lock()

    def compare(self, prompt, candidates, config=None):
        with self._lock:
            self.calls.append(tuple(candidate.index for candidate in candidates))
            error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        time.sleep(self.delay)
        best = max(candidates, key=lambda candidate: len(candidate.text))
        shares = tuple(float(one is best) for one in candidates)
        return Comparison(tuple(one.index for one in candidates), shares, "longer", SPENT)

    async def acompare(self, prompt, candidates, config=None):
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().acompare(prompt, candidates, config)


def score(prompt, candidate):
    return float(candidate.text.split()[0])


def settings(judge=None, **more):
    select = TournamentSelection(Longest() if judge is None else judge, noise=0.1)
    return {
        "policy": ScriptedPolicy(texts=TEXTS),
        "verifier": score,
        "max_samples": 4,
        "price": 1e-9,
        "select": select,
        "seed": 0,
        **more,
    }


def search(path, judge=None, **more):
    model = OptScale(**settings(judge, **more))
    return model.invoke("q") if path == "sync" else asyncio.run(model.ainvoke("q"))


both = pytest.mark.parametrize("path", ["sync", "async"])


@both
def test_the_leaders_are_compared_and_the_strongest_is_returned(path):
    judge = Longest()
    result = search(path, judge)
    assert (result.best.index, result.ranking.pointwise) == (1, 2)
    assert len(result.ranking.comparisons) == len(judge.calls) == 6
    assert set(result.ranking.indexes) == {0, 1, 2}  # 0.50 is out of reach of the noise
    assert result.usage["verifier"] == result.ranking.usage == Usage(120, 18, 6)
    assert OptScaleResult.from_dict(result.to_dict()) == result
    assert result.summary()["ranking"]["comparisons"] == 6
    assert result.notes == (str(result.ranking),)


@both
def test_a_clear_leader_costs_nothing(path):
    judge = Longest()
    result = search(path, judge, select=TournamentSelection(judge, noise=0.001))
    assert (result.best.index, judge.calls) == (2, [])
    assert result.ranking.comparisons == ()


@both
def test_one_scored_candidate_needs_no_tournament(path):
    assert search(path, max_samples=1).ranking is None


@both
def test_comparisons_are_retried_and_failures_left_out(path):
    judge = Longest(errors=[TimeoutError("late")])
    assert len(search(path, judge).ranking.failures) == 0
    assert len(judge.calls) == 7
    broken = Longest(errors=[ValueError("no")] * 99)
    result = search(path, broken)
    assert result.best.index == 2
    assert {failure.error for failure in result.ranking.failures} == {"ValueError: no"}
    assert len(broken.calls) == 4  # the first round of comparisons, and none after it


@both
def test_the_budget_of_calls(path):
    judge = Longest()
    search(path, judge, select=TournamentSelection(judge, noise=0.1, budget=3))
    assert len(judge.calls) == 2


@both
def test_a_token_budget_ends_the_comparisons(path):
    plain = search(path).usage["policy"].total_tokens
    judge = Longest()
    result = search(path, judge, token_budget=plain + 30, price=None)
    assert len(judge.calls) <= 4
    assert result.best.index in {0, 1, 2}


@both
def test_a_deadline_ends_the_comparisons(path):
    began = time.perf_counter()
    result = search(path, Longest(delay=5.0), deadline_s=0.4)
    assert time.perf_counter() - began < 4
    assert (result.best.index, result.ranking.comparisons) == (2, ())


async def test_cancelling_the_search_cancels_comparisons():
    judge = Longest(delay=30)
    task = asyncio.create_task(OptScale(**settings(judge)).ainvoke("q"))
    await asyncio.sleep(0.4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert judge.cancelled == 4


def test_a_limit_holds_for_comparisons():
    under_way, most = [0], [0]
    lock = threading.Lock()

    def judge(prompt, first, second):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.02)
        with lock:
            under_way[0] -= 1
        return len(first.text) > len(second.text)

    for more in ({"verifier_limit": 1}, {}):
        most[0] = 0
        OptScale(**settings(judge, **more)).invoke("q")
        assert most[0] == 1 if more else most[0] > 1


def test_traces_and_events_name_comparisons():
    names, events = [], []

    class Watching(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, *, name=None, **kwargs):
            names.append(name)

        def on_custom_event(self, name, data, **kwargs):
            events.append((name, data))

    OptScale(**settings()).invoke("q", {"callbacks": [Watching()]})
    assert "optscale:comparison:0" in names
    told = [data for name, data in events if name == "optscale:comparison"]
    assert [data["number"] for data in sorted(told, key=lambda data: data["number"])] == list(range(6))
    assert set(told[0]) == {"number", "order", "shares", "explanation"}


def test_the_chat_model_batches_and_answers_by_tournament():
    message = ChatOptScale(**settings()).invoke("q")
    assert message.content == "0.75 bbbb"
    assert message.response_metadata["optscale"]["ranking"]["pointwise"] == 2
    assert [result.best.index for result in OptScale(**settings()).batch(["q", "r"])] == [1, 1]


def test_groups_of_three():
    def reply(messages):
        code, text = code_in(messages), text_of(messages[-1])
        longest = max("ABC", key=lambda name: len(text.split(f"<<<ANSWER {name} {code}>>>")[-1].split("<<<END")[0]))
        return f"Longer.\nGRADE-{code}: {longest}"

    judge = GroupwiseJudge(PlainJudge(reply=reply), group_size=3, method="text")
    result = OptScale(**settings(judge)).invoke("q")
    assert result.best.index == 1
    assert all(len(one.order) == 3 for one in result.ranking.comparisons)
    assert len(result.ranking.comparisons) <= 6


def test_the_verifiers_own_judge_compares():
    def reply(messages):
        code, text = code_in(messages), text_of(messages[-1])
        if "ANSWER B" not in text:
            return f"Well.\nGRADE-{code}: 8"
        shown = {name: text.split(f"<<<ANSWER {name} {code}>>>")[1].split("<<<END")[0] for name in "AB"}
        return f"Longer.\nGRADE-{code}: {max(shown, key=lambda name: len(shown[name]))}"

    judge = LLMJudge(PlainJudge(reply=reply), method="text")
    result = OptScale(**settings(verifier=judge, select="tournament")).invoke("q")
    assert result.best.index == 1
    assert result.usage["verifier"].requests == 4 + len(result.ranking.comparisons)


def test_settings_that_do_not_fit():
    with pytest.raises(SettingsError, match="compares by the verifier's own LLMJudge, and score has none"):
        OptScale(**settings(select="tournament"))
    with pytest.raises(SettingsError, match="select must be one of"):
        OptScale(**settings(select="tournaments"))


class Died(BaseException):
    """As if the process had ended."""


@both
def test_a_graph_compares_and_a_resumed_run_pays_nothing_twice(path):
    judge = Longest()

    class Dies(Longest):
        def compare(self, prompt, candidates, config=None):
            made = judge.compare(prompt, candidates, config)
            if len(judge.calls) == 5:
                raise Died
            return made

    graph = create_optscale_graph(**settings(Dies())).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}, "max_concurrency": 1}

    def run(given):
        return graph.invoke(given, config) if path == "sync" else asyncio.run(graph.ainvoke(given, config))

    with pytest.raises(Died):
        run({"messages": [("human", "q")]})
    state = run(None)
    result = OptScaleResult.from_dict(state["optscale"])
    assert (result.best.index, state["messages"][-1].content) == (1, "0.75 bbbb")
    # The comparison that was lost is made again, with the other of its pair where that was under way; no other is.
    assert len(result.ranking.comparisons) == 6
    assert len(judge.calls) <= 8
    assert sorted(judge.calls[:4]) == sorted({(2, 0), (0, 2), (2, 1), (1, 2)})
    assert set(judge.calls[4:]) == {(0, 1), (1, 0)}
    assert result.usage["verifier"] == Usage(120, 18, 6)


def test_a_graph_says_the_same_as_a_search_and_streams_comparisons():
    plain = OptScale(**settings()).invoke("q")
    graph = create_optscale_graph(**settings()).compile()
    events = list(graph.stream({"messages": [("human", "q")]}, stream_mode="custom"))
    compared = [event for event in events if event["type"] == "comparison"]
    assert len(compared) == 6
    assert events[-1]["summary"]["ranking"] == plain.summary()["ranking"]


def test_a_graph_without_a_tournament_cannot_be_given_one():
    graph = create_optscale_graph(**settings(select="best")).compile()
    with pytest.raises(SettingsError, match="only in a graph that was built with one"):
        graph.invoke({"messages": [("human", "q")]}, context={"select": TournamentSelection(Longest())})


async def test_a_graphs_comparison_that_takes_too_long_is_left_out():
    graph = create_optscale_graph(**settings(Longest(delay=5.0)), timeout=0.3).compile()
    state = await graph.ainvoke({"messages": [("human", "q")]})
    result = OptScaleResult.from_dict(state["optscale"])
    assert result.best.index == 2
    assert len(result.ranking.failures) == 4


def test_a_judge_alone_is_a_tournament():
    result = OptScale(**settings(select=Longest())).invoke("q")
    assert (result.best.index, result.ranking.pointwise) == (1, 2)


def test_a_judge_may_be_a_model():
    select = TournamentSelection(PlainJudge(reply=lambda messages: AIMessage("no")))
    assert isinstance(select.judge, PairwiseJudge)
