"""Which methods are offered on which pool, and the command that replays them."""

import json

import pytest

from langchain_optscale import FixedPrior
from langchain_optscale.cli.main import main
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.catalogue import METHODS, WITH_PRIOR, catalogue
from langchain_optscale.evaluation.pools import Pool, Question, Sample, write_pool
from tests.command_line import sentence_of


def pool(*, answers=True, correct=True, scores=True, size=6):
    def sample(number, place):
        right = (number + place) % 3 != 0
        return Sample(
            score=(0.9 if right else 0.4) + place / 100 if scores else None,
            logit=None if scores else float(place),
            correct=right if correct else None,
            answer=("4" if right else str(place)) if answers else None,
            tokens=10,
        )

    questions = [
        Question(f"q{number}", "2 + 2?", tuple(sample(number, place) for place in range(size)), gold="4")
        for number in range(4)
    ]
    return Pool(tuple(questions))


def test_a_pool_is_offered_what_it_has_data_for():
    assert len(catalogue(pool())) == len(METHODS)
    bare = {method.name for method in catalogue(pool(answers=False, correct=False))}
    assert bare == {"optscale", "best-of-n", "threshold", "paper", "beacon", "pandora", "oracle-tail"}


def test_a_prior_adds_the_methods_that_need_one():
    prior = FixedPrior(0.8, 0.1)
    names = [method.name for method in catalogue(pool(), prior=prior)]
    assert names == [*(method.name for method in catalogue(pool())), *WITH_PRIOR]
    asked = []
    (method,) = catalogue(
        pool(), names=["paper-trained"], prior=lambda prompt: asked.append(prompt) or prior, target=0.7
    )
    (fixed,) = catalogue(pool(), names=["paper-trained"], prior=prior, target=0.7)
    (question, *_) = pool()
    assert method.run(question, 6) == fixed.run(question, 6)
    assert asked == ["2 + 2?"]
    with pytest.raises(SettingsError, match="method 'paper-trained' needs a prior; give prior=, or --prior FILE"):
        catalogue(pool(), names=["paper-trained"])


def test_methods_can_be_named():
    (method,) = catalogue(pool(), target=0.7, names=["threshold"])
    assert method.settings == {"threshold": 0.7}
    with pytest.raises(SettingsError, match="unknown method 'magic'; known are optscale, best-of-n"):
        catalogue(pool(), names=["magic"])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sums.jsonl"
    write_pool(pool(), path)
    return str(path)


def test_replay_prints_json_with_stable_keys(file, capsys):
    assert main(["replay", file, "--json", "--permutations", "2", "--methods", "optscale,best-of-n"]) == 0
    ours, fixed = json.loads(capsys.readouterr().out)
    keys = {"pool", "method", "settings", "questions", "accuracy", "accuracy_ci", "samples", "tokens", "rounds"}
    assert keys | {"reached", "observed_confidence"} <= ours.keys()
    assert (fixed["method"], fixed["samples"], fixed["tokens"]) == ("best-of-n", 6.0, 60.0)
    assert ours["samples"] < fixed["samples"]


def test_replay_prints_a_table_and_draws(file, capsys, tmp_path):
    picture = tmp_path / "frontier.png"
    assert main(["replay", file, "--plot", str(picture)]) == 0
    table = capsys.readouterr().out
    assert table.startswith("sums: 4 questions, at most 6 samples")
    assert all(name in table for name in ("optscale", "best-of-n", "self-consistency", "oracle-correct"))
    one = picture.stat().st_size
    assert one > 5_000
    assert main(["replay", file, file, "--plot", str(picture)]) == 0
    assert picture.stat().st_size > one


def test_replay_of_logits(tmp_path, capsys):
    write_pool(pool(scores=False), tmp_path / "logits.jsonl")
    assert main(["replay", str(tmp_path / "logits.jsonl"), "--methods", "best-of-n"]) == 0
    assert "best-of-n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["replay", "/nowhere.jsonl"], 2, "/nowhere.jsonl"),
        (["replay", "{file}", "--methods", "magic"], 2, "unknown method 'magic'"),
        (["replay", "{file}", "--target", "2"], 2, "target"),
        (["replay", "{file}", "--max-samples", "9"], 2, "max_samples must be from 1 to 6"),
        (["replay", "{file}", "--plot", "/nowhere/x.png"], 2, "the directory /nowhere does not exist"),
        (["replay", "{file}", "--plot", "x.xyz"], 2, "must end in one of"),
        (["replay", "{file}", "--seed", "-1"], 2, "seed must be a whole number of at least 0"),
        (["calibrate", "{file}", "--seed", "-1"], 2, "seed must be a whole number of at least 0"),
        (["calibrate", "{file}", "-o", "/nowhere/c.json"], 2, "the directory /nowhere does not exist"),
        (["replay", "{broken}"], 2, "line 1"),
        (
            ["record", "{broken}", "-o", "{out}", "--policy-url", "http://127.0.0.1:9/v1", "--policy-model", "m"],
            2,
            "line 1",
        ),
    ],
)
def test_errors_are_one_sentence(arguments, status, sentence, file, tmp_path, capsys):
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{not json\n")
    places = {"{file}": file, "{broken}": str(broken), "{out}": str(tmp_path / "out.jsonl")}
    assert main([places.get(argument, argument) for argument in arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in sentence_of(said.err)
