import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest

from benchmarks.peers.methods import METHODS
from benchmarks.peers.worker import run
from benchmarks.pool_server import serve
from benchmarks.recorded_pool import RecordedPool, answer_in, sample_text
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.evaluation.pools import Pool, Question, Sample, write_pool

_ROOT = Path(__file__).parents[2]
SUMS = Question(
    "sums-1",
    "What is 2 + 2?",
    (
        Sample(score=0.5, correct=False, tokens=30, answer="5"),
        Sample(score=0.95, correct=True, tokens=20, answer="4"),
        Sample(score=0.25, correct=False, tokens=10),
    ),
)
LONGER = Question("sums/2.json", "What is 2 + 2? And 3 + 3?", (Sample(score=0.9, correct=True, tokens=7, answer="6"),))
POOL = Pool((SUMS, LONGER), "sums")


@pytest.fixture
def server():
    with serve(RecordedPool(POOL)) as running:
        yield running


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.base_url, api_key="run a", max_retries=0, timeout=10) as client:
        yield client


def ask(client, text, **kwargs):
    return client.chat.completions.create(model="any", messages=[{"role": "user", "content": text}], **kwargs)


def texts(completion):
    return [choice.message.content for choice in completion.choices]


def test_samples_come_in_drawing_order(client):
    asked = f"Think step by step.\n\nQuestion: {SUMS.prompt}\nAnswer:"
    assert [texts(ask(client, asked)) for _ in range(3)] == [[sample_text(SUMS, index)] for index in range(3)]


def test_n_gives_the_next_n_and_usage_sums_over_them(client, server):
    ask(client, SUMS.prompt)
    completion = ask(client, SUMS.prompt, n=2)
    assert texts(completion) == [sample_text(SUMS, 1), sample_text(SUMS, 2)]
    assert completion.usage.completion_tokens == 20 + 10
    assert completion.usage.prompt_tokens == 4  # 14 characters, counted once
    assert completion.usage.total_tokens == 34
    spent = server.spent("run a")
    assert (spent.requests, spent.samples, spent.completion_tokens, spent.prompt_tokens) == (2, 3, 60, 8)


def test_every_run_starts_afresh_and_is_counted_alone(client, server):
    ask(client, SUMS.prompt, n=3)
    other = client.with_options(api_key="run b")
    assert texts(ask(other, SUMS.prompt)) == [sample_text(SUMS, 0)]
    assert (server.spent("run a").samples, server.spent("run b").samples) == (3, 1)
    assert server.spent("run c").requests == 0


def test_the_longest_prompt_that_is_contained_counts(client):
    assert texts(ask(client, f"{LONGER.prompt} Be brief.")) == [sample_text(LONGER, 0)]


def test_an_unknown_question_is_a_404_that_quotes_it(client, server):
    with pytest.raises(openai.NotFoundError, match="no recorded question in the last user message 'Who are you"):
        ask(client, "Who are you?")
    assert server.spent("run a").refused == 1


def test_more_than_was_recorded_is_a_400_that_takes_nothing(client, server):
    ask(client, SUMS.prompt, n=2)
    with pytest.raises(openai.BadRequestError, match="1 of 3 samples of 'sums-1' are left for this run, 2 were asked"):
        ask(client, SUMS.prompt, n=2)
    assert texts(ask(client, SUMS.prompt)) == [sample_text(SUMS, 2)]
    assert server.spent("run a").samples == 3


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [({"n": -1}, "n must be a whole number"), ({"stream": True}, "does not stream")],
)
def test_what_it_cannot_do_is_a_400(client, kwargs, reason):
    with pytest.raises(openai.BadRequestError, match=reason):
        ask(client, SUMS.prompt, **kwargs)


@pytest.mark.parametrize(("scale", "rating"), [("on a scale from 0 to 10", 9.5), ("", 0.95)])
def test_a_rating_is_the_recorded_score_on_the_scale_asked_for(client, server, scale, rating):
    messages = [
        {"role": "user", "content": SUMS.prompt},
        {"role": "system", "content": f"Rate the response {scale}. Respond with only a number."},
        {"role": "assistant", "content": sample_text(SUMS, 1)},
        {"role": "user", "content": "Rate the above response:"},
    ]
    completion = client.chat.completions.create(model="any", messages=messages)
    assert float(texts(completion)[0]) == rating
    characters = sum(-(-len(message["content"]) // 4) for message in messages)
    assert completion.usage.prompt_tokens == characters + SUMS.samples[1].tokens
    spent = server.spent("run a")
    assert (spent.requests, spent.ratings, spent.samples) == (1, 1, 0)


def test_follows_the_field_markers_that_dspy_asks_for(client):
    text = texts(ask(client, f"{SUMS.prompt} End with [[ ## completed ## ]]"))[0]
    assert text == f"[[ ## answer ## ]]\n{sample_text(SUMS, 0)}\n\n[[ ## completed ## ]]"
    assert answer_in(text) == "5"


def test_a_reply_takes_its_longest_sample_and_a_client_that_hangs_up_paid_until_then():
    with serve(RecordedPool(POOL), seconds_per_token=0.02) as server:
        with openai.OpenAI(base_url=server.base_url, api_key="waiting", max_retries=0) as client:
            began = time.monotonic()
            ask(client, SUMS.prompt, n=3)
            assert time.monotonic() - began >= 30 * 0.02
        body = json.dumps({"messages": [{"role": "user", "content": SUMS.prompt}], "n": 3}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer hasty\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + body)
            time.sleep(0.1)
        waiting, hasty = server.spent("waiting"), server.spent("hasty")
    assert (waiting.samples, waiting.abandoned, waiting.completion_tokens) == (3, 0, 60)
    assert (hasty.samples, hasty.abandoned) == (3, 3)
    assert 0 < hasty.completion_tokens < 60


def test_texts_lead_back_to_the_record():
    pool = RecordedPool(POOL)
    assert pool.sample_in(f"I say: {sample_text(LONGER, 0)}") == LONGER.samples[0]
    assert pool.score(sample_text(SUMS, 1)) == 0.95
    assert [answer_in(sample_text(SUMS, index)) for index in range(3)] == ["5", "4", None]
    assert pool.sample_in("<sample 9 of sums-1>") is None
    with pytest.raises(LookupError, match="no recorded sample in 'four'"):
        pool.score("four")


@pytest.mark.parametrize(
    ("questions", "reason"),
    [
        ((Question("a", "?", (Sample(score=0.5, correct=True),)),), "score, correct and tokens"),
        ((SUMS, Question("b", f" {SUMS.prompt} ", SUMS.samples)), "prompts must differ"),
        ((Question("a<b", "?", SUMS.samples),), "marks ids by < and >"),
    ],
)
def test_a_pool_that_cannot_be_served_is_refused(questions, reason):
    with pytest.raises(InvalidRecordError, match=reason):
        RecordedPool(Pool(questions))


def test_our_own_method_takes_the_best_recorded_sample(server, tmp_path):
    pytest.importorskip("langchain_openai")
    write_pool(POOL, tmp_path / "sums.jsonl")
    job = {"pool": str(tmp_path / "sums.jsonl"), "questions": 1, "base_url": server.base_url, "run": "ours"}
    result = run({**job, "method": METHODS[0].name, "cap": 3, "target": 0.99}, [])
    assert result["errors"] == []
    assert result["answers"] == [sample_text(SUMS, 1)]
    assert server.spent("ours").samples in (2, 3)


def test_the_driver_reports_what_fails_and_goes_on(tmp_path):
    write_pool(POOL, tmp_path / "sums.jsonl")
    pools = [str(tmp_path / name) for name in ("sums.jsonl", "missing.jsonl")]
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "benchmarks.peers", *pools, "--methods", "ChatOptScale", "--timeout", "0.01"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    document = json.loads(done.stdout)
    assert [row["error"] for row in document["rows"]] == ["not finished after 0.01 s"] * len(document["rows"])
    assert document["pools"][0]["first_sample_accuracy"] == 0.5
    assert "missing" in document["pools"][1]["error"]
    assert "ChatOptScale" in done.stderr
