import asyncio
import logging
import pickle
import stat
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.learning import schema
from langchain_optscale.learning.features import hashed_features
from langchain_optscale.learning.rows import Fingerprint, Label
from langchain_optscale.learning.store import ScoreStore, as_store
from tests.unit_tests.learning.make_rows import VERIFIER, execute, make_row

SECRET = "the launch code is mango-7731"  # noqa: S105 - what must not be found


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "optscale.db") as store:
        yield store


def every_byte(folder):
    return b"".join(path.read_bytes() for path in Path(folder).iterdir())


def ids(store, **which):
    return [row.id for row in store.rows(**which)]


# --- rows ---


def test_a_row_comes_back_as_it_was(store):
    row = make_row(probability=0.5, certified=True, explored=True, stopped_at=1, cost=0.25, learned="v1")
    store.record(row)
    assert list(store.rows()) == [row]
    assert store.get("a") == row
    assert store.get("b") is None


def test_the_same_id_replaces_the_row_and_keeps_its_label(store):
    store.record(make_row(reason="MAX_SAMPLES"))
    store.label("a", correct=True)
    store.record(make_row(reason="FUTILITY"))
    (row,) = store.rows()
    assert (row.reason, row.label.correct, len(store)) == ("FUTILITY", True, 1)


def test_rows_come_in_the_order_of_time_over_many_pages(store, monkeypatch):
    monkeypatch.setattr("langchain_optscale.learning.database._PAGE", 3)
    for place in (4, 0, 3, 1, 6, 2, 5):
        store.record(make_row(str(place), time=float(place // 2)))
    assert ids(store) == list("0123456")
    assert ids(store, limit=2) == ["5", "6"]


def test_rows_are_selected(store):
    other = Fingerprint({"class": "other"})
    store.record(make_row("a", 1.0))
    store.record(make_row("b", 2.0, explored=True, stopped_at=3))
    store.record(make_row("c", 3.0, policy=other))
    store.label("c", score=0.5)
    assert ids(store, pair=(other.digest, VERIFIER.digest)) == ["c"]
    assert ids(store, since=2.0) == ["b", "c"]
    assert ids(store, until=2.0) == ["a"]
    assert ids(store, until=0.0) == []
    assert ids(store, explored=True) == ["b"]
    assert ids(store, labelled=False) == ["a", "b"]
    assert store.pairs() == {make_row().pair: 2, (other.digest, VERIFIER.digest): 1}


def test_features_are_made_of_the_question(store):
    store.record(make_row(), "What is 2 + 2?")
    (row,) = store.rows()
    places, values = hashed_features("What is 2 + 2?")
    np.testing.assert_array_equal(row.features[0], places)
    np.testing.assert_allclose(row.features[1], values)


def test_features_may_be_left_out(tmp_path):
    with ScoreStore(tmp_path / "s.db", keep_features=False) as store:
        store.record(make_row(), "What is 2 + 2?")
        assert store.get("a").features is None


# --- labels and events ---


def test_a_later_label_replaces_the_first(store):
    store.record(make_row())
    store.label("a", correct=False)
    store.label("a", score=0.5)
    label = store.get("a").label
    assert (label.correct, label.score) == (None, 0.5)
    assert time.time() - label.time < 60


def test_a_label_needs_a_search(store):
    with pytest.raises(SettingsError, match="no search with the id 'x'"):
        store.label("x", correct=True)


def test_a_label_needs_content(store):
    with pytest.raises(InvalidRecordError, match="correct=True or False"):
        store.label("x")


async def test_labels_do_not_block_the_event_loop(store):
    store.record(make_row())
    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await store.alabel("a", correct=True)
    ticking.cancel()
    assert store.get("a").label == Label(correct=True, time=store.get("a").label.time)
    assert len(ticks) > 3


def test_events_are_kept_by_kind(store):
    store.add_event("learned", {"rows": 3})
    store.add_event("drift", {"p": 0.01})
    assert [event.kind for event in store.events()] == ["learned", "drift"]
    assert [event.data for event in store.events("drift")] == [{"p": 0.01}]


# --- privacy ---


def test_no_text_is_in_the_files_unless_asked(tmp_path):
    store = ScoreStore(tmp_path / "s.db")
    store.record(make_row(texts=(SECRET, None, SECRET)), SECRET)
    store.flush()
    found = every_byte(tmp_path)
    assert b"MAX_SAMPLES" in found  # the row is there, in the write-ahead log
    assert not any(word in found for word in (b"launch", b"code", b"mango", b"7731"))
    store.close()
    assert b"mango" not in every_byte(tmp_path)


def test_texts_are_kept_where_asked_and_redacted(tmp_path):
    with ScoreStore(tmp_path / "s.db", keep_text=True, redact=lambda text: text.replace("mango-7731", "***")) as store:
        store.record(make_row(texts=(SECRET, None, "b")), SECRET)
        row = store.get("a")
        assert (row.prompt, row.texts) == ("the launch code is ***", ("the launch code is ***", None, "b"))
        np.testing.assert_array_equal(row.features[0], hashed_features("the launch code is ***")[0])
    assert b"mango" not in every_byte(tmp_path)


def test_every_text_can_be_kept(tmp_path):
    with ScoreStore(tmp_path / "s.db", keep_text=True) as store:
        store.record(make_row(texts=("a\x00b", None, "\ud800")), "Who?\x00\ud800")
        assert store.get("a").texts == ("a\x00b", None, "\ud800")
        assert store.get("a").prompt == r"Who?\0\ud800"


def test_deleted_texts_are_overwritten(tmp_path):
    store = ScoreStore(tmp_path / "s.db", keep_text=True)
    for place in range(20):
        store.record(make_row(str(place), texts=(SECRET, None, SECRET)), SECRET)
    store.record(make_row("other", texts=("b", None, "b")), "another question")
    store.label("3", correct=True)
    assert b"mango" in every_byte(tmp_path)
    assert store.delete("7") == 20
    assert b"mango" not in every_byte(tmp_path)
    assert ids(store) == ["other"]
    store.close()


def test_questions_are_deleted_by_their_text(tmp_path):
    with ScoreStore(tmp_path / "s.db", redact=str.lower) as store:
        store.record(make_row("a"), "Who?")
        store.record(make_row("b"), "WHO?")
        store.record(make_row("c"), "Where?")
        assert store.delete(question="who?") == 2
        assert store.delete(question="when?") == 0
        assert ids(store) == ["c"]


def test_what_to_delete_is_said_once(store):
    with pytest.raises(SettingsError, match="one of search_id, question and before"):
        store.delete()
    with pytest.raises(SettingsError, match="one of search_id, question and before"):
        store.delete("a", before=1.0)


def test_a_search_without_a_known_question_is_deleted_alone(store):
    store.record(make_row("a"))
    store.record(make_row("b"))
    assert store.delete("a") == 1
    assert ids(store) == ["b"]


def test_digests_of_questions_differ_between_stores(tmp_path):
    digests = []
    for name in ("1.db", "2.db"):
        with ScoreStore(tmp_path / name) as store:
            store.record(make_row(), "Who?")
        digests += execute(tmp_path / name, "SELECT question FROM optscale_searches")
    assert len(set(digests)) == 2


def test_the_file_is_its_owners_alone(store):
    assert stat.S_IMODE(Path(store.address).stat().st_mode) == 0o600


# --- retention ---


def test_the_oldest_rows_go(tmp_path):
    with ScoreStore(tmp_path / "s.db", max_rows=3) as store:
        for place in range(5):
            store.record(make_row(str(place), time=float(place)))
        store.flush()
        store.prune()
        assert ids(store) == ["2", "3", "4"]


def test_the_writer_prunes_by_itself(tmp_path):
    with ScoreStore(tmp_path / "s.db", max_rows=10) as store:
        for place in range(600):
            store.record(make_row(f"{place:03}", time=float(place)))
        store.flush()
        store.record(make_row("last", time=999.0))
        assert len(ids(store)) <= 11


@pytest.mark.parametrize("most", [1, 7, 40])
def test_hardly_more_than_the_most_rows_are_kept_though_nobody_prunes(tmp_path, most):
    with ScoreStore(tmp_path / "s.db", max_rows=most) as store:
        for place in range(3 * most):
            store.record(make_row(f"{place:03}", time=float(place)))
            store.close()  # the writer deletes after its commit, and has ended then
            assert len(ids(store)) <= most + most // 10


def test_a_limit_that_is_new_to_the_process_holds_from_the_next_row_on(tmp_path):
    with ScoreStore(tmp_path / "s.db") as store:
        for place in range(30):
            store.record(make_row(f"{place:03}", time=float(place)))
        store.flush()
    with ScoreStore(tmp_path / "s.db", max_rows=5) as store:
        store.record(make_row("last", time=999.0))
        store.close()
        assert ids(store) == ["026", "027", "028", "029", "last"]


def test_rows_go_by_age_whenever_a_tenth_of_it_has_passed(tmp_path):
    with ScoreStore(tmp_path / "s.db", max_age=0.5) as store:
        store.record(make_row("first", time=time.time()))
        store.flush()
        time.sleep(0.6)
        store.record(make_row("second", time=time.time()))
        store.close()
        assert ids(store) == ["second"]


def test_old_rows_go_by_age(tmp_path):
    with ScoreStore(tmp_path / "s.db", max_age=timedelta(days=1)) as store:
        store.record(make_row("old", time=time.time() - 90_000))
        store.record(make_row("new", time=time.time()))
        store.flush()
        store.prune()
        assert ids(store) == ["new"]
        assert store.delete(before=time.time() + 1) == 1


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_rows": 0}, "max_rows must be"),
        ({"max_rows": True}, "max_rows must be"),
        ({"max_age": 0}, "max_age must be"),
        ({"max_age": timedelta(0)}, "max_age must be"),
        ({"max_age": "7d"}, "max_age must be"),
        ({"keep_text": "no"}, "keep_text must be True or False"),
        ({"keep_features": None}, "keep_features must be True or False"),
        ({"redact": "x"}, "redact must be"),
    ],
)
def test_settings_are_checked(tmp_path, settings, sentence):
    with pytest.raises(SettingsError, match=sentence):
        ScoreStore(tmp_path / "s.db", **settings)


@pytest.mark.parametrize("address", ["", "   ", 5, None])
def test_an_address_is_a_path_or_a_url(address):
    with pytest.raises(SettingsError, match="needs the path of a file"):
        ScoreStore(address)


@pytest.mark.parametrize("address", ["", "mysql://host/db", ":memory:", 3, "/no/such/directory/s.db"])
def test_addresses_are_checked(address):
    with pytest.raises(SettingsError):
        ScoreStore(address)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database, but a text that is long enough to have a header" * 9)
    with pytest.raises(SettingsError, match="not a database"):
        ScoreStore(tmp_path / "text.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "other.db")
    with pytest.raises(SettingsError, match="symbolic link"):
        ScoreStore(tmp_path / "link.db")
    execute(tmp_path / "view.db", "CREATE VIEW v AS SELECT 1")
    with pytest.raises(SettingsError, match="a view or a trigger"):
        ScoreStore(tmp_path / "view.db")


def test_the_setting_takes_a_path_or_a_store(tmp_path):
    store = as_store(tmp_path / "s.db")
    assert as_store(store) is store
    assert as_store(str(tmp_path / "s.db")).address == store.address
    assert as_store(None) is None
    with pytest.raises(SettingsError, match="store must be a path"):
        as_store(7)


def test_a_store_travels_by_its_address(tmp_path):
    store = ScoreStore(tmp_path / "s.db", max_rows=9, redact=str.lower)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    assert copy.to_dict() == store.to_dict()
    assert copy.redact is str.lower
    assert repr(store) == f"ScoreStore('{tmp_path / 's.db'}', max_rows=9, redact=...)"


def test_stores_of_one_address_share_a_writer(tmp_path):
    first, second = ScoreStore(tmp_path / "s.db"), ScoreStore(tmp_path / "s.db", keep_text=True)
    first.record(make_row("a"), "Who?")
    second.record(make_row("b"), "Who?")
    assert [row.prompt for row in first.rows()] == [None, "Who?"]
    assert first.counts.written == 2
    first.close()


# --- versions of the tables ---


def test_tables_are_migrated_forward(tmp_path, monkeypatch, caplog):
    with ScoreStore(tmp_path / "s.db") as store:
        store.record(make_row())
    step = ("ALTER TABLE optscale_searches ADD COLUMN note TEXT",)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with caplog.at_level(logging.WARNING), ScoreStore(tmp_path / "s.db") as store:
        assert ids(store) == ["a"]
    assert "was migrated from version 1 of its tables to 2" in caplog.text
    assert execute(tmp_path / "s.db", "SELECT note FROM optscale_searches") == [(None,)]


def test_tables_of_a_later_version_are_refused(tmp_path):
    ScoreStore(tmp_path / "s.db").close()
    execute(tmp_path / "s.db", "UPDATE optscale_about SET value = '99' WHERE name = 'version'")
    with pytest.raises(SettingsError, match=r"version 99 .* update langchain-optscale"):
        ScoreStore(tmp_path / "s.db")


def test_a_damaged_row_is_said_to_be_damaged(store):
    store.record(make_row())
    store.close()
    execute(store.address, "UPDATE optscale_searches SET scores = '[0.5'")
    with pytest.raises(InvalidRecordError, match="search 'a' in the store cannot be read"):
        store.get("a")
