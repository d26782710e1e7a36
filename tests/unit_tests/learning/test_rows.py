import json
from dataclasses import replace

import numpy as np
import pytest

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.learning.rows import Fingerprint, Label, SearchRow, answer_classes

ROW = SearchRow(
    id="a",
    time=1_800_000_000.5,
    policy=Fingerprint({"class": "ChatOpenAI", "model": "m", "temperature": 0.7}),
    verifier=Fingerprint({"class": "LLMJudge", "model": "j"}),
    scores=(0.25, None, 0.75, 0.5),
    answers=(0, None, 1, None),
    chosen=2,
    drawn=5,
    cap=16,
    rounds=2,
    probability=0.9,
    explored=True,
    stopped_at=3,
    settings={"target": 0.9},
    figures={"rise": 0.01},
    features=(np.array([3, 9], np.uint32), np.array([0.5, 0.25], np.float32)),
    policy_tokens=10,
    verifier_tokens=3,
    output_tokens=(2, None, 3, 4),
    seconds=1.25,
    cost=0.001,
    prompt="2 + 2?",
    texts=("4", None, "5", ""),
    label=Label(correct=True, time=1.0),
)


def test_a_row_survives_json():
    read = SearchRow.from_dict(json.loads(json.dumps(ROW.to_dict())))
    assert read == ROW
    assert [part.tolist() for part in read.features] == [[3, 9], [0.5, 0.25]]
    assert read.features[0].dtype == np.uint32


def test_scored_leaves_failures_out():
    assert ROW.scored == (0.25, 0.75, 0.5)
    assert ROW.scored_answers == (0, 1, None)
    assert (ROW.score, ROW.tokens, ROW.target) == (0.75, 13, 0.9)


def test_pairs_are_equal_for_equal_facts_in_any_order():
    other = Fingerprint({"temperature": 0.7, "model": "m", "class": "ChatOpenAI"})
    assert replace(ROW, policy=other).pair == ROW.pair
    assert Fingerprint({"model": "n"}).digest != Fingerprint({"model": "m"}).digest


def test_classes_are_numbered_by_first_occurrence():
    assert answer_classes(["x", "", "y", "x", None]) == (0, None, 1, 0, None)


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [0.5, None, 1.5, 0.5]},
        {"scores": [0.5]},
        {"answers": [0, None, -1, 0]},
        {"chosen": 4},
        {"stopped_at": 5},
        {"drawn": 3},
        {"cap": 0},
        {"probability": 1.5},
        {"output_tokens": [1]},
        {"features": [[1, 2], [0.5]]},
        {"texts": [1, 2, 3, 4]},
        {"label": {"score": 2.0}},
        {"label": {"unknown": 2.0}},
        {"id": None},
        {"time": "now"},
        {"policy": "m"},
    ],
)
def test_a_row_that_contradicts_itself_is_refused(change):
    with pytest.raises(InvalidRecordError):
        SearchRow.from_dict(ROW.to_dict() | change)


@pytest.mark.parametrize("label", [{}, {"correct": 1}, {"score": float("nan")}, {"score": True}])
def test_a_label_says_something(label):
    with pytest.raises(InvalidRecordError):
        Label(**label)
