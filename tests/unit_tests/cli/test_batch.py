"""What `optscale batch` refuses before it asks a question; its integration tests have the rest."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

from langchain_optscale.cli.main import _parser, main
from tests.command_line import sentence_of

pytest.importorskip("langchain_openai")
POLICY = ("--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m", "--regex", "0")


def run(tmp_path, capsys, *more, questions=("one", "two")):
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    status = main(["batch", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), *POLICY, *more])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert not (tmp_path / "out.jsonl").exists() or (tmp_path / "out.jsonl").read_text() == ""
    return status, sentence_of(printed.err)


@pytest.mark.parametrize(
    "given",
    [
        "20",
        "samples",
        "samples=",
        "samples=0",
        "samples=-3",
        "samples=10k",
        "samples=1_000",
        "samples=1e3",
        "tokens=0",
        "tokens=٣",
        "cost=0",
        "cost=-1",
        "cost=nan",
        "cost=inf",
        "cost=ten",
        "usd=3",
        "=5",
    ],
)
def test_a_budget_that_is_none_is_refused(tmp_path, capsys, given):
    status, complaint = run(tmp_path, capsys, f"--budget={given}")
    assert status == 2
    assert "--budget must be samples=N or tokens=N with a whole number N of at least 1, or cost=X with X above 0, " in (
        complaint
    )
    assert f"got {given!r}" in complaint


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--workers", "2"), "--workers is for --engine ray"),
        (("--address", "auto"), "--address is for --engine ray"),
        (("--window", "8"), "--window needs --budget"),
        (("--budget", "samples=8", "--window", "0"), "--window must be at least 1, got 0"),
        (("--engine", "ray", "--workers", "0"), "--workers must be at least 1, got 0"),
        (("--engine", "ray", "--record"), "--engine ray keeps no whole records"),
        (("--budget", "samples=1"), "a budget of 1 samples is too small for 2 questions: each gets at least one"),
        (("--budget", "tokens=1"), "a budget of 1 tokens is too small for 2 questions: each gets at least one"),
        (("--budget", "cost=0.5"), "needs the prices of the policy: give --policy-prices INPUT OUTPUT"),
        (("--policy-prices", "-1", "2"), "the price for input must be a finite number of at least 0, got -1"),
        (("--judge-prices", "1", "2"), "--judge-prices needs --judge PROVIDER:MODEL"),
        (("--judge", "policy", "--judge-prices", "1", "2"), 'the judge "policy" has the --policy-prices'),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, capsys, more, sentence):
    status, complaint = run(tmp_path, capsys, *more)
    assert status == 2
    assert sentence in complaint


def test_a_judge_without_prices_leaves_no_budget_of_cost(tmp_path, capsys, monkeypatch):
    pytest.importorskip("langchain")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    more = ("--budget", "cost=0.5", "--policy-prices", "1", "2", "--judge", "openai:m")
    status, complaint = run(tmp_path, capsys, *more)
    assert status == 2
    assert "needs the prices of the judge: give --judge-prices INPUT OUTPUT" in complaint


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_one_sentence_says_how_to_install_it(tmp_path, capsys):
    status, complaint = run(tmp_path, capsys, "--engine", "ray")
    assert status == 1
    assert complaint == (
        'optscale: The engine Ray needs an optional dependency; install it with: pip install "langchain-optscale[ray]"'
    )


@pytest.mark.parametrize("cost", [None, "free"])
def test_answers_without_a_cost_leave_no_budget_of_cost(tmp_path, cost):
    from langchain_optscale import Budget, SettingsError
    from langchain_optscale.cli.batch import _spent
    from langchain_optscale.distributed.dataset import _spent as spent_on_ray

    with pytest.raises(SettingsError, match="answers without a cost"):
        _spent(Budget(cost=1.0), {"answered": 3, "cost": None, "output": "out.jsonl"})
    line = {"id": "q", "asked": {}, "drawn": 2, "usage": {}, "cost": cost}
    (tmp_path / "answers-1.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(SettingsError, match="'q' has no cost"):
        spent_on_ray(Budget(cost=1.0), str(tmp_path))
    (tmp_path / "answers-1.jsonl").write_text(json.dumps({**line, "cost": 0.25}) + "\n")
    assert spent_on_ray(Budget(cost=1.0), str(tmp_path)) == (0.25, 1)


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["deploy/ray/rayjob.yaml", "deploy/slurm/batch.sbatch", "docs/scaling.md"])
def test_the_commands_of_the_deployments_are_understood(name):
    text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text(encoding="utf-8"))
    if name.endswith(".yaml"):
        text = re.sub(r"\n\s*--", " --", text)
    commands = re.findall(r"^ *(optscale batch [^`\n]*)$", text, flags=re.MULTILINE)
    assert commands
    for command in commands:
        # What the shell puts in, a number where one is asked for.
        given = shlex.split(re.sub(r"\$\(\([^)]*\)\)", "16", command).replace("$", ""))
        arguments = _parser().parse_args(given[1:])
        assert arguments.engine == "ray"
        assert arguments.policy_model
