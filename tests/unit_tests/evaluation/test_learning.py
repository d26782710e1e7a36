"""Is a learned rule worth it? The assessment, on pools whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation import learning
from langchain_optscale.evaluation.learning import assess, learned_method
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stopping import FittedStopping
from tests.unit_tests.stopping.learned.test_fitted import uniform, voted


@pytest.fixture(scope="module")
def assessment():
    return assess(voted(120), splits=2, permutations=2, prices=(0.01,), price=0.005)


def test_rows_stand_in_order(assessment):
    rows = assessment.to_dict()["rows"]
    names = [row["method"] for row in rows]
    assert names[:3] == ["best-of-n", "optscale", "paper"]
    assert any(name.startswith("adaptive-") for name in names)
    assert names[-2:] == ["fitted", "fitted"]
    assert [row["settings"]["price"] for row in rows[-2:]] == [0.005, 0.01]
    assert all(row["refused"] == 0.0 for row in rows[-2:])
    for row in rows:
        low, high = row["accuracy_ci"]
        assert low <= row["accuracy"] <= high


def test_a_dearer_candidate_is_drawn_less_often(assessment):
    cheap, dear = assessment.to_dict()["rows"][-2:]
    assert dear["samples"] < cheap["samples"] < 12


def test_the_difference_is_that_of_the_rows(assessment):
    data = assessment.to_dict()
    for figure in ("accuracy", "samples"):
        expected = data["rows"][-2][figure] - data["rows"][0][figure]
        assert data["difference"][figure]["mean"] == pytest.approx(expected)
        low, high = data["difference"][figure]["ci"]
        assert low <= expected <= high
    json.dumps(data)


def test_text_says_what_is_saved(assessment):
    text = assessment.text()
    assert "fitted on one half, measured on the other" in text
    assert "of the samples of best-of-12" in text
    assert "warning" not in text or "default" in text


def test_no_question_is_measured_by_a_rule_that_has_seen_it(monkeypatch):
    seen = []
    fit = FittedStopping.fit_many.__func__

    def spied(cls, pool, goals, **settings):
        seen.append({question.id for question in pool})
        return fit(cls, pool, goals, **settings)

    measured = []

    def watched(pool, methods, **settings):
        if methods[0].name in ("fitted",):
            measured.append({question.id for question in pool})
        return replay(pool, methods, **settings)

    monkeypatch.setattr(FittedStopping, "fit_many", classmethod(spied))
    monkeypatch.setattr(learning, "replay", watched)
    assess(voted(60), splits=2, permutations=1, prices=(), price=0.01)
    assert len(seen) == len(measured) == 4
    for fitted_to, measured_on in zip(seen, measured, strict=True):
        assert not fitted_to & measured_on
        assert len(fitted_to | measured_on) == 60


def test_too_few_questions_are_told_and_the_default_stands_in():
    found = assess(voted(40), splits=1, permutations=1, prices=(), price=0.01)
    assert found.refused == (1.0,)
    rows = found.to_dict()["rows"]
    assert rows[-1]["accuracy"] == pytest.approx(rows[1]["accuracy"])
    assert rows[-1]["samples"] == pytest.approx(rows[1]["samples"])
    text = found.text()
    assert "refused on 100% of the halves" in text
    assert "40 questions are too few to be sure; record 100 or more" in text
    assert "untrained default has" in text


def test_scores_alone():
    found = assess(uniform(80), splits=1, permutations=2, prices=(), price=0.02)
    data = found.to_dict()
    assert data["measure"] == "mean score"
    assert "adaptive-beta" not in {row["method"] for row in data["rows"]}
    assert "of mean score" in found.text()
    # At this price optimal stopping stands at 1 - sqrt(0.04) = 0.8: about 0.87 for 3.9 of 8 samples.
    assert data["rows"][-1]["accuracy"] == pytest.approx(0.87, abs=0.04)


def test_the_learned_method_searches_as_it_was_fitted():
    rule = FittedStopping.fit(voted(60, wrong=2), price=0.01, first_round=2, round_size=3, orders=4)
    method = learned_method(rule)
    assert (method.first_round, method.round_size, method.select) == (2, 3, rule.select)
    outcome = method.run(voted(1, seed=9, wrong=2).questions[0], 12)
    assert outcome.drawn in rule.points


@pytest.mark.parametrize("splits", [0, -1])
def test_no_splits(splits):
    with pytest.raises(SettingsError, match="splits must be at least 1"):
        assess(voted(60), splits=splits, price=0.01)


def test_a_rule_is_fitted_to_the_cap_that_is_asked_for():
    found = assess(voted(60), splits=1, permutations=1, prices=(), price=0.0, max_samples=5)
    assert found.report.max_samples == 5
    assert max(found.report.runs[-1]["samples"]) <= 5


def test_blind_graded_candidates_are_refused():
    generator = np.random.default_rng(3)
    pool = Pool(
        tuple(
            Question(
                f"q{place}",
                "?",
                tuple(
                    Sample(score=float(generator.uniform()), correct=bool(generator.uniform() < 0.5)) for _ in range(4)
                ),
            )
            for place in range(100)
        )
    )
    found = assess(pool, splits=2, permutations=1, prices=(), price=0.01)
    assert found.refused[0] >= 0.5
    assert replace(found, refused=(0.0,)).warnings() != found.warnings()
