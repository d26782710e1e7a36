"""Recording from real servers: the embedded model, and one that counts while the recorder is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from langchain_optscale.evaluation.pools import Question, read_pool
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.verifiers import EnsembleVerifier, LengthCheck
from tests.integration_tests.scripted_server import Reply, scripted_server

pytest.importorskip("langchain_openai")

RECORDER = """
import sys
from langchain_openai import ChatOpenAI
from langchain_optscale.evaluation.recording import record_pool
from langchain_optscale.verifiers import LengthCheck

policy = ChatOpenAI(base_url=sys.argv[1], model="m", api_key="none", max_retries=0)
pool = record_pool(
    policy, LengthCheck(exactly=3), [f"question {i}" for i in range(10)], 4, path=sys.argv[2], max_concurrency=2
)
print(len(pool), pool.cap)
"""


def test_record_from_the_embedded_model(local_server, tmp_path):
    questions = (Question("sea", "Write a sentence about the sea.", gold="sea"), Question("sky", "What is the sky?"))
    seen = []
    pool = record_pool(
        local_server.policy(max_tokens=24, temperature=1.0),
        EnsembleVerifier([LengthCheck(at_most=12)]),
        questions,
        4,
        path=tmp_path / "pool.jsonl",
        gold_check=lambda text, gold: gold in text.lower(),
        seed=3,
        progress=seen.append,
    )
    assert [len(question.samples) for question in pool] == [4, 4]
    assert pool.has_scores
    assert all(0 < sample.tokens <= 24 and sample.text for sample in pool.samples)
    assert all(isinstance(sample.correct, bool) for sample in pool.questions[0].samples)
    assert all(sample.correct is None for sample in pool.questions[1].samples)
    assert len({sample.text for sample in pool.samples}) > 4
    assert [progress.done for progress in seen] == [1, 2]
    assert set(read_pool(tmp_path / "pool.jsonl")) == set(pool)


def test_killed_and_resumed(tmp_path):
    path = tmp_path / "pool.jsonl"
    asked: Counter[str] = Counter()
    lock = threading.Lock()
    stuck = threading.Event()

    def script(number, payload):
        question = payload["messages"][0]["content"]
        with lock:
            asked[question] += 1
        # In the first run two questions never get their answer, so that the kill meets requests under way.
        waits = not stuck.is_set() and question in {"question 4", "question 5"}
        texts = [f"{question} {i}" for i in range(payload.get("n", 1))]
        return Reply(texts, delay_s=60.0 if waits else 0.0)

    with scripted_server(script) as server:
        command = [sys.executable, "-c", RECORDER, server.base_url, str(path)]
        first = subprocess.Popen(command)  # noqa: S603 - our own command
        deadline = time.monotonic() + 60
        while asked["question 4"] + asked["question 5"] < 2 or path.read_bytes().count(b"\n") < 4:
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
        stuck.set()
        finished = path.read_bytes()
        assert sorted(json.loads(line)["prompt"] for line in finished.splitlines()) == [
            f"question {i}" for i in range(4)
        ]
        # As if the kill had come in the middle of the next write.
        with path.open("ab") as file:
            file.write(finished.splitlines()[0][:100])
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)  # noqa: S603
    assert done.stdout == "10 4\n"
    assert path.read_bytes().startswith(finished)
    assert len(read_pool(path)) == 10
    assert asked == {f"question {i}": 2 if i in {4, 5} else 1 for i in range(10)}
    assert os.listdir(tmp_path) == ["pool.jsonl"]  # noqa: PTH208 - names only
