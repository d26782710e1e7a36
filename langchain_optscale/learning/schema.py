"""The tables of a store, and how a row of a search stands in them.

Every table's name begins with `optscale_`, so that a database may hold others. `searches` has a line for every search,
`parts` the facts behind its fingerprints, `texts` what was kept on request, `labels` what became known later, `events`
what was learned and when. `about` holds the version of the tables.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.learning.rows import SearchRow
from langchain_optscale.records.stored import reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.learning.rows import Features

__all__ = ["COLUMNS", "READ_COLUMNS", "STEPS", "VERSION", "row_of", "values_of"]

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE optscale_searches (
            id TEXT PRIMARY KEY, time {real} NOT NULL, question {blob}, policy TEXT NOT NULL, verifier TEXT NOT NULL,
            scores TEXT NOT NULL, answers TEXT NOT NULL, chosen INTEGER, drawn INTEGER NOT NULL, cap INTEGER NOT NULL,
            rounds INTEGER NOT NULL, reason TEXT NOT NULL, claim TEXT NOT NULL, probability {real}, certified INTEGER,
            explored INTEGER NOT NULL, stopped_at INTEGER, stopped_choice INTEGER, settings TEXT NOT NULL,
            figures TEXT NOT NULL, features {blob}, policy_tokens {whole} NOT NULL, verifier_tokens {whole} NOT NULL,
            output_tokens TEXT NOT NULL, seconds {real} NOT NULL, cost {real}, learned TEXT)""",
        "CREATE INDEX optscale_searches_by_time ON optscale_searches (time, id)",
        "CREATE INDEX optscale_searches_by_question ON optscale_searches (question)",
        "CREATE INDEX optscale_searches_by_pair ON optscale_searches (policy, verifier, time)",
        "CREATE TABLE optscale_parts (digest TEXT PRIMARY KEY, facts TEXT NOT NULL)",
        "CREATE TABLE optscale_texts (id TEXT PRIMARY KEY, prompt TEXT, candidates TEXT)",
        "CREATE TABLE optscale_labels (id TEXT PRIMARY KEY, correct INTEGER, score {real}, time {real} NOT NULL)",
        "CREATE TABLE optscale_events (time {real} NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL)",
        "CREATE INDEX optscale_events_by_time ON optscale_events (time)",
    ),
)
"""The statements that bring tables of version i to version i + 1; a released step is never changed, only followed."""

VERSION = len(STEPS)

_JSON = ("scores", "answers", "settings", "figures", "output_tokens")
_FLAGS = ("certified", "explored")
_OWN = [item.name for item in fields(SearchRow) if item.name not in {"prompt", "texts", "label"}]

COLUMNS = ("question", *_OWN)
"""The columns of `searches` in the order of `values_of`."""

READ_COLUMNS = (
    *(f"s.{name}" for name in _OWN),
    *("p.facts", "v.facts", "t.prompt", "t.candidates", "l.correct", "l.score", "l.time"),
)
"""What `row_of` reads, of `searches s` joined with `parts p`, `parts v`, `texts t` and `labels l`."""


def values_of(row: SearchRow, question: bytes | None) -> tuple[Any, ...]:
    """A row as a line of `searches`, in the order of `COLUMNS`."""
    values = {name: getattr(row, name) for name in _OWN}
    values |= {name: json.dumps(_plain(values[name]), allow_nan=False) for name in _JSON}
    values |= {name: None if values[name] is None else int(values[name]) for name in _FLAGS}
    values |= {"policy": row.policy.digest, "verifier": row.verifier.digest, "features": _packed(row.features)}
    return (question, *values.values())


def row_of(line: Sequence[Any]) -> SearchRow:
    """The row of a line of `READ_COLUMNS`.

    Raises:
        InvalidRecordError: The line is damaged.
    """
    values: dict[str, Any] = dict(zip(_OWN, line, strict=False))
    policy, verifier, prompt, texts, correct, score, time = line[len(_OWN) :]
    with reading(f"search {values['id']!r} in the store"):
        values |= {name: json.loads(values[name]) for name in _JSON}
        values |= {name: None if values[name] is None else bool(values[name]) for name in _FLAGS}
        values |= {"policy": json.loads(policy), "verifier": json.loads(verifier)}
        values |= {"prompt": prompt, "texts": None if texts is None else json.loads(texts)}
        if time is not None:
            correct = None if correct is None else bool(correct)
            values["label"] = {"correct": correct, "score": score, "time": time}
        features = _unpacked(values.pop("features"))
        row = SearchRow.from_dict(values)
        return row if features is None else replace(row, features=features)


def _plain(value: Mapping[str, Any] | tuple[Any, ...]) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value)


def _packed(features: Features | None) -> bytes | None:
    """Indices and values behind each other, 4 bytes each, the lowest first."""
    if features is None:
        return None
    return features[0].astype("<u4").tobytes() + features[1].astype("<f4").tobytes()


def _unpacked(packed: object) -> Features | None:
    if packed is None:
        return None
    if not isinstance(packed, bytes) or len(packed) % 8:
        raise InvalidRecordError("the features are not pairs of 4 bytes")
    half = len(packed) // 2
    indices = np.frombuffer(packed[:half], "<u4").astype(np.uint32)
    return indices, np.frombuffer(packed[half:], "<f4").astype(np.float32)
