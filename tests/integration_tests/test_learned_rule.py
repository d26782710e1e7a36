"""From prompts to a rule in three commands, against a server on loopback: record, calibrate, search."""

import json
import os
import random
import re
import subprocess
import sys

from langchain_openai import ChatOpenAI

from langchain_optscale import ChatOptScale
from langchain_optscale.evaluation.pools import read_pool
from langchain_optscale.stopping import FittedStopping
from langchain_optscale.verifiers import LengthCheck
from tests.integration_tests.scripted_server import Reply, scripted_server

SAMPLES = 6


def answer(question, seed):
    """Right two times in three; a right answer is mostly the shorter text."""
    chance = random.Random(f"{question} {seed}")
    number = 2 * question if chance.random() < 0.67 else 2 * question + chance.randint(1, 3)
    short = chance.random() < (0.85 if number == 2 * question else 0.3)
    return f"It is {number}." if short else f"Well, let me see, I would say that it is {number}."


def script(number, payload):
    question = int(re.findall(r"(\d+) \+", str(payload["messages"]))[0])
    first = payload.get("seed") or 0
    return Reply([answer(question, first + place) for place in range(payload.get("n") or 1)])


def run(*arguments):
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "langchain_optscale.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_commands(tmp_path):
    questions, pool, rule = (tmp_path / name for name in ("questions.jsonl", "pool.jsonl", "rule.npz"))
    lines = [{"id": str(k), "prompt": f"What is {k} + {k}?", "gold": str(2 * k)} for k in range(60)]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with scripted_server(script) as server:
        policy = ("--policy-url", server.base_url, "--policy-model", "m", "--max-words", 4)
        run("record", questions, "-o", pool, "-n", SAMPLES, "--extract", "number", "--gold", "number", *policy)
        recorded = read_pool(pool)
        assert recorded.has_answers
        assert recorded.has_correct
        assert (len(recorded), recorded.cap) == (60, SAMPLES)

        document = json.loads(run("calibrate", pool, "-o", rule, "--splits", 1, "--json"))
        best = document["rows"][0]
        fitted = next(row for row in document["rows"] if row["method"] == "fitted")
        assert fitted["samples"] < best["samples"] == SAMPLES

        model = ChatOptScale(
            policy=ChatOpenAI(base_url=server.base_url, model="m", api_key="none", temperature=1.0),
            verifier=LengthCheck(at_most=4),
            extract="number",
            settings=rule,
            seed=0,
        )
        learned = FittedStopping.load(rule)
        assert model.stopping == learned
        drawn, right = [], []
        for k in range(100, 130):
            message = model.invoke(f"What is {k} + {k}?")
            drawn.append(message.response_metadata["optscale"]["n"])
            right.append(str(2 * k) in message.text)
    assert max(drawn) <= SAMPLES
    assert min(drawn) < SAMPLES
    assert sum(right) >= 20
