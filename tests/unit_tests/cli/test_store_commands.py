import json
import time

import pytest

from langchain_optscale.cli.main import main
from langchain_optscale.learning.store import ScoreStore
from tests.command_line import sentence_of
from tests.unit_tests.learning.make_rows import make_row, make_traffic


@pytest.fixture
def path(tmp_path):
    with ScoreStore(tmp_path / "s.db", keep_text=True) as store:
        for row in make_traffic(30):
            store.record(row, "Who?" if row.id.endswith("7") else row.id)
        store.record(make_row("last", time.time()), "When?")
        store.label("last", correct=True)
    return str(tmp_path / "s.db")


def run(capsys, *arguments, status=0):
    assert main(list(arguments)) == status
    shown = capsys.readouterr()
    return shown.out if status == 0 else shown.err


def test_list(path, capsys):
    shown = run(capsys, "store", "list", path, "--limit", "3")
    assert len(shown.splitlines()) == 4
    assert shown.splitlines()[-1].startswith("last ")
    assert "labelled right" in shown
    listed = json.loads(run(capsys, "store", "list", path, "--labelled", "--json"))
    assert [row["id"] for row in listed] == ["last"]
    assert len(json.loads(run(capsys, "store", "list", path, "--explored", "--json"))) == 3
    assert len(json.loads(run(capsys, "store", "list", path, "--no-explored", "--limit", "99", "--json"))) == 28
    assert len(json.loads(run(capsys, "store", "list", path, "--since", "1h", "--json"))) == 1
    assert run(capsys, "store", "list", path, "--since", "2999-01-01") == "no searches\n"


def test_show_and_label(path, capsys):
    assert run(capsys, "store", "label", path, "last", "--wrong") == "last labelled wrong\n"
    shown = json.loads(run(capsys, "store", "show", path, "last", "--json"))
    assert (shown["label"]["correct"], shown["prompt"]) == (False, "When?")
    run(capsys, "store", "label", path, "last", "--score", "0.25")
    assert '"score": 0.25' in run(capsys, "store", "show", path, "last")


def test_export(path, capsys, tmp_path):
    out = str(tmp_path / "pool.jsonl")
    assert "candidates of 3 searches" in run(capsys, "store", "export", path, "-o", out, "--explored")
    assert main(["replay", out, "--json"]) == 0


def test_delete_and_vacuum(path, capsys):
    assert run(capsys, "store", "delete", path, "--question", "Who?") == "3 searches deleted\n"
    assert run(capsys, "store", "delete", path, "--id", "last") == "1 search deleted\n"
    assert json.loads(run(capsys, "store", "delete", path, "--before", "1d", "--json")) == {"deleted": 27}
    assert run(capsys, "store", "vacuum", path) == "0 searches kept\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["store", "show", "PATH", "nobody"], "has no search with the id 'nobody'"),
        (["store", "label", "PATH", "nobody", "--correct"], "has no search with the id 'nobody'"),
        (["store", "delete", "PATH", "--id", "nobody"], "has no search with the id 'nobody', so nothing was deleted"),
        (["store", "label", "PATH", "last", "--score", "2"], r"in [0, 1], got 2.0"),
        (["store", "list", "PATH", "--limit", "0"], "--limit must be at least 1"),
        (["store", "list", "PATH", "--since", "yesterday"], "--since takes a date such as"),
        (["store", "list", "MISSING"], "does not exist"),
        (["report", "MISSING"], "does not exist"),
        (["report", "PATH", "--since", "2999-01-01"], "no searches yet"),
    ],
)
def test_mistakes_are_one_sentence(path, capsys, tmp_path, arguments, sentence):
    places = {"PATH": path, "MISSING": str(tmp_path / "missing.db")}
    shown = run(capsys, *[places.get(one, one) for one in arguments], status=2)
    assert sentence in sentence_of(shown)
    assert not (tmp_path / "missing.db").exists()


def test_report(path, capsys, tmp_path):
    page = tmp_path / "report.html"
    shown = run(capsys, "report", path, "-o", str(page))
    assert shown.startswith("31 searches from 2026-09-21")
    assert "of the candidates saved (95 %: " in shown
    assert "Searches in s.db" in page.read_text()
    report = json.loads(run(capsys, "report", path, "--json"))
    assert (report["searches"], report["explored"], report["labelled"]) == (31, 3, 1)


def test_store_alone_prints_its_help(capsys):
    assert "delete" in run(capsys, "store")
