"""What can be said of a PostgreSQL database without one; the rest is in the integration tests."""

import sys

import pytest

from langchain_optscale.errors import MissingExtraError, SettingsError
from langchain_optscale.learning.postgres import is_postgres, without_password
from langchain_optscale.learning.store import ScoreStore


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("postgresql://host/db", True),
        ("postgres://host/db", True),
        ("postgresql.db", False),
        ("mysql://host/db", False),
        ("/var/lib/postgresql", False),
    ],
)
def test_addresses(address, found):
    assert is_postgres(address) is found


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:se%40cret@db:5432/x", "postgresql://ann@db:5432/x"),
        ("postgresql://db/x?password=secret", "postgresql://db/x"),
        ("postgresql://db/x?password=secret&sslmode=require", "postgresql://db/x?sslmode=require"),
        ("postgresql://db/x?sslmode=require&sslpassword=secret", "postgresql://db/x?sslmode=require"),
        ("postgresql://ann@one,two/x", "postgresql://ann@one,two/x"),
    ],
)
def test_passwords_are_left_out(url, shown):
    assert without_password(url) == shown


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"langchain-optscale\[postgres\]"):
        ScoreStore("postgresql://host/db")


def test_a_wrong_address_does_not_show_the_password():
    pytest.importorskip("psycopg")
    with pytest.raises(SettingsError, match="not the URL of a PostgreSQL database") as caught:
        ScoreStore("postgresql://ann:secret@host/db?no_such_option=1")
    assert "secret" not in str(caught.value)
