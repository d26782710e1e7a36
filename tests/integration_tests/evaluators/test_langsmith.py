"""LangSmith's evaluators, and LangChain's own string evaluators."""

import socket
import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from langchain_classic.evaluation import load_evaluator
from langchain_core.language_models import FakeListChatModel
from langsmith import Client, evaluate, tracing_context
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator, run_evaluator
from langsmith.evaluation.evaluator import DynamicComparisonRunEvaluator
from langsmith.evaluation.string_evaluator import StringEvaluator
from langsmith.schemas import Example

from langchain_optscale import OptScale
from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers import EvaluatorVerifier


@run_evaluator
def decorated(run, example):
    right = run.outputs["output"] == example.outputs["output"]
    return {"key": "right", "score": right, "comment": "compared"}


@run_evaluator
async def decorated_async(run, example):
    right = run.outputs["output"] == example.outputs["output"]
    return {"key": "right", "score": right, "comment": "compared"}


class Derived(RunEvaluator):
    def evaluate_run(self, run, example=None, evaluator_run_id=None):
        assert run.inputs["input"] == "What is the capital of France?"
        return EvaluationResult(key="right", score=run.outputs["output"] == "Paris", comment="compared")


def legacy(run, example):
    return EvaluationResult(key="right", score=run.outputs["output"] == example.outputs["output"], comment="compared")


def by_name(inputs: dict, outputs: dict, reference_outputs: dict) -> bool:
    return outputs["city"] == reference_outputs["city"]


async def by_name_async(inputs: dict, outputs: dict, reference_outputs: dict) -> dict:
    return {"key": "right", "score": outputs["city"] == reference_outputs["city"], "comment": "compared"}


def several(outputs: dict) -> dict:
    short = len(outputs["output"]) < 10
    return {"results": [{"key": "short", "score": short}, {"key": "right", "score": outputs["output"] == "Paris"}]}


@pytest.mark.parametrize("evaluator", [decorated, decorated_async, Derived(), legacy])
def test_of_a_run(score, evaluator):
    verdict = score(evaluator, reference="Paris")
    assert (verdict.score, verdict.explanation) == (1, "compared")
    assert score(evaluator, "Lyon", reference="Paris").score == 0


@pytest.mark.parametrize("evaluator", [by_name, by_name_async])
def test_by_the_names_of_a_data_set(score, evaluator):
    assert score(evaluator, reference={"city": "Paris"}).score == 1
    assert score(evaluator, "Lyon", reference={"city": "Paris"}).score == 0


class AsyncSeveral(RunEvaluator):
    def evaluate_run(self, run, example=None, evaluator_run_id=None):
        raise NotImplementedError

    async def aevaluate_run(self, run, example=None, evaluator_run_id=None):
        results = [EvaluationResult(key="a", score=1), EvaluationResult(key="b", score=0.5, comment="half")]
        return EvaluationResults(results=results)


def test_several_results_of_a_run_evaluator(score):
    with pytest.raises(SettingsError, match="2 metrics, 'a', 'b': choose one"):
        score(AsyncSeveral())
    verdict = score(EvaluatorVerifier(AsyncSeveral(), metric="b"))
    assert (verdict.score, verdict.explanation) == (0.5, "half")


def test_several_metrics(score):
    with pytest.raises(SettingsError, match="2 metrics, 'short', 'right': choose one"):
        score(several)
    assert score(EvaluatorVerifier(several, metric="right"), "Lyon").score == 0
    assert score(EvaluatorVerifier(several, weights={"short": 1, "right": 3}), "Lyon").score == 0.25


def test_string_evaluator(score):
    evaluator = StringEvaluator(
        evaluation_name="right",
        input_key="q",
        prediction_key="a",
        answer_key="gold",
        grading_function=lambda question, answer, gold: {"score": answer == gold, "comment": question},
    )
    verdict = score(evaluator, reference="Paris")
    assert (verdict.score, verdict.explanation) == (1, "What is the capital of France?")


def test_a_comparison_is_refused(score):
    with pytest.raises(SettingsError, match="ranks several runs"):
        score(DynamicComparisonRunEvaluator(lambda runs, example: {"key": "k", "scores": {}}))


def test_langchain(score):
    assert score(load_evaluator("exact_match"), reference="Paris").score == 1
    judge = FakeListChatModel(responses=["It is short.\n\nY"])
    verdict = score(load_evaluator("criteria", criteria="conciseness", llm=judge))
    assert (verdict.score, verdict.explanation, verdict.usage.requests) == (1, "It is short.", 1)
    with pytest.raises(SettingsError, match="needs a reference"):
        score(load_evaluator("json_equality"))
    with pytest.raises(SettingsError, match="less is better"):
        score(load_evaluator("string_distance"))


@pytest.fixture
def asked_hosts(monkeypatch):
    """The hosts that were looked up, of which none is reached."""
    hosts = []

    def refuse(host, *args, **kwargs):
        hosts.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return hosts


def test_a_search_under_langsmith_evaluate(asked_hosts):
    """The recipe of docs/evaluators.md: LangSmith runs the search, and nothing leaves this machine."""
    search = OptScale(policy=FakeListChatModel(responses=["Lyon", "Paris"]), verifier=by_name, max_samples=4)
    question, answer = {"question": "What is the capital of France?"}, {"city": "Paris"}
    example = Example(id=uuid4(), dataset_id=uuid4(), created_at=datetime.now(UTC), inputs=question, outputs=answer)

    def target(inputs):
        with tracing_context(enabled=False):
            result = search.invoke(inputs["question"], {"configurable": {"reference": answer}})
        return {"city": result.text, "drawn": len(result.candidates)}

    offline = Client(auto_batch_tracing=False)
    results = list(evaluate(target, data=[example], evaluators=[by_name], upload_results=False, client=offline))
    assert results[0]["run"].outputs["city"] == "Paris"
    assert results[0]["evaluation_results"]["results"][0].score is True
    time.sleep(1)  # LangSmith uploads in the background
    assert asked_hosts == []
