"""Discrimination and calibration of a verifier, against counting by hand and laws that are known."""

from itertools import product

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.verifier_quality import discrimination, fit_calibration


def pool_of(*questions):
    return Pool(
        tuple(
            Question(f"q{place}", "?", tuple(Sample(score=score, correct=right) for score, right in samples))
            for place, samples in enumerate(questions)
        )
    )


def drawn(questions, samples, seed, chance):
    """Scores drawn uniformly, right with the given chance of the score."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(size=(questions, samples))
    right = generator.uniform(size=scores.shape) < chance(scores)
    return pool_of(*(list(zip(s.tolist(), r.tolist(), strict=True)) for s, r in zip(scores, right, strict=True)))


def test_pairs_within_questions_are_counted():
    questions = (
        [(0.2, False), (0.5, True), (0.5, False), (0.9, True)],
        [(0.7, False), (0.3, True)],
        [(0.9, True), (0.8, True)],
    )
    wins = pairs = 0
    for samples in questions:
        right, wrong = ([score for score, label in samples if label is wanted] for wanted in (True, False))
        for high, low in product(right, wrong):
            wins += (high > low) + (high == low) / 2
            pairs += 1
    found = discrimination(pool_of(*questions))
    assert found.auc == pytest.approx(wins / pairs)
    assert found.questions == 2


def test_a_question_that_is_easy_as_a_whole_does_not_make_a_good_verifier():
    # Scores that know the question and not the candidate: high where all are likely right.
    generator = np.random.default_rng(3)
    questions = []
    for place in range(200):
        chance = (place % 10 + 0.5) / 10
        questions.append([(chance, bool(generator.uniform() < chance)) for _ in range(4)])
    found = discrimination(pool_of(*questions))
    assert found.auc == 0.5
    assert found.is_chance


@pytest.mark.parametrize(("slope", "is_chance"), [(0.0, True), (0.9, False)])
def test_chance_is_recognised(slope, is_chance):
    pool = drawn(120, 6, seed=5, chance=lambda scores: 0.5 + slope * (scores - 0.5))
    assert discrimination(pool).is_chance is is_chance


def test_a_single_question_in_the_right_order_shows_nothing():
    """Every resample of it agrees, so that a bootstrap was sure that the verifier is better than a coin."""
    found = discrimination(pool_of([(0.9, True), (0.4, False)], [(0.7, True)]))
    assert found.auc == 1.0
    assert found.interval == pytest.approx((0.025, 1.0))
    assert found.is_chance
    assert not discrimination(pool_of(*[[(0.9, True), (0.4, False)]] * 12)).is_chance


def test_without_mixed_questions_nothing_is_known():
    found = discrimination(pool_of([(0.5, True)], [(0.4, False)]))
    assert (found.auc, found.interval, found.questions) == (None, None, 0)
    assert found.is_chance


def test_calibration_finds_the_law_that_drew_the_labels():
    pool = drawn(300, 8, seed=1, chance=lambda scores: scores**3)
    fit = fit_calibration(pool)
    grid = np.linspace(0.1, 0.95, 18)
    assert np.array([fit.calibration(score) for score in grid]) == pytest.approx(grid**3, abs=0.08)
    assert fit.ece_before > 0.2
    assert fit.ece_after < 0.04


def test_scores_that_are_calibrated_stay_so():
    fit = fit_calibration(drawn(300, 8, seed=2, chance=lambda scores: scores))
    assert fit.ece_after < 0.04


def test_a_question_is_calibrated_by_others():
    # One question disagrees with all the others: its own labels must not have taught the scores it gets.
    samples = [(0.9, True), (0.8, True), (0.2, False), (0.1, False)]
    odd = [(0.9, False), (0.8, False), (0.2, True), (0.1, True)]
    with_odd = fit_calibration(pool_of(*[samples] * 19, odd))
    scores = [sample.score for sample in with_odd.pool.questions[-1].samples]
    assert scores[0] > 0.9
    assert scores[-1] < 0.1


@pytest.mark.parametrize(
    ("pool", "complaint"),
    [
        (Pool((Question("a", "?", (Sample(correct=True),)),)), "lacks scores"),
        (Pool((Question("a", "?", (Sample(score=0.5),)),)), "lacks correctness"),
        (pool_of([(0.5, True), (0.4, False)]), "1 question"),
        (pool_of(*[[(0.5, True)]] * 6), "are right"),
        (pool_of(*[[(0.5, False)]] * 6), "are wrong"),
    ],
)
def test_complaints(pool, complaint):
    with pytest.raises(SettingsError, match=complaint):
        fit_calibration(pool)
