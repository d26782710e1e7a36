"""Calibration: hand-computed cases, known truth by simulation, and what is refused."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.stats.calibration import (
    Calibration,
    IsotonicCalibration,
    LogisticCalibration,
    expected_calibration_error,
    reliability_table,
)

KINDS = [IsotonicCalibration, LogisticCalibration]


def labelled(n, seed, intercept=-3.0, slope=5.0):
    """Scores whose probability of being right is known."""
    generator = np.random.default_rng(seed)
    scores = np.where(generator.random(n) < 0.3, 1.0, generator.beta(3, 2, n))
    truth = special.expit(intercept + slope * scores)
    return scores, generator.random(n) < truth, truth


def test_isotonic_pools_adjacent_violators():
    # By hand: 0.2 right, 0.4 wrong violate the order, so they pool to 1/2; each block gets one more at the mean, 3/5.
    fit = IsotonicCalibration.fit([0.1, 0.2, 0.4, 0.8, 0.9], [False, True, False, True, True])
    assert fit.scores == pytest.approx((0.1, 0.3, 0.85))
    assert fit.probabilities == pytest.approx(((0 + 0.6) / 2, (1 + 0.6) / 3, (2 + 0.6) / 3))
    assert fit(0.2) == pytest.approx(((0.6) / 2 + (1.6) / 3) / 2)
    assert (fit(0.0), fit(1.0)) == (fit.probabilities[0], fit.probabilities[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_recovers_a_known_truth(kind):
    scores, correct, _ = labelled(20_000, 0)
    fit = kind.fit(scores, correct)
    fresh, right, truth = labelled(20_000, 1)
    predicted = [fit(score) for score in fresh]
    assert np.abs(np.array(predicted) - truth).mean() < 0.015
    assert expected_calibration_error(predicted, right) < 0.02
    assert expected_calibration_error(fresh, right) > 0.1


def test_logistic_finds_its_own_parameters():
    scores, correct, _ = labelled(200_000, 2)
    fit = LogisticCalibration.fit(scores, correct)
    assert (fit.intercept, fit.slope) == pytest.approx((-3.0, 5.0), abs=0.1)


def test_a_verifier_that_is_worse_than_chance_is_flat():
    fit = LogisticCalibration.fit([0.1, 0.2, 0.8, 0.9], [True, True, False, False])
    assert fit.slope == 0.0
    assert fit(0.1) == fit(0.9) == pytest.approx(0.5)


def test_reliability_keeps_atoms_together():
    predicted = [0.2] * 3 + [1.0] * 7
    table = reliability_table(predicted, [False] * 3 + [True] * 6 + [False], bins=10)
    assert [(b.count, b.predicted, b.observed) for b in table] == [(3, pytest.approx(0.2), 0.0), (7, 1.0, 6 / 7)]
    expected = 0.3 * 0.2 + 0.7 * (1 / 7)
    assert expected_calibration_error(predicted, [False] * 3 + [True] * 6 + [False]) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 12))
def test_reliability_counts_everything_once(pairs, bins):
    predicted, correct = zip(*pairs, strict=True)
    table = reliability_table(predicted, correct, bins=bins)
    assert sum(b.count for b in table) == len(pairs)
    assert sum(b.count * b.observed for b in table) == pytest.approx(sum(correct))
    assert len(table) <= bins
    assert all(one.high < other.low for one, other in itertools.pairwise(table))
    assert 0 <= expected_calibration_error(predicted, correct, bins=bins) <= 1


mixed = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({right for _, right in pairs}) == 2
)


@pytest.mark.parametrize("kind", KINDS)
@given(pairs=mixed)
def test_fits_are_monotone_probabilities_and_survive_json(kind, pairs):
    fit = kind.fit(*zip(*pairs, strict=True))
    grid = [fit(score) for score in np.linspace(0, 1, 41)]
    assert all(0 < p < 1 for p in grid)
    assert all(low <= high + 1e-12 for low, high in itertools.pairwise(grid))
    assert Calibration.from_dict(json.loads(json.dumps(fit.to_dict()))) == fit


@pytest.mark.parametrize("kind", KINDS)
def test_files(kind, tmp_path):
    fit = kind.fit([0.1, 0.9], [False, True])
    fit.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == fit


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"format": "langchain-optscale/calibration"'])
def test_damaged_files_are_refused(text, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(InvalidRecordError, match=r"broken\.json"):
        Calibration.load(path)


@pytest.mark.parametrize(
    "change", [{"kind": "Magic"}, {"version": 9}, {"scores": [0.9, 0.1]}, {"probabilities": [0.0, 1.0]}, {"x": 1}]
)
def test_damaged_data_is_refused(change):
    data = IsotonicCalibration.fit([0.1, 0.9], [False, True]).to_dict()
    with pytest.raises(InvalidRecordError):
        Calibration.from_dict(data | change)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("scores", "correct", "sentence"),
    [
        ([], [], "of at least 1"),
        ([0.5], [True, False], "of one length"),
        ([0.5, 1.5], [True, False], r"in \[0, 1\]"),
        ([0.5, np.nan], [True, False], r"in \[0, 1\]"),
        ([0.5, 0.6], [True, True], "at least one right and one wrong"),
        ([0.5, 0.6], [0.5, 1], "True or False"),
    ],
)
def test_bad_input(kind, scores, correct, sentence):
    with pytest.raises(SettingsError, match=sentence):
        kind.fit(scores, correct)
