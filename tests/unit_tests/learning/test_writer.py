import logging
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.learning.make_rows import execute, make_row

CHILD = """
import os, sys, time
from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.learning.make_rows import make_row
path, prefix, count, end = sys.argv[1:]
store = ScoreStore(path)
for place in range(int(count)):
    store.record(make_row(f"{prefix}{place}"), f"question {place}")
if end == "kill":
    print(store.counts.waiting, flush=True)
    os.kill(os.getpid(), 9)
"""


def start_child(path, prefix, count, end="normal"):
    arguments = [sys.executable, "-c", CHILD, str(path), prefix, str(count), end]
    return subprocess.Popen(  # noqa: S603
        arguments, stdout=subprocess.PIPE, text=True
    )


def ids_in(path):
    return [line[0] for line in execute(path, "SELECT id FROM optscale_searches")]


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "s.db") as store:
        yield store


@pytest.fixture
def locked(store):
    """A connection that holds the lock of the store's file."""
    store.record(make_row("first"))
    store.flush()
    other = sqlite3.connect(store.address, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_recording_does_not_wait_for_a_commit(store):
    rows = [make_row(str(place)) for place in range(1000)]
    began = time.thread_time()
    for row in rows:
        store.record(row)
    assert time.thread_time() - began < 0.3  # 0.3 ms each is the limit; it takes a few microseconds
    assert store.flush()
    assert len(ids_in(store.address)) == 1000


def test_rows_are_written_within_a_second_without_a_flush(store):
    store.record(make_row())
    ends = time.monotonic() + 5
    while store.counts.waiting and time.monotonic() < ends:
        time.sleep(0.01)
    assert ids_in(store.address) == ["a"]


def test_processes_write_one_file(tmp_path):
    path = tmp_path / "s.db"
    children = [start_child(path, prefix, 150) for prefix in "abc"]
    for child in children:
        child.communicate(timeout=60)
    assert [child.returncode for child in children] == [0, 0, 0]
    found = ids_in(path)
    assert sorted(found) == sorted(f"{prefix}{place}" for prefix in "abc" for place in range(150))


def test_a_killed_process_loses_at_most_its_queue(tmp_path):
    child = start_child(tmp_path / "s.db", "k", 400, "kill")
    printed, _ = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    with ScoreStore(tmp_path / "s.db") as store:
        assert len(store) >= 400 - int(printed)


def test_a_locked_file_delays_rows_and_no_search(store, locked, caplog):
    for place in range(50):
        store.record(make_row(str(place)))
    assert store.counts.waiting == 50  # none can be written before the lock is free
    assert not store.flush(timeout_s=0.2)
    locked.execute("ROLLBACK")
    assert store.flush(timeout_s=30)
    assert (store.counts.written, store.counts.lost) == (51, 0)


def test_trouble_is_logged_once_and_when_it_is_over(store, monkeypatch, caplog):
    monkeypatch.setattr("langchain_optscale.learning.sqlite.SQLiteDatabase.open", broken_disk)
    for place in range(3):
        store.record(make_row(str(place)))
        wait_for_trouble(store)
    assert store.counts.trouble == "OSError: [Errno 5] the disk is broken"
    assert caplog.text.count("cannot be written, searches go on") == 1
    monkeypatch.undo()
    assert store.flush(timeout_s=30)
    assert caplog.text.count("takes rows again; 0 were lost") == 1
    assert store.counts.trouble is None


def wait_for_trouble(store):
    ends = time.monotonic() + 30
    while store.counts.trouble is None and time.monotonic() < ends:
        store.flush(timeout_s=0.05)


def broken_disk(self, timeout_s=0.0):
    raise OSError(5, "the disk is broken")


def test_a_full_queue_drops_and_counts(store, monkeypatch, caplog):
    monkeypatch.setattr("langchain_optscale.learning.sqlite.SQLiteDatabase.open", broken_disk)
    monkeypatch.setattr(store._writer, "capacity", 5)
    for place in range(12):
        store.record(make_row(str(place)))
    assert (store.counts.waiting, store.counts.lost) == (5, 7)
    assert caplog.text.count("takes no more rows") == 1
    monkeypatch.undo()
    assert store.flush(timeout_s=30)
    assert len(ids_in(store.address)) == 5


def test_the_text_that_waits_is_bounded(store, monkeypatch):
    monkeypatch.setattr("langchain_optscale.learning.sqlite.SQLiteDatabase.open", broken_disk)
    monkeypatch.setattr(store._writer, "most_characters", 1000)
    for place in range(12):
        store.record(make_row(str(place)), "x" * 300)
    assert (store.counts.waiting, store.counts.lost) == (3, 9)
    monkeypatch.undo()
    assert store.flush(timeout_s=30)
    store.record(make_row("later"), "x" * 300)
    assert store.flush()
    assert len(ids_in(store.address)) == 4


def test_closing_does_not_wait_for_ever(store, monkeypatch, caplog):
    monkeypatch.setattr("langchain_optscale.learning.sqlite.SQLiteDatabase.open", broken_disk)
    store.record(make_row())
    assert not store.close(timeout_s=0.3)
    assert "1 searches are not recorded" in caplog.text


def test_a_full_disk_costs_no_search(tmp_path):
    """A limit on the size of files, in a process of its own, stands for a full disk."""
    code = """
import resource, signal, sys, time
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from langchain_optscale.learning.store import ScoreStore
from tests.unit_tests.learning.make_rows import make_row
store = ScoreStore(sys.argv[1])
store.record(make_row("first"))
assert store.flush()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
for place in range(3000):
    store.record(make_row(str(place), texts=("x" * 500,)), "question " * 50)
ends = time.monotonic() + 40
while store.counts.trouble is None and time.monotonic() < ends:
    store.flush(0.2)
counts = store.counts
assert counts.trouble and counts.waiting, counts
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert store.flush(30)
assert (len(store), store.counts.lost) == (3001, 0), store.counts
"""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(tmp_path / "s.db")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be written, searches go on") == 1


def test_a_row_that_cannot_be_made_is_dropped_alone(tmp_path, caplog):
    def redact(text):
        if text == "bad":
            raise ValueError("no such pattern")
        return text

    with ScoreStore(tmp_path / "s.db", redact=redact) as store:
        store.record(make_row("a"), "good")
        store.record(make_row("b"), "bad")
        store.record(make_row("c"), "good")
        assert store.flush()
        assert (store.counts.written, store.counts.lost) == (2, 1)
    assert sorted(ids_in(store.address)) == ["a", "c"]
    assert "could not be recorded" in caplog.text


def test_a_row_that_the_database_refuses_is_dropped_alone(store, caplog):
    store.record(make_row("a"))
    store.record(make_row("b", policy_tokens=2**70))
    store.record(make_row("c"))
    assert store.flush()
    assert sorted(ids_in(store.address)) == ["a", "c"]
    assert (store.counts.written, store.counts.lost) == (2, 1)


def test_a_store_goes_on_after_close(store):
    store.record(make_row("a"))
    assert store.close()
    store.record(make_row("b"))
    assert store.close()
    assert sorted(ids_in(store.address)) == ["a", "b"]


def test_no_thread_is_left_after_close(store):
    store.record(make_row("a"))
    assert any(thread.name == "optscale-store" for thread in threading.enumerate())
    store.close()
    assert not any(thread.name == "optscale-store" and store._writer._thread for thread in threading.enumerate())


def record_and_end(store, prefix):
    for place in range(20):
        store.record(make_row(f"{prefix}{place}"))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_lose_nothing(store, method):
    store.record(make_row("parent"))
    context = multiprocessing.get_context(method)
    children = [context.Process(target=record_and_end, args=(store, prefix)) for prefix in "xy"]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    store.flush()
    expected = ["parent", *(f"{prefix}{place}" for prefix in "xy" for place in range(20))]
    assert sorted(ids_in(store.address)) == sorted(expected)


def test_a_forked_child_does_not_write_the_parents_rows(store):
    for place in range(100):
        store.record(make_row(str(place)))
    child = os.fork()
    if not child:
        waiting = store.counts.waiting
        os._exit(waiting)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.flush()
    assert len(ids_in(store.address)) == 100


def test_logs_have_no_ansi_codes_of_errors(store, monkeypatch, caplog):
    def shout(self, timeout_s=0.0):
        raise OSError("\x1b[2Jcleared")

    monkeypatch.setattr("langchain_optscale.learning.sqlite.SQLiteDatabase.open", shout)
    with caplog.at_level(logging.WARNING):
        store.record(make_row())
        wait_for_trouble(store)
    assert "cleared" in caplog.text
    assert "\x1b" not in caplog.text
    monkeypatch.undo()
