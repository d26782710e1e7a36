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


@pytest.mark.parametrize(("shift", "most"), [(0.3, 25), (0.2, 40)])
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
    agrees = generator.random() < (0.9 if easy else 0.3)
    return {"score": score, "agreement": float(agrees), "agreeing" if agrees else "differing": score}


def test_a_verifier_that_turns_round_is_noticed_where_the_mean_of_scores_stays():
    generator, quiet, noticed = np.random.default_rng(5), 0, []
    for _ in range(20):
        expected = expectations(judged(generator) for _ in range(200))
        monitor = DriftMonitor(expected)
        quiet += any(monitor.observe(judged(generator)) is not None for _ in range(200))
        monitor = DriftMonitor(expected)
        turned = (monitor.observe(judged(generator, turned=True)) for _ in range(400))
        noticed.append(next(place for place, alarm in enumerate(turned, 1) if alarm is not None))
        # Answers that agree now score low, and those that differ high.
        lower, figure = monitor.alarm.observed < monitor.alarm.expected, monitor.alarm.figure
        assert (figure, lower) in {("agreeing", True), ("differing", False)}
    assert quiet <= 1  # each is one with probability 0.01 at most
    assert np.median(noticed) < 40


def test_scores_have_one_test_by_whether_answers_agree():
    """Where answers are known scores alone have no test, which would take a share of alpha for the same thing."""
    generator = np.random.default_rng(6)
    expected = expectations(judged(generator) for _ in range(400))
    assert {"score", "agreeing", "differing"} <= set(expected)
    figures = DriftMonitor(expected).to_dict()["figures"]
    assert {"agreeing", "differing"} <= set(figures)
    assert "score" not in figures
    without = expectations({"score": generator.random()} for _ in range(40))
    assert "score" in DriftMonitor(without).to_dict()["figures"]


def test_what_an_earlier_version_expected_is_still_watched():
    quantiles = tuple(np.linspace(0.3, 0.7, 99).tolist())
    old = {"score": Expected(0.5, 0.04, 200, quantiles), "together": Expected(0.5, 0.04, 200, quantiles)}
    monitor = DriftMonitor(old)
    assert set(monitor.to_dict()["figures"]) == {"score"}
    assert any(monitor.observe({"score": 0.9, "agreeing": 0.9}) for _ in range(40))


def test_scores_that_come_closer_together_are_noticed_though_their_mean_stays():
    generator = np.random.default_rng(7)
    monitor = DriftMonitor({"score": Expected.of(generator.uniform(0.2, 0.8, 200).tolist())})
    alarms = (monitor.observe({"score": generator.uniform(0.45, 0.55)}) for _ in range(60))
    assert next(alarm for alarm in alarms if alarm is not None).observed == pytest.approx(0.5, abs=0.03)
    assert "is distributed otherwise than when it was learned (0." in str(monitor.alarm)


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


def test_of_many_values_some_are_kept_evenly_over_time_and_shares_keep_none():
    values = np.random.default_rng(1).beta(30, 20, 1000).tolist()
    expected = Expected.of(values)
    assert expected.values == tuple(values[place * 1000 // 400] for place in range(400))
    assert expected.mean == pytest.approx(np.mean(values))
    share = Expected.of([0.0, 1.0] * 30)
    assert (share.mean, share.values) == (0.5, ())


def test_equal_values_are_no_proof_that_all_will_be_equal():
    assert Expected.of([0.0] * 30).slack > 0.03


def test_figures_are_those_of_the_first_two_candidates():
    row = make_row(scores=(0.2, None, 0.6, 0.9), answers=(0, None, 0, 1), chosen=3)
    assert figures_of(row) == {
        "score": pytest.approx(0.4),
        "spread": pytest.approx(0.4),
        "agreement": 1.0,
        "agreeing": pytest.approx(0.4),
        "silence": 0.0,
    }
    assert "differing" in figures_of(make_row(scores=(0.2, 0.6), answers=(0, None), chosen=1, output_tokens=()))
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
