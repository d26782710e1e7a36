"""The command `store`: list, show, label, export and delete the searches that `store=` has recorded."""

from __future__ import annotations

import argparse
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, print_json, write_text
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from langchain_optscale.learning.rows import Label, SearchRow
    from langchain_optscale.learning.store import ScoreStore

__all__ = ["add_store", "moment_of", "open_store"]

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add_store(commands: Any) -> None:
    """Add the command `store` with its own commands."""
    about = "List, show, label, export and delete the searches that a store has recorded."
    parser = commands.add_parser("store", help=about, description=about)
    parser.set_defaults(run=lambda _: parser.print_help())
    own = parser.add_subparsers(metavar="COMMAND")
    listing = _add(own, "list", _list, "List the newest searches.", "optscale store list optscale.db --labelled")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="the newest N (default 20)")
    _add_selection(listing)
    showing = _add(own, "show", _show, "Show all that is recorded of one search.", "optscale store show optscale.db ID")
    showing.add_argument("id", metavar="ID", help="the search's id")
    _add_label(own)
    example = "optscale store export optscale.db -o pool.jsonl --explored"
    export = _add(own, "export", _export, "Write searches as a pool, for replay and calibrate.", example)
    export.add_argument("-o", "--output", required=True, metavar="FILE", help="the pool, one JSON line a search")
    _add_selection(export)
    _add_delete(own)
    about = "Give the space of deleted rows back to the disk."
    _add(own, "vacuum", _vacuum, about, "optscale store vacuum optscale.db")


def _add(commands: Any, name: str, run: Any, about: str, example: str) -> argparse.ArgumentParser:
    parser = add_command(commands, name, run, about, example)
    parser.add_argument("store", metavar="STORE", help="the SQLite file, or the URL of the PostgreSQL database")
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    for name, about in (("explored", "that went on to the cap"), ("labelled", "that have a label")):
        parser.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=f"only searches {about}, or not"
        )
    parser.add_argument("--since", metavar="WHEN", help="a date such as 2026-11-27, or an age such as 7d")


def _add_label(commands: Any) -> None:
    example = "optscale store label optscale.db ID --correct"
    parser = _add(commands, "label", _label, "Say what became known about a search's answer.", example)
    parser.add_argument("id", metavar="ID", help="the search's id, as in its result")
    said = parser.add_mutually_exclusive_group(required=True)
    said.add_argument("--correct", action="store_const", const=True, dest="correct", help="the answer is right")
    said.add_argument("--wrong", action="store_const", const=False, dest="correct", help="the answer is wrong")
    said.add_argument("--score", type=float, metavar="X", help="how good it is, in [0, 1]")


def _add_delete(commands: Any) -> None:
    example = "optscale store delete optscale.db --before 90d"
    parser = _add(commands, "delete", _delete, "Delete all that is known of one question, or old searches.", example)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--id", metavar="ID", help="a search, and with it all for the same question")
    what.add_argument("--question", metavar="TEXT", help="all searches for this question, as it was asked")
    what.add_argument("--before", metavar="WHEN", help="a date such as 2026-11-27, or an age such as 90d")


def open_store(address: str) -> ScoreStore:
    """The store at an address that exists: a misspelt path makes no file.

    Raises:
        SettingsError: There is no such file, or it is no store.
    """
    from langchain_optscale.learning.store import ScoreStore

    if "://" not in address and not Path(address).is_file():
        raise SettingsError(f"{address} does not exist; a search with store={address!r} creates it")
    return ScoreStore(address)


def _rows(arguments: argparse.Namespace, limit: int | None = None) -> list[SearchRow]:
    since = None if arguments.since is None else moment_of(arguments.since, "--since")
    with open_store(arguments.store) as store:
        which = {"explored": arguments.explored, "labelled": arguments.labelled, "since": since, "limit": limit}
        return list(store.rows(**which, features=False))


def _list(arguments: argparse.Namespace) -> None:
    if arguments.limit < 1:
        raise SettingsError(f"--limit must be at least 1, got {arguments.limit}")
    rows = _rows(arguments, arguments.limit)
    if arguments.json:
        print_json([_brief(row) for row in rows])
        return
    if not rows:
        write_text("no searches\n")
        return
    write_text(f"{'id':32}  {'ended (UTC)':16}  {'n/cap':>7}  {'score':>5}  {'reason':16}  notes\n")
    for row in rows:
        ended = datetime.fromtimestamp(row.time, UTC)
        score = "-" if row.score is None else f"{row.score:.3f}"
        count = f"{len(row.scores)}/{row.cap}"
        notes = ["explored"] * row.explored + ([] if row.label is None else [_said(row.label)])
        write_text(
            f"{row.id:32}  {ended:%Y-%m-%d %H:%M}  {count:>7}  {score:>5}  {row.reason:16}  {', '.join(notes)}".rstrip()
            + "\n"
        )


def _said(label: Label) -> str:
    if label.correct is None:
        return f"labelled {label.score:g}"
    return "labelled right" if label.correct else "labelled wrong"


def _brief(row: SearchRow) -> dict[str, Any]:
    data = row.to_dict()
    names = ("id", "time", "scores", "chosen", "drawn", "cap", "reason", "claim", "probability", "explored", "label")
    return {name: data[name] for name in names}


def _show(arguments: argparse.Namespace) -> None:
    with open_store(arguments.store) as store:
        row = store.get(arguments.id)
    if row is None:
        raise SettingsError(f"{arguments.store} has no search with the id {arguments.id!r}")
    data = {**row.to_dict(), "features": None if row.features is None else len(row.features[0])}
    if arguments.json:
        print_json(data)
        return
    for name, value in data.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        write_text(f"{name:16} {'-' if value is None else shown}\n")


def _label(arguments: argparse.Namespace) -> None:
    from langchain_optscale.learning.rows import Label

    label = Label(arguments.correct, arguments.score)
    with open_store(arguments.store) as store:
        store.label(arguments.id, correct=label.correct, score=label.score)
    if arguments.json:
        print_json({"id": arguments.id, "correct": label.correct, "score": label.score})
    else:
        write_text(f"{arguments.id} {_said(label)}\n")


def _export(arguments: argparse.Namespace) -> None:
    from langchain_optscale.evaluation.pools import write_pool
    from langchain_optscale.evaluation.stored_searches import pool_of_rows

    pool = pool_of_rows(_rows(arguments))
    write_pool(pool, arguments.output)
    figures = {
        "output": arguments.output,
        "questions": len(pool),
        "samples": sum(1 for _ in pool.samples),
        "cap": pool.cap,
        "labelled": pool.has_correct,
    }
    if arguments.json:
        print_json(figures)
    else:
        write_text("{output}: {samples} candidates of {questions} searches\n".format(**figures))


def _delete(arguments: argparse.Namespace) -> None:
    before = None if arguments.before is None else moment_of(arguments.before, "--before")
    with open_store(arguments.store) as store:
        deleted = store.delete(arguments.id, question=arguments.question, before=before)
    if arguments.id is not None and not deleted:
        raise SettingsError(f"{arguments.store} has no search with the id {arguments.id!r}, so nothing was deleted")
    if arguments.json:
        print_json({"deleted": deleted})
    else:
        write_text(f"{deleted} {'search' if deleted == 1 else 'searches'} deleted\n")


def _vacuum(arguments: argparse.Namespace) -> None:
    with open_store(arguments.store) as store:
        store.vacuum()
        kept = len(store)
    if arguments.json:
        print_json({"searches": kept})
    else:
        write_text(f"{kept} searches kept\n")


def moment_of(text: str, option: str) -> float:
    """A date, with or without a time, or an age before now, as seconds since 1970 UTC.

    Raises:
        SettingsError: It is neither.
    """
    if age := _AGE.fullmatch(text):
        return time.time() - float(age[1]) * _SECONDS[age[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{option} takes a date such as 2026-11-27 or an age such as 7d (s, m, h, d, w), not {text!r}"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
