"""Inferred steps, and priors learned from past questions."""

import json

import numpy as np
import pytest

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.stats import MaximumAPosteriori, expected_calibration_error, truncnorm
from langchain_optscale.stats._evidence import infer_steps
from langchain_optscale.stats.empirical_prior import EmpiricalPrior
from langchain_optscale.stats.posterior import Posterior


def family(generator, questions=240, scores=21):
    """Questions whose (mu, sigma) follow normal laws."""
    mu = generator.normal(0.8, 0.15, (questions, 1))
    sigma = np.clip(np.exp(generator.normal(np.log(0.12), 0.5, (questions, 1))), 0.02, 0.8)
    return mu, sigma, np.asarray(truncnorm.ppf(generator.random((questions, scores)), mu, sigma))


@pytest.mark.parametrize(
    ("scores", "steps"),
    [
        ((), 0),
        ((1.0, 0.0), 0),
        ((0.9,), 20),
        ((0.9, 0.8, 0.9), 20),
        ((0.9 + 1e-9, 0.85), 20),
        ((0.9, 0.8, 0.7, 0.2, 1.0), 10),
        ((0.9, 0.8, 0.7, 0.2, 0.25), 20),
        ((0.9, 0.8, 0.71), 0),
        ((1 / 3, 2 / 3), 0),
    ],
)
def test_infers_steps(scores, steps):
    assert infer_steps(scores) == steps


def test_learns_the_family():
    mu, sigma, scores = family(np.random.default_rng(1))
    prior = EmpiricalPrior.fit(scores[:, :10].tolist())
    assert prior.mu == pytest.approx(mu.mean(), abs=0.05)
    assert prior.sigma == pytest.approx(sigma.mean(), abs=0.05)
    assert prior.dirichlet.weight < 0.1
    # Whoever wants two normal laws is served too.
    assert MaximumAPosteriori()([0.8, 0.9], prior).method == "maximum a posteriori"


def test_learns_that_scores_have_two_peaks():
    generator = np.random.default_rng(2)
    is_right = generator.random((150, 10)) < generator.random((150, 1))
    scores = np.where(is_right, generator.beta(30, 1.5, (150, 10)), generator.beta(2, 6, (150, 10)))
    prior = EmpiricalPrior.fit(scores.tolist())
    assert prior.dirichlet.weight > 0.5
    # After one wrong candidate a right one is still likely: a truncated normal would not believe it.
    assert Posterior()([0.2], prior).prob_next(0.9) > 0.15


def test_tells_kinds_of_questions_apart():
    """Scores close to 0 or to 1 with tails that no truncated normal has: which of them, the first score tells."""
    generator = np.random.default_rng(4)
    logits = generator.choice([-5.0, 2.0], (200, 1)) + generator.normal(0.0, 2.0, (200, 12))
    scores = 1.0 / (1.0 + np.exp(-logits))
    prior = EmpiricalPrior.fit(scores[:100].tolist())
    predicted, happened = [], []
    for row in scores[100:]:
        estimate = Posterior()(row[:2].tolist(), prior)
        predicted += [estimate.prob_reach(target, 1) for target in (0.8, 0.9) for _ in row[2:]]
        happened += [bool(score >= target) for target in (0.8, 0.9) for score in row[2:]]
    # One shape for all kinds has 0.06.
    assert expected_calibration_error(predicted, happened) < 0.03


def test_is_honest_in_its_own_family():
    *_, scores = family(np.random.default_rng(3), questions=500)
    prior = EmpiricalPrior.fit(scores[:250, :10].tolist())
    predicted, happened = [], []
    for row in scores[250:]:
        for n in (2, 5):
            estimate = Posterior()(row[:n].tolist(), prior)
            for k in (1, 4, 16):
                predicted.append(estimate.prob_reach(0.9, k))
                happened.append(bool(row[n : n + k].max() >= 0.9))
    # A perfectly calibrated predictor has about 0.02 at this number of questions.
    assert expected_calibration_error(predicted, happened) < 0.04


def test_one_list_moves_little_and_none_is_refused():
    one = EmpiricalPrior.fit([[0.9, 0.92]])
    assert one.mu_std > 0.2
    with pytest.raises(SettingsError):
        EmpiricalPrior.fit([[], []])


def test_survives_json():
    prior = EmpiricalPrior.fit([[0.9, 0.92], [0.3, 0.41, 0.35], [1.0]])
    again = EmpiricalPrior.from_dict(json.loads(json.dumps(prior.to_dict())))
    assert again == prior
    assert hash(again) == hash(prior)
    assert Posterior()([0.5], again).prob_next(0.8) == Posterior()([0.5], prior).prob_next(0.8)
    for damaged in ({}, {**prior.to_dict(), "version": 2}, {**prior.to_dict(), "bumps": []}):
        with pytest.raises(InvalidRecordError):
            EmpiricalPrior.from_dict(damaged)
