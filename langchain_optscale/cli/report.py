"""The command `report`: what a store of searches says, on the terminal and as a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.cli.options import add_command, print_json, write_text
from langchain_optscale.cli.store import moment_of, open_store

if TYPE_CHECKING:
    import argparse

    from langchain_optscale.learning.report_figures import Report

__all__ = ["add_report"]


def add_report(commands: Any) -> None:
    """Add the command `report`."""
    about = "Show what recorded searches saved, promised and kept; with -o as one page that needs no network."
    parser = add_command(commands, "report", _report, about, "optscale report optscale.db -o report.html")
    parser.add_argument("store", metavar="STORE", help="the SQLite file, or the URL of the PostgreSQL database")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the page there as well")
    parser.add_argument("--since", metavar="WHEN", help="a date such as 2026-11-27, or an age such as 7d")


def _report(arguments: argparse.Namespace) -> None:
    from langchain_optscale.learning.report import report_of

    since = None if arguments.since is None else moment_of(arguments.since, "--since")
    with open_store(arguments.store) as store:
        events = [event for event in store.events() if since is None or event.time >= since]
        report = report_of(store.rows(since=since, features=False), events)
        name = Path(store.address).name
    if arguments.output is not None:
        from langchain_optscale.learning.report_html import html_report
        from langchain_optscale.records.files import whole_file

        with whole_file(arguments.output) as file:
            file.write(html_report(report, f"Searches in {name}").encode("utf-8", "backslashreplace"))
    if arguments.json:
        print_json(report.to_dict())
    else:
        _show(report)
        if arguments.output is not None:
            write_text(f"\n{arguments.output} has the whole report\n")


def _show(report: Report) -> None:
    """The summary, wrapped to the terminal."""
    from langchain_optscale.cli.screen import Screen
    from langchain_optscale.learning import report_words as words

    screen = Screen(sys.stdout)
    screen.say(f"{words.headline(report)}.")
    screen.say()
    screen.say("Against best-of-N at the cap", bold=True)
    for saving in report.savings:
        screen.say(words.saving_words(saving), indent=2)
    if report.promises or report.foregone:
        screen.say()
        screen.say("Promised and realised", bold=True)
        for promise in report.promises:
            screen.say(words.promise_words(promise), indent=2)
        if report.foregone is not None:
            screen.say(words.foregone_words(report.foregone), indent=2)
    if report.changes:
        screen.say()
        screen.say("Changes", bold=True)
        for change in report.changes:
            screen.say(words.change_words(change), indent=2)
    screen.say()
    screen.say("Why searches ended", bold=True)
    for name, count in report.reasons:
        screen.say(f"{words.share(count / report.searches)} {words.reason_words(name)}", indent=2)
    screen.say()
    screen.say("Scores", bold=True)
    for pair in report.pairs:
        screen.say(f"{pair.policy} with {pair.verifier}: mean {pair.mean:.3f} of {pair.candidates:,}", indent=2)
    if report.events:
        screen.say()
        screen.say("Learned, and alarms", bold=True)
        for event in report.events[-5:]:
            screen.say(f"{words.moment(event.time)} {words.event_words(event)}", indent=2)
