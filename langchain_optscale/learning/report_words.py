"""The words and numbers of a report, as the terminal and the page both show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from langchain_optscale.records.decisions import StopReason

if TYPE_CHECKING:
    from langchain_optscale.learning.changes import Change
    from langchain_optscale.learning.entries import Event
    from langchain_optscale.learning.promises import Foregone, Promise
    from langchain_optscale.learning.report_figures import Outlier, Report, Saving

__all__ = [
    "amount",
    "change_words",
    "event_words",
    "foregone_words",
    "headline",
    "moment",
    "outlier_words",
    "promise_words",
    "reason_words",
    "saving_words",
    "share",
]

_LONGEST = 500


def share(value: float) -> str:
    """A share as a percentage.

    Example:
        >>> share(0.5), share(0.0312), share(1.0)
        ('50 %', '3.1 %', '100 %')
    """
    return f"{100 * value:.1f} %" if 0.0 < abs(value) < 0.1 else f"{100 * value:.0f} %"


def amount(value: float, unit: str) -> str:
    """A number of candidates or tokens, or a sum of money."""
    return f"{value:,.4g}" if unit == "money" else f"{value:,.0f}"


def moment(time: float) -> str:
    """A time in minutes, UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"


def headline(report: Report) -> str:
    """How many searches there are, and of what kinds."""
    noun = "search" if report.searches == 1 else "searches"
    words = f"{report.searches:,} {noun} from {moment(report.begin)} to {moment(report.end)} UTC"
    mean = "" if report.label_score is None else f" (mean score {report.label_score:.3f})"
    words += f"; {report.labelled:,} labelled{mean}, {report.explored:,} explored"
    if report.explored:
        words += f", which took {share(report.exploration)} of all candidates"
    return words + (f"; {report.failed:,} returned nothing" if report.failed else "")


def saving_words(saving: Saving) -> str:
    """What was spent and saved of one unit."""
    interval = f" (95 %: {share(saving.low)} to {share(saving.high)})" if saving.searches > 1 else ""
    spent, whole = amount(saving.spent, saving.unit), amount(saving.best_of_n, saving.unit)
    return f"{share(saving.share)} of the {saving.unit} saved{interval}: {spent} instead of {whole}"


def promise_words(promise: Promise) -> str:
    """A promise and what became of it."""
    words = f"{promise.claim}: {promise.kept:,} of {promise.searches:,} {promise.evidence} searches"
    words += f", {share(promise.share)} (95 %: {share(promise.low)} to {share(promise.high)})"
    if promise.promised is None:
        return words
    return f"{words}, promised {share(promise.promised)}{'' if promise.holds else ': NOT KEPT'}"


def foregone_words(foregone: Foregone | None) -> str:
    """What stopping early gave up; empty where no search explored."""
    if foregone is None:
        return ""
    words = f"the whole cap would have raised the returned score by {foregone.mean:.3f}"
    if foregone.searches > 1:
        words += f" (95 %: {foregone.low:.3f} to {foregone.high:.3f})"
    return f"{words}, by {foregone.searches:,} explored {'search' if foregone.searches == 1 else 'searches'}"


def reason_words(name: str) -> str:
    """The sentence of a reason, and the name itself of one that this version does not know."""
    return StopReason[name].value if name in StopReason.__members__ else name


def outlier_words(outlier: Outlier) -> tuple[str, ...]:
    """A search as cells: id, seconds, tokens, cost, candidates, score."""
    cost = "" if outlier.cost is None else amount(outlier.cost, "money")
    score = "none" if outlier.score is None else f"{outlier.score:.3f}"
    return outlier.id, f"{outlier.seconds:.1f}", f"{outlier.tokens:,}", cost, f"{outlier.candidates:,}", score


def change_words(change: Change) -> str:
    """What has changed of a pair, and when it showed."""
    return (
        f"{change.policy} with {change.verifier}: {change.figure} was {change.before:.3f} in the earlier half and is "
        f"{change.after:.3f} over {change.searches:,} later searches, until {moment(change.time)} UTC"
    )


def event_words(event: Event) -> str:
    """What happened: in its own sentence and for whom, where it has one, else with its figures."""
    sentence = event.data.get("text")
    shown = {"policy", "verifier"} if sentence else set(event.data)
    figures = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in event.data.items()
        if name in shown
    )
    if sentence:
        figures = f"{sentence} ({figures})" if figures else str(sentence)
    words = f"{event.kind}: {figures}" if figures else event.kind
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3]}..."
