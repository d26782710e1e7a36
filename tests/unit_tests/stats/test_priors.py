"""Priors in JSON, in sessions and on the command line."""

import json

import pytest

import langchain_optscale.stats
from langchain_optscale import FixedPrior, QuestionPrior, Session, Verdict
from langchain_optscale.cli.main import main
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats import MaximumAPosteriori, Posterior, priors
from langchain_optscale.stopping import Futility, OptimalN, TargetReached
from langchain_optscale.verifiers import Logistic
from tests.command_line import sentence_of

PAST = [[0.91, 0.93, 0.92], [0.31, 0.35, 0.33], [0.95, 0.94, 0.97], [0.42, 0.4, 0.39]] * 5
LEARNED = priors.EmpiricalPrior.fit(PAST)
LAW = priors.QuestionLaw(0.9, 0.08, 0.04, 0.03, LEARNED)


def test_names():
    assert priors.EmpiricalPrior is langchain_optscale.stats.EmpiricalPrior
    assert langchain_optscale.LearnedPrior is not langchain_optscale.stats.EmpiricalPrior
    with pytest.raises(AttributeError, match="UnknownPrior"):
        _ = priors.UnknownPrior


@pytest.mark.parametrize("prior", [FixedPrior(0.8, 0.1, 0.2, 0.05), LEARNED, LAW])
def test_a_prior_survives_json(prior):
    back = priors.prior_from_dict(json.loads(json.dumps(priors.prior_to_dict(prior))))
    assert back == prior
    assert type(back) is type(prior)
    assert hash(back) == hash(prior)


DAMAGED = [None, [1, 2], {}, {"mu": 0.8}, {"mu": 0.8, "sigma": -1.0}, {"mu": 0.8, "sigma": 0.1, "nu": 1.0}]
DAMAGED += [{**LAW.to_dict(), **change} for change in ({"mean": 1.5}, {"std": "x"}, {"belief": {}}, {"doubtful": 1})]
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
    said = capsys.readouterr().out
    assert "60 scores of 20 questions" in said
    assert "Of 10 questions left out" in said
    assert priors.EmpiricalPrior.load(output) == LEARNED


def test_train_prior_json(pool, tmp_path, capsys):
    assert main(["train-prior", str(pool), str(pool), "-o", str(tmp_path / "prior.json"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["questions"], figures["scores"]) == (40, 120)
    assert 0.0 < figures["mu"] < 1.0
    assert figures["held_out"]["error"] < figures["held_out"]["error_without_prior"]


def told_pool(path, *, key="score", spread=1.0):
    """60 questions whose text tells their scores, or logits."""
    lines = []
    for n in range(60):
        values = [spread * (x + n / 1000) for x in ((0.8, 0.9, 0.85) if n % 2 else (0.3, 0.2, 0.25))]
        prompt = f"{'easy' if n % 2 else 'hard'} question number {n}"
        lines.append(json.dumps({"id": str(n), "prompt": prompt, "samples": [{key: x} for x in values]}))
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_train_prior_of_each_question(tmp_path, capsys):
    pool, output = told_pool(tmp_path / "past.jsonl"), tmp_path / "prior.npz"
    assert main(["train-prior", pool, "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert "180 scores of 60 questions" in said
    assert "the mean score is predicted within 0.0" in said
    prior = QuestionPrior.load(output)
    assert prior("easy question number 7").mean > 0.7 > 0.4 > prior("hard question number 8").mean
    assert main(["replay", pool, "--methods", "paper-trained,optscale-prior", "--prior", str(output), "--json"]) == 0
    assert [row["method"] for row in json.loads(capsys.readouterr().out)] == ["paper-trained", "optscale-prior"]


def test_train_prior_says_where_the_text_tells_nothing(pool, tmp_path, capsys):
    assert main(["train-prior", str(pool), "-o", str(tmp_path / "p"), "--kind", "question"]) == 0
    assert "Every question gets the population's prior, since there are fewer than 40" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["--location", "2.5", "--scale", "1.5"]])
def test_train_prior_of_logits(given, tmp_path, capsys):
    pool, output = told_pool(tmp_path / "past.jsonl", key="logit", spread=6.0), tmp_path / "prior.npz"
    assert main(["train-prior", pool, "-o", str(output), "--json", *given]) == 0
    figures = json.loads(capsys.readouterr().out)
    if given:
        assert (figures["location"], figures["scale"]) == (2.5, 1.5)
    logistic = Logistic(figures["location"], figures["scale"])
    assert QuestionPrior.load(output)("easy question number 7").mean == pytest.approx(logistic(6.0 * 0.857), abs=0.08)
    assert main(["train-prior", pool, "-o", str(output), *given]) == 0
    assert "give the verifier the same as from_logits" in capsys.readouterr().out


@pytest.mark.parametrize("given", [["--location", "2.5"], ["--scale", "1.5"]])
def test_train_prior_needs_both_numbers_of_a_logistic(given, tmp_path, capsys):
    pool = told_pool(tmp_path / "past.jsonl", key="logit")
    assert main(["train-prior", pool, "-o", str(tmp_path / "p"), *given]) == 2
    assert "--location and --scale go together" in capsys.readouterr().err
    pool = told_pool(tmp_path / "past.jsonl")
    assert main(["train-prior", pool, "-o", str(tmp_path / "p"), *given]) == 2
    assert "--location and --scale are for pools of logits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "output", "sentence"),
    [
        ('{"id": "a", "prompt": "?", "samples": [{"tokens": 2}]}', "prior.json", "samples without a score"),
        ('{"id": "a", "prompt": "?", "samples": [{"logit": 2.0}]}', "prior.json", "at least 2 finite logits"),
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
    assert sentence in sentence_of(captured.err)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "prior.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidRecordError, match=r"prior\.json"):
        priors.EmpiricalPrior.load(path)
