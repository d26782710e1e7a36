"""Figures of a replay: hand-computed means, intervals against theory, paired differences, and the table."""

import json

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import BestOfN, ThresholdStopping
from langchain_optscale.evaluation.bootstrap import bootstrap_means
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.metrics import FIGURES, Report, Runs
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stopping import optscale
from tests.unit_tests.evaluation.replayed import random_pool

KEYS = ["accuracy", "samples", "asked", "tokens", "rounds", "reached", "observed_confidence"]


def runs(name, settings=None, **figures):
    count = len(next(iter(figures.values())))
    values = np.stack([np.asarray(figures.get(figure, np.full(count, np.nan)), dtype=float) for figure in FIGURES], 1)
    return Runs(name, settings or {}, values)


def report(*methods, bootstrap=200, measure="accuracy"):
    ids = tuple(f"q{number}" for number in range(len(methods[0].values)))
    return Report("pool", ids, measure, 8, 1, methods, bootstrap=bootstrap)


def test_rows_by_hand():
    row = report(
        runs("it", accuracy=[1, 0, 0.5, 0.5], samples=[2, 4, 4, 2], promised=[1, 0.5, 0, 0.5], kept=[1, 0.25, 0, 0.25])
    ).to_dict()[0]
    assert (row["method"], row["settings"], row["questions"]) == ("it", {}, 4)
    assert (row["accuracy"], row["samples"]) == (0.5, 3)
    assert row["observed_confidence"] == pytest.approx(1.5 / 2)
    assert (row["tokens"], row["tokens_ci"], row["reached"]) == (None, None, None)
    assert list(row) == ["method", "settings", "questions"] + [key + end for key in KEYS for end in ("", "_ci")]
    json.dumps(row, allow_nan=False)


def test_no_promise_no_confidence():
    row = report(runs("it", accuracy=[1, 0], samples=[2, 4], promised=[0, 0], kept=[0, 0])).to_dict()[0]
    assert (row["observed_confidence"], row["observed_confidence_ci"]) == (None, None)
    rare = report(runs("it", accuracy=[1, 0], samples=[2, 4], promised=[1, 0], kept=[1, 0])).to_dict()[0]
    assert rare["observed_confidence"] == 1.0
    assert rare["observed_confidence_ci"] == pytest.approx([0.025, 1.0])  # one question says little


def test_bootstrap_against_theory():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(400, 2)) * [1.0, 3.0]
    means = bootstrap_means(values, 4000, seed=1)
    assert means.shape == (4000, 2)
    assert means.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.01)
    assert means.std(axis=0) == pytest.approx(values.std(axis=0) / 20, rel=0.05)
    np.testing.assert_array_equal(means, bootstrap_means(values, 4000, seed=1))


def test_intervals_cover():
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        row = report(runs("it", accuracy=generator.random(150) < 0.7, samples=np.ones(150))).to_dict()[0]
        low, high = row["accuracy_ci"]
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_paired_differences_are_tighter_than_their_parts():
    generator = np.random.default_rng(3)
    ease = generator.random(300)
    both = report(
        runs("a", accuracy=ease, samples=np.full(300, 5.0)),
        runs("b", accuracy=ease - 0.01 * generator.random(300), samples=np.full(300, 2.0)),
        measure="mean score",
    )
    pair = both.paired("a", "b")
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.differences["accuracy"] == pytest.approx(0.005, abs=0.001)
    low, high = pair.intervals["accuracy"]
    assert 0 < low < pair.differences["accuracy"] < high < 0.01
    assert (pair.differences["samples"], *pair.intervals["samples"]) == (3, 3, 3)
    assert np.isnan([pair.differences["tokens"], *pair.intervals["tokens"]]).all()
    assert both.paired(1, 0).differences["samples"] == -3


def test_a_method_equals_itself():
    pair = replay(random_pool(10), [BestOfN(), BestOfN()]).paired(0, 1)
    assert set(pair.differences.values()) == {0.0}
    costs = [pair.intervals[figure] for figure in ("samples", "tokens", "rounds")]
    assert {end for interval in costs for end in interval} == {0.0}


def test_ten_questions_without_a_difference_do_not_show_that_there_is_none():
    pair = replay(random_pool(10), [BestOfN(), BestOfN()]).paired(0, 1)
    assert pair.intervals["accuracy"] == pytest.approx((-0.3085, 0.3085), abs=1e-4)  # 1 - 0.025^(1/10)


def test_names_are_looked_up():
    both = report(runs("a", accuracy=[1], samples=[1]), runs("a", accuracy=[1], samples=[1]))
    assert both[1] is both.runs[1]
    with pytest.raises(SettingsError, match="several methods are named 'a'"):
        both["a"]
    with pytest.raises(SettingsError, match="no method is named 'b'"):
        both.paired("b", 0)


def test_pareto_by_hand():
    points = {"dear": (0.8, 9), "good": (0.8, 5), "cheap": (0.5, 1), "beaten": (0.5, 2), "twin": (0.5, 1)}
    kept = report(*(runs(name, accuracy=[right], samples=[paid]) for name, (right, paid) in points.items()))
    assert [one.name for one in kept.pareto("samples").runs] == ["cheap", "good"]
    with pytest.raises(SettingsError, match="cost='samples'"):
        kept.pareto("tokens")
    with pytest.raises(SettingsError, match="one of"):
        kept.pareto("accuracy")


def test_table():
    methods = [ThresholdStopping(0.5), ThresholdStopping(0.9), SessionMethod(optscale(0.9), "optscale"), BestOfN()]
    lines = replay(random_pool(10), methods, bootstrap=50).table().splitlines()
    assert lines[0] == "random: 10 questions, at most 8 samples, 8 orders"
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "threshold threshold=0.5",
        "threshold threshold=0.9",
        "optscale",
        "best-of-n",
    ]
    assert len({len(line) for line in lines[1:]}) == 1


@pytest.mark.parametrize(("values", "repeats"), [(np.empty((0, 2)), 5), (np.ones((2, 2)), 0)])
def test_nothing_to_resample(values, repeats):
    with pytest.raises(SettingsError, match="bootstrap"):
        bootstrap_means(values, repeats, seed=0)
