"""What models and servers write is shown on the terminal and never executed there."""

import io
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from langchain_optscale.cli.main import main
from langchain_optscale.cli.options import print_json, write_text
from langchain_optscale.cli.progress import SearchTable, console
from langchain_optscale.endpoints.doctor.report import Check, Report
from langchain_optscale.errors import OptScaleError, SettingsError, printable
from langchain_optscale.records.failures import AllCandidatesFailed, Raised, failure_of

CLIPBOARD = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e river"
HALF = "a \ud800 river"
attack = pytest.mark.attack


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.server.text}}]
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
        if self.server.status != 200:
            reply = {"error": {"message": self.server.text, "type": "x"}}
        body = json.dumps(reply).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.text = 200, CLIPBOARD
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def options(server):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return ["--policy-url", url, "--policy-model", "m", "--contains", "river", "--max-samples", "1"]


def is_harmless(text):
    return text == printable(text)


@attack("A model's answer has escape sequences, as for the clipboard", "shown as escapes in every printed text")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_answer_with_escape_sequences(server, capsys, more):
    assert main(["ask", "q", *options(server), *more]) == 0
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert is_harmless(err)
    if more:
        assert json.loads(out)["answer"] == CLIPBOARD
    else:
        assert out == "\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\x9b31m\\u202e river\n"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_lone_surrogate_loses_no_paid_answer(server, capsys, more):
    server.text = HALF
    assert main(["ask", "q \udcff", *options(server), *more]) == 0
    out, _ = capsys.readouterr()
    assert json.loads(out)["answer"] == HALF if more else out == "a \\ud800 river\n"


@attack("A server's error message has escape sequences", "shown as escapes: errors, failures, logs, reports")
def test_an_error_with_escape_sequences(server, capsys):
    server.status = 400
    assert main(["ask", "q", *options(server)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("optscale: no candidate could be scored")
    assert is_harmless(err)


def test_a_batch_keeps_and_shows_it(server, tmp_path, capsys):
    (tmp_path / "questions.jsonl").write_text('"q"\n')
    answers = tmp_path / "answers.jsonl"
    server.text = HALF
    assert main(["batch", str(tmp_path / "questions.jsonl"), "-o", str(answers), *options(server)]) == 0
    assert json.loads(answers.read_text())["answer"] == HALF
    assert is_harmless("".join(capsys.readouterr()))


def test_errors_show_what_they_say():
    for kind in (SettingsError, OptScaleError):
        assert str(kind(CLIPBOARD)) == printable(CLIPBOARD)
    failure = failure_of("draw", Raised(RuntimeError(CLIPBOARD), 1))
    assert is_harmless(failure.error)
    assert is_harmless(str(AllCandidatesFailed({0: failure})))


def test_a_report_of_the_doctor_is_harmless(server, capsys):
    server.status = 500
    main(["doctor", "--policy-url", f"http://127.0.0.1:{server.server_port}/v1", "--policy-model", CLIPBOARD])
    assert is_harmless("".join(capsys.readouterr()))
    assert isinstance(Report((Check("s", "n", "ok", "d", None, 0.1),)).table(), str)


def test_the_table_shows_the_question_harmlessly():
    out = console()
    out.file = io.StringIO()
    with SearchTable(CLIPBOARD, out):
        pass
    assert is_harmless(out.file.getvalue())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, schön, 😀, \t\n", "plain, schön, 😀, \t\n"),
        ("a\r\nb", "a\r\nb"),
        ("a\rb", "a\\rb"),
        ("\x00\x7f\x85", "\\x00\\x7f\\x85"),
        ("\u2066\U000e0041", "\\u2066\\U000e0041"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_json_stays_json(capsys, monkeypatch):
    document = {"a": CLIPBOARD + "\U000e0041" + HALF, "b": ["é\x7f"]}
    print_json(document)
    out, _ = capsys.readouterr()
    assert is_harmless(out)
    assert "é" in out
    assert json.loads(out) == document
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii", write_through=True))
    print_json(document)
    assert json.loads(raw.getvalue()) == document


def test_a_terminal_of_another_encoding(server, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii", write_through=True))
    server.text = "schön river"
    assert main(["ask", "q", *options(server)]) == 0
    assert raw.getvalue() == b"sch\\xf6n river" + os.linesep.encode()
    write_text("x\n", stream=sys.stderr)
