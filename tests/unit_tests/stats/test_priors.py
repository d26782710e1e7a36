"""Priors in JSON, in sessions and on the command line."""

import json

import pytest

import langchain_optscale.stats
from langchain_optscale import FixedPrior, Session, Verdict
from langchain_optscale.cli.main import main
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats import MaximumAPosteriori, Posterior, priors
from langchain_optscale.stopping import Futility, OptimalN, TargetReached

PAST = [[0.91, 0.93, 0.92], [0.31, 0.35, 0.33], [0.95, 0.94, 0.97], [0.42, 0.4, 0.39]] * 5
LEARNED = priors.EmpiricalPrior.fit(PAST)


def test_names():
    assert priors.EmpiricalPrior is priors.LearnedPrior is langchain_optscale.stats.EmpiricalPrior
    with pytest.raises(AttributeError, match="UnknownPrior"):
        _ = priors.UnknownPrior


@pytest.mark.parametrize("prior", [FixedPrior(0.8, 0.1, 0.2, 0.05), LEARNED])
def test_a_prior_survives_json(prior):
    back = priors.prior_from_dict(json.loads(json.dumps(priors.prior_to_dict(prior))))
    assert back == prior
    assert type(back) is type(prior)
    assert hash(back) == hash(prior)


DAMAGED = [None, [1, 2], {}, {"mu": 0.8}, {"mu": 0.8, "sigma": -1.0}, {"mu": 0.8, "sigma": 0.1, "nu": 1.0}]
DAMAGED += [{"format": "something else"}, {**LEARNED.to_dict(), "bumps": [[0.5, "wide", 1.0]]}]


@pytest.mark.parametrize("data", DAMAGED)
def test_damaged_json_is_refused(data):
    with pytest.raises(InvalidRecordError):
        priors.prior_from_dict(data)


def test_what_has_no_json_form_says_so():
    class MyPrior(FixedPrior):
        pass

    with pytest.raises(InvalidRecordError, match="a MyPrior has no JSON form; use a FixedPrior or an EmpiricalPrior"):
        priors.prior_to_dict(MyPrior(0.8, 0.1))


@pytest.mark.parametrize("estimator", [Posterior(), MaximumAPosteriori()])
def test_a_session_with_a_learned_prior_resumes_to_the_same_decisions(estimator):
    rule = OptimalN(0.95, 0.9) | TargetReached(0.95) | Futility(0.95, 0.02)
    scores = [0.41, 0.39, 0.4, 0.42, 0.38, 0.4, 0.41, 0.4]
    whole = Session(rule, estimator=estimator, prior=LEARNED, max_samples=32, round_size=3)
    while whole.ask():
        for index in whole.pending:
            if whole.decision.stop:
                break
            resumed = Session.from_dict(json.loads(json.dumps(whole.to_dict())))
            assert resumed.prior == LEARNED
            verdict = Verdict(scores[index % len(scores)])
            assert resumed.tell(index, verdict) == whole.tell(index, verdict)
            assert resumed.rounds == whole.rounds
    assert whole.decision.stop


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "past.jsonl"
    lines = ({"id": str(n), "prompt": "?", "samples": [{"score": x} for x in row]} for n, row in enumerate(PAST))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_train_prior(pool, tmp_path, capsys):
    output = tmp_path / "prior.json"
    assert main(["train-prior", str(pool), "-o", str(output)]) == 0
    assert "60 scores of 20 questions" in capsys.readouterr().out
    assert priors.EmpiricalPrior.load(output) == LEARNED


def test_train_prior_json(pool, tmp_path, capsys):
    assert main(["train-prior", str(pool), str(pool), "-o", str(tmp_path / "prior.json"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["questions"], figures["scores"]) == (40, 120)
    assert 0.0 < figures["mu"] < 1.0


@pytest.mark.parametrize(
    ("content", "output", "sentence"),
    [
        ('{"id": "a", "prompt": "?", "samples": [{"logit": 2.0}]}', "prior.json", "samples without a score"),
        ("{", "prior.json", "line 1"),
        ("", "prior.json", "no questions"),
        ('{"id": "a", "prompt": "?", "samples": [{"score": 0.5}]}', "nowhere/prior.json", "cannot be written"),
    ],
)
def test_train_prior_says_what_is_wrong(content, output, sentence, tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text(content, encoding="utf-8")
    assert main(["train-prior", str(data), "-o", str(tmp_path / output)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert sentence in captured.err


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "prior.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidRecordError, match=r"prior\.json"):
        priors.EmpiricalPrior.load(path)
