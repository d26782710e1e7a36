import math

import numpy as np
import pytest

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.learning.drift import (
    DriftMonitor,
    Expected,
    expectations,
    figures_of,
)
from langchain_optscale.learning.rows import Label
from tests.unit_tests.learning.make_rows import make_row


@pytest.mark.parametrize(("shift", "most"), [(0.3, 45), (0.2, 70)])
def test_a_late_change_is_noticed_soon(shift, most):
    generator = np.random.default_rng(2)
    delays = []
    for _ in range(8):
        monitor = DriftMonitor({"score": Expected.of(generator.beta(5, 5, 200).tolist())})
        assert all(monitor.observe({"score": value}) is None for value in generator.beta(5, 5, 400).tolist())
        changed = np.clip(generator.beta(5, 5, 200) + shift, 0.0, 1.0).tolist()
        delays.append(next(place for place, value in enumerate(changed, 1) if monitor.observe({"score": value})))
    assert np.median(delays) <= most


def judged(generator, turned=False):
    """Scores evenly around one half that say which questions are easy; turned round they say which are hard."""
    easy = generator.random() < 0.5
    away = 0.12 if easy is not turned else -0.12
    score = min(max(generator.normal(0.5 + away, 0.1), 0.0), 1.0)
    return {"score": score, "agreement": float(generator.random() < (0.9 if easy else 0.3))}


def test_a_verifier_that_turns_round_is_noticed_where_the_mean_of_scores_stays():
    generator, quiet, noticed = np.random.default_rng(5), 0, []
    for _ in range(20):
        expected = expectations(judged(generator) for _ in range(200))
        monitor = DriftMonitor(expected)
        quiet += any(monitor.observe(judged(generator)) is not None for _ in range(200))
        monitor = DriftMonitor(expected)
        alarm = next(alarm for _ in range(400) if (alarm := monitor.observe(judged(generator, turned=True))))
        noticed.append(alarm.searches)
        assert alarm.figure == "together"
        assert alarm.observed < 0.5 < alarm.expected
    assert quiet <= 1  # each is one with probability 0.01 at most
    assert np.median(noticed) < 60


def test_scores_and_agreement_together_are_their_covariance():
    generator = np.random.default_rng(6)
    figures = [judged(generator) for _ in range(400)]
    expected = expectations(figures)
    ranks = np.array([expected["score"].rank(one["score"]) for one in figures])
    agreement = np.array([one["agreement"] for one in figures])
    m = agreement.mean()
    covariance = np.mean((ranks - 0.5) * (agreement - m)) / max(m, 1.0 - m)
    assert expected["together"].mean == pytest.approx(0.5 + covariance)
    assert "together" not in expectations({"score": one["score"]} for one in figures)


def test_an_alarm_says_what_changed_and_stays():
    monitor = DriftMonitor({"score": Expected(0.6, 0.02, 400)})
    for _ in range(60):
        monitor.observe({"score": 0.2, "unknown": 1.0})
    alarm = monitor.observe({"score": 0.6})
    assert alarm is monitor.alarm is not None
    assert (alarm.figure, alarm.expected) == ("score", 0.6)
    assert alarm.observed == pytest.approx(0.2)
    assert str(alarm).startswith("the mean of the first two scores was 0.600 when it was learned and is 0.200 over")
    assert monitor.to_dict()["alarm"]["text"] == str(alarm)
    assert monitor.to_dict()["figures"]["score"]["searches"] == alarm.searches


def test_ranks_are_even_and_shares_stay_as_they_are():
    values = np.random.default_rng(1).beta(30, 20, 500).tolist()
    expected = Expected.of(values)
    ranks = [expected.rank(value) for value in values]
    assert len(expected.values) == 99
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.01)
    assert np.std(ranks) == pytest.approx(math.sqrt(1.0 / 12.0), abs=0.01)
    share = Expected.of([0.0, 1.0] * 30)
    assert (share.rank(1.0), share.mean, share.values) == (1.0, 0.5, ())


def test_equal_values_are_no_proof_that_all_will_be_equal():
    assert Expected.of([0.0] * 30).slack > 0.03


def test_figures_are_those_of_the_first_two_candidates():
    row = make_row(scores=(0.2, None, 0.6, 0.9), answers=(0, None, 0, 1), chosen=3)
    assert figures_of(row) == {
        "score": pytest.approx(0.4),
        "spread": pytest.approx(0.4),
        "agreement": 1.0,
        "silence": 0.0,
    }
    assert figures_of(make_row(scores=(0.2,), answers=(None,), chosen=0)) == {}


def test_labels_and_explored_searches_tell_what_was_kept():
    wrong = make_row(label=Label(correct=False))
    assert figures_of(wrong, predicted=0.8)["right"] == pytest.approx(0.1)
    explored = make_row(
        scores=(0.5,) * 4, answers=(0, 0, 1, 1), chosen=3, explored=True, stopped_at=2, stopped_choice=0, claim="stable"
    )
    assert (figures_of(explored)["changed"], figures_of(explored)["stable"]) == (1.0, 1.0)


def test_expectations_need_twenty_searches_except_of_promises():
    few = expectations([{"score": 0.5}] * 19)
    assert set(few) == {"stable", "right"}
    assert set(expectations([{"score": 0.5}] * 20)) == {"stable", "right", "score"}
    assert few["stable"].mean + few["stable"].slack == pytest.approx(0.05)


def test_expected_figures_are_read_as_they_were_written():
    expected = Expected.of([0.1, 0.4, 0.3, 0.8, 0.9] * 8)
    assert Expected.from_dict(expected.to_dict()) == expected
    with pytest.raises(InvalidRecordError):
        Expected.from_dict({**expected.to_dict(), "mean": 2.0})
