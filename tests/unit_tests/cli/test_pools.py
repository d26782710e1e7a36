"""`optscale replay` and what every command shares: one document, one sentence, quiet when the output is no terminal."""

import io
import json
import sys

import pytest

from langchain_optscale.cli.main import main
from tests.command_line import sentence_of

KEYS = ["method", "settings", "questions", "accuracy", "accuracy_ci", "samples", "tokens", "rounds"]
KEYS += ["reached", "observed_confidence"]


def write(path, *questions):
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in questions))
    return str(path)


def asked(id_="a", samples=4, **changes):
    drawn = [
        {"score": 0.2 + 0.2 * k, "correct": k == 3, "answer": str(k), "tokens": 5} | changes for k in range(samples)
    ]
    return {"id": id_, "prompt": f"{id_}?", "samples": drawn}


@pytest.fixture
def pool(tmp_path):
    return write(tmp_path / "sums.jsonl", asked("a"), asked("b"))


def run(capsys, *arguments):
    status = main(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_json_has_the_documented_keys(capsys, pool):
    status, out, err = run(capsys, "replay", pool, "--json")
    rows = json.loads(out)
    assert (status, err) == (0, "")
    for row in rows:
        assert set(KEYS) <= set(row)
        assert row["questions"] == 2
        low, high = row["accuracy_ci"]
        assert low <= row["accuracy"] <= high
    best = next(row for row in rows if row["method"] == "best-of-n")
    assert (best["accuracy"], best["samples"], best["tokens"], best["rounds"]) == (1.0, 4.0, 20.0, 1.0)


def test_the_same_seed_prints_the_same_bytes(capsys, pool):
    first = run(capsys, "replay", pool, "--json", "--seed", "3")
    assert run(capsys, "replay", pool, "--json", "--seed", "3") == first


def test_several_pools_are_told_apart(capsys, pool, tmp_path):
    other = write(tmp_path / "other.jsonl", asked("c", samples=2))
    _, out, _ = run(capsys, "replay", pool, other, "--json", "--methods", "best-of-n")
    assert [(row["pool"], row["samples"]) for row in json.loads(out)] == [("sums", 4.0), ("other", 2.0)]


def test_methods_may_be_listed_with_blanks(capsys, pool):
    _, out, _ = run(capsys, "replay", pool, "--json", "--methods", "threshold, best-of-n")
    assert [row["method"] for row in json.loads(out)] == ["threshold", "best-of-n"]


def test_settings_follow_the_cap(capsys, pool):
    """In production the preset would have been made for this cap, and the window would fit into it."""
    arguments = ("--max-samples", "3", "--methods", "optscale,early-stopping")
    _, out, _ = run(capsys, "replay", pool, "--json", *arguments)
    ours, windows = json.loads(out)
    assert '"limit": 3' in json.dumps(ours["settings"])
    assert windows["settings"] == {"window": 2}


def test_a_mean_score_is_no_percentage(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # a file or a pipe has no width
    _, out, _ = run(capsys, "replay", write(tmp_path / "graded.jsonl", asked(correct=None)), "--methods", "best-of-n")
    assert "mean score [95 %]" in out
    assert "0.800 [0.800, 0.800]" in out


def test_without_scores_nothing_is_known_of_the_target(capsys, tmp_path):
    path = write(tmp_path / "votes.jsonl", asked(score=None))
    _, out, _ = run(capsys, "replay", path, "--json", "--methods", "self-consistency")
    (row,) = json.loads(out)
    assert (row["reached"], row["reached_ci"]) == (None, None)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ((asked(), asked("b", score=1.5)), "line 2: sample 1: score must be a finite number in [0, 1], got 1.5"),
        (
            (asked(), asked("b", score=float("nan"))),
            "line 2: sample 1: score must be a finite number in [0, 1], got nan",
        ),
        ((asked(), asked()), "line 2: id 'a' is already used on line 1"),
        ((asked(), '{"id": "b"'), "line 2: not JSON"),
        ((asked("é"), {"id": "b", "prompt": "?"}), "line 2: a question needs at least one sample"),
        ((asked(logit=10**400, score=None),), "line 1: sample 1: logit must be a finite number"),
        ((asked(score=None, correct=None, answer=None),), "no score, answer or correctness"),
    ],
)
def test_a_bad_line_is_named(capsys, tmp_path, lines, complaint):
    path = write(tmp_path / "pool.jsonl", *lines)
    status, out, err = run(capsys, "replay", path)
    assert (status, out) == (2, "")
    assert complaint in sentence_of(err)


def test_a_cap_below_one(capsys, pool):
    status, _, err = run(capsys, "replay", pool, "--max-samples", "0")
    assert (status, sentence_of(err)) == (2, "optscale: max_samples must be at least 1, got 0")


def test_no_pool_is_replayed_before_all_are_read(capsys, pool, tmp_path):
    bad = write(tmp_path / "bad.jsonl", "[]")
    status, out, err = run(capsys, "replay", pool, bad)
    assert (status, out) == (2, "")
    assert sentence_of(err) == f"optscale: {bad}, line 1: a question must be a JSON object, got list"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("replay",), "optscale: the following arguments are required: POOL; see optscale replay --help\n"),
        (
            ("replay", "p", "--seed", "x"),
            "optscale: argument --seed: invalid int value: 'x'; see optscale replay --help\n",
        ),
        (("calibrate", "p", "--budget", "2", "--accuracy", "1"), None),
        (("sing",), None),
    ],
)
def test_what_cannot_be_parsed_is_one_sentence(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith("optscale: ")
    assert printed.err.count("\n") == 1
    assert complaint in (None, printed.err)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_questions_are_counted(monkeypatch, pool):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["replay", pool]) == 0
    shown = sys.stderr.getvalue()
    assert shown.endswith(f"\r[{'#' * 30}] 2 of 2 questions\n")
    assert f"\r[{'#' * 15}{'.' * 15}] 1 of 2 questions\r" in shown


def test_an_interrupt_is_told_on_a_line_of_its_own(monkeypatch, pool):
    def interrupt(method, question, max_samples):
        if question.id == "b":
            raise KeyboardInterrupt
        return original(method, question, max_samples)

    from langchain_optscale.evaluation.baselines import BestOfN

    original = BestOfN.run
    monkeypatch.setattr(BestOfN, "run", interrupt)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["replay", pool, "--methods", "best-of-n"]) == 130
    assert sys.stderr.getvalue().endswith("1 of 2 questions\noptscale: interrupted\n")


def test_json_is_quiet_on_a_terminal(monkeypatch, capsys, pool):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["replay", pool, "--json", "--methods", "best-of-n"]) == 0
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"prompt": "2 + 2?"}', '--gold needs gold answers, and no line of {path} has a "gold"'),
        ('{"prompt": "2 + 2?", "gold": 4}', "{path}, line 1: gold must be a string, got 4"),
    ],
)
def test_questions_are_read_before_a_model_is_started(capsys, monkeypatch, tmp_path, content, complaint):
    monkeypatch.setattr("langchain_optscale.endpoints.local.serve", None)
    path = write(tmp_path / "questions.jsonl", content)
    status, out, err = run(capsys, "record", path, "-o", str(tmp_path / "pool.jsonl"), "--gold", "contains")
    assert (status, out) == (2, "")
    assert sentence_of(err) == f"optscale: {complaint.format(path=path)}"
