"""The constants of the law: their ranges and their JSON form."""

import json
import subprocess
import sys

import pytest

import langchain_optscale.answers as answers
from langchain_optscale.answers import CALIBRATED_SCORES, DEFAULT, AnswerModel
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.stats import IsotonicCalibration, LogisticCalibration


@pytest.mark.parametrize(
    "change",
    [
        {"right": 0.0},
        {"right": float("nan")},
        {"silence": 1.0},
        {"firmness": 0.0},
        {"firmness": 1e3},
        {"concentration": float("inf")},
        {"answer_std": -1.0},
        {"separation": -0.1},
        {"centre": float("nan")},
        {"slope": 1e3},
    ],
)
def test_what_is_refused(change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        AnswerModel(**change)


@pytest.mark.parametrize(
    "model",
    [
        DEFAULT,
        CALIBRATED_SCORES,
        AnswerModel(calibration=LogisticCalibration(-1.0, 3.0)),
        AnswerModel(calibration=IsotonicCalibration((0.1, 0.9), (0.2, 0.8))),
    ],
)
def test_json(model, tmp_path):
    model.save(tmp_path / "model.json")
    again = AnswerModel.load(tmp_path / "model.json")
    assert again == model
    assert hash(again) == hash(model)
    assert AnswerModel.from_dict(json.loads(json.dumps(model.to_dict()))) == model


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "3",
        "{}",
        '{"format": "langchain-optscale/answer-model", "version": 2}',
        '{"format": "langchain-optscale/answer-model", "version": 1, "hue": 3}',
        '{"format": "langchain-optscale/answer-model", "version": 1, "right": 3}',
        '{"format": "langchain-optscale/answer-model", "version": 1, "right": "half"}',
        '{"format": "langchain-optscale/answer-model", "version": 1, "calibration": {}}',
    ],
)
def test_a_damaged_file_is_named(text, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRecordError, match=r"model\.json"):
        AnswerModel.load(path)


def test_the_package_computes_nothing_until_asked():
    code = (
        "import sys, langchain_optscale.answers, langchain_optscale.stopping;"
        "print([name for name in ('numpy', 'scipy') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert out.stdout.strip() == "[]"
    for name in answers.__all__:
        assert getattr(answers, name) is not None
    assert not hasattr(answers, "AnswerModels")
