"""The store of searches in one real PostgreSQL: written by processes at once, selected, labelled, deleted, migrated."""

import subprocess
import sys
import uuid

import psycopg
import pytest

from langchain_optscale import OptScale
from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.fakes import PlainPolicy, read_score
from tests.unit_tests.learning.make_rows import make_row, make_traffic

CHILD = """
import sys
from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.learning.make_rows import make_row
url, prefix = sys.argv[1:]
store = ScoreStore(url)
for place in range(300):
    store.record(make_row(f"{prefix}{place}"), f"question {place}")
"""


@pytest.fixture
def url(postgres_url):
    """The database with a schema of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres_url}?options=-csearch_path%3D{name}"


@pytest.fixture
def store(url):
    with ScoreStore(url, keep_text=True) as store:
        yield store


def test_rows_come_back_as_they_were(store):
    rows = make_traffic(60)
    for row in rows:
        store.record(row)
    assert [row.labelled(None) for row in store.rows(features=False)] == [row.labelled(None) for row in rows]
    explored = [row.id for row in rows if row.explored]
    assert [row.id for row in store.rows(explored=True)] == explored
    assert [row.id for row in store.rows(limit=2)] == [row.id for row in rows[-2:]]
    assert store.pairs() == {rows[0].pair: 60}


def test_labels_events_and_deletion(store):
    store.record(make_row("a", texts=("x", None, "y")), "Who?")
    store.record(make_row("b"), "Who?")
    store.record(make_row("c"), "When?")
    store.label("a", correct=True)
    store.label("a", score=0.5)
    store.add_event("learned", {"rows": 3})
    assert (store.get("a").label.score, store.get("a").texts, store.get("a").prompt) == (0.5, ("x", None, "y"), "Who?")
    assert [event.data for event in store.events("learned")] == [{"rows": 3}]
    assert store.delete("a") == 2
    store.vacuum()
    assert [row.id for row in store.rows()] == ["c"]
    assert store.delete(question="When?") == 1


def test_processes_write_one_database(url):
    children = [subprocess.Popen([sys.executable, "-c", CHILD, url, prefix]) for prefix in "abcd"]  # noqa: S603
    assert [child.wait(120) for child in children] == [0] * 4
    with ScoreStore(url) as store:
        found = sorted(row.id for row in store.rows(features=False))
    assert found == sorted(f"{prefix}{place}" for prefix in "abcd" for place in range(300))


def test_a_search_is_recorded(store):
    result = OptScale(policy=PlainPolicy(texts=["0.5", "0.75"]), verifier=read_score, store=store).invoke("q")
    assert store.get(result.search_id).score == result.score


def test_a_row_that_the_database_refuses_is_dropped_alone(store):
    store.record(make_row("a"))
    store.record(make_row("b", policy_tokens=2**70))
    store.record(make_row("c", texts=("a\x00b", None, "\ud800")), "Who?\x00\ud800")
    assert store.flush()
    assert sorted(row.id for row in store.rows()) == ["a", "c"]
    assert store.get("c").texts == ("a\x00b", None, "\ud800")


def test_a_database_that_cannot_be_reached_costs_no_search(caplog):
    store = ScoreStore("postgresql://nobody:secret@127.0.0.1:9/none")
    search = OptScale(policy=PlainPolicy(texts=["0.5", "0.75"]), verifier=read_score, store=store)
    assert search.invoke("q").score == 0.75
    assert not store.flush(timeout_s=1)
    assert store.counts.trouble is not None
    assert "secret" not in caplog.text
    store.close(timeout_s=0)


def test_a_broken_connection_is_made_anew(store, postgres_url):
    store.record(make_row("a"))
    store.flush()
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    store.record(make_row("b"))
    assert store.flush(timeout_s=30)
    assert [row.id for row in store.rows()] == ["a", "b"]
