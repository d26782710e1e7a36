"""Traces as LangSmith keeps them, read from tracers in memory."""

import logging

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_optscale import AllCandidatesFailed, ChatOptScale, OptScale
from langchain_optscale.stopping import MaxSamples
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score

TEXTS = ["0.3", "0.5", "0.4", "0.95"]


async def traced(runnable, path, question="q", **config):
    collector = RunCollectorCallbackHandler()
    config = {"callbacks": [collector], **config}
    if path == "sync":
        runnable.invoke(question, config)
    elif path == "async":
        await runnable.ainvoke(question, config)
    else:
        list(runnable.stream(question, config))
    (root,) = collector.traced_runs
    return root


@pytest.mark.parametrize("path", ["sync", "async", "stream"])
@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy], ids=["calls", "n"])
async def test_one_child_a_candidate_and_one_a_verdict(path, policy, caplog):
    chat = ChatOptScale(policy=policy(texts=TEXTS), verifier=read_score, stopping=MaxSamples(4), first_round=4)
    with caplog.at_level(logging.WARNING):
        root = await traced(chat, path)
    assert (root.name, root.run_type, root.parent_run_id) == ("ChatOptScale", "llm", None)
    children = [run for run in root.child_runs if run.name != "optscale:request"]
    wanted = [f"optscale:{kind}:{index}" for kind in ("candidate", "verdict") for index in range(4)]
    assert sorted(run.name for run in children) == wanted
    assert all(run.name in run.tags and run.error is None and run.end_time for run in children)
    assert len(root.child_runs) - len(children) == (policy is ScriptedPolicy)
    assert caplog.records == []


@pytest.mark.parametrize("path", ["sync", "async", "stream"])
async def test_the_parent_says_what_was_searched_with_and_what_came_of_it(path):
    chat = ChatOptScale(policy=ScriptedPolicy(texts=TEXTS), verifier=read_score, target=0.9, first_round=4, seed=0)
    root = await traced(chat, path, configurable={"confidence": 0.8}, metadata={"mine": 1})
    about = root.extra["metadata"]
    settings = {"target": 0.9, "confidence": 0.8, "max_samples": 16, "verifier": "read_score", "seed": 0}
    assert settings.items() <= {key.removeprefix("optscale_"): value for key, value in about.items()}.items()
    assert "confidence=0.8" in about["optscale_stopping"]
    assert (about["mine"], about["ls_provider"], about["ls_model_name"]) == (1, "optscale", "optscale/ScriptedPolicy")
    assert about["optscale_stop_reason"] == "TARGET_REACHED"
    assert 1 <= about["optscale_n"] <= about["optscale_drawn"] == 4
    assert {
        "optscale_mu",
        "optscale_sigma",
        "optscale_optimal_n",
        "optscale_score",
        "optscale_best",
    } <= about.keys()
    for child in root.child_runs:
        assert child.extra["metadata"]["mine"] == 1
        assert not [key for key in child.extra["metadata"] if key.startswith("optscale")]
        assert child.extra["metadata"].get("ls_provider") != "optscale"


async def test_a_runnable_search_says_the_same():
    search = OptScale(policy=ScriptedPolicy(texts=TEXTS), verifier=read_score, target=0.9, first_round=4)
    for path in ("sync", "async"):
        about = (await traced(search, path)).extra["metadata"]
        assert (about["optscale_target"], about["optscale_stop_reason"]) == (0.9, "TARGET_REACHED")


async def test_in_a_chain_the_model_is_one_step():
    chat = ChatOptScale(policy=ScriptedPolicy(texts=TEXTS), verifier=read_score, first_round=4)
    root = await traced(ChatPromptTemplate.from_template("{q}") | chat, "async", {"q": "?"}, tags=["mine"])
    assert [run.name for run in root.child_runs] == ["ChatPromptTemplate", "ChatOptScale"]
    candidate = next(run for run in root.child_runs[1].child_runs if run.name == "optscale:candidate:0")
    assert "mine" in root.child_runs[1].tags or "mine" in root.tags
    assert candidate.parent_run_id == root.child_runs[1].id


def test_a_search_that_fails_shows_in_the_trace():
    collector = RunCollectorCallbackHandler()
    chat = ChatOptScale(policy=ScriptedPolicy(texts=["x"]), verifier=read_score, max_samples=2)
    with pytest.raises(AllCandidatesFailed):
        chat.invoke("q", {"callbacks": [collector]})
    (root,) = collector.traced_runs
    assert "AllCandidatesFailed" in root.error
    assert [run.error is None for run in root.child_runs if run.name.startswith("optscale:verdict")] == [False, False]


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy], ids=["calls", "n"])
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_usage_callbacks_count_once_under_the_true_names(policy, path):
    chat = ChatOptScale(policy=policy(texts=TEXTS), verifier=read_score, stopping=MaxSamples(4), first_round=4)
    with get_usage_metadata_callback() as usage:
        message = chat.invoke("q") if path == "sync" else await chat.ainvoke("q")
    requests = 1 if policy is ScriptedPolicy else 4
    true = usage.usage_metadata.pop("scripted-1")
    assert (true["input_tokens"], true["output_tokens"]) == (10 * requests, 20)
    assert true["total_tokens"] == message.usage_metadata["total_tokens"]
    assert usage.usage_metadata == {}  # not a second time under the name of the search


def test_a_request_of_several_choices_is_counted_once_in_langsmith_too():
    collector = RunCollectorCallbackHandler()
    chat = ChatOptScale(policy=ScriptedPolicy(texts=TEXTS), verifier=read_score, stopping=MaxSamples(4), first_round=4)
    chat.invoke("q", {"callbacks": [collector]})
    (request,) = [run for run in collector.traced_runs[0].child_runs if run.name == "optscale:request"]
    # LangSmith's tracer adds up what the generations of a run say.
    told = [
        item["message"]["kwargs"].get("usage_metadata") for batch in request.outputs["generations"] for item in batch
    ]
    assert [usage and usage["total_tokens"] for usage in told] == [30, None, None, None]


def test_no_secret_in_a_trace():
    from langchain_openai import ChatOpenAI

    collector = RunCollectorCallbackHandler()
    policy = ChatOpenAI(model="m", api_key="sk-very-secret", base_url="http://127.0.0.1:9/v1", max_retries=0)
    chat = ChatOptScale(policy=policy, verifier=read_score, max_samples=1, max_retries=0)
    with pytest.raises(AllCandidatesFailed):
        chat.invoke("q", {"callbacks": [collector]})
    assert "very-secret" not in collector.traced_runs[0].model_dump_json(fallback=repr)
