"""Rows for tests, and a look into a file of them."""

import sqlite3
from contextlib import closing

from langchain_optscale.learning.rows import Fingerprint, SearchRow

POLICY = Fingerprint({"class": "FakeListChatModel", "model": "m", "temperature": 0.7})
VERIFIER = Fingerprint({"class": "FunctionVerifier", "content": "ab12"})


def make_row(name="a", time=1.0, **changes):
    fields = {
        "policy": POLICY,
        "verifier": VERIFIER,
        "scores": (0.25, None, 0.75),
        "answers": (0, None, 1),
        "chosen": 2,
        "drawn": 4,
        "cap": 16,
        "settings": {"target": 0.9},
        "output_tokens": (3, None, 5),
    }
    return SearchRow(id=name, time=time, **{**fields, **changes})


def execute(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()
