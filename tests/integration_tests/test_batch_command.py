"""`optscale batch` as a user runs it, kill -9 in the middle included."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.command_line import sentence_of
from tests.integration_tests.chaos_server import chaos_server

pytest.importorskip("rich")
pytest.importorskip("langchain_openai")
COMMAND = [sys.executable, "-m", "langchain_optscale.cli", "batch"]
PATH = os.pathsep.join(path for path in sys.path if path)
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATH}


def arguments(server, questions, answers, *more):
    policy = ("--policy-url", server.base_url, "--policy-model", "m", "--max-samples", "2", "--regex", "0")
    return [*COMMAND, str(questions), "-o", str(answers), *policy, *more]


def run(*args, **kwargs):
    return subprocess.run(  # noqa: S603 - our own command
        arguments(*args, **kwargs), capture_output=True, text=True, timeout=100, env=ENVIRONMENT, check=False
    )


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_help_ends_with_an_example():
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, env=ENVIRONMENT, check=True)  # noqa: S603
    assert "usage: optscale batch" in done.stdout
    assert "example:\n  optscale batch questions.jsonl -o answers.jsonl" in done.stdout


def test_questions_of_every_form(tmp_path):
    questions = write(
        tmp_path / "in.jsonl",
        [
            "one",
            {"prompt": "two", "id": "b"},
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "three"}]},
            "one",
        ],
    )
    answers = tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: f"0 {asked.text}") as server:
        done = run(server, questions, answers, "--record")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""  # quiet in a pipe
        assert done.stdout.startswith(f"4 questions in {answers}: 4 answered, 0 failed; mean score 1.000")
        rows = read(answers)
        ids = {row["id"]: row for row in rows}
        assert len(ids) == 4
        assert ids["b"]["answer"] == "0 two"
        assert sorted(row["answer"] for row in rows) == ["0 one", "0 one", "0 three", "0 two"]
        assert all(row["record"]["format"] == "langchain-optscale/result" for row in rows)
        asked = len(server.payloads)
        again = run(server, questions, answers, "--record", "--json")
        assert len(server.payloads) == asked  # nothing was asked twice
    figures = json.loads(again.stdout)
    assert (figures["questions"], figures["answered"], figures["answered_now"]) == (4, 4, 0)
    assert read(answers) == rows


def test_killed_and_resumed(tmp_path):
    questions = write(tmp_path / "in.jsonl", [f"question {i}" for i in range(200)])
    answers = tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: "0", delay=lambda asked: 0.03) as server:
        command = arguments(server, questions, answers, "--max-concurrency", "8")
        first = subprocess.Popen(command, env=ENVIRONMENT)  # noqa: S603 - our own command
        ends = time.monotonic() + 60
        while not answers.exists() or answers.read_bytes().count(b"\n") < 60:
            assert first.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait()
        kept = answers.read_bytes()
        finished = {json.loads(line)["id"] for line in kept.splitlines(keepends=True) if line.endswith(b"\n")}
        assert 60 <= len(finished) < 200
        asked_before = Counter(payload["messages"][0]["content"] for payload in server.payloads)
        # As if the kill had come in the middle of the next write.
        with answers.open("ab") as file:
            file.write(kept.splitlines()[0][:100])
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=ENVIRONMENT, check=False)  # noqa: S603
        asked = Counter(payload["messages"][0]["content"] for payload in server.payloads)
    assert done.returncode == 0, done.stderr
    rows = read(answers)
    assert answers.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert len(rows) == len({row["id"] for row in rows}) == 200
    again = asked - asked_before
    assert not {text for text in again if id_of(text) in finished}  # nothing that was finished was drawn again
    assert len(asked) == 200
    assert os.listdir(tmp_path) in (["in.jsonl", "out.jsonl"], ["out.jsonl", "in.jsonl"])  # noqa: PTH208 - names only


def id_of(text):
    from langchain_optscale.evaluation._recording import id_of

    return id_of(text)


def test_failed_questions_are_kept_and_asked_again_on_request(tmp_path):
    questions = write(tmp_path / "in.jsonl", [{"prompt": f"q{i}", "id": str(i)} for i in range(6)])
    answers = tmp_path / "out.jsonl"
    good = {"q0", "q1", "q3", "q5"}
    with chaos_server(answer=lambda asked, choice: "0" if asked.text in good else "") as server:
        done = run(server, questions, answers)
        assert done.returncode == 1
        assert done.stderr.startswith("optscale: 2 of 6 questions have no answer; --retry-failed asks them again")
        failed = {row["id"]: row["error"] for row in read(answers) if "error" in row}
        assert failed.keys() == {"2", "4"}
        assert "neither text nor a tool call" in failed["2"]
        good |= {"q2", "q4"}
        asked = len(server.payloads)
        assert run(server, questions, answers).returncode == 1
        assert len(server.payloads) == asked
        done = run(server, questions, answers, "--retry-failed")
        assert done.returncode == 0, done.stderr
        assert {payload["messages"][0]["content"] for payload in server.payloads[asked:]} == {"q2", "q4"}
    assert sorted(row["id"] for row in read(answers)) == [str(i) for i in range(6)]
    assert not any("error" in row for row in read(answers))


def test_an_endpoint_that_refuses_everything_ends_the_run_and_marks_no_question(tmp_path):
    questions = write(tmp_path / "in.jsonl", [f"q{i}" for i in range(300)])
    answers = tmp_path / "out.jsonl"
    with chaos_server(rate=1.0, faults=("401",)) as server:
        done = run(server, questions, answers, "--give-up-after", "5", "--max-concurrency", "2")
        assert done.returncode == 1
        assert "5 questions in a row failed" in done.stderr
        assert "401" in done.stderr
        assert len(server.payloads) < 40
        assert read(answers) == []
        server.rate = 0.0
        server.answer = lambda asked, choice: "0"
        assert run(server, questions, answers, "--give-up-after", "5").returncode == 0
    assert len(read(answers)) == 300


@pytest.mark.parametrize(
    ("lines", "there", "more", "sentence"),
    [
        ([{"id": "a"}], None, (), 'in.jsonl, line 1: a question is a string, or has a "prompt" or "messages"'),
        ([{"prompt": "q", "id": 7.5}], None, (), "line 1: an id must be a string or a whole number, got 7.5"),
        (
            [{"prompt": "q", "id": "a"}, {"prompt": "r", "id": "a"}],
            None,
            (),
            "line 2: id 'a' is already used on an earlier line",
        ),
        ([{"messages": [{"role": "nobody"}]}], None, (), "line 1: the input must be"),
        ([], None, (), "the file has no questions"),
        (["q"], '{"text": "mine"}\n', (), "out.jsonl, line 1: not a line of a batch; choose another file"),
        (["q"], "my notes\n", (), "out.jsonl, line 1: not JSON"),
        (["q"], None, ("--max-concurrency", "0"), "--max-concurrency must be at least 1"),
        (["q"], None, ("--candidate-timeout", "0"), "candidate_timeout_s"),
    ],
)
def test_bad_input_is_one_sentence_and_touches_no_file(tmp_path, lines, there, more, sentence):
    questions, answers = write(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl"
    if there is not None:
        answers.write_text(there)
    with chaos_server() as server:
        done = run(server, questions, answers, *more)
        assert server.payloads == []
    assert done.returncode == 2
    assert sentence in sentence_of(done.stderr)
    assert not answers.exists() or answers.read_text() == (there or "")


def test_what_a_crash_of_the_machine_left_is_cut_off(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", ["q", "r", "s"]), tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: "0") as server:
        assert run(server, questions, answers).returncode == 0
        rows, whole = read(answers), answers.read_bytes()
        for tail in (b"\0" * 100, whole[:50] + b"\0" * 4096, whole[:3], '{"id": "ü'.encode()[:-1]):
            answers.write_bytes(whole + tail)
            assert run(server, questions, answers).returncode == 0
            assert answers.read_bytes() == whole
        answers.write_bytes(whole[:-1])  # all but the end of the line
        assert run(server, questions, answers).returncode == 0
        assert answers.read_bytes() == whole
        lines = whole.splitlines(keepends=True)
        answers.write_bytes(lines[0] + lines[1][:40] + b"\n" + lines[2])
        done = run(server, questions, answers)
        assert done.returncode == 2
        assert "out.jsonl, line 2: not JSON" in done.stderr
        assert sentence_of(done.stderr).endswith("remove the line, and its question is asked again")
        answers.write_bytes(lines[0] + lines[2])
        assert run(server, questions, answers).returncode == 0
        assert {row["id"] for row in read(answers)} == {row["id"] for row in rows}


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_what_no_run_could_go_on_from_is_refused(tmp_path, device):
    questions = write(tmp_path / "in.jsonl", ["q"])
    with chaos_server() as server:
        done = run(server, questions, device)
        assert done.returncode == 2
        assert f"{device} is not a regular file" in sentence_of(done.stderr)
        done = subprocess.run(  # noqa: S603 - our own command
            arguments(server, "/dev/stdin", tmp_path / "out.jsonl"),
            input=questions.read_text(),
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
        assert (done.returncode, "/dev/stdin is not a regular file" in done.stderr) == (2, True)
        assert server.payloads == []


def test_a_full_disk_ends_the_run_and_the_next_goes_on(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", [f"q{i}" for i in range(40)]), tmp_path / "out.jsonl"

    def small_files():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    with chaos_server(answer=lambda asked, choice: "0") as server:
        done = subprocess.run(  # noqa: S603 - our own command
            arguments(server, questions, answers),
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
            preexec_fn=small_files,
        )
        assert done.returncode == 2
        assert "out.jsonl cannot be written" in sentence_of(done.stderr)
        assert 0 < answers.read_bytes().count(b"\n") < 40
        assert run(server, questions, answers).returncode == 0
    assert len({row["id"] for row in read(answers)}) == len(read(answers)) == 40


def test_other_settings_do_not_continue_a_file_nor_do_two_runs_at_once(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", ["q"]), tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: "0") as server:
        assert run(server, questions, answers).returncode == 0
        done = run(server, questions, answers, "--target", "0.5")
        assert done.returncode == 2
        assert "asked with target 0.99, not 0.5; choose another file" in done.stderr
        done = run(server, questions, questions)
        assert (done.returncode, "choose another file for the answers" in done.stderr) == (2, True)
        with answers.open("a") as file:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            done = run(server, questions, answers)
        assert (done.returncode, "is being written by another process" in done.stderr) == (2, True)


def test_a_bar_on_a_terminal(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", [f"q{i}" for i in range(30)]), tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: "0", delay=lambda asked: 0.05) as server:
        ours, theirs = pty.openpty()
        command = arguments(server, questions, answers, "--max-concurrency", "2")
        environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "120"}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)  # noqa: S603
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "30/30" in shown.decode()
    assert "/s" in shown.decode() or "/min" in shown.decode()
    assert output.decode().startswith("30 questions in")


def interrupt(server, questions, answers, count, *more):
    """Start the command, interrupt it when so many answers are there, and return what it said on standard error."""
    child = subprocess.Popen(  # noqa: S603 - our own command
        arguments(server, questions, answers, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    ends = time.monotonic() + 60
    while not answers.exists() or answers.read_bytes().count(b"\n") < count:
        assert child.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=60)
    assert child.returncode == 130
    return complaint


def test_ctrl_c_keeps_what_was_finished(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", [f"q{i}" for i in range(500)]), tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: "0", delay=lambda asked: 0.05) as server:
        complaint = interrupt(server, questions, answers, 20)
    kept = len(read(answers))
    assert 20 <= kept < 500
    assert complaint == (
        f"optscale: interrupted; {kept} of 500 questions are kept; run the same command again to resume\n"
    )


def test_a_prior_of_each_question_belongs_to_the_file_s_settings(tmp_path):
    from langchain_optscale import QuestionPrior

    prompts = [f"{'easy' if n % 2 else 'hard'} question number {n}" for n in range(60)]
    for name, high in (("one.npz", 0.9), ("other.npz", 0.8)):
        scores = [[high, high - 0.05, high - 0.1] if n % 2 else [0.3, 0.35, 0.25] for n in range(60)]
        QuestionPrior.fit(prompts, scores=scores).save(tmp_path / name)
    questions = write(tmp_path / "in.jsonl", ["easy question number 1", "hard question number 2"])
    answers = tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: f"0 {asked.text}") as server:
        one, other = (("--prior", str(tmp_path / name)) for name in ("one.npz", "other.npz"))
        assert run(server, questions, answers, *one).returncode == 0
        asked = len(server.payloads)
        assert run(server, questions, answers, *one).returncode == 0
        assert len(server.payloads) == asked
        refused = run(server, questions, answers, *other)
    assert refused.returncode == 2
    assert "prior" in refused.stderr


def test_a_budget_over_all_questions_and_what_is_left_of_it(tmp_path):
    questions = write(tmp_path / "in.jsonl", [f"question {i}" for i in range(8)])
    answers = tmp_path / "out.jsonl"
    more = (
        "--max-samples",
        "8",
        "--price",
        "1e-9",
        "--target",
        "1",
        "--budget",
        "samples=20",
        "--window",
        "4",
        "--json",
    )
    with chaos_server(answer=lambda asked, choice: f"no {asked.text}") as server:
        done = run(server, questions, answers, *more, "--regex", "nothing like it")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["candidates"] == sum(line["drawn"] for line in read(answers)) == 20
        assert min(line["drawn"] for line in read(answers)) >= 1
        write(questions, [f"question {i}" for i in range(9)])
        refused = run(server, questions, answers, *more, "--regex", "nothing like it")
        assert refused.returncode == 2
        assert "earlier runs have spent 20 of the budget of 20 samples, and the 0 left are too few for 1 more" in (
            refused.stderr
        )


def test_ids_that_are_whole_numbers_are_texts(tmp_path):
    questions = write(tmp_path / "in.jsonl", [{"id": 1, "prompt": "one"}, {"id": 2, "prompt": "two"}])
    answers = tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: f"0 {asked.text}") as server:
        assert run(server, questions, answers).returncode == 0
    assert {row["id"]: row["answer"] for row in read(answers)} == {"1": "0 one", "2": "0 two"}


@pytest.mark.parametrize(("unit", "least", "most"), [("tokens", 400, 520), ("cost", 0.0008, 0.00104)])
def test_a_budget_of_tokens_or_cost_is_reported_as_spent(tmp_path, unit, least, most):
    questions = write(tmp_path / "in.jsonl", [f"question {i}" for i in range(10)])
    answers = tmp_path / "out.jsonl"
    amount = {"tokens": "500", "cost": "0.001"}[unit]
    # Two a token, so that 500 tokens cost 0.001.
    more = ("--budget", f"{unit}={amount}", "--policy-prices", "2", "2", "--price", "1e-9", "--max-samples", "16")
    with chaos_server(answer=lambda asked, choice: "no") as server:
        done = run(server, questions, answers, *more, "--target", "1", "--regex", "nothing like it", "--json")
        asked = len(server.payloads)
        told = run(server, questions, answers, *more, "--target", "1", "--regex", "nothing like it")
        assert len(server.payloads) == asked
    figures = json.loads(done.stdout)
    assert figures["budget"] == {"unit": unit, "amount": float(amount), "spent": figures[unit]}
    assert least <= figures[unit] <= most
    assert figures["cost"] == pytest.approx(2e-6 * figures["tokens"])
    assert f" of the budget of {amount}" in told.stdout
    assert told.stdout.endswith(" spent\n")


def test_an_answer_without_a_cost_leaves_no_budget_of_cost(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", ["one"]), tmp_path / "out.jsonl"
    with chaos_server(answer=lambda asked, choice: "0") as server:
        assert run(server, questions, answers).returncode == 0
        refused = run(server, questions, answers, "--budget", "cost=1", "--policy-prices", "1", "1")
    assert refused.returncode == 2
    assert "has answers without a cost" in refused.stderr


def test_an_interrupted_budget_goes_on_with_what_is_left(tmp_path):
    questions, answers = write(tmp_path / "in.jsonl", [f"q{i}" for i in range(60)]), tmp_path / "out.jsonl"
    more = ("--budget", "samples=240", "--window", "6", "--price", "1e-9", "--target", "1", "--max-samples", "16")
    more += ("--regex", "nothing like it")
    with chaos_server(answer=lambda asked, choice: "no", delay=lambda asked: 0.02) as server:
        complaint = interrupt(server, questions, answers, 12, *more)
        assert f"interrupted; {len(read(answers))} of 60 questions are kept" in complaint
        earlier = read(answers)
        done = run(server, questions, answers, *more, "--json")
    assert done.returncode == 0, done.stderr
    rows = read(answers)
    assert rows[: len(earlier)] == earlier
    assert len(rows) == len({row["id"] for row in rows}) == 60
    figures = json.loads(done.stdout)
    assert figures["budget"]["spent"] == sum(row["drawn"] for row in rows) == 240
    assert figures["answered_now"] == 60 - len(earlier)
