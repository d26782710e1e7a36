"""The report as one page: nothing from the network, no script, light and dark as the reader's system, from 320 pixels.

All text is escaped: what a store holds is shown, never interpreted.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from langchain_optscale.errors import printable
from langchain_optscale.learning.report_words import (
    amount,
    change_words,
    event_words,
    foregone_words,
    headline,
    moment,
    outlier_words,
    reason_words,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_optscale.learning.report_figures import Outlier, PairScores, Report, Window

__all__ = ["html_report"]

# The blue and the orange of the other pictures; both stand out on white and on black by 3.5 to 1 at least.
_STYLE = """
:root{color-scheme:light dark;--ink:#1a1d21;--soft:#59626d;--line:#d5dae0;--back:#fff;--box:#f6f8fa;--blue:#1E88D0;
--orange:#E0641A}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a3adb8;--line:#3a424c;--back:#14171a;--box:#1d2226}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:20px 16px 48px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 6px}p{margin:4px 0 10px}
.soft{color:var(--soft);font-size:13px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px;margin:18px 0}
.card{background:var(--box);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.card b{display:block;font-size:26px;line-height:1.2}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:4px 12px 4px 0;text-align:right;vertical-align:top;border-top:1px solid var(--line)}
th{color:var(--soft);font-weight:600;border-top:0}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere;white-space:normal;min-width:8em}
.bad{color:var(--orange);font-weight:600}
.bar{display:inline-block;height:10px;background:var(--blue);border-radius:2px;min-width:1px}
.chart{display:grid;grid-template-columns:minmax(0,1fr);margin:10px 0 18px}
svg{width:100%;height:90px;display:block;overflow:visible}
.axis{display:flex;justify-content:space-between;color:var(--soft);font-size:12px}
code{font-size:12px;overflow-wrap:anywhere}
@media (max-width:560px){th,td{padding-right:8px;font-size:12px}.card b{font-size:22px}
.stacked tr{display:grid;grid-template-columns:repeat(var(--numbers),1fr);border-top:1px solid var(--line)}
.stacked th,.stacked td{border:0;white-space:normal}
.stacked th:first-child,.stacked td:first-child{grid-column:1/-1;font-size:13px}}
"""


def html_report(report: Report, title: str = "OptScale report") -> str:
    """The page of a report.

    Args:
        report: What to show.
        title: Its heading.
    """
    sections = [
        _section("Promised and realised", _promises(report), _PROMISED),
        _section("The course of time", _course(report.windows), "Each point is the mean of consecutive searches."),
        _section("Changes", _changes(report), _CHANGED),
        _section("Why searches ended", _reasons(report)),
        _section("Scores by policy and verifier", _pairs(report.pairs), "Each bar is a twentieth of the scale 0 to 1."),
        _section("Dearest searches", _outliers(report.dearest)),
        _section("Slowest searches", _outliers(report.slowest)),
        _section("Learned, and alarms", _events(report)),
    ]
    body = (_cards(report) + "".join(sections)).replace(" %", "&nbsp;%")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_shown(title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{_shown(title)}</h1><p class="soft">{_shown(headline(report))}.</p>{body}'
        "</main></body></html>\n"
    )


_PROMISED = (
    "Only searches that explored, or have a label, tell. A promise is called into question where the whole 95 % "
    "interval lies below it."
)


_CHANGED = (
    "Of each policy with its verifier the later half of the searches is held against the earlier one. Where nothing "
    "has changed, something shows with a probability of 1 % at most."
)
_IN_QUESTION = "in question"


def _section(heading: str, body: str, note: str = "") -> str:
    if not body:
        return ""
    return f"<section><h2>{heading}</h2>{f'<p class=soft>{note}</p>' if note else ''}{body}</section>"


def _cards(report: Report) -> str:
    """What was saved, against best-of-N at the cap."""
    cards = ""
    for saving in report.savings:
        interval = f", 95 %: {share(saving.low)} to {share(saving.high)}" if saving.searches > 1 else ""
        cards += (
            f'<div class="card"><b>{share(saving.share)}</b>of the {saving.unit} of best-of-N saved{interval}'
            f'<div class="soft">{amount(saving.spent, saving.unit)} instead of '
            f"{amount(saving.best_of_n, saving.unit)}</div></div>"
        )
    note = (
        '<p class="soft">Best-of-N at the cap of each search; candidates that were not drawn are taken to cost the '
        "mean of those that were. What exploration cost is counted as spent.</p>"
    )
    return f'<div class="cards">{cards}</div>{note}' if cards else ""


def _promises(report: Report) -> str:
    rows = []
    for promise in report.promises:
        promised = "" if promise.promised is None else share(promise.promised)
        interval = f"{share(promise.low)} to {share(promise.high)}"
        claim = promise.claim if promise.holds else f"{promise.claim} ({_IN_QUESTION})"
        counts = f"{promise.kept:,} of {promise.searches:,} {promise.evidence}"
        rows.append((claim, promised, share(promise.share), interval, counts))
    table = _table(("promise", "promised", "realised", "95 % interval", "searches"), rows)
    words = foregone_words(report.foregone)
    return table + (f"<p>{_shown(words[0].upper() + words[1:])}.</p>" if words else "")


def _course(windows: Sequence[Window]) -> str:
    """Three lines over time; nothing where there are too few searches for a line."""
    if len(windows) < 2:
        return ""
    kinds: tuple[tuple[str, Callable[[Window], float | None], str], ...] = (
        ("mean score of all candidates", lambda window: window.mean_score, "{:.3f}"),
        ("candidates a search", lambda window: window.candidates, "{:.1f}"),
        ("saved of best-of-N's candidates", lambda window: window.saved, "{:.0%}"),
    )
    dates = f'<div class="axis"><span>{moment(windows[0].begin)}</span><span>{moment(windows[-1].end)}</span></div>'
    return "".join(_line(name, [value(window) for window in windows], form, dates) for name, value, form in kinds)


def _line(name: str, values: Sequence[float | None], form: str, dates: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    points = [
        (100.0 * place / (len(values) - 1), 84.0 - 78.0 * (value - low) / span if high > low else 45.0)
        for place, value in enumerate(values)
        if value is not None
    ]
    path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    label = f"{name}: from {form.format(low)} to {form.format(high)}, last {form.format(known[-1])}"
    return (
        f'<div class="chart"><div>{_shown(label)}</div>'
        f'<svg viewBox="0 0 100 90" preserveAspectRatio="none" role="img" aria-label="{_shown(label)}">'
        '<line x1="0" y1="88" x2="100" y2="88" stroke="var(--line)" vector-effect="non-scaling-stroke"/>'
        f'<polyline points="{path}" fill="none" stroke="var(--blue)" stroke-width="2" '
        f'vector-effect="non-scaling-stroke"/></svg>{dates}</div>'
    )


def _reasons(report: Report) -> str:
    rows = [
        (reason_words(name), f"{count:,}", share(count / report.searches), count / report.searches)
        for name, count in report.reasons
    ]
    body = "".join(
        f"<tr><td>{_shown(words)}</td><td>{count}</td><td>{part}</td>"
        f'<td style="text-align:left;width:30%"><span class="bar" style="width:{100 * width:.1f}%"></span></td></tr>'
        for words, count, part, width in rows
    )
    return f'<div class="wide"><table>{body}</table></div>'


def _pairs(pairs: Sequence[PairScores]) -> str:
    parts = []
    for pair in pairs:
        returned = "" if pair.returned is None else f", of the returned {pair.returned:.3f}"
        failed = f", {share(pair.failed)} failed" if pair.failed else ""
        words = f"{pair.searches:,} searches, {pair.candidates:,} scores; mean {pair.mean:.3f}{returned}{failed}"
        parts.append(
            f'<div class="chart"><div><b>{_shown(pair.policy)}</b> with <b>{_shown(pair.verifier)}</b></div>'
            f'<div class="soft">{_shown(words)}</div>{_histogram(pair.histogram)}'
            '<div class="axis"><span>0</span><span>score</span><span>1</span></div></div>'
        )
    return "".join(parts)


def _histogram(counts: Sequence[int]) -> str:
    most, width = max(counts) or 1, 100.0 / len(counts)
    bars = "".join(
        f'<rect x="{width * place:.2f}" y="{86.0 - 80.0 * count / most:.2f}" width="{0.9 * width:.2f}" '
        f'height="{80.0 * count / most:.2f}" fill="var(--blue)"><title>{count:,} scores from {place / len(counts):.2f} '
        f"to {(place + 1) / len(counts):.2f}</title></rect>"
        for place, count in enumerate(counts)
    )
    return (
        f'<svg viewBox="0 0 100 90" preserveAspectRatio="none" role="img" aria-label="scores from 0 to 1">{bars}'
        '<line x1="0" y1="87" x2="100" y2="87" stroke="var(--line)" vector-effect="non-scaling-stroke"/></svg>'
    )


def _changes(report: Report) -> str:
    return "".join(f'<p class="bad">{_shown(change_words(change))}.</p>' for change in report.changes)


def _outliers(outliers: Sequence[Outlier]) -> str:
    priced = any(outlier.cost is not None for outlier in outliers)
    rows = []
    for outlier in outliers:
        name, seconds, tokens, cost, candidates, score = outlier_words(outlier)
        head = name if outlier.prompt is None else f"{outlier.prompt} ({name[:8]})"
        rows.append((head, seconds, tokens, *([cost] if priced else []), candidates, score))
    return _table(("search", "seconds", "tokens", *(["cost"] if priced else []), "candidates", "score"), rows)


def _events(report: Report) -> str:
    return _table(("what", "when (UTC)"), [(event_words(event), moment(event.time)) for event in report.events])


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text; every cell is escaped here."""
    if not rows:
        return ""
    head = "".join(f"<th>{_shown(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td{_mark(cell)}>{_shown(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    # On a narrow screen the first column stands above the others, which share the width.
    numbers = f'style="--numbers:{len(names) - 1}"'
    return f'<div class="wide"><table class="stacked" {numbers}><tr>{head}</tr>{body}</table></div>'


def _mark(cell: str) -> str:
    return ' class="bad"' if cell.endswith(f"({_IN_QUESTION})") or cell.startswith("drift") else ""


def _shown(value: object) -> str:
    """A value as text of HTML: markup, control characters and lone surrogates are shown, never interpreted."""
    return escape(printable(str(value)))
