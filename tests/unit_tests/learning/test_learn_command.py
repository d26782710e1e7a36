"""The command `optscale learn`."""

import json

import pytest

from langchain_optscale.cli.main import main
from langchain_optscale.learning.learned_file import LearnedSettings
from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.learning.test_refit import traffic


@pytest.fixture
def address(tmp_path):
    with ScoreStore(tmp_path / "optscale.db") as store:
        rows = traffic(30)
        for row in rows:
            store.record(row)
        for row in rows[:4]:
            store.label(row.id, correct=row.label.correct)
    return str(tmp_path / "optscale.db")


def test_it_learns_says_what_and_restores(address, tmp_path, capsys):
    output = str(tmp_path / "learned.npz")
    assert main(["learn", address, "-o", output]) == 0
    said = capsys.readouterr().out
    assert "30 searches, 4 with labels, 0 explored" in said
    assert "stops earlier than the untrained default" in said
    assert f"settings={output!r}" in said
    first = LearnedSettings.load(output)
    with ScoreStore(address) as store:
        assert [event.data["version"] for event in store.events("learned")] == [first.version]
    assert main(["learn", address, "-o", output, "--json", "--price", "0"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["version"] == LearnedSettings.load(output).version != first.version
    assert main(["learn", "--restore", output]) == 0
    assert LearnedSettings.load(output).version == first.version


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.db"], "does not exist"),
        (["{address}", "-o", "learned.json"], "npz"),
        (["--restore", "missing.npz"], "nothing can be restored"),
        (["{address}", "--price", "-1"], "price must be"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(arguments, said, address, capsys):
    assert main(["learn", *(one.format(address=address) for one in arguments)]) != 0
    assert said in capsys.readouterr().err
