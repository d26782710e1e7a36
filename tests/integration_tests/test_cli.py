"""The command line as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.command_line import sentence_of
from tests.integration_tests.scripted_server import Reply, scripted_server

pytest.importorskip("rich")
COMMAND = [sys.executable, "-m", "langchain_optscale.cli"]


def run(*arguments, env=None, timeout=100):
    environment = {**os.environ, **(env or {})}
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )


def test_demo_live(local_server):
    done = run("demo", "--live", "--tasks", "2", "--max-samples", "4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("■") >= 2
    assert "Best-of-4 would draw 8 candidates" in " ".join(done.stdout.split())


def test_demo_json(local_server):
    done = run("demo", "--live", "--tasks", "1", "--max-samples", "4", "--json")
    document = json.loads(done.stdout)
    (row,) = document["searches"]
    assert 1 <= row["verified"] <= row["samples"] <= 4
    assert document["bill"]["best_of_n_samples"] == 4


def test_demo_on_your_own_model():
    def script(number, payload):
        return Reply(["A cat is on the mountain, where the old winter light is thin."] * payload.get("n", 1))

    with scripted_server(script) as server:
        done = run("demo", "--policy-url", server.base_url, "--policy-model", "m", "--max-samples", "8")
    assert done.returncode == 0, done.stderr
    assert "of 5 tasks met in full" in done.stdout


def test_ask_reads_a_pipe():
    with scripted_server(lambda number, payload: Reply(["one two three"] * payload.get("n", 1))) as server:
        command = [*COMMAND, "ask", "-", "--policy-url", server.base_url, "--policy-model", "m", "--words", "3"]
        done = subprocess.run(command, input="Count!\n", capture_output=True, text=True, check=False)  # noqa: S603
        assert server.requests[0]["messages"][-1]["content"] == "Count!\n"
    assert done.stdout == "one two three\n"


def test_ask_records_and_report_shows_it(tmp_path):
    store = str(tmp_path / "optscale.db")
    with scripted_server(lambda number, payload: Reply(["one two three"] * payload.get("n", 1))) as server:
        asked = ("ask", "Count!", "--policy-url", server.base_url, "--policy-model", "m", "--words", "3")
        first = run(*asked, "--store", store)
        second = json.loads(run(*asked, "--store", store, "--json").stdout)
    assert "recorded as " in first.stderr
    listed = json.loads(run("store", "list", store, "--json").stdout)
    assert listed[1]["id"] == second["search_id"]
    assert listed[0]["id"] in first.stderr
    assert run("store", "label", store, second["search_id"], "--correct").returncode == 0
    report = run("report", store, "-o", str(tmp_path / "report.html"))
    assert report.stdout.startswith("2 searches")
    assert "any answer is right: 1 of 1 labelled" in " ".join(report.stdout.split())
    assert (tmp_path / "report.html").stat().st_size > 3000


def test_ask_with_the_policy_as_judge():
    def script(number, payload):
        text = json.dumps(payload["messages"])
        code = text.rpartition("The code is ")[2].partition(".")[0]
        return Reply([f"GRADE-{code}: 10" if "The code is " in text else "Paris"] * (payload.get("n") or 1))

    with scripted_server(script) as server:
        arguments = ("--policy-url", server.base_url, "--policy-model", "m", "--judge", "policy", "--target", "0.9")
        done = run("ask", "What is the capital of France?", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["answer"] == "Paris"
    assert document["score"] == 1.0
    assert document["drawn"] <= 2


def test_ask_the_embedded_model(local_server):
    done = run("ask", "Name three rivers.", "--contains", "river", "--max-samples", "3", "--max-tokens", "128")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "candidates scored" in done.stderr


@pytest.mark.parametrize("question", ["What is the capital of France?", "17 * 23"])
def test_an_easy_question_takes_few_candidates(local_server, question):
    done = run("ask", question, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["drawn"] <= 5  # of 8
    assert document["truncated"] == 0


def test_ask_without_log_probabilities_or_a_check_says_what_to_give():
    with scripted_server(lambda number, payload: Reply(["four"] * payload.get("n", 1))) as server:
        done = run("ask", "q", "--policy-url", server.base_url, "--policy-model", "m")
        assert len(server.requests) == 1
    assert done.returncode == 1
    assert "give a check, such as --max-words 5, or --judge policy" in sentence_of(done.stderr)


def test_ask_an_endpoint_with_a_key_of_its_own():
    def script(number, payload):
        return Reply(["one two", "one two three"][: payload.get("n", 1)])

    with scripted_server(script) as server:
        arguments = ("ask", "q", "--policy-url", server.base_url, "--policy-model", "m", "--words", "3", "--json")
        done = run(*arguments, env={"OPTSCALE_POLICY_API_KEY": "sk-mine", "OPENAI_API_KEY": "sk-not-for-you"})
        assert set(server.keys) == {"Bearer sk-mine"}
    document = json.loads(done.stdout)
    assert document["answer"] == "one two three"
    assert document["stop_reason"] == "TARGET_REACHED"
    assert document["record"]["format"] == "langchain-optscale/result"
    assert "sk-mine" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("ask", "q", "--policy-url", "http://127.0.0.1:9/v1"), 2, "--policy-url needs --policy-model"),
        (("ask", "q", "--policy-model", "m"), 2, "--policy-model needs --policy-url"),
        (("ask", "q", "--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m", "--target", "2"), 2, "target"),
        (
            ("ask", "q", "--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m", "--temperature", "0"),
            2,
            "temperature is 0",
        ),
        (
            ("ask", "q", "--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m", "--max-samples", "1"),
            1,
            "Connection error",
        ),
        (("ask", "q", "--regex", "("), 2, "not a valid regular expression"),
        (("demo", "--max-samples", "0"), 2, "must be at least 1"),
        (("sing",), 2, "invalid choice"),
    ],
)
def test_errors_are_one_sentence(arguments, status, sentence):
    done = run(*arguments)
    assert done.returncode == status
    assert done.stdout == ""
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [(), ("demo",), ("ask",), ("record",), ("replay",)])
def test_help(command):
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "usage: optscale" in done.stdout
    if command:
        assert "example:" in done.stdout


def test_record_then_replay(local_server, tmp_path):
    questions, pool = tmp_path / "questions.jsonl", tmp_path / "pool.jsonl"
    questions.write_text('"Name a river."\n{"id": "city", "prompt": "Name a city."}\n')
    arguments = ("record", str(questions), "-o", str(pool), "-n", "3", "--max-tokens", "8", "--max-words", "4")
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    lines = pool.read_text()
    assert len(lines.splitlines()) == 2
    assert run(*arguments).returncode == 0
    assert pool.read_text() == lines  # nothing was drawn again
    done = run("replay", str(pool), "--json")
    assert [row["samples"] for row in json.loads(done.stdout) if row["method"] == "best-of-n"] == [3.0]


def test_ctrl_c():
    with scripted_server(lambda number, payload: Reply(["x"], delay_s=30.0)) as server:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, "ask", "q", "--policy-url", server.base_url, "--policy-model", "m", "--words", "3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not server.requests:
            time.sleep(0.05)
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, complaint = child.communicate(timeout=60)
    assert child.returncode == 130
    assert complaint == "optscale: interrupted\n"
    assert time.monotonic() - began < 10


def write_pool(path, questions=40):
    with path.open("w", encoding="utf-8") as file:
        for place in range(questions):
            # Right are those that score 0.8; every question has one, somewhere among four.
            samples = [
                {"score": 0.8 if (place + k) % 4 == 0 else 0.3, "correct": (place + k) % 4 == 0} for k in range(4)
            ]
            file.write(json.dumps({"id": f"q{place}", "prompt": "?", "samples": samples}) + "\n")
    return str(path)


def test_calibrate_recommends_and_saves(tmp_path):
    saved = tmp_path / "calibration.json"
    done = run("calibrate", write_pool(tmp_path / "pool.jsonl"), "-o", str(saved))
    assert done.returncode == 0, done.stderr
    assert "\nexpected " in done.stdout  # of the default, which nothing has chosen
    assert "warning: 40 questions are too few to choose settings by" in done.stdout
    assert "CalibratedVerifier" in done.stdout
    assert done.stderr == ""
    from langchain_optscale.stats import Calibration

    calibration = Calibration.load(saved)
    assert calibration(0.8) > 0.9
    assert calibration(0.3) < 0.1


def test_calibrate_json(tmp_path):
    done = run("calibrate", write_pool(tmp_path / "pool.jsonl"), "--accuracy", "0.9", "--json")
    document = json.loads(done.stdout)
    assert document["expected"]["accuracy"] == 1.0
    assert document["expected"]["samples"] < 3
    assert document["verifier"]["auc_within_question"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--budget", "0.2"], "budget must be a number of samples of at least 1"),
        (["--accuracy", "90"], "accuracy must be above 0 and at most 1"),
        (["--max-samples", "9"], "the first 1 to 4 samples can be taken, not 9"),
        (["--max-samples", "1"], "two samples each"),
    ],
)
def test_calibrate_complains_in_one_sentence(tmp_path, arguments, complaint):
    done = run("calibrate", write_pool(tmp_path / "pool.jsonl"), *arguments)
    assert done.returncode == 2
    assert complaint in sentence_of(done.stderr)
    assert done.stdout == ""
