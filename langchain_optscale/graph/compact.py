"""What tasks write to the record, in fewer bytes; the reducer writes it out again.

A checkpointer stores what every task writes. So what a task writes leaves out whatever can be told without it: the
fields of a message that are as in any other, a usage that the message states itself, a verdict's empty fields, and in
the observations of a round the names that repeat. The state, which people read, has the full form, and a
full form that is written is taken as it is.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, message_to_dict

from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "full_candidate",
    "full_round",
    "full_verdict",
    "short_candidate",
    "short_round",
    "short_verdict",
]

# The fields of an empty message.
_MESSAGE: dict[str, Any] = message_to_dict(AIMessage(""))["data"]
_VERDICT: dict[str, Any] = {name: value for name, value in Verdict(0.0).to_dict().items() if name != "score"}


def short_candidate(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`Candidate.to_dict` without what `full_candidate` restores."""
    data: Mapping[str, Any] = entry["message"]["data"]
    explicit = {name: value for name, value in data.items() if name not in _MESSAGE or value != _MESSAGE[name]}
    stated = _stated(data)
    # Token details are always written: a full form may lack them too.
    usage = {name: value for name, value in entry["usage"].items() if value != stated.get(name)}
    short = {**entry, "message": {**entry["message"], "data": explicit}, "usage": usage or None}
    return {name: value for name, value in short.items() if value is not None}


def full_candidate(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `short_candidate`."""
    data: Mapping[str, Any] = entry["message"]["data"]
    # Copies, so that records share no mutable default.
    omitted = {name: copy(value) for name, value in _MESSAGE.items() if name not in data}
    usage = {**_stated(data), **entry.get("usage", {})}
    message = {**entry["message"], "data": {**omitted, **data}}
    return {"answer": None, **entry, "message": message, "usage": usage}


def short_verdict(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`Verdict.to_dict` without its empty fields."""
    return {name: value for name, value in entry.items() if value is not None}


def full_verdict(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `short_verdict`."""
    return {**_VERDICT, **entry}


def short_round(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`Round.to_dict` of a round that the record knows, its observations as a table and its indexes left out."""
    rows = entry["observations"]
    return {"number": entry["number"], "observations": _table(rows)} if rows else {**entry}


def full_round(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a round, its observations one by one; version 0.1.0 called them looks."""
    full = {("observations" if name == "looks" else name): value for name, value in entry.items()}
    rows = full.get("observations")
    return full | {"observations": _rows(rows, len(rows["index"]))} if isinstance(rows, dict) else full


def _stated(message: Mapping[str, Any]) -> dict[str, Any]:
    """The usage of a request for this one message by its own `usage_metadata`, without token details."""
    usage = message.get("usage_metadata") or {}
    return Usage(usage.get("input_tokens", 0), usage.get("output_tokens", 0), requests=1).to_dict()


def _table(rows: list[Any]) -> Any:
    """Columns where all rows are mappings of the same keys; else the rows, or one of them where all are equal."""
    first, kinds = rows[0], set(map(type, rows))
    if kinds == {dict}:
        keys = first.keys()
        if all(row.keys() == keys for row in rows):
            return {name: _table([row[name] for row in rows]) for name in first}
    # Types are compared too, since 1 == 1.0 == True; lists are left alone, since their items may differ so.
    same = len(kinds) == 1 and not isinstance(first, list | dict) and rows.count(first) == len(rows)
    return [first] if same else rows


def _rows(table: Any, count: int) -> list[Any]:
    """The inverse of `_table` for `count` rows."""
    if isinstance(table, dict):
        rows = zip(*(_rows(column, count) for column in table.values()), strict=True)
        return [dict(zip(table, row, strict=True)) for row in rows] if table else [{} for _ in range(count)]
    return list(table) if len(table) == count else list(table) * count
