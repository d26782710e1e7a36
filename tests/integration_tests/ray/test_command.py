"""`optscale batch --engine ray` as a user runs it, and once more after its cluster was gone."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("ray", reason="Ray is not installed: make integration_test_ray")
pytest.importorskip("langchain_openai")

from tests.integration_tests.chaos_server import chaos_server

PATH = os.pathsep.join(path for path in sys.path if path)
KEY = "a-key-of-the-workers"
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATH, "OPTSCALE_POLICY_API_KEY": KEY, "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}


def run(server, questions, answers, *more):
    command = [sys.executable, "-m", "langchain_optscale.cli", "batch", str(questions), "-o", str(answers)]
    policy = ["--policy-url", server.base_url, "--policy-model", "m", "--max-samples", "2", "--regex", "fine", "--json"]
    return subprocess.run(  # noqa: S603 - our own command
        [*command, *policy, "--engine", "ray", "--window", "4", *more],
        capture_output=True,
        text=True,
        timeout=200,
        env=ENVIRONMENT,
        check=False,
    )


def test_a_file_is_answered_and_goes_on_with_another_cluster(tmp_path):
    questions, answers = tmp_path / "in.jsonl", tmp_path / "out"
    questions.write_text("".join(json.dumps({"id": f"q{i}", "prompt": f"question {i}"}) + "\n" for i in range(10)))
    with chaos_server(answer=lambda asked, choice: f"fine {asked.text}") as server:
        first = run(server, questions, answers)
        assert first.returncode == 0, first.stderr
        figures = json.loads(first.stdout)
        assert (figures["questions"], figures["answered"], figures["answered_now"]) == (10, 10, 10)
        with questions.open("a") as file:
            file.write('{"id": "new", "prompt": "one more"}\n')
        second = run(server, questions, answers)
        assert second.returncode == 0, second.stderr
        figures = json.loads(second.stdout)
        assert (figures["questions"], figures["answered_now"]) == (11, 1)
    lines = [json.loads(line) for path in answers.iterdir() for line in path.read_text().splitlines()]
    assert {line["id"]: line["answer"] for line in lines}["q3"] == "fine question 3"
    assert not any(KEY in path.read_text() for path in answers.iterdir())
