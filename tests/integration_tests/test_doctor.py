"""`optscale doctor` against servers with one thing wrong at a time."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_optscale.endpoints.doctor import Report, diagnose
from langchain_optscale.endpoints.doctor.verifier import LESSONS
from langchain_optscale.endpoints.vllm import discover
from langchain_optscale.errors import EndpointError, SettingsError
from tests.integration_tests.scripted_server import Reply, scripted_server

pytest.importorskip("langchain_openai")


def examine(*urls, **settings):
    return Report(tuple(diagnose(*urls, **settings)))


KEY = "sk-doctor-0123456789"
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 64}]})
REJECTED = Reply(status=401, body='{"error": "Unauthorized"}')
NOT_FOUND = Reply(status=404, body='{"detail": "Not Found"}')
RIGHT = {right for _, right, _ in LESSONS}


def pages(path, key):
    return Reply(body=MODELS) if path == "/v1/models" else NOT_FOUND


def completion(payload, texts, **choice):
    logprobs = {"content": [{"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    choices = [
        {
            "index": i,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
            "logprobs": logprobs if payload.get("logprobs") else None,
        }
        | choice
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return Reply(
        body=json.dumps(
            {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": choices, "usage": usage}
        )
    )


def text_of(number, payload, i):
    """What a good server says: by its seed, if it has one."""
    drawn = payload["seed"] + i if "seed" in payload else f"{number}.{i}"
    return hashlib.sha256(str(drawn).encode()).hexdigest()[:8]


def good_policy(number, payload):
    if "messages" not in payload or "max_completion_tokens" not in payload:
        return NOT_FOUND
    return completion(payload, [text_of(number, payload, i) for i in range(payload.get("n", 1))])


def said(payload):
    return payload["messages"][-1]["content"] if "messages" in payload else str(payload.get("input"))


def classifier(score):
    """A server of an outcome reward model that scores an answer by `score`."""

    def script(number, payload):
        if "messages" not in payload or {"max_tokens", "max_completion_tokens"} & set(payload):
            return NOT_FOUND
        value = score(said(payload))
        row = {"index": 0, "label": "LABEL_0", "probs": [value], "data": [value], "num_classes": 1}
        return Reply(body=json.dumps({"object": "list", "data": [row], "usage": {"prompt_tokens": 3}}))

    return script


def good_score(text):
    return 0.9 if text in RIGHT else 0.1


def statuses(report):
    return {check.name: check.status for check in report.checks}


def hints(report):
    return {check.name: check.hint for check in report.checks if check.hint}


def run(*arguments, **env):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPTSCALE_")} | env
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "langchain_optscale.cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        check=False,
    )


def test_good_servers_and_the_table():
    with scripted_server(good_policy, pages) as policy, scripted_server(classifier(good_score), pages) as verifier:
        done = run("--policy-url", policy.base_url, "--verifier-url", verifier.base_url, OPTSCALE_POLICY_API_KEY=KEY)
        assert set(policy.keys) == {f"Bearer {KEY}"}
        assert set(verifier.keys) == {"Bearer not-needed"}
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert KEY not in done.stdout
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    for name in ("reachable", "authorised", "served", "answer", "choices", "variety", "seeds", "logprobs"):
        assert ["ok", name] in lines
    for name in ("kind", "range", "judgement"):
        assert ["ok", name] in lines
    assert ["skipped", "cancellation"] in lines
    assert "6 of 6 right answers score above the wrong one, by 0.8 on average" in done.stdout


def test_nobody_is_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    report = examine([url], [url])
    assert not report.healthy
    assert [check.status for check in report.checks if check.name == "reachable"] == ["failed", "failed"]
    assert {check.status for check in report.checks if check.name != "reachable"} == {"skipped"}
    assert "is the server running there?" in hints(report)["reachable"]


def test_a_wrong_key_is_never_printed():
    def refuse(path, key):
        return Reply(status=401, body=json.dumps({"error": {"message": f"Incorrect API key provided: {key}"}}))

    with scripted_server(lambda number, payload: REJECTED, refuse) as server:
        for form in ((), ("--json",)):
            done = run("--policy-url", server.base_url, *form, OPTSCALE_POLICY_API_KEY=KEY)
            assert done.returncode == 1
            assert "$OPTSCALE_POLICY_API_KEY" in done.stdout
            assert "optscale: failed: authorised of policy" in done.stderr
            assert KEY not in done.stdout + done.stderr


def test_one_url_and_a_plain_key_do():
    """As everywhere in `langchain_optscale.endpoints.vllm`."""
    with scripted_server(good_policy, pages) as server:
        report = examine(server.base_url, policy_key=KEY)
        assert set(server.keys) == {f"Bearer {KEY}"}
    assert report.healthy
    assert KEY not in report.table() + repr(report)


def test_a_key_in_a_later_complaint_is_blotted_out():
    def leak(number, payload):
        return Reply(status=400, body=json.dumps({"error": {"message": f"what is {KEY}?"}}))

    with scripted_server(leak, pages) as server:
        done = run("--policy-url", server.base_url, "--json", OPTSCALE_POLICY_API_KEY=KEY)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert "what is ***?" in checks["answer"]["detail"]
    assert KEY not in done.stdout + done.stderr


def test_a_wrong_model():
    with scripted_server(good_policy, pages) as server:
        report = examine([server.base_url], policy_model="other")
    assert statuses(report)["served"] == "failed"
    assert statuses(report)["answer"] == "skipped"
    assert "it serves: m" in next(check.detail for check in report.checks if check.name == "served")


def test_what_is_no_such_server():
    with scripted_server(good_policy, lambda path, key: Reply(body="<html>hello</html>")) as server:
        report = examine([server.base_url])
    assert statuses(report)["served"] == "failed"
    assert "OpenAI-compatible" in next(check.detail for check in report.checks if check.name == "served")


def test_n_is_ignored():
    def script(number, payload):
        return good_policy(number, payload | {"n": 1})

    with scripted_server(script, pages) as server:
        report = examine([server.base_url])
    assert statuses(report)["choices"] == "warning"
    assert "fanout='calls'" in hints(report)["choices"]
    assert statuses(report)["variety"] == "ok"
    assert report.healthy  # a search draws one by one


def test_always_the_same_answer():
    def script(number, payload):
        return completion(payload, ["same"] * payload.get("n", 1))

    with scripted_server(script, pages) as server:
        report = examine([server.base_url])
    assert statuses(report)["variety"] == "failed"
    assert statuses(report)["seeds"] == "warning"
    assert not report.healthy


def test_seeds_are_ignored():
    def script(number, payload):
        return good_policy(number, {key: value for key, value in payload.items() if key != "seed"})

    with scripted_server(script, pages) as server:
        report = examine([server.base_url])
    assert statuses(report)["seeds"] == "warning"
    assert report.healthy


def test_no_logprobs():
    def script(number, payload):
        return good_policy(number, {key: value for key, value in payload.items() if key != "logprobs"})

    with scripted_server(script, pages) as server:
        report = examine([server.base_url])
    assert statuses(report)["logprobs"] == "warning"
    assert "ConfidenceVerifier" in hints(report)["logprobs"]
    assert report.healthy


@pytest.mark.parametrize(("reason", "status"), [("length", "warning"), ("stop", "failed")])
def test_an_empty_answer(reason, status):
    def script(number, payload):
        return completion(payload, [""], finish_reason=reason)

    with scripted_server(script, pages) as server:
        report = examine([server.base_url])
    assert statuses(report)["answer"] == status


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_model_that_thinks_for_longer_than_it_is_examined(field):
    """Its reasoning is in a field of its own, which shows whether choices, seeds and the like are supported."""

    def script(number, payload):
        reply = json.loads(good_policy(number, payload).body)
        for choice in reply["choices"]:
            message = choice["message"]
            message |= {field: message["content"], "content": None}
            choice["finish_reason"] = "length"
        return Reply(body=json.dumps(reply))

    with scripted_server(script, pages) as server:
        report = examine([server.base_url])
    found = statuses(report)
    assert {found[name] for name in ("answer", "choices", "variety", "seeds", "logprobs")} == {"ok"}
    assert "max_tokens of thousands" in next(check.detail for check in report.checks if check.name == "answer")


def test_answers_without_choices():
    """A server that answers with nothing is asked once a check, not for ever."""
    with scripted_server(lambda number, payload: completion(payload, [] if number else ["a"]), pages) as server:
        report = examine([server.base_url])
        assert len(server.requests) < 10
    assert statuses(report)["variety"] == "failed"
    assert next(check.detail for check in report.checks if check.name == "variety") == "an answer without any choice"
    assert not report.healthy


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"error": {"message": "the engine is dead", "code": 500}}', "status 500: the engine is dead"),
        ('{"error": "Unauthorized"}', "status 500: Unauthorized"),
        ('{"detail": "Not Found"}', "status 500: Not Found"),
        ("upstream connect error", "status 500: upstream connect error"),
        ("<html><h1>Bad Gateway</h1></html>", "status 500"),
        ("", "status 500"),
    ],
)
def test_a_complaint_is_told_as_the_server_words_it(body, detail):
    """Those of vLLM's engine, of its key, of its routes, and of what may stand before it."""
    with scripted_server(lambda number, payload: Reply(status=500, body=body), pages) as server:
        report = examine([server.base_url])
        assert next(check.detail for check in report.checks if check.name == "answer") == detail
        with pytest.raises(EndpointError) as caught:
            discover(server.base_url)
        assert str(caught.value).endswith(f"answers with {detail}")


def test_the_table_is_written_while_it_is_made():
    """The second server is asked for nothing before what was found about the first can be read."""
    seen = []
    with scripted_server(good_policy, pages) as policy, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        command = [sys.executable, "-m", "langchain_optscale.cli", "doctor", "--policy-url", policy.base_url]
        command += ["--verifier-url", f"http://127.0.0.1:{silent.getsockname()[1]}", "--timeout", "60"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - our own command
            connection, _ = silent.accept()
            with connection:
                seen = [running.stdout.readline().split()[:2] for _ in range(6)]
            running.stdout.read()
    assert ["ok", "reachable"] in seen
    assert ["ok", "choices"] in seen
    assert running.returncode == 1


@pytest.mark.parametrize(
    ("running", "status"), [([1, 1, 0], "ok"), ([1, 0, 1, 0], "ok"), ([1] * 100, "warning"), ([1, 0, 0, 0], "skipped")]
)
def test_cancellation(running, status, monkeypatch):
    from langchain_optscale.endpoints.doctor import policy

    monkeypatch.setattr(policy, "_CANCEL_WAIT_S", 0.5)
    left = list(running)

    def metrics(path, key):
        if path == "/metrics":
            return Reply(body=f'# HELP x\nvllm:num_requests_running{{engine="0"}} {left.pop(0)}.0\n')
        return pages(path, key)

    def script(number, payload):
        if payload.get("stream"):
            event = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            event |= {"choices": [{"index": 0, "delta": {"content": "a"}}]}
            return Reply(body=f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")
        return completion(payload, [text_of(number, payload, i) for i in range(payload.get("n", 1))])

    with scripted_server(script, metrics) as server:
        report = examine([server.base_url])
    assert statuses(report)["cancellation"] == status
    assert report.healthy


def test_a_verifier_that_prefers_wrong_answers():
    with scripted_server(classifier(lambda text: 0.1 if text in RIGHT else 0.9), pages) as server:
        report = examine(verifier_urls=[server.base_url])
        done = run("--verifier-url", server.base_url)
    assert statuses(report)["judgement"] == "failed"
    assert "cannot tell right from wrong" in hints(report)["judgement"]
    assert done.returncode == 1
    assert "failed: judgement of verifier" in done.stderr


@pytest.mark.parametrize(("score", "said"), [(lambda text: 0.5, "have the score 0.5"), (lambda text: 3.2, "3.2")])
def test_scores_that_are_none(score, said):
    with scripted_server(classifier(score), pages) as server:
        report = examine(verifier_urls=[server.base_url])
    check = next(check for check in report.checks if check.name == "range")
    assert check.status == "failed"
    assert said in check.detail
    assert statuses(report)["judgement"] == "skipped"


def test_a_verifier_that_scores_nothing():
    with scripted_server(lambda number, payload: NOT_FOUND, pages) as server:
        report = examine(verifier_urls=[server.base_url])
    assert statuses(report)["kind"] == "failed"
    assert "--runner pooling" in hints(report)["kind"]


def test_a_verifier_of_another_kind():
    with scripted_server(classifier(good_score), pages) as server:
        report = examine(verifier_urls=[server.base_url], verifier_kind="judge")
    assert statuses(report)["kind"] == "failed"


def test_a_process_reward_model_that_is_none():
    """With answers of one step each, the one number of an outcome reward model would pass for steps."""
    with scripted_server(classifier(good_score), pages) as server:
        report = examine(verifier_urls=[server.base_url], verifier_kind="prm")
        well = examine(verifier_urls=[server.base_url], verifier_kind="pooling")
    assert statuses(report)["kind"] == "failed"
    assert "of kind 'classify'" in next(check.detail for check in report.checks if check.name == "kind")
    assert well.healthy


def test_a_judge_that_cannot_fill_in_its_form():
    def chat(number, payload):
        asked_to_write = {"max_tokens", "max_completion_tokens"} & set(payload)
        return completion(payload, ["I like it."]) if asked_to_write else NOT_FOUND

    with scripted_server(chat, pages) as server:
        report = examine(verifier_urls=[server.base_url])
    assert statuses(report)["kind"] == "ok"
    assert statuses(report)["range"] == "failed"
    assert "a larger model, or a reward model" in hints(report)["range"]


def test_the_reward_model_is_named_as_the_policy():
    with scripted_server(classifier(good_score), pages) as server:
        report = examine([server.base_url])
    check = next(check for check in report.checks if check.name == "answer")
    assert (check.status, check.detail) == ("failed", "status 404: Not Found")
    assert "is it the verifier's?" in check.hint


def test_replicas_must_serve_the_same_model():
    def others(path, key):
        return Reply(body=MODELS.replace('"m"', '"n"')) if path == "/v1/models" else NOT_FOUND

    with scripted_server(good_policy, pages) as one, scripted_server(good_policy, others) as other:
        report = examine([one.base_url, other.base_url])
        named = examine([other.base_url], policy_model="n")
    assert [check.status for check in report.checks if check.name == "served"] == ["ok", "failed"]
    assert "does not serve 'm'; it serves: n" in [check.detail for check in report.checks if check.name == "served"][1]
    assert named.healthy


def test_https_where_http_is_spoken():
    with scripted_server(good_policy, pages) as server:
        report = examine([server.base_url.replace("http:", "https:")])
    assert statuses(report)["reachable"] == "failed"
    assert "http or https" in hints(report)["reachable"]


@pytest.mark.parametrize(
    "key", ["sk-doctor\n0123456789abcdef", "sk-d\xf6ctor-0123456789abcdef", "sk-doctor 0123456789abcdef"]
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key):
    done = run("--policy-url", "http://127.0.0.1:9", OPTSCALE_POLICY_API_KEY=key)
    assert done.returncode == 2
    assert "the API key holds" in done.stderr
    assert "0123456789" not in done.stdout + done.stderr


def test_a_key_from_a_file_ends_with_a_line_break():
    with scripted_server(good_policy, pages) as server:
        done = run("--policy-url", server.base_url, OPTSCALE_POLICY_API_KEY=f"{KEY}\n")
        assert set(server.keys) == {f"Bearer {KEY}"}
    assert done.returncode == 0
    assert KEY not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--policy-url", "localhost:8000"),
        ("--policy-url", "http://me:secret@h/v1"),
        ("--policy-url", "http://127.0.0.1:9", "--timeout", "0"),
        ("--policy-url", "http://127.0.0.1:9", "--timeout", "inf"),
        ("--verifier-url", "http://127.0.0.1:9", "--timeout", "nan"),
        ("--policy-url", "http://127.0.0.1:9", "--policy-url", "http://127.0.0.1:9/v1"),
        ("--verifier-url", "http://127.0.0.1:9", "--verifier-kind", "oracle"),
    ],
)
def test_bad_input(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_help():
    done = run("--help")
    assert done.returncode == 0
    assert "example:" in done.stdout


def test_nothing_to_examine():
    with pytest.raises(SettingsError, match="name a server"):
        examine()


def test_the_application_keeps_the_answers_that_it_has():
    """One question that the policy refuses does not cost the others theirs."""

    def policy(number, payload):
        if said(payload) == "too long":
            return Reply(status=400, body='{"error": {"message": "maximum context length"}}')
        return completion(payload, [text_of(number, payload, i) for i in range(payload.get("n", 1))])

    root = Path(__file__).parents[2]
    with scripted_server(policy, pages) as drawing, scripted_server(classifier(lambda text: 0.95), pages) as scoring:
        urls = {"POLICY_URL": drawing.base_url, "VERIFIER_URL": scoring.base_url, "PYTHONPATH": str(root)}
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, str(root / "deploy" / "vllm" / "app.py"), "first", "too long", "third"],
            capture_output=True,
            text=True,
            timeout=100,
            env={**os.environ, **urls},
            check=False,
        )
    assert done.stdout.count(" candidates, score 0.950") == 2, done.stderr
    assert "too long\n  [no answer: no candidate could be scored" in done.stdout
    assert "maximum context length" in done.stdout
    assert done.stderr == "app: 1 of 3 questions have no answer\n"
    assert done.returncode == 1
