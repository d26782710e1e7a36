"""`optscale calibrate POOL -o rule.npz`: what it prints, what it saves, and how it complains."""

import io
import json
import sys
from dataclasses import replace

import pytest

from langchain_optscale.cli.calibrate import _usage
from langchain_optscale.cli.main import main
from langchain_optscale.evaluation.advice import SearchChoice
from langchain_optscale.evaluation.pools import Pool, write_pool
from langchain_optscale.stopping import FittedStopping, MarginalGain, optscale
from tests.command_line import sentence_of
from tests.unit_tests.stopping.learned.test_fitted import uniform, voted


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pools")
    write_pool(voted(60), folder / "voted.jsonl")
    write_pool(uniform(60), folder / "graded.jsonl")
    write_pool(voted(12), folder / "few.jsonl")
    write_pool(voted(30, 6), folder / "short.jsonl")
    without = [replace(q, samples=tuple(replace(s, correct=None) for s in q.samples)) for q in voted(60)]
    write_pool(Pool(tuple(without)), folder / "unlabelled.jsonl")
    (folder / "damaged.jsonl").write_text('{"id": "a", "prompt": "?", "samples": [{"score": 7}]}\n')
    return folder


def run(capsys, directory, pool, *arguments):
    status = main(["calibrate", str(directory / pool), *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_rule_is_saved_and_judged(capsys, directory, tmp_path):
    file = tmp_path / "rule.npz"
    status, out, err = run(capsys, directory, "voted.jsonl", "--price", "0.01", "--splits", "1", "-o", str(file))
    assert (status, err) == (0, "")
    rule = FittedStopping.load(file)
    assert rule.price.sample == 0.01
    assert rule.calibration is not None
    assert "fitted on one half, measured on the other" in out
    assert f"settings={str(file)!r}" in out
    assert repr(rule) in out


def test_json(capsys, directory, tmp_path):
    file = str(tmp_path / "rule.npz")
    status, out, _ = run(capsys, directory, "voted.jsonl", "--samples", "3", "--splits", "1", "-o", file, "--json")
    document = json.loads(out)
    assert status == 0
    assert document["file"] == file
    assert document["rows"][0]["method"] == "best-of-n"
    assert "60 questions are too few to be sure" in " ".join(document["warnings"])


def test_a_mean_number_of_samples(capsys, directory, tmp_path):
    file = tmp_path / "rule.npz"
    status, out, _ = run(
        capsys, directory, "graded.jsonl", "--samples", "3", "--splits", "1", "-o", str(file), "--json"
    )
    assert status == 0
    fitted = next(row for row in json.loads(out)["rows"] if row["method"] == "fitted")
    # 60 questions, halved: the figure is held out, so it is near what was asked for and not at it.
    assert fitted["samples"] == pytest.approx(3.0, abs=1.0)


def test_a_recommendation_is_quiet_in_a_pipe_and_its_code_is_what_was_measured(capsys, directory):
    status, out, err = run(capsys, directory, "few.jsonl", "--budget", "3", "--max-samples", "4")
    assert (status, err) == (0, "")
    assert "# give -o calibration.json to save the calibration" in out
    document = json.loads(run(capsys, directory, "few.jsonl", "--budget", "3", "--max-samples", "4", "--json")[1])
    settings = document["settings"]
    # Candidates with answers have a price, and no target.
    assert settings["target"] is None
    assert f"max_samples={settings['max_samples']}, price={settings['price']!r})" in out


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ((None, 0.95, 16), "ChatOptScale(policy=policy, verifier=verifier, confidence=0.95, max_samples=16)"),
        (
            (0.9, 0.8, 8),
            "ChatOptScale(policy=policy, verifier=verifier, target=0.9, confidence=0.8, max_samples=8, round_size=1)",
        ),
        (
            (0.9, 0.8, 8, 0.02),
            "ChatOptScale(policy=policy, verifier=verifier, stopping=rule, max_samples=8, round_size=1)",
        ),
    ],
)
def test_the_code_of_a_recommendation_has_its_settings(settings, code):
    choice = SearchChoice(*settings)
    lines = _usage(None, choice.to_dict(), answers=False).splitlines()
    assert lines[-1] == f"model = {code}"
    if choice.min_gain is not None:
        assert lines[0] == "rule = optscale(target=0.9, confidence=0.8, max_samples=8) | MarginalGain(0.02)"
        assert choice.rule() == optscale(target=0.9, confidence=0.8, max_samples=8) | MarginalGain(0.02)


def test_on_a_terminal_the_halves_are_counted(monkeypatch, directory, tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    arguments = ["calibrate", str(directory / "graded.jsonl"), "--samples", "3", "--splits", "1"]
    assert main([*arguments, "-o", str(tmp_path / "rule.npz")]) == 0
    shown = sys.stderr.getvalue().split("\r")
    assert [line.partition("] ")[2] for line in shown] == ["", "0 of 2 halves", "1 of 2 halves", "2 of 2 halves\n"]


def test_a_rule_that_leaves_it_to_the_default_is_told(capsys, directory, tmp_path, monkeypatch):
    file = tmp_path / "rule.npz"
    arguments = ("short.jsonl", "--price", "0.01", "--splits", "1", "-o", str(file))
    said = "the saved rule uses the default"
    for defers in (True, False):
        monkeypatch.setattr("langchain_optscale.stopping.learned.untrained._LEAST_BETTER", 99.0 if defers else -99.0)
        monkeypatch.setattr("langchain_optscale.stopping.learned.untrained._AS_MANY", 99.0)
        status, out, _ = run(capsys, directory, *arguments)
        assert (status, FittedStopping.load(file).defers, said in out) == (0, defers, defers)
        document = json.loads(run(capsys, directory, *arguments, "--json")[1])
        assert (said in " ".join(document["warnings"])) == defers


def test_without_labels_and_in_rounds(capsys, directory, tmp_path):
    file = tmp_path / "rule.npz"
    arguments = ("--no-labels", "--round-size", "3", "--splits", "1", "-o", str(file))
    assert run(capsys, directory, "unlabelled.jsonl", *arguments)[0] == 0
    rule = FittedStopping.load(file)
    assert rule.labels == "none"
    assert rule.points == (1, 4, 7, 10, 12)


@pytest.mark.parametrize(
    ("pool", "arguments", "complaint"),
    [
        ("few.jsonl", (), "12 questions are too few to learn when to stop"),
        ("unlabelled.jsonl", (), "labels='none'"),
        ("graded.jsonl", (), "give price= or samples="),
        ("voted.jsonl", ("--price", "-1"), "must be a finite number of at least 0"),
        ("voted.jsonl", ("--price", "nan"), "must be a finite number of at least 0"),
        ("voted.jsonl", ("--price", "0.1", "--samples", "3"), "not both"),
        ("voted.jsonl", ("--samples", "0"), "samples must be from 1"),
        ("voted.jsonl", ("--samples", "nan"), "samples must be from 1"),
        ("voted.jsonl", ("--round-size", "0"), "round_size must be at least 1"),
        ("voted.jsonl", ("--splits", "0"), "splits must be at least 1"),
        ("voted.jsonl", ("--max-samples", "99"), "the first 1 to 12 samples"),
        ("voted.jsonl", ("--accuracy", "0.9"), "for a learned rule give --price or --samples"),
        ("damaged.jsonl", (), "line 1"),
        ("missing.jsonl", (), "missing.jsonl"),
    ],
)
def test_bad_input_is_one_sentence(capsys, directory, tmp_path, pool, arguments, complaint):
    status, out, err = run(capsys, directory, pool, *arguments, "-o", str(tmp_path / "rule.npz"))
    assert (status, out) == (2, "")
    assert not (tmp_path / "rule.npz").exists()
    assert complaint in sentence_of(err)


def test_options_of_a_rule_without_a_file_for_it(capsys, directory):
    status, _, err = run(capsys, directory, "voted.jsonl", "--samples", "3")
    assert status == 2
    assert "give -o FILE.npz as well" in err


def test_a_file_that_cannot_be_written(capsys, directory, tmp_path):
    status, _, err = run(
        capsys, directory, "voted.jsonl", "--price", "0.01", "-o", str(tmp_path / "nowhere" / "rule.npz")
    )
    assert status == 2
    assert "cannot be written" in err
