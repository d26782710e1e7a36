"""Rows and tables of plain text, at every width and in every encoding."""

import io

import pytest

from langchain_optscale.cli.screen import Screen, in_short, terminal_width
from langchain_optscale.records.decisions import StopReason


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def screen(width, out=None):
    out = out or io.StringIO()
    return Screen(out, width), out


@pytest.mark.parametrize("width", [32, 40, 80, 100])
def test_nothing_is_wider_than_the_screen(width):
    shown, out = screen(width)
    shown.say("A paragraph of many words that has to be wrapped somewhere, whatever the width of the screen may be.")
    shown.row("What is the capital of Australia, if you please?", 4, 6, 16, "Sydney: the answer is settled by now")
    shown.table(
        ("", "right", "draws", "share", "tokens"), [("self-consistency", "73 %", "1,280", "100 %", "1,000,000")]
    )
    assert max(map(len, out.getvalue().splitlines())) <= width


def test_a_row_shows_verified_cancelled_and_saved():
    shown, out = screen(80)
    shown.row("q", 4, 6, 16, "settled")
    assert out.getvalue().split() == ["q", "■■■■□□··········", "6", "settled"]


def test_a_long_question_keeps_its_end():
    shown, out = screen(40)
    shown.row("Write one sentence about the sea with exactly 7 words.", 1, 1, 16, "")
    assert out.getvalue().startswith("…")
    assert "7 words. ■" in out.getvalue()


def test_a_large_cap_is_drawn_to_scale():
    shown, out = screen(40)
    shown.row("q", 64, 64, 128, "")
    assert out.getvalue().count("■") == out.getvalue().count("·") == 10


def test_unfinished_rows_are_for_terminals_only(monkeypatch):
    shown, out = screen(80)
    shown.row("q", 1, 2, 4)
    assert out.getvalue() == ""
    monkeypatch.setenv("NO_COLOR", "1")
    shown, out = screen(80, Terminal())
    shown.row("q", 1, 2, 4)
    assert out.getvalue().endswith("■□··  2")
    assert "\n" not in out.getvalue()
    assert "\x1b[34m" not in out.getvalue()


def test_colours_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown, out = screen(80, Terminal())
    shown.row("q", 1, 1, 4, "done")
    assert "\x1b[34m■\x1b[0m" in out.getvalue()


def test_an_encoding_without_blocks_gets_letters():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    shown = Screen(out, 80)
    shown.row("What is the capital of Australia, and of which of its states?", 1, 2, 4, f"x {shown.tick}")
    out.flush()
    assert b"#o.." in raw.getvalue()


def test_every_reason_has_words():
    assert all(in_short(reason) for reason in StopReason)


def test_terminal_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert terminal_width() == 40
    monkeypatch.delenv("COLUMNS")
    assert terminal_width() is None  # pytest's standard output is no terminal
