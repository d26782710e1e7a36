"""A stopping time that is learned, against problems whose best stopping time is known in closed form."""

import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from langchain_optscale.answers.selection import as_selection
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping import History, MaxSamples, Rule, TargetReached
from langchain_optscale.stopping.conformance import RuleConformance
from langchain_optscale.stopping.learned.fitted import CandidatePrice, FittedStopping
from langchain_optscale.stopping.session import Session


def uniform(questions=200, samples=8, seed=0):
    """Graded scores, uniform and independent: the search problem with a known reservation price."""
    scores = np.random.default_rng(seed).uniform(size=(questions, samples))
    return Pool(
        tuple(
            Question(f"q{place}", "?", tuple(Sample(score=float(score), tokens=10) for score in row))
            for place, row in enumerate(scores)
        )
    )


def voted(questions=150, samples=12, seed=0, wrong=4, score="informed"):
    """Questions of Beta(1, 1) difficulty; a wrong candidate gives one of a few wrong answers."""
    generator = np.random.default_rng(seed)
    made = []
    for place in range(questions):
        chance = generator.beta(1.0, 1.0)
        drawn = []
        for _ in range(samples):
            right = bool(generator.uniform() < chance)
            answer = "right" if right else f"wrong{generator.integers(wrong)}"
            centre = {"informed": 0.7 if right else 0.4, "blind": 0.5}[score]
            drawn.append(
                Sample(
                    score=float(np.clip(generator.normal(centre, 0.15), 0, 1)), correct=right, answer=answer, tokens=20
                )
            )
        made.append(Question(f"q{place}", "?", tuple(drawn)))
    return Pool(tuple(made))


def search(rule, scores, answers=()):
    n = 1
    while not rule(History(scores=tuple(scores[:n]), answers=tuple(answers[:n]))).stop:
        n += 1
    return n


@pytest.fixture(scope="module")
def graded():
    return FittedStopping.fit(uniform(), price=0.02)


@pytest.fixture(scope="module")
def answered():
    return FittedStopping.fit(voted(), price=0.01)


class TestGraded(RuleConformance):
    def make_rule(self):
        return small_graded()


class TestAnswered(RuleConformance):
    def make_rule(self):
        return small_answered()

    def histories(self):
        known = ("a", None, "b", "a", "c", "a", None, "b")
        return [replace(history, answers=(known * 4)[: history.n]) for history in super().histories()]


@cache
def small_graded():
    """Made once: the conformance class asks for a rule anew in every test."""
    return FittedStopping.fit(uniform(60), price=0.02)


@cache
def small_answered():
    return FittedStopping.fit(voted(60), price=0.01)


@pytest.mark.parametrize("price", [0.005, 0.02, 0.05])
def test_it_finds_the_reservation_price(price):
    # Of one more uniform score E[(S - b)+] = (1 - b)^2 / 2, so it pays below b = 1 - sqrt(2 price) (McCall 1970).
    rule = FittedStopping.fit(uniform(400), price=price)
    reservation = 1.0 - math.sqrt(2.0 * price)
    learned, optimal = [], []
    for scores in np.random.default_rng(99).uniform(size=(1500, 8)).tolist():
        n = search(rule, scores)
        learned.append(max(scores[:n]) - price * n)
        n = next((n for n in range(1, 8) if max(scores[:n]) >= reservation), 8)
        optimal.append(max(scores[:n]) - price * n)
    assert np.mean(learned) >= np.mean(optimal) - 0.006


def test_a_mean_number_of_samples_is_kept_on_new_questions():
    rule = FittedStopping.fit(uniform(300), samples=3.0)
    spent = [search(rule, scores) for scores in np.random.default_rng(5).uniform(size=(800, 8)).tolist()]
    assert np.mean(spent) == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("score", ["informed", "blind"])
def test_accuracy_of_best_of_n_is_kept_for_less_by_default(score):
    rule = FittedStopping.fit(voted(200, score=score))
    right, spent, best_of_n = [], [], []
    for question in voted(400, seed=7, score=score):
        scores, answers = [s.score for s in question.samples], [s.answer for s in question.samples]
        n = search(rule, scores, answers)
        chosen = as_selection(rule.select).position(answers[:n], scores[:n])
        right.append(question.samples[chosen].correct)
        spent.append(n)
        best_of_n.append(question.samples[int(np.argmax(scores))].correct)
    # Four standard errors of a paired difference of this size; blind scores are no better than the first candidate.
    assert np.mean(right) >= np.mean(best_of_n) - 0.06
    assert np.mean(spent) < {"informed": 8, "blind": 6}[score]


def test_without_labels_it_learns_what_the_whole_budget_would_choose():
    unlabelled = Pool(
        tuple(Question(q.id, "?", tuple(Sample(score=s.score, answer=s.answer) for s in q.samples)) for q in voted(200))
    )
    rule = FittedStopping.fit(unlabelled, price=0.01, labels="none")
    agreed, spent = [], []
    for question in voted(300, seed=8):
        answers = [s.answer for s in question.samples]
        n = search(rule, [s.score for s in question.samples], answers)
        votes = {answer: answers.count(answer) for answer in answers}
        agreed.append(max(answers[:n], key=answers[:n].count) == max(votes, key=votes.__getitem__))
        spent.append(n)
    assert np.mean(agreed) > 0.85
    assert np.mean(spent) < 8


def test_tokens_and_seconds_are_prices_too():
    sample = small_graded()
    assert sample.price == CandidatePrice(sample=0.02)
    token = FittedStopping.fit(uniform(60), price=CandidatePrice(token=0.002))  # ten tokens each
    second = FittedStopping.fit(uniform(60), price=CandidatePrice(second=0.1, seconds_per_token=0.02))
    assert sample.stages == token.stages
    assert sample.stages[0].advantage([0.5, 0.5, 0.5, 0, 0]) == pytest.approx(
        second.stages[0].advantage([0.5, 0.5, 0.5, 0, 0])
    )
    without = Pool(tuple(replace(q, samples=tuple(replace(s, tokens=None) for s in q.samples)) for q in uniform(40)))
    with pytest.raises(SettingsError, match="needs a pool whose samples have tokens"):
        FittedStopping.fit(without, price=CandidatePrice(token=0.1))


def test_rounds_are_decided_as_rounds():
    rule = FittedStopping.fit(uniform(), price=0.02, first_round=2, round_size=3)
    assert rule.points == (2, 5, 8)
    assert rule(History(scores=(0.1, 0.2), max_samples=8)).draw == 3
    assert not rule(History(scores=(0.1, 0.2, 0.99), pending=2)).stop  # in the middle of a round
    assert rule(History(scores=(0.1, 0.2, 0.99, 0.3, 0.3))).stop
    session = Session(rule, max_samples=8, round_size=8)
    assert session.ask() == 2
    for index, score in enumerate((0.1, 0.2)):
        session.tell(index, Verdict(score))
    assert session.ask() == 3


def test_a_search_that_lost_candidates_still_ends():
    rule = FittedStopping.fit(uniform(60), price=0.02, first_round=2, round_size=3)
    decision = rule(History(scores=(0.95, 0.97, 0.96), failures=2))
    assert decision.stop or decision.draw == 2


def test_the_cap_is_the_one_that_was_fitted(graded):
    assert graded.max_samples == 8
    decision = graded(History(scores=(0.1,) * 8, max_samples=32))
    assert decision.stop
    assert decision.reason is StopReason.MAX_SAMPLES


def test_what_was_never_seen_falls_back_and_says_so(answered):
    strange = History(scores=(0.5, 0.5, 0.5), answers=(None, None, None), max_samples=12)
    decision = answered(strange)
    assert any(name.startswith("outside fitted: ") for name in decision.figures)
    assert decision.rule != "FittedStopping"
    usual = answered(History(scores=(0.7, 0.4, 0.6), answers=("a", "b", "a"), max_samples=12))
    assert set(usual.figures) == {"advantage"}


def test_the_fallback_decides_where_nothing_was_fitted():
    rule = FittedStopping.fit(voted(60), price=0.01, fallback=TargetReached(0.3))
    decision = rule(History(scores=(0.5, 0.5, 0.5), answers=(None, None, None)))
    assert decision.stop
    assert decision.reason is StopReason.TARGET_REACHED


def test_what_is_no_better_for_as_many_candidates_leaves_it_to_the_untrained_rule(tmp_path):
    # At a price of 0.02 the best rule for uniform scores stops at 0.8 (McCall 1970): nothing can be learned beyond it.
    best = TargetReached(0.8) | MaxSamples(8)
    rule = FittedStopping.fit(uniform(200), price=0.02, fallback=best)
    assert rule.defers
    assert repr(rule).endswith("as untrained)")
    for scores in ((0.3,), (0.3, 0.81), (0.3,) * 7):
        assert rule(History(scores=scores, max_samples=8)) == best(History(scores=scores, max_samples=8))
    assert rule(History(scores=(0.3,) * 8)).reason is StopReason.MAX_SAMPLES
    rule.save(tmp_path / "rule.npz")
    assert FittedStopping.load(tmp_path / "rule.npz") == rule
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_a_rule_that_is_surely_better_for_as_many_candidates_is_kept():
    # As many candidates for every question, good or bad scores alike: stopping at 0.8 takes 4 of 8 on average.
    rule = FittedStopping.fit(uniform(200), price=0.02, fallback=MaxSamples(4))
    spent = [search(rule, scores) for scores in np.random.default_rng(5).uniform(size=(400, 8)).tolist()]
    assert np.mean(spent) == pytest.approx(4.0, abs=0.4)
    assert not rule.defers


def test_a_selection_that_was_asked_for_is_kept():
    rule = FittedStopping.fit(voted(60), price=0.01, orders=4, select="vote", fallback=MaxSamples(12))
    assert rule.select == "vote"
    assert not rule.defers


def test_it_joins_with_other_rules(graded):
    rule = graded | MaxSamples(3)
    assert rule(History(scores=(0.1, 0.1, 0.1))).stop
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_repr_is_short(graded):
    assert repr(graded) == "FittedStopping(<200 questions>, max_samples=8, select='best', sample=0.02)"


@pytest.mark.parametrize("name", ["graded", "answered"])
def test_file_and_back(name, request, tmp_path):
    rule = request.getfixturevalue(name)
    rule.save(tmp_path / "rule.npz")
    again = FittedStopping.load(tmp_path / "rule.npz")
    assert again == rule
    assert hash(again) == hash(rule)
    history = History(scores=(0.2, 0.6, 0.5), answers=("a", "b", "a"))
    assert again(history) == rule(history)


def test_files_that_are_no_rules(graded, tmp_path):
    path = tmp_path / "rule.npz"
    with pytest.raises(InvalidRecordError, match="cannot be read"):
        FittedStopping.load(path)
    path.write_bytes(b"not a file of arrays")
    with pytest.raises(InvalidRecordError, match="cannot be read"):
        FittedStopping.load(path)
    graded.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place])
        with pytest.raises(InvalidRecordError):
            FittedStopping.load(path)
    np.savez(path, header=np.array([{"format": "pickled"}], dtype=object))
    with pytest.raises(InvalidRecordError, match="cannot be read"):
        FittedStopping.load(path)


def test_another_version_is_refused(graded, tmp_path):
    data = graded.to_dict()
    with pytest.raises(InvalidRecordError, match="another version"):
        Rule.from_dict({**data, "version": 99})
    with pytest.raises(InvalidRecordError, match="cannot be read"):
        Rule.from_dict({**data, "points": [1, 2]})
    stages = [dict(stage) for stage in data["stages"]]
    stages[0]["linear"] = [float("nan")] * 5
    with pytest.raises(InvalidRecordError):
        Rule.from_dict({**data, "stages": stages})


def test_too_few_questions_are_refused():
    with pytest.raises(SettingsError, match="12 questions are too few"):
        FittedStopping.fit(uniform(12), price=0.01)


def test_a_verifier_without_signal_is_refused():
    # Right with probability one half, whatever the score: a fit is refused nearly always. Two standard errors let
    # one in forty through if products were normal; four of twenty would be surprising (P < 0.002).
    refused = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        questions = [
            Question(
                f"q{place}",
                "?",
                tuple(
                    Sample(score=float(generator.uniform()), correct=bool(generator.uniform() < 0.5)) for _ in range(5)
                ),
            )
            for place in range(60)
        ]
        try:
            FittedStopping.fit(Pool(tuple(questions)), price=0.01, orders=4)
        except SettingsError as error:
            refused.append(str(error))
    assert len(refused) >= 16
    assert all("carry no signal of when to stop" in sentence for sentence in refused)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"price": 0.1, "samples": 3}, "not both"),
        ({"price": -1}, "at least 0"),
        ({"samples": 0.5}, "samples must be from 1"),
        ({"samples": 99}, "samples must be from 1"),
        ({"max_samples": 1}, "max_samples must be"),
        ({"max_samples": 99}, "max_samples must be"),
        ({"select": "vot", "price": 0.1}, "select must be one of"),
        ({"labels": "silver", "price": 0.1}, "labels must be"),
        ({"round_size": 0, "price": 0.1}, "round_size must be"),
        ({"first_round": 8, "price": 0.1}, "leaves nothing to decide"),
        ({}, "give price= or samples="),
    ],
)
def test_settings_out_of_range(settings, complaint):
    with pytest.raises(SettingsError, match=complaint):
        FittedStopping.fit(uniform(30), **settings)


def test_one_sample_of_a_question_is_too_few_to_learn_from():
    pool = uniform(30)
    short = Pool((replace(pool.questions[0], samples=pool.questions[0].samples[:1]), *pool.questions[1:]))
    with pytest.raises(SettingsError, match="at least 2 samples of every question, and some question has 1"):
        FittedStopping.fit(short, price=0.01)


def test_a_pool_without_what_is_needed():
    unlabelled = Pool(tuple(replace(q, samples=tuple(replace(s, correct=None) for s in q.samples)) for q in voted(30)))
    with pytest.raises(SettingsError, match="labels='none'"):
        FittedStopping.fit(unlabelled, price=0.01)
    unscored = Pool(tuple(replace(q, samples=tuple(replace(s, score=None) for s in q.samples)) for q in voted(30)))
    with pytest.raises(SettingsError, match="no score"):
        FittedStopping.fit(unscored, price=0.01)
    alike = Pool(tuple(replace(q, samples=tuple(replace(s, correct=True) for s in q.samples)) for q in voted(30)))
    with pytest.raises(SettingsError, match="record questions with both"):
        FittedStopping.fit(alike, price=0.01)


def test_the_same_data_give_the_same_rule(graded):
    assert FittedStopping.fit(uniform(), price=0.02) == graded
