"""Plots of recorded candidates and of replays; they need matplotlib.

Every function returns a figure without a window, readable at 600 pixels: save it with
`figure.savefig("frontier.png")`. Colours are Okabe and Ito's and a grey, and series differ by their marks as well.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation._pictures import (
    COLOURS,
    GREY,
    MARKS,
    check_picture,
    new_figure,
    save_picture,
    styles,
)
from langchain_optscale.stats import reliability_table, truncnorm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from langchain_optscale.evaluation.metrics import Report
    from langchain_optscale.records.decisions import Estimate

__all__ = [
    "check_picture",
    "plot_frontier",
    "plot_reliability",
    "plot_reports",
    "plot_scores",
    "save_picture",
]


def plot_frontier(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str = "samples",
    title: str = "",
    measure: str = "accuracy",
    intervals: bool = True,
) -> Figure:
    """Accuracy against cost, one point a setting and one line a method.

    Args:
        rows: Rows of `Report.to_dict()`: "method", "accuracy", "accuracy_ci" and what `x` names.
        x: "samples", "tokens" or "rounds", means per question.
        title: What was replayed.
        measure: What the accuracy is, as in `Report.measure`: "accuracy" is shown in per cent, any other as it is.
        intervals: Whether bars show the intervals of the accuracy; many settings are easier to read without.

    Returns:
        The figure, 6 by 4 inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: There is nothing to show.
    """
    figure, (axes,) = new_figure()
    _draw_frontier(axes, rows, x, title, measure, intervals, styles())
    _draw_legend(figure, [axes])
    return figure


def plot_reports(reports: Sequence[Report], *, x: str = "samples") -> Figure:
    """The picture of `plot_frontier` for several replays, one under the other; a method has one style in all of them.

    Args:
        reports: What was replayed, at least one.
        x: "samples", "tokens" or "rounds", means per question.

    Returns:
        The figure, 6 inches wide, with 4 inches for each report.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: There is nothing to show of some report.
    """
    if not reports:
        raise SettingsError("there is no report to plot: give at least one")
    figure, panels = new_figure(len(reports))
    names = dict.fromkeys(runs.name for report in reports for runs in report.runs)
    assigned = dict(zip(names, styles(), strict=False))
    for axes, report in zip(panels, reports, strict=True):
        own = [assigned[name] for name in dict.fromkeys(runs.name for runs in report.runs)]
        _draw_frontier(axes, report.to_dict(), x, report.pool, report.measure, True, own)
    _draw_legend(figure, panels)
    return figure


def plot_reliability(predicted: Mapping[str, Sequence[float]], correct: Sequence[bool], *, bins: int = 10) -> Figure:
    """How often candidates were right, by what was predicted of them; on the diagonal the two agree.

    Args:
        predicted: Predictions in [0, 1] by name, such as {"raw": ..., "calibrated": ...}, each as long as `correct`.
        correct: Whether each candidate was right.
        bins: The most bins of equal mass.

    Returns:
        The figure, 6 by 4 inches; the area of a mark grows with the candidates in its bin.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: The lengths differ, or a prediction lies outside [0, 1].
    """
    figure, (axes,) = new_figure()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect")
    for (name, values), colour, mark in zip(predicted.items(), cycle(COLOURS), cycle(MARKS), strict=False):
        table = reliability_table(values, correct, bins=bins)
        sizes = [20 + 180 * one.count / len(correct) for one in table]
        points = [one.predicted for one in table], [one.observed for one in table]
        axes.plot(*points, color=colour, linewidth=1)
        axes.scatter(*points, s=sizes, color=colour, marker=mark, label=name)
    axes.set_xlabel("predicted probability of being right")
    axes.set_ylabel("share that was right")
    axes.legend(fontsize=8)
    return figure


def plot_scores(
    scores: Sequence[float], *, correct: Sequence[bool] | None = None, estimate: Estimate | None = None
) -> Figure:
    """The distribution of scores, split by right and wrong where that is known, with a fitted density.

    Args:
        scores: Scores in [0, 1].
        correct: Whether each candidate was right, as long as `scores`.
        estimate: Whose truncated normal is drawn on top.

    Returns:
        The figure, 6 by 4 inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: There are no scores, or the lengths differ.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not values.size or (correct is not None and len(correct) != values.size):
        raise SettingsError("scores, and labels where there are any, must be lists of one length of at least 1")
    figure, (axes,) = new_figure()
    edges = np.linspace(0, 1, 31)
    if correct is None:
        parts, names = [values], ["scores"]
    else:
        right = np.asarray(correct, dtype=bool)
        parts, names = [values[right], values[~right]], [f"right ({right.sum()})", f"wrong ({(~right).sum()})"]
    axes.hist(parts, edges.tolist(), stacked=True, color=COLOURS[: len(parts)], alpha=0.8, label=names)
    if estimate is not None:
        grid = np.linspace(0.0, 1.0, 401)
        height = truncnorm.pdf(grid, estimate.mu, estimate.sigma) * values.size * (edges[1] - edges[0])
        label = f"truncated normal, mu {estimate.mu:.2f}, sigma {estimate.sigma:.2f}"
        axes.plot(grid, height, color="#000000", linewidth=1.2, label=label)
        axes.set_ylim(top=1.05 * max(np.histogram(values, edges)[0]))
    axes.set_xlabel("verifier's score")
    axes.set_ylabel("candidates")
    axes.legend(fontsize=8)
    return figure


def _draw_frontier(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    x: str,
    title: str,
    measure: str,
    intervals: bool,
    assigned: Iterable[dict[str, Any]],
) -> None:
    series: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        series.setdefault(row["method"], []).append(row)
    if not any(row.get(x) is not None for row in rows):
        raise SettingsError(f"no row has {x!r}: nothing to show")
    unit, label = (100, "accuracy in %") if measure == "accuracy" else (1, measure)
    for (method, of_method), style in zip(series.items(), assigned, strict=False):
        points = sorted((row for row in of_method if row.get(x) is not None), key=lambda row: row[x])
        if not points:
            continue
        cost = [row[x] for row in points]
        accuracy = np.array([row["accuracy"] for row in points])
        low, high = np.array([row["accuracy_ci"] for row in points]).T
        bars = unit * np.array([accuracy - low, high - accuracy]).clip(min=0)
        axes.errorbar(
            cost,
            unit * accuracy,
            bars if intervals else None,
            markersize=4,
            linewidth=1,
            elinewidth=0.6,
            label=method,
            **style,
        )
    axes.set_xlabel(f"{x} per question")
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=10)


def _draw_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    # Outside the axes: there is one entry for each method, and no corner is always free.
    entries: dict[Any, Any] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3, fontsize=7)
