"""Plain text for terminals of any width: rows that fill as candidates arrive, and small tables; no library needed."""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import fill
from typing import TYPE_CHECKING, TextIO

from langchain_optscale.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.decisions import StopReason

__all__ = ["Screen", "in_short", "terminal_width"]

_SHORT = {
    "TARGET_REACHED": "target reached",
    "OPTIMAL_N": "N* drawn",
    "ANSWER_CONFIDENT": "answer sure",
    "ANSWER_STABLE": "answer stable",
    "ANSWER_SETTLED": "answer settled",
    "MARGINAL_GAIN": "little to gain",
    "FUTILITY": "stopped for futility",
    "MAX_SAMPLES": "the cap",
}
_NARROWEST, _WIDEST = 32, 100
_BLUE, _DIM, _BOLD, _PLAIN = "\x1b[34m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


def in_short(reason: StopReason) -> str:
    """Why a search ended, in a word or three."""
    return _SHORT.get(reason.name, reason.value)


def terminal_width() -> int | None:
    """Characters a line of the terminal, or what COLUMNS says; None where standard output is a file or a pipe."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


class Screen:
    """Writes to a stream: live where it is a terminal, each row once and without colours elsewhere.

    Args:
        out: The stream, as a rule standard output.
        width: Characters a line; None asks the terminal.
    """

    def __init__(self, out: TextIO, width: int | None = None) -> None:
        self._out = out
        self.live = out.isatty()
        self._colours = self.live and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        columns = shutil.get_terminal_size((80, 24)).columns if width is None else width
        self.width = min(_WIDEST, max(_NARROWEST, columns))
        try:
            "■□·→✓✗…".encode(out.encoding or "utf-8")
            self.full, self.open, self.empty, self.arrow, self.tick, self.cross, self.gap = "■□·→✓✗…"
        except (UnicodeEncodeError, LookupError):
            self.full, self.open, self.empty, self.arrow = "#", "o", ".", "->"
            self.tick, self.cross, self.gap = "ok", "wrong", "..."

    def say(self, text: str = "", *, bold: bool = False, indent: int = 0) -> None:
        """Write a paragraph, wrapped at the screen's width."""
        space = " " * indent
        wrapped = fill(" ".join(printable(text).split()), self.width, initial_indent=space, subsequent_indent=space)
        self._out.write(f"{_BOLD}{wrapped}{_PLAIN}\n" if bold and self._colours else f"{wrapped}\n")
        self._out.flush()

    def command(self, text: str) -> None:
        """Write a line that is to be copied: it is never wrapped."""
        self._out.write(f"  {text}\n")
        self._out.flush()

    def row(self, label: str, drawn: int, asked: int, cap: int, note: str | None = None) -> None:
        """One search as a row of `cap` cells; a row without a note is unfinished and will be written over.

        Args:
            label: The question, cut to fit.
            drawn: Verified candidates.
            asked: Requested ones, at least `drawn`.
            cap: The most that may be drawn.
            note: Why the search stopped; left out where the screen is too narrow.
        """
        if note is None and not self.live:
            return
        cells = min(cap, self.width // 2)
        marks = [round(count * cells / cap) for count in (drawn, asked)]
        bar = self.full * marks[0] + self.open * (marks[1] - marks[0]) + self.empty * (cells - marks[1])
        roomy = self.width >= cells + 58
        space = 31 if roomy else self.width - cells - 4
        name = _cut(printable(label), space, self.gap)
        tail = f" {asked:>2}"
        if roomy and note:
            tail += f" {printable(note)[: self.width - cells - space - 6]}"
        if self._colours:
            bar = f"{_BLUE}{bar[: marks[1]]}{_PLAIN}{_DIM}{bar[marks[1] :]}{_PLAIN}"
        line = f"{name:<{space}} {bar}{tail}"
        if self.live:
            line = f"\r\x1b[K{line}"
        self._out.write(line if note is None else f"{line}\n")
        self._out.flush()

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table whose first column is text and whose others are numbers; it drops columns from the right to fit."""
        while len(head) > 2:
            widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
            if sum(widths) + 2 * (len(widths) - 1) <= self.width:
                break
            head, rows = head[:-1], [row[:-1] for row in rows]
        widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
        for row in (head, *rows):
            cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            self._out.write("  ".join([f"{row[0]:<{widths[0]}}", *cells]).rstrip() + "\n")
        self._out.flush()


def _cut(text: str, space: int, gap: str) -> str:
    """A text in one line; what is too long loses its beginning, since questions differ at their ends."""
    line = " ".join(text.split())
    return line if len(line) <= space else gap + line[len(line) - space + len(gap) :].lstrip()
