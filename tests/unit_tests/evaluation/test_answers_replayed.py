"""Answers in replays: selection, the catalogue's method, the margin of a choice, and what is saved on our own pool."""

from pathlib import Path

import numpy as np
import pytest

from langchain_optscale.answers import AnswerModel, MostProbable, fit_labelled, select_posterior
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import BestOfN, ThresholdStopping
from langchain_optscale.evaluation.catalogue import METHODS, catalogue
from langchain_optscale.evaluation.frontier import samples_at_parity
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, Sample, read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.evaluation.selection import place_of
from langchain_optscale.stopping import AnswerConfidence, MaxSamples
from tests.unit_tests.evaluation.replayed import question, random_pool

ARITHMETIC = Path(__file__).parents[2] / "data" / "pools" / "arithmetic_x64.jsonl"


def test_it_returns_what_the_rule_spoke_of():
    # Wrong answers hardly ever agree: two that do must be right, however low their scores.
    model = AnswerModel(concentration=500.0, separation=0.1)
    asked = question(scores=[0.99, 0.3, 0.2], answers=["7", "4", "4"], correct=[False, True, True])
    method = SessionMethod(AnswerConfidence(0.8, model=model) | MaxSamples(3), "answers", select="posterior")
    outcome = method.run(asked, 3)
    assert (outcome.chosen, outcome.kept) == (1, True)
    assert (
        place_of(MostProbable(model), asked.samples) == select_posterior(["7", "4", "4"], [0.99, 0.3, 0.2], model) == 1
    )
    with pytest.raises(SettingsError, match="no score"):
        place_of("posterior", [Sample(answer="4")])


def test_the_catalogue_offers_it_where_there_are_answers():
    names = [method.name for method in catalogue(random_pool(4))]
    assert "answers" in names
    assert METHODS["answers"](0.9, 0.95, 8).needs == {"scores", "answers"}
    assert SessionMethod(MaxSamples(2), "two").needs == {"scores"}
    without = Pool((question(scores=[0.5, 0.6], correct=[True, False]),))
    assert "answers" not in [method.name for method in catalogue(without)]


def test_a_margin_is_asked_of_the_choosing_half():
    pool = random_pool(60, seed=3)
    grid = [{"threshold": threshold} for threshold in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    plain, careful = (samples_at_parity(pool, ThresholdStopping, grid, splits=4, margin=m) for m in (0.0, 2.0))
    assert careful.attained <= plain.attained
    assert careful.samples >= plain.samples
    with pytest.raises(SettingsError, match="margin"):
        samples_at_parity(pool, ThresholdStopping, grid, margin=-1.0)


def test_half_a_pool_pays_for_the_other_half():
    """On calculations, fitted on one half and replayed on the other: fewer than 45 % of the samples, no less right."""
    first, second = read_pool(ARITHMETIC).split(seed=7)
    gains, shares = [], []
    for train, test in ((first, second), (second, first)):
        rule = AnswerConfidence(0.95, min_gain=0.01, model=fit_labelled(train))
        method = SessionMethod(rule, "answers", first_round=1, round_size=1, select="posterior")
        report = replay(test, [method, BestOfN()], permutations=1, max_samples=32, bootstrap=1)
        ours, best = report.runs
        gains.append(ours["accuracy"].mean() - best["accuracy"].mean())
        shares.append(ours["samples"].mean() / 32)
    assert np.mean(gains) >= 0.0
    assert np.mean(shares) <= 0.45
