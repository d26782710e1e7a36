"""OptScale from outside: whatever the path, the decisions are those of a bare Session fed the same scores."""

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_optscale import (
    AllCandidatesFailed,
    OptScale,
    OptScaleResult,
    Session,
    SettingsError,
    StopReason,
    Verdict,
    create_optscale_graph,
)
from langchain_optscale.stopping import MaxSamples, MinSamples, OptimalN, TargetReached, optscale, paper
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score

RULES = [
    optscale(0.9, 0.95, 12),
    paper(0.9, 0.95, 12, 3),
    OptimalN(0.6, 0.9) & MinSamples(2) | MaxSamples(9),
    TargetReached(0.8) | MaxSamples(12),
]


def search(scores, *, fanout, **kwargs):
    policy = ScriptedPolicy(texts=[repr(score) for score in scores])
    return OptScale(policy=policy, verifier=read_score, fanout=fanout, **kwargs)


def assert_as_a_bare_session(result, scores, rule, round_size):
    """Tell a bare session the same scores in the order in which they arrived: it must think the same at every step."""
    session = Session(rule, max_samples=12, first_round=2, round_size=round_size)
    for round_ in result.rounds:
        assert session.ask() == len(round_.indexes)
        for look in round_.observations:
            assert look.score == scores[look.index]
            assert session.tell(look.index, Verdict(look.score)) == look.decision
    assert session.ask() == 0
    assert session.final_decision == result.decision
    assert session.best == result.best.index
    assert session.estimate == result.estimate
    assert result.scores == tuple(score for _, score in sorted(session.scores.items()))


@pytest.mark.parametrize("fanout", ["n", "calls"])
@pytest.mark.parametrize("path", ["sync", "async"])
@given(
    scores=st.lists(st.floats(0, 1), min_size=12, max_size=12),
    rule=st.sampled_from(RULES),
    round_size=st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_decides_as_a_bare_session(path, fanout, scores, rule, round_size):
    runnable = search(scores, fanout=fanout, stopping=rule, max_samples=12, round_size=round_size)
    result = runnable.invoke("q") if path == "sync" else asyncio.run(runnable.ainvoke("q"))
    assert_as_a_bare_session(result, scores, rule, round_size)


@given(scores=st.lists(st.floats(0, 1), min_size=12, max_size=12), rule=st.sampled_from(RULES))
@settings(max_examples=40, deadline=None)
def test_one_after_another_all_paths_agree(scores, rule):
    # With one request at a time the order of arrival is that of the draws, so the whole record must be the same.
    records = []
    config = {"max_concurrency": 1}
    for fanout in ("n", "calls"):
        runnable = search(scores, fanout=fanout, stopping=rule, max_samples=12)
        records.append(runnable.invoke("q", config))
        records.append(asyncio.run(runnable.ainvoke("q", config)))
    first = records[0]
    for other in records[1:]:
        assert other.rounds == first.rounds
        assert other.best.text == first.best.text
        assert other.scores == first.scores
    # The graph finishes the round in which it stops; up to there it thought the same after every candidate.
    graph = create_optscale_graph(
        policy=search(scores, fanout="n").policy, verifier=read_score, stopping=rule, max_samples=12
    )
    state = graph.compile().invoke({"messages": [("human", "q")]})
    as_graph = OptScaleResult.from_dict(state["optscale"])
    looks = [look for one in first.rounds for look in one.observations]
    assert [look for one in as_graph.rounds for look in one.observations][: len(looks)] == looks
    # What is said at the end is about all candidates of the round, which the graph has more of.
    ended, about_all = first.decision, as_graph.decision
    assert (about_all.stop, about_all.reason, about_all.rule) == (ended.stop, ended.reason, ended.rule)
    if len(as_graph.verdicts) == len(first.verdicts):
        assert about_all == ended


async def test_a_stop_cancels_what_is_pending():
    policy = ScriptedPolicy(texts=["0.95"] * 8, delays={1: 30.0, 2: 30.0, 3: 30.0})
    runnable = OptScale(policy=policy, verifier=read_score, target=0.9, first_round=4, fanout="calls")
    result = await asyncio.wait_for(runnable.ainvoke("q"), 10)
    assert result.stop_reason is StopReason.TARGET_REACHED
    assert len(result.candidates) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_sync_path_does_not_wait_for_what_is_pending():
    policy = ScriptedPolicy(texts=["0.95"] * 8, delays={1: 1.0, 2: 1.0, 3: 1.0})
    runnable = OptScale(policy=policy, verifier=read_score, target=0.9, first_round=4, fanout="calls")
    result = runnable.invoke("q")
    assert result.duration_s < 0.8
    assert len(policy.requests) == 1


def test_queued_draws_are_dropped():
    policy = ScriptedPolicy(texts=["0.95"] * 8)
    runnable = OptScale(policy=policy, verifier=read_score, target=0.9, first_round=8, fanout="calls")
    result = runnable.invoke("q", {"max_concurrency": 1})
    assert result.stop_reason is StopReason.TARGET_REACHED
    assert len(policy.requests) == 1


async def test_verification_starts_before_the_round_is_complete():
    policy = ScriptedPolicy(texts=["0.1", "0.2", "0.3"], delays={2: 0.5})
    seen = []

    def verify(prompt, candidate):
        seen.append((candidate.index, len(policy.requests)))
        return read_score(prompt, candidate)

    await OptScale(policy=policy, verifier=verify, max_samples=3, first_round=3, fanout="calls").ainvoke("q")
    assert seen == [(0, 2), (1, 2), (2, 3)] or seen == [(1, 2), (0, 2), (2, 3)]


async def test_cancelling_the_search_cancels_everything():
    policy = ScriptedPolicy(texts=["0.1"] * 8, delays=dict.fromkeys(range(8), 30.0))
    task = asyncio.create_task(
        OptScale(policy=policy, verifier=read_score, target=0.9, first_round=4, fanout="calls").ainvoke("q")
    )
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_max_concurrency_limits_requests():
    now, most = 0, 0

    async def verify(prompt, candidate):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return 0.1

    policy = ScriptedPolicy(texts=["x"] * 12)
    runnable = OptScale(policy=policy, verifier=verify, max_samples=12, first_round=12, stopping=None)
    await runnable.ainvoke("q", {"max_concurrency": 3})
    assert most == 3


def test_a_deadline_returns_the_best_so_far():
    policy = ScriptedPolicy(texts=["0.4", "0.6", "0.1"], delays={2: 5.0})
    runnable = OptScale(
        policy=policy, verifier=read_score, first_round=3, fanout="calls", deadline_s=0.4, max_retries=0
    )
    result = runnable.invoke("q")
    assert result.stop_reason is StopReason.DEADLINE
    assert result.score == 0.6
    assert result.duration_s < 2.0


def test_a_deadline_before_the_first_score_is_an_error_that_says_so():
    policy = ScriptedPolicy(texts=["0.4"], delays={0: 1.0})
    with pytest.raises(AllCandidatesFailed, match="before the time is up"):
        OptScale(policy=policy, verifier=read_score, first_round=1, deadline_s=0.1).invoke("q")


def test_a_token_budget_returns_the_best_so_far():
    policy = ScriptedPolicy(texts=["0.1", "0.3", "0.2"] * 9)
    result = OptScale(policy=policy, verifier=read_score, token_budget=80, round_size=1, max_samples=20).invoke("q")
    assert result.stop_reason is StopReason.TOKEN_BUDGET
    assert result.score == 0.3
    assert 80 <= result.total_usage.total_tokens < 80 + 15


def test_failures_are_values_and_the_rest_counts():
    texts = ["0.3", "not a number", "", "0.5", "1.2", "nan"]
    policy = ScriptedPolicy(texts=texts)
    result = OptScale(policy=policy, verifier=read_score, max_samples=6, first_round=6).invoke("q")
    assert result.score == 0.5
    assert result.scores == (0.3, 0.5) or set(result.scores) == {0.3, 0.5}
    stages = {index: (failure.stage, failure.error.partition(":")[0]) for index, failure in result.failures.items()}
    assert stages == {
        1: ("verify", "ValueError"),
        2: ("draw", "EmptyCandidateError"),
        4: ("verify", "InvalidScoreError"),
        5: ("verify", "InvalidScoreError"),
    }
    assert len(result.candidates) == 6


@pytest.mark.parametrize("answer", ["0.9", None, [0.9], float("inf"), -0.1, {"grade": 1}])
def test_a_verifier_that_gives_no_score_fails_every_candidate(answer):
    policy = ScriptedPolicy(texts=["x"])
    with pytest.raises(AllCandidatesFailed, match="InvalidScoreError") as caught:
        OptScale(policy=policy, verifier=lambda _, candidate: answer, max_samples=3, max_failures=None).invoke("q")
    assert len(caught.value.failures) == 3


def test_transient_errors_are_retried_and_others_are_not():
    policy = ScriptedPolicy(
        texts=["0.1", "0.2", "0.3"],
        errors={0: [ConnectionError("reset")], 1: [ValueError("no")] * 3, 2: [TimeoutError("slow")] * 9},
    )
    result = OptScale(
        policy=policy, verifier=read_score, max_samples=3, first_round=3, fanout="calls", max_retries=1
    ).invoke("q")
    assert result.scores == (0.1,)
    assert {i: (f.stage, f.attempts) for i, f in result.failures.items()} == {1: ("draw", 1), 2: ("draw", 2)}
    assert sum(request["seed"] == 2 for request in policy.requests) == 2


def test_when_nothing_could_be_scored_every_cause_is_named():
    policy = ScriptedPolicy(texts=["x", ""], errors={2: [PermissionError("key rejected")]})
    runnable = OptScale(policy=policy, verifier=read_score, max_samples=3, first_round=3, fanout="calls")
    with pytest.raises(AllCandidatesFailed) as caught:
        runnable.invoke("q")
    assert all(cause in str(caught.value) for cause in ("could not convert", "neither text", "key rejected"))


def test_max_failures_ends_a_failing_search():
    policy = ScriptedPolicy(texts=["x"])
    runnable = OptScale(policy=policy, verifier=read_score, max_failures=2, max_samples=16, round_size=2)
    with pytest.raises(AllCandidatesFailed, match="too many candidates failed"):
        runnable.invoke("q")
    assert len(policy.requests) == 1


def test_a_server_that_ignores_n_is_noticed():
    policy = ScriptedPolicy(texts=["0.1", "0.2", "0.3", "0.4"], limit=1)
    result = OptScale(policy=policy, verifier=read_score, max_samples=4, first_round=4).invoke("q")
    assert sorted(result.scores) == [0.1, 0.2, 0.3, 0.4]
    assert policy.requests[0]["n"] == 4
    assert len(policy.requests) == 4


def test_a_server_that_rejects_n_is_noticed():
    class BadRequestError(Exception):
        status_code = 400

    policy = ScriptedPolicy(texts=["0.1", "0.2"], errors={0: [BadRequestError("n must be 1")]})
    result = OptScale(policy=policy, verifier=read_score, max_samples=2).invoke("q")
    assert sorted(result.scores) == [0.1, 0.2]
    strict = OptScale(policy=policy, verifier=read_score, max_samples=2, fanout="n")
    policy.errors[0] = [BadRequestError("n must be 1")]
    with pytest.raises(AllCandidatesFailed, match="n must be 1"):
        strict.invoke("q")


@pytest.mark.parametrize("fanout", ["n", "calls"])
def test_usage_is_the_sum_of_what_was_drawn(fanout):
    policy = ScriptedPolicy(texts=["0.1", "0.2", "0.3", "0.4"])
    result = OptScale(policy=policy, verifier=read_score, max_samples=4, first_round=4, fanout=fanout).invoke("q")
    requests = 1 if fanout == "n" else 4
    usage = result.usage["policy"]
    assert (usage.input_tokens, usage.output_tokens, usage.requests) == (10 * requests, 20, requests)


def test_extracted_answers_reach_the_record():
    policy = ScriptedPolicy(texts=["0.5 so A", "0.6 so B"])
    result = OptScale(
        policy=policy,
        verifier=lambda prompt, candidate: float(candidate.text[:3]),
        extract=lambda text: text[-1],
        max_samples=2,
    ).invoke("q")
    assert result.best.answer == "B"


def test_a_failing_extractor_is_a_failure():
    policy = ScriptedPolicy(texts=["0.5"])
    with pytest.raises(AllCandidatesFailed, match="KeyError"):
        OptScale(policy=policy, verifier=read_score, extract=lambda text: {}[text], max_samples=1).invoke("q")


def test_a_custom_selection():
    policy = ScriptedPolicy(texts=["0.5", "0.6", "0.4"])
    shortest = OptScale(
        policy=policy,
        verifier=read_score,
        max_samples=3,
        first_round=3,
        select=lambda candidates, scores: min(scores, key=scores.get),
    )
    assert shortest.invoke("q").score == 0.4
    with pytest.raises(SettingsError, match="select must return the index of a scored candidate"):
        shortest.invoke("q", {"configurable": {"select": lambda candidates, scores: 99}})


def test_policies_of_many_kinds():
    texts = ["0.1", "0.2", "0.3"]
    for policy in (
        ScriptedPolicy(texts=texts),
        PlainPolicy(texts=texts),
        ScriptedPolicy(texts=texts).bind(stop=["\n"]),
        ScriptedPolicy(texts=texts).with_config(tags=["mine"]),
        RunnableLambda(lambda prompt: AIMessage("0.2")),
        RunnableLambda(lambda prompt: "0.2"),
        PlainPolicy(texts=texts).with_retry(),
    ):
        result = OptScale(policy=policy, verifier=read_score, max_samples=3).invoke([HumanMessage("q")])
        assert len(result.scores) == 3


def test_what_was_bound_reaches_the_policy():
    policy = ScriptedPolicy(texts=["0.1"])
    OptScale(policy=policy.bind(stop=["\n"], user="me"), verifier=read_score, max_samples=1).invoke("q", top_p=0.5)
    assert policy.requests == [{"stop": ["\n"], "user": "me", "top_p": 0.5, "seed": 0}]


def test_settings_can_be_changed_for_a_call():
    policy = ScriptedPolicy(texts=["0.5"])
    runnable = OptScale(policy=policy, verifier=read_score, max_samples=8)
    assert len(runnable.invoke("q", {"configurable": {"max_samples": 3, "thread_id": "7"}}).scores) == 3
    assert runnable.invoke("q", {"configurable": {"target": 0.5}}).stop_reason is StopReason.TARGET_REACHED
    assert len(runnable.with_config(configurable={"max_samples": 4}).invoke("q").scores) == 4
    with pytest.raises(SettingsError, match="confidence"):
        runnable.invoke("q", {"configurable": {"confidence": 2}})
    assert runnable.max_samples == 8


def test_batch_and_stream_come_with_the_runnable():
    runnable = OptScale(policy=ScriptedPolicy(texts=["0.1", "0.95"]), verifier=read_score)
    assert [result.text for result in runnable.batch(["a", "b"])] == ["0.95", "0.95"]
    assert [result.text for result in runnable.stream("a")] == ["0.95"]


class Recorder(BaseCallbackHandler):
    def __init__(self):
        self.events, self.runs, self.lock = [], [], threading.Lock()

    def on_custom_event(self, name, data, **kwargs):
        self.events.append((name, data))

    def on_chat_model_start(self, serialized, messages, *, tags=None, parent_run_id=None, **kwargs):
        with self.lock:
            self.runs.append(("policy", [t for t in tags or () if t.startswith("optscale")], parent_run_id))

    def on_chain_start(self, serialized, inputs, *, run_id=None, parent_run_id=None, tags=None, name=None, **kwargs):
        with self.lock:
            self.runs.append((name, [t for t in tags or () if t.startswith("optscale")], parent_run_id))
            if parent_run_id is None:
                self.root = run_id


@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_trace_shows_candidates_and_verdicts_under_the_search(path):
    recorder = Recorder()
    policy = ScriptedPolicy(texts=["0.1", "0.95"])
    runnable = OptScale(policy=policy, verifier=read_score, target=0.9, first_round=1, round_size=1)
    config = {"callbacks": [recorder]}
    runnable.invoke("q", config) if path == "sync" else asyncio.run(runnable.ainvoke("q", config))
    children = [(name, tags) for name, tags, parent in recorder.runs if parent == recorder.root]
    drawn = [("policy", [f"optscale:candidate:{index}"]) for index in (0, 1)]
    scored = [(f"optscale:verdict:{index}", [f"optscale:verdict:{index}"]) for index in (0, 1)]
    assert children == [drawn[0], scored[0], drawn[1], scored[1]]
    names = [name for name, _ in recorder.events]
    assert names == 2 * ["optscale:round", "optscale:candidate", "optscale:verdict"] + ["optscale:answer"]
    decision = dict(recorder.events)["optscale:verdict"]["decision"]
    assert decision["reason"] == "TARGET_REACHED"


def test_a_failed_search_still_has_a_trace():
    recorder = Recorder()
    with pytest.raises(AllCandidatesFailed):
        OptScale(policy=ScriptedPolicy(texts=["x"]), verifier=read_score, max_samples=2).invoke(
            "q", {"callbacks": [recorder]}
        )
    assert [name for name, _ in recorder.events].count("optscale:failure") == 2
