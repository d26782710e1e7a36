import math
from dataclasses import dataclass

import numpy as np
import pytest
from langsmith.evaluation import EvaluationResult

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.verifiers.evaluators.results import choose, read_results


@dataclass
class Reason:
    value: object
    reason: str | None = None


@dataclass
class Score:
    name: str
    score: float | None
    metadata: dict


@pytest.mark.parametrize(
    ("result", "metrics"),
    [
        (0.5, [("", 0.5, None)]),
        (True, [("", 1.0, None)]),
        (np.float32(0.5), [("", 0.5, None)]),
        ({"key": "k", "score": False, "comment": "why"}, [("k", 0.0, "why")]),
        ({"score": 0.5, "reasoning": "why", "value": "Y"}, [("", 0.5, "why")]),
        ({"results": [{"key": "a", "score": 1}, {"key": "b", "score": 0}]}, [("a", 1.0, None), ("b", 0.0, None)]),
        ([{"key": "a", "score": 1}, {"key": "b", "score": 0}], [("a", 1.0, None), ("b", 0.0, None)]),
        ({"a": 1, "b": Reason(0.5, "why"), "comment": "of all"}, [("a", 1.0, None), ("b", 0.5, "why")]),
        (Reason(True, "why"), [("", 1.0, "why")]),
        (EvaluationResult(key="k", score=0.5, comment="why"), [("k", 0.5, "why")]),
        (Score("n", 0.5, {"rationale": "why"}), [("n", 0.5, "why")]),
        ({"a": {"score": 0.5}, "b": "good"}, [("a", 0.5, None), ("b", None, None)]),
        ({}, []),
    ],
)
def test_what_is_read(result, metrics):
    assert [(one.name, one.score, one.comment) for one in read_results(result)] == metrics


@pytest.mark.parametrize("result", [None, "good", b"1", object()])
def test_what_is_no_result(result):
    with pytest.raises(InvalidScoreError, match="must return a score"):
        read_results(result)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"score": None}, "no score"),
        ({"score": None, "comment": "it failed"}, "no score: it failed"),
        ({"key": "k", "value": "good"}, "type str instead of a score"),
        ({}, "no result"),
        ([], "no result"),
        ({"score": 1.5}, "scored 1.5, which is not in .*rescale="),
        ({"score": -0.1}, "not in"),
        ({"score": math.nan}, "not in"),
    ],
)
def test_what_is_no_score(result, sentence):
    with pytest.raises(InvalidScoreError, match=sentence):
        choose(read_results(result), "mine")


TWO = {"a": 1.0, "b": 0.5}


def test_one_of_several_is_chosen_by_name_or_by_weights():
    metrics = read_results(TWO)
    with pytest.raises(SettingsError, match="2 metrics, 'a', 'b': choose one"):
        choose(metrics, "mine")
    assert choose(metrics, "mine", metric="b").score == 0.5
    verdict = choose(metrics, "mine", weights={"a": 1, "b": 3})
    assert verdict.score == pytest.approx((1 * 1.0 + 3 * 0.5) / 4)
    assert verdict.explanation == "a 1.00; b 0.50"
    assert [one["name"] for one in verdict.raw["metrics"]] == ["a", "b"]


@pytest.mark.parametrize("chosen", [{"metric": "c"}, {"weights": {"a": 1, "c": 1}}])
def test_a_missing_metric(chosen):
    with pytest.raises(InvalidScoreError, match="exactly one score 'c'; it returned 'a', 'b'"):
        choose(read_results(TWO), "mine", **chosen)


def test_a_name_that_occurs_twice_is_no_choice():
    with pytest.raises(InvalidScoreError, match="exactly one score 'a'"):
        choose(read_results([{"key": "a", "score": 1}, {"key": "a", "score": 0}]), "mine", metric="a")


def test_rescaled():
    assert choose(read_results({"score": 8}), "mine", rescale=lambda score: score / 10).score == 0.8
    with pytest.raises(InvalidScoreError, match="rescale must return"):
        choose(read_results({"score": 80}), "mine", rescale=lambda score: score / 10)
