"""The card of a search in a notebook: what was chosen and why, every score, N* round by round, all candidates.

One piece of HTML with an inline drawing: no script, no style sheet, nothing from the network, so that it looks the same
in every notebook and in an exported page. It takes the colours of the page, dark ones too. All text of models is
escaped: it is shown, never interpreted.
"""

from __future__ import annotations

from html import escape
from textwrap import shorten
from typing import TYPE_CHECKING

from langchain_optscale.engine.result_words import beyond_in_words, bound_in_words, is_beyond, reason_in_words
from langchain_optscale.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.decisions import Round
    from langchain_optscale.records.search_record import SearchRecord

__all__ = ["html_card"]

# Close to Okabe and Ito's palette, as in `result_plot`; both stand out on white and on black by 3.5 to 1 at least.
_BLUE, _ORANGE = "#1E88D0", "#E0641A"
_EXCERPT = 120
# More candidates than these are folded away until they are opened.
_UNFOLDED = 16
_WIDTH = 700
# A long answer scrolls within the card, which stays small.
_ANSWER = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:11em;overflow:auto;font-size:15px;margin-bottom:6px"
_CELL = "padding:2px 10px 2px 0;vertical-align:top;text-align:"


def html_card(result: SearchRecord) -> str:
    """A self-contained card of a finished search, at most 760 pixels wide; it is legible from 320 on.

    Args:
        result: The search.

    Returns:
        HTML for a notebook's output cell.
    """
    bound = "" if result.optimal_n is None or is_beyond(result.decision) else f", N* = {_shown(result.optimal_n)}"
    head = (
        f"score <b>{result.score:.3f}</b> after {len(result.verdicts)} scored of {len(result.candidates)} drawn "
        f"candidates{bound}: {_shown(reason_in_words(result.decision))}. "
        f"{result.total_usage.total_tokens:,} tokens{'' if result.cost is None else f', cost {result.cost:.4g}'}, "
        f"{result.duration_s:.1f} s."
    )
    head += "".join(f" {_shown(note)}." for note in result.notes)
    if result.saved is not None and result.saved.candidates:
        said = _shown(str(result.saved))
        head += f"<br>{said[0].upper()}{said[1:]}."
    candidates = [_candidate(result, index) for index in sorted({*result.verdicts, *result.failures})]
    return (
        '<div style="border:1px solid #8888;border-radius:6px;padding:10px 14px;max-width:760px;'
        'font:13px/1.45 system-ui,sans-serif">'
        f'<div style="{_ANSWER}">{_shown(result.text)}</div>'
        f'<div style="margin-bottom:4px">{head}</div>{_strip(result)}'
        + _table(("round", "scored", "best so far", "N*", "decision"), [_round(r, result) for r in result.rounds])
        + _note(result)
        + f"<details{' open' if len(candidates) <= _UNFOLDED else ''}><summary>{len(candidates)} candidates</summary>"
        + _table(("#", "round", "score", "candidate"), candidates, bold=result.best.index)
        + "</details></div>"
    )


def _strip(result: SearchRecord) -> str:
    """All scores on a line from 0 to 1: the chosen one filled, later ones higher, and the target where there is one."""
    verdicts = list(result.verdicts.items())
    step = min(7.0, 42.0 / max(1, len(verdicts) - 1))
    base = 22 + step * (len(verdicts) - 1)
    marks = "".join(
        f'<circle cx="{_x(verdict.score)}" cy="{base - step * number:.1f}" r="5" stroke="{_BLUE}" stroke-width="1.5" '
        f'fill="{_BLUE}" fill-opacity="{1 if index == result.best.index else 0.3}">'
        f"<title>#{_shown(index)}: {verdict.score:.3f}</title></circle>"
        for number, (index, verdict) in enumerate(verdicts)
    )
    axis = base + 10
    lines = f'<line x1="0" y1="{axis}" x2="100%" y2="{axis}" stroke="currentColor" stroke-opacity=".5"/>'
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = f'x="{_x(tick)}" y="{axis + 15}" text-anchor="middle" font-size="12"'
        lines += f'<text {place} fill="currentColor">{tick:g}</text>'
    target = result.decision.figures.get("target")
    if target is not None:
        # Its name stands on the side where there is more room.
        anchor, offset = ("end", -5) if target > 0.5 else ("start", 5)
        lines += (
            f'<line x1="{_x(target)}" y1="2" x2="{_x(target)}" y2="{axis}" stroke="{_ORANGE}" stroke-width="2" '
            f'stroke-dasharray="4 3"/><text x="{_x(target)}" dx="{offset}" y="11" text-anchor="{anchor}" '
            f'font-size="12" fill="{_ORANGE}">target {target:g}</text>'
        )
    label = f"{len(verdicts)} scores from 0 to 1" + ("" if target is None else f", target {target:g}")
    return (
        f'<div style="max-width:{_WIDTH}px;padding:0 14px 0 8px"><svg width="100%" height="{axis + 20:.0f}" '
        f'style="overflow:visible" role="img" aria-label="{label}">{lines}{marks}</svg></div>'
    )


def _shown(value: object) -> str:
    """A value as text of HTML: markup, control characters and lone surrogates are shown, never interpreted."""
    return escape(printable(str(value)))


def _x(score: float) -> str:
    """A place on the line, as a share of its width: letters and dots keep their size on a narrow screen."""
    return f"{100 * score:.2f}%"


def _note(result: SearchRecord) -> str:
    """What a bound above the cap means, where there is one."""
    ends = [round_.observations[-1].decision for round_ in result.rounds if round_.observations]
    beyond = next((decision for decision in reversed(ends) if is_beyond(decision)), None)
    if beyond is None or not (bound := bound_in_words(beyond)):
        return ""
    return f'<div style="margin:0 0 6px;opacity:.8">N* {_shown(bound)}: {beyond_in_words(beyond)}.</div>'


def _round(round_: Round, result: SearchRecord) -> tuple[str, ...]:
    """Number, scores, the best so far, the bound, and the decision at its end."""
    before = [one for earlier in result.rounds[: round_.number + 1] for one in earlier.observations]
    scores = [one.score for one in before if one.score is not None]
    scored = sum(one.score is not None for one in round_.observations)
    best = f"{max(scores):.3f}" if scores else "–"
    if not round_.observations:
        return str(round_.number + 1), f"0 of {len(round_.indexes)}", best, "–", "no outcome"
    last = round_.observations[-1].decision
    if last.stop:
        decision = f"stop: {reason_in_words(last)}"
    else:
        decision = "continue" if last.draw is None else f"continue: up to {last.draw} more"
    bound = bound_in_words(last) or "–"
    return str(round_.number + 1), f"{scored} of {len(round_.indexes)}", best, bound, decision


def _candidate(result: SearchRecord, index: int) -> tuple[str, ...]:
    candidate = next((item for item in result.candidates if item.index == index), None)
    text = candidate.text if candidate else ""
    if index in result.verdicts:
        score = f"{result.verdicts[index].score:.3f}"
    else:
        score, text = "failed", result.failures[index].error
    round_ = "" if candidate is None else str(candidate.round + 1)
    return str(index), round_, score, shorten(text, _EXCERPT, placeholder=" …")


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], bold: int | None = None) -> str:
    """A table whose last column is text and whose other columns are numbers; every cell is escaped here."""
    sides = ["right"] * (len(names) - 1) + ["left"]
    head = "".join(f'<th style="{_CELL}{side}">{name}</th>' for name, side in zip(names, sides, strict=True))
    body = ""
    for row in rows:
        cells = "".join(f'<td style="{_CELL}{side}">{_shown(cell)}</td>' for cell, side in zip(row, sides, strict=True))
        weight = "bold" if bold is not None and row[0] == str(bold) else "normal"
        body += f'<tr style="font-weight:{weight};background:none;border-top:1px solid #8884">{cells}</tr>'
    return (
        '<table style="border-collapse:collapse;margin:6px 0;width:auto;font-size:13px;color:inherit">'
        f'<tr style="background:none">{head}</tr>{body}</table>'
    )
