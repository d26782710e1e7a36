"""The benchmark of learned rules: its arithmetic, and that its page says what its figures say."""

import numpy as np
import pytest

from benchmarks.fitted import PAGE, graded, measured, samples_at, summary
from benchmarks.fitted_page import written
from benchmarks.learning_curve import KINDS, learning_curve, simulated
from langchain_optscale.errors import SettingsError
from tests.unit_tests.stopping.learned.test_fitted import uniform, voted

POINTS = [{"samples": n, "accuracy": a} for n, a in [(8.0, 0.9), (2.0, 0.5), (4.0, 0.7)]]


@pytest.mark.parametrize(("accuracy", "samples"), [(0.4, 2.0), (0.6, 3.0), (0.7, 4.0), (0.85, 7.0), (0.95, None)])
def test_samples_at_parity(accuracy, samples):
    assert samples_at(POINTS, accuracy) == (samples if samples is None else pytest.approx(samples))


@pytest.fixture(scope="module")
def rows():
    pool = voted(60)
    return [{**measured(pool, labels, splits=1, prices=(0.005, 0.05)), "answers": True} for labels in ("gold", "none")]


@pytest.fixture(scope="module")
def graded_row():
    return graded(uniform(80), splits=1, prices=(0.002, 0.01, 0.03, 0.1))


def test_a_row_holds_together(rows):
    for row in rows:
        chosen, reference = row["chosen"], row["reference"]
        assert chosen["share"] == pytest.approx(chosen["samples"] / 12)
        assert chosen["difference"] == pytest.approx(chosen["accuracy"] - reference["accuracy"])
        assert chosen["standard_error"] > 0
        assert row["frontier"][1]["samples"] < row["frontier"][0]["samples"]
    assert rows[0]["reference"] == row_of(rows[0], "best-of-n")
    assert rows[1]["reference"]["accuracy"] <= row_of(rows[1], "best-of-n")["accuracy"]


def row_of(row, method):
    return next(one for one in row["baselines"] if one["method"] == method)


def test_geometric_means(rows):
    means = summary([*rows, {**rows[0], "pool": "no answers", "answers": False}])
    assert means["gold"]["pools"] == [rows[0]["pool"]]
    assert means["gold"]["chosen"] == pytest.approx(rows[0]["chosen"]["share"])


def test_graded_pools_are_compared_at_equal_samples(graded_row):
    compared = graded_row["against_threshold"]
    assert [one["samples"] for one in compared] == [2.0, 4.0]
    # Known scores, uniform: a constant threshold is the best rule that there is, so that the two must be near.
    assert all(abs(one["difference"]) < 0.03 for one in compared)


def test_simulated_pools_are_what_they_say():
    pool = simulated("hard", 400, seed=1)
    law = KINDS["hard"]
    right = np.array([[sample.correct for sample in question.samples] for question in pool])
    scores = np.array([[sample.score for sample in question.samples] for question in pool])
    assert right.mean() == pytest.approx(law.easy / (law.easy + law.hard), abs=0.06)
    assert scores[right].mean() - scores[~right].mean() == pytest.approx(law.gap, abs=0.02)
    assert (np.array([[s.score for s in q.samples] for q in simulated("verifier", 50, 1)]) == 1.0).mean() > 0.3


def test_the_page_has_every_table(rows, graded_row, monkeypatch):
    monkeypatch.setattr("benchmarks.learning_curve.TESTED", 40)
    figures = {
        "geometric_means": summary(rows),
        "pools": rows,
        "graded": [graded_row],
        "speed": {
            "questions": 400,
            "samples": 32,
            "fit_cpu_s": 3.21,
            "median_decision_ms": 0.05,
            "median_default_decision_ms": 0.4,
        },
        "learning_curve": [learning_curve("verifier", "gold", sizes=(25,), repeats=2)],
    }
    page = written(PAGE.read_text(encoding="utf-8"), figures)
    assert written(page, figures) == page
    assert f"| {rows[0]['pool']} (60, 12) | with |" in page
    assert "| 25 questions |" in page
    assert "took 3.2 s on one core" in page
    with pytest.raises(SettingsError, match="no marks"):
        written("# Empty", figures)
