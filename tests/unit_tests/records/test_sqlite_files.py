import sqlite3
import stat
from contextlib import closing

import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.sqlite_files import connect_sqlite


def test_a_new_file_is_its_owners_alone_and_in_write_ahead_mode(tmp_path):
    path = tmp_path / "a.db"
    with closing(connect_sqlite(path, timeout_s=1.0)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_transactions_are_the_drivers_or_the_callers(tmp_path):
    for manual, inside in ((False, True), (True, False)):
        with closing(connect_sqlite(tmp_path / f"{manual}.db", timeout_s=1.0, manual=manual)) as connection:
            connection.execute("CREATE TABLE t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
            assert connection.in_transaction is inside


def test_a_file_that_could_act_is_refused(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (x); CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; END;")
    with pytest.raises(ValueError, match="a view or a trigger"):
        connect_sqlite(path, timeout_s=1.0)


def test_links_are_refused(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    with pytest.raises(SettingsError, match="symbolic link"):
        connect_sqlite(tmp_path / "link.db", timeout_s=1.0)
    assert not (tmp_path / "a.db").exists()


def test_memory_needs_no_file():
    with closing(connect_sqlite(":memory:", timeout_s=1.0)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
