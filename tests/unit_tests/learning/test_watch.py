import logging
import threading
from dataclasses import replace

import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.drift import Expected
from langchain_optscale.learning.learned_file import LearnedPair, LearnedSettings
from langchain_optscale.learning.store import ScoreStore
from langchain_optscale.learning.watch import Watch, open_settings, watch_of
from tests.unit_tests.learning.make_rows import make_row
from tests.unit_tests.learning.test_refit import traffic

PAIR = make_row().pair
LEARNED = LearnedSettings({PAIR: LearnedPair(searches=400, expected={"score": Expected(0.5, 0.02, 400)})}, time=1.0)


def changed(count, score=0.05):
    return [
        make_row(f"c{number}", 10.0 + number, scores=(score, score), answers=(0, 0), chosen=0)
        for number in range(count)
    ]


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "optscale.db") as opened:
        yield opened


def test_an_alarm_steps_back_to_the_default_and_the_log_says_so(caplog):
    watch = Watch(LEARNED)
    assert watch.part(PAIR) == (LEARNED.pairs[PAIR], LEARNED.version)
    with caplog.at_level(logging.WARNING):
        for row in changed(60):
            watch.observe(row)
    assert watch.part(PAIR) is None
    assert watch.alarms[PAIR].figure == "score"
    assert [
        record.message.startswith("drift: the mean of the first two scores was 0.500") for record in caplog.records
    ] == [True]
    assert watch.part(("x", "y"))[0] is LEARNED.population


def test_searches_as_before_raise_no_alarm():
    watch = Watch(LEARNED)
    for row in changed(300, 0.5):
        watch.observe(row)
    assert not watch.alarms


def test_an_alarm_is_an_event_of_the_store(store):
    watch = Watch(LEARNED, store)
    before = set(threading.enumerate())
    for row in changed(40):
        watch.observe(row)
    for thread in set(threading.enumerate()) - before:
        thread.join(10.0)
    (event,) = store.events("drift")
    assert (event.data["figure"], event.data["policy"]) == ("score", PAIR[0])
    assert "the untrained default decides" in event.data["text"]


def test_a_new_pair_begins_with_all_and_the_log_says_so_once(caplog):
    watch = Watch(LEARNED)
    with caplog.at_level(logging.WARNING):
        assert watch.part(("x", "y")) == (LEARNED.population, LEARNED.version)
        watch.part(("x", "y"))
    assert sum("nothing was learned yet" in record.message for record in caplog.records) == 1


def test_it_learns_in_the_background_and_keeps_what_it_learned(store, tmp_path):
    path = str(tmp_path / "kept.npz")
    watch = Watch(None, store, path, every=30)
    for row in traffic(30, labels=False):
        store.record(row)
        watch.observe(row)
    assert watch.wait()
    assert watch.learned.version == open_settings(path).version
    assert watch.learned.pairs[PAIR].searches == 30
    assert [event.data["version"] for event in store.events("learned")] == [watch.learned.version]


def test_after_an_alarm_only_later_searches_teach(store):
    for row in traffic(8):
        store.record(row)
    watch = Watch(LEARNED, store, every=10_000)
    for row in changed(60):
        watch.observe(row)
    late = [replace(row, time=5000.0 + number) for number, row in enumerate(traffic(6, seed=9))]
    for row in late:
        store.record(row)
    learned = watch.learn()
    assert learned.pairs[PAIR].searches <= 14
    assert not watch.alarms
    since = watch._since[PAIR]
    assert learned.pairs[PAIR].searches == sum(row.time > since for row in store.rows())


def test_trouble_costs_no_search(caplog):
    watch = Watch(LEARNED)
    with caplog.at_level(logging.ERROR):
        watch.observe(None)
    assert "could not be compared" in caplog.text


def test_settings_of_the_same_file_share_a_watch(tmp_path, store):
    LEARNED.save(tmp_path / "learned.npz")
    path = str(tmp_path / "learned.npz")
    assert watch_of(path, None, auto=False) is watch_of(path, None, auto=False)
    assert watch_of(path, store, auto=True) is not watch_of(path, None, auto=False)
    assert watch_of(None, store, auto=False) is None
    assert watch_of(None, store, auto=True) is watch_of(None, store, auto=True)
    with pytest.raises(SettingsError, match="needs store="):
        watch_of(None, None, auto=True)
    with pytest.raises(SettingsError, match="learning needs a store"):
        Watch().learn()


def test_a_file_that_is_neither_is_refused(tmp_path):
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(SettingsError, match="settings"):
        open_settings(tmp_path / "other.npz")
