"""Records: what they refuse, and that JSON loses nothing."""

import json
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from langchain_core.messages import AIMessage

from langchain_optscale import OptScale, OptScaleResult
from langchain_optscale.errors import InvalidRecordError, InvalidScoreError
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.records.usage import Usage
from tests.unit_tests.fakes import ScriptedPolicy, read_score


@pytest.mark.parametrize("score", [0, 1, 0.5, True, np.float32(0.25), np.int64(1), Decimal("0.3"), Fraction(1, 3)])
def test_scores(score):
    verdict = Verdict(score)
    assert type(verdict.score) is float
    assert verdict.score == float(score)


@pytest.mark.parametrize(
    "score",
    [
        math.nan,
        math.inf,
        -1e-12,
        1.0000001,
        1.2,
        "0.5",
        b"0.5",
        None,
        [0.5],
        1j,
        10**400,
        np.array([0.1, 0.2]),
    ],
)
def test_no_scores(score):
    with pytest.raises(InvalidScoreError, match=r"finite number in \[0, 1\]"):
        Verdict(score)


def test_every_reason_is_a_sentence_of_its_own():
    sentences = [reason.value for reason in StopReason]
    assert len(set(sentences)) == len(sentences)
    assert all(len(sentence.split()) >= 4 for sentence in sentences)


def test_usage_adds_up():
    assert Usage(1, 2, 3) + Usage(10, 20, 30) == Usage(11, 22, 33)
    assert Usage(1, 2, 3).total_tokens == 3


def test_a_decision_reads_aloud():
    assert str(Decision(draw=3, figures={"n": 2.0})) == "draw 3 more (n 2)"
    assert str(Decision()) == "draw more"
    assert str(Decision(stop=True, reason=StopReason.DEADLINE)) == "stop: the time is up"


def search(texts=("0.2", "oops", "0.7", "", "0.4"), **kwargs):
    policy = ScriptedPolicy(texts=list(texts))
    return OptScale(policy=policy, verifier=read_score, first_round=2, round_size=2, **kwargs)


def test_a_result_survives_json():
    result = search(max_samples=5, extract=lambda text: text[-1:] or None).invoke("q")
    assert result.failures.keys() == {1, 3}
    back = OptScaleResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert back == result
    assert list(back.verdicts) == list(result.verdicts)
    assert back.stop_reason is result.stop_reason
    assert back.message == result.message


def test_a_message_with_tool_calls_survives_json():
    call = {"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}
    candidate = Candidate(3, AIMessage("", tool_calls=[call]), 1, Usage(1, 2, 1), 0.5, "42")
    assert Candidate.from_dict(json.loads(json.dumps(candidate.to_dict()))) == candidate


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"format": "x"},
        {"best": 77},
        {"verdicts": [[0, {"score": 2}]]},
        {"decision": {}},
        {"usage": {"policy": {"tokens": 3}}},
        {"candidates": "none"},
    ],
)
def test_a_damaged_result_is_refused(change):
    data = search(max_samples=2).invoke("q").to_dict() | change
    with pytest.raises(InvalidRecordError):
        OptScaleResult.from_dict(data)
