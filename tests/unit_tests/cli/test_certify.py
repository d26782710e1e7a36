"""`optscale calibrate POOL --certify`: what it prints, what it saves, and how it complains."""

import json

import numpy as np
import pytest

from langchain_optscale import Certificate
from langchain_optscale.cli.main import main
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.certification import certify
from langchain_optscale.evaluation.pools import Pool, Question, Sample, read_pool, write_pool
from tests.command_line import sentence_of


def pool(*, informative=True, questions=160):
    """Half of the questions are answered rightly, and the scores say which or nothing."""
    generator = np.random.default_rng(0)
    made = []
    for number in range(questions):
        right = number % 2 == 0
        score = (0.9 if right else 0.2) if informative else 0.5
        samples = tuple(
            Sample(score=float(np.clip(score + generator.normal(0, 0.03), 0, 1)), correct=right) for _ in range(4)
        )
        made.append(Question(str(number), "?", samples))
    return Pool(tuple(made), "made")


def run(capsys, *arguments):
    status = main(["calibrate", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_it_is_saved_and_reported(capsys, tmp_path):
    write_pool(pool(), tmp_path / "pool.jsonl")
    file = str(tmp_path / "certificate.json")
    status, out, err = run(capsys, str(tmp_path / "pool.jsonl"), "--certify", "--delta", "0.1", "-o", file)
    assert (status, err) == (0, "")
    certificate = Certificate.load(file)
    assert certificate == Certificate.fit(read_pool(tmp_path / "pool.jsonl"), 0.1, 0.1)
    assert certificate.accepted >= 80
    assert "80 of" in out or f"{certificate.accepted} of 160 questions" in out
    assert "fitted on one half, counted on the other" in out
    assert f"certify={file!r}" in out


def test_json(capsys, tmp_path):
    write_pool(pool(), tmp_path / "pool.jsonl")
    status, out, _ = run(capsys, str(tmp_path / "pool.jsonl"), "--certify", "--json")
    document = json.loads(out)
    assert status == 0
    assert Certificate.from_dict(document["certificate"]).accepted >= 80
    assert document["held_out"]["wrong_share_ci"][0] <= 0.1
    assert (document["questions"], document["right"]) == (160, 80)


def test_what_tells_nothing_is_not_certified(capsys, tmp_path):
    write_pool(pool(informative=False), tmp_path / "pool.jsonl")
    status, out, _ = run(capsys, str(tmp_path / "pool.jsonl"), "--certify")
    assert status == 0
    assert "no answer can be certified" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--delta", "0.1"], "give --certify as well"),
        (["--certify", "--delta", "1.5"], "delta must lie strictly between 0 and 1"),
        (["--certify", "--accuracy", "0.9"], "leave out what chooses other settings"),
        (["--certify", "-o", "rule.npz"], "ends in .json"),
    ],
)
def test_errors_are_one_sentence(arguments, sentence, capsys, tmp_path):
    write_pool(pool(questions=4), tmp_path / "pool.jsonl")
    status, out, err = run(capsys, str(tmp_path / "pool.jsonl"), *arguments)
    assert (status, out) == (2, "")
    assert sentence in sentence_of(err)


def test_a_pool_without_labels_is_refused():
    with pytest.raises(SettingsError, match="lacks that"):
        certify(Pool((Question("a", "?", (Sample(score=0.5),)), Question("b", "?", (Sample(score=0.5),)))))
