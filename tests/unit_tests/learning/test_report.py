import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.drift import Alarm
from langchain_optscale.learning.entries import Event
from langchain_optscale.learning.promises import foregone_scores, kept_promises
from langchain_optscale.learning.report import report_of
from langchain_optscale.learning.report_html import html_report
from langchain_optscale.learning.report_words import (
    change_words,
    event_words,
    headline,
    promise_words,
    reason_words,
    saving_words,
    share,
)
from langchain_optscale.learning.rows import Fingerprint, Label
from tests.unit_tests.learning.make_rows import make_row, make_traffic

TRAFFIC = make_traffic(200)


def saving(rows, unit):
    return next(one for one in report_of(rows).savings if one.unit == unit)


# --- figures ---


def test_the_counts():
    report = report_of(TRAFFIC)
    assert (report.searches, report.explored, report.labelled, report.failed) == (200, 20, 40, 0)
    assert (report.begin, report.end) == (TRAFFIC[0].time, TRAFFIC[-1].time)
    assert dict(report.reasons) == {
        reason: sum(row.reason == reason for row in TRAFFIC) for reason in {row.reason for row in TRAFFIC}
    }
    beyond = sum(16 - row.stopped_at for row in TRAFFIC if row.explored)
    assert report.exploration == beyond / sum(row.drawn for row in TRAFFIC)


def test_savings_are_against_best_of_n_at_the_cap():
    candidates, tokens, money = (saving(TRAFFIC, unit) for unit in ("candidates", "tokens", "money"))
    drawn = sum(row.drawn for row in TRAFFIC)
    assert (candidates.spent, candidates.best_of_n) == (drawn, 16 * 200)
    assert candidates.share == pytest.approx(1 - drawn / 3200)
    assert tokens.best_of_n == pytest.approx(80 * 16 * 200)
    assert money.best_of_n == pytest.approx(0.0001 * 16 * 200)
    assert candidates.low < candidates.share < candidates.high


def test_money_is_left_out_where_no_price_is_known():
    report = report_of([replace(row, cost=None) for row in TRAFFIC])
    assert [one.unit for one in report.savings] == ["candidates", "tokens"]


def test_the_interval_of_the_saved_share_covers():
    """Oracle: traffic whose true ratio is known; 95 % intervals should hold it in 95 % of 400 stores."""
    chance = np.random.default_rng(1)
    stops, caps, odds = np.array([2, 4, 8, 16]), np.array([16, 32]), np.array([0.4, 0.3, 0.2, 0.1])
    truth = 1 - float(stops @ odds) / 24.0
    hits = 0
    for _ in range(400):
        rows = [
            make_row(drawn=int(stop), cap=int(cap))
            for stop, cap in zip(chance.choice(stops, 80, p=odds), chance.choice(caps, 80), strict=True)
        ]
        found = saving(rows, "candidates")
        hits += found.low <= truth <= found.high
    # Binomial(400, 0.95) is between 360 and 395 with probability 0.999.
    assert 360 <= hits <= 395


def test_windows_part_the_searches_in_the_order_of_time():
    report = report_of(TRAFFIC)
    assert sum(window.searches for window in report.windows) == 200
    assert len(report.windows) == 24
    assert all(one.end < other.begin for one, other in zip(report.windows, report.windows[1:], strict=False))
    first = report.windows[0]
    scores = [score for row in TRAFFIC[: first.searches] for score in row.scored]
    assert first.mean_score == pytest.approx(np.mean(scores))


def test_scores_by_pair():
    other = Fingerprint({"class": "other"})
    report = report_of([*TRAFFIC, *make_traffic(30, seed=1, begin=2e9, policy=other)])
    assert [pair.searches for pair in report.pairs] == [200, 30]
    scores = [score for row in TRAFFIC for score in row.scored]
    assert report.pairs[0].mean == pytest.approx(np.mean(scores))
    assert report.pairs[0].histogram == tuple(np.histogram(scores, bins=20, range=(0, 1))[0])


def test_failed_candidates_and_searches():
    rows = [make_row("a", 1.0), make_row("b", 2.0, scores=(None, None), answers=(None,) * 2, chosen=None)]
    report = report_of(rows)
    assert report.failed == 1
    assert report.pairs[0].failed == pytest.approx(3 / 5)


def test_the_slowest_and_the_dearest():
    report = report_of(TRAFFIC)
    assert [one.id for one in report.slowest] == [
        row.id for row in sorted(TRAFFIC, key=lambda row: row.seconds, reverse=True)[:8]
    ]
    assert all(one.candidates == 16 for one in report.dearest)


def test_an_empty_store_has_no_report():
    with pytest.raises(SettingsError, match="no searches yet"):
        report_of([])


def test_one_search_is_enough():
    report = report_of([make_row(time=1_790_000_000.0)])
    assert report.savings[0].low == 0.0
    assert "1 search from 2026-09-21 14:13" in headline(report)
    assert html_report(report)


def test_a_report_is_json():
    report = report_of(TRAFFIC, [Event(1.0, "learned", {"rows": 3})])
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["events"] == [{"time": 1.0, "kind": "learned", "data": {"rows": 3}}]


# --- changes ---


def test_nothing_changes_where_nothing_has_changed():
    assert report_of(TRAFFIC).changes == ()


def test_false_alarms_are_rarer_than_promised():
    """Oracle: traffic of one law throughout; at alpha = 0.01 hardly any of 60 stores may show a change."""
    found = sum(bool(report_of(make_traffic(160, seed=seed)).changes) for seed in range(60))
    # Binomial(60, 0.01) is above 4 with probability 0.0003.
    assert found <= 4


def test_a_change_of_the_scores_shows():
    later = [
        replace(row, scores=tuple(score / 2 for score in row.scores)) for row in make_traffic(100, seed=1, begin=1.8e9)
    ]
    report = report_of([*TRAFFIC[:100], *later])
    (change,) = report.changes
    # In the later searches answers agree or differ as before, and scores of both kinds are lower.
    assert change.figure.startswith("the mean of the first two scores where their answers ")
    assert change.after < change.before
    assert change.searches <= 50
    assert "Changes" in html_report(report)
    assert change_words(change).startswith("FakeListChatModel m T=0.7")
    json.dumps(report.to_dict(), allow_nan=False)


def test_few_searches_show_nothing():
    assert report_of(TRAFFIC[:59]).changes == ()


# --- promises ---


def explored(stopped, chosen, answers=(0, 1), **changes):
    fields = {"claim": "stable", "probability": 0.9, "explored": True, "stopped_at": 1}
    return make_row(scores=(0.5, 0.75), answers=answers, stopped_choice=stopped, chosen=chosen, **{**fields, **changes})


def test_a_stable_answer_is_the_caps_answer():
    rows = [explored(0, 0), explored(0, 1), explored(0, 1, (0, 0)), explored(0, 1, (None, None)), explored(1, 1)]
    (promise,) = kept_promises(rows)
    assert (promise.kept, promise.searches, promise.promised) == (3, 5, pytest.approx(0.9))
    exact = stats.binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert (promise.low, promise.high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert promise.holds


def test_a_broken_promise_is_called_into_question():
    (promise,) = kept_promises([explored(0, 1)] * 20)
    assert not promise.holds
    assert promise_words(promise).endswith("promised 90 %: NOT KEPT")


def test_a_target_out_of_reach_stays_so():
    change = {"claim": "target out of reach", "settings": {"target": 0.7}}
    (promise,) = kept_promises([explored(0, 0, **change), explored(0, 0, **change | {"settings": {"target": 0.9}})])
    assert (promise.kept, promise.searches) == (1, 2)


def test_labels_say_whether_answers_are_right():
    right, wrong = Label(correct=True, time=1.0), Label(correct=False, time=1.0)
    rows = [
        make_row("a", label=right, claim="right", certified=True, probability=0.95),
        make_row("b", label=wrong),
        make_row("c", label=Label(score=0.5, time=1.0)),
    ]
    certified, every = kept_promises(rows)
    assert (certified.kept, certified.searches, certified.promised) == (1, 1, 0.95)
    assert (every.kept, every.searches, every.promised) == (1, 2, None)


def test_labels_with_scores_have_a_mean():
    rows = [make_row(str(score), label=Label(score=score, time=1.0)) for score in (0.5, 1.0)]
    report = report_of([*rows, make_row("x", label=Label(correct=True, time=1.0))])
    assert (report.label_score, report.labelled) == (0.75, 3)
    assert "3 labelled (mean score 0.750), 0 explored" in headline(report)


def test_what_stopping_early_gave_up():
    rows = [explored(0, 1), explored(0, 0), explored(1, 1), explored(0, 1)]
    found = foregone_scores(rows)
    low, high = stats.norm.interval(0.95, np.mean([0.25, 0, 0, 0.25]), stats.sem([0.25, 0, 0, 0.25]))
    assert (found.mean, found.searches) == (0.125, 4)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert foregone_scores([make_row()]) is None


# --- words and page ---


def test_words():
    assert (share(0.0), share(0.004), share(0.956)) == ("0 %", "0.4 %", "96 %")
    assert reason_words("FUTILITY").startswith("the target is too unlikely")
    assert reason_words("SOMETHING_NEW") == "SOMETHING_NEW"
    assert event_words(Event(1.0, "learned", {"rows": 3, "gain": 0.123456})) == "learned: rows 3, gain 0.1235"
    assert saving_words(saving(TRAFFIC, "candidates")).startswith("67 % of the candidates saved (95 %: ")


def test_the_page_loads_nothing_and_runs_nothing():
    evil = "<script>alert(1)</script>\x1b[2J"
    rows = [replace(row, prompt=evil) for row in TRAFFIC]
    page = html_report(report_of(rows, [Event(1.0, evil, {"x": evil})]), evil)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page
    assert "&lt;script&gt;" in page


def test_the_page_has_every_section():
    page = html_report(report_of(TRAFFIC, [Event(1.0, "learned", {})]))
    for heading in ("Promised and realised", "The course of time", "Why searches ended", "Scores by policy"):
        assert heading in page
    for heading in ("Dearest searches", "Slowest searches", "Learned, and alarms"):
        assert heading in page
    assert page.count("<polyline") == 3
    assert not math.isnan(report_of(TRAFFIC).savings[0].share)


def test_an_alarm_is_told_in_its_own_sentence_and_long_figures_are_cut():
    data = {**Alarm("score", 0.6, 0.2, 31, 0.01).to_dict(), "policy": "ab12", "verifier": "cd34"}
    words = event_words(Event(1.0, "drift", data))
    assert words == f"drift: {data['text']} (policy ab12, verifier cd34)"
    assert "alpha" not in words
    cut = event_words(Event(1.0, "note", {"x": "y" * 900}))
    assert (len(cut), cut[-3:]) == (500, "...")
