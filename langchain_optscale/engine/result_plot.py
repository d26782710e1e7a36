"""A plot of a search, for papers and notebooks; `result_html` has the card of a notebook's output cell."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from langchain_optscale.engine.result_words import cap_of, is_beyond, reason_in_words
from langchain_optscale.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from langchain_optscale.records.decisions import Decision, Observation
    from langchain_optscale.records.search_record import SearchRecord

__all__ = ["plot_search"]

# Portrait, with letters of a tenth of a screen's width in fifty: legible on a telephone, 390 pixels wide.
_SIZE_INCHES, _FONT_POINTS = (5.0, 6.4), 11
_LINE = 46


@dataclass(frozen=True)
class _Colours:
    """Okabe and Ito's palette, in the shades that stand out on the background; also told apart in grey."""

    blue: str = "#0072B2"
    orange: str = "#D55E00"
    green: str = "#009E73"
    grey: str = "#666666"
    ink: str = "#111111"
    paper: str = "#ffffff"


_LIGHT = _Colours()
_DARK = _Colours("#56B4E9", "#FF8C42", "#2FD0A0", "#A8A8A8", "#f0f0f0", "#0d1117")


def plot_search(result: SearchRecord, *, dark: bool = False) -> Figure:
    """Scores as they arrived, the estimated distribution behind them, and N* beside n.

    The upper panel has one dot a score, the best so far as a line, and the estimate's mean with a band of one
    standard deviation; the distribution at the end stands upright beside it. The lower panel has the number of scores
    so far and N* after each; an open mark at the cap says that the target was not reachable within it. The title says
    why the search stopped.

    Args:
        result: A finished search.
        dark: Whether for a dark page.

    Returns:
        A figure of 5 by 6.4 inches that belongs to no window; save it with `figure.savefig("search.png")`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Plotting a search", 'pip install "langchain-optscale[plots]"') from error

    colours = _DARK if dark else _LIGHT
    observations = [one for round_ in result.rounds for one in round_.observations if one.score is not None]
    target = result.decision.figures.get("target")
    with rc_context(_style(colours)):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(3, 2))
        scores = figure.add_subplot(grid[0, 0])
        density = figure.add_subplot(grid[0, 1], sharey=scores)
        bound = figure.add_subplot(grid[1, 0], sharex=scores)
        _draw_scores(scores, observations, target, colours)
        _draw_density(density, result, target, colours)
        _draw_bound(bound, observations, _cap(result, observations), colours)
        handles, labels = [], []
        for axes in (scores, bound):
            its_handles, its_labels = axes.get_legend_handles_labels()
            handles += its_handles
            labels += its_labels
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=_FONT_POINTS - 1)
        figure.suptitle(_title(result, len(observations)), fontsize=_FONT_POINTS)
    return figure


def _style(colours: _Colours) -> dict[Any, Any]:
    ink = dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), colours.ink)
    faces = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), colours.paper)
    return {**ink, **faces, "font.size": _FONT_POINTS, "axes.spines.top": False, "axes.spines.right": False}


def _title(result: SearchRecord, scored: int) -> str:
    return fill(f"{scored} candidate{'' if scored == 1 else 's'}: {reason_in_words(result.decision)}", _LINE)


def _cap(result: SearchRecord, observations: Sequence[Observation]) -> int:
    """The most candidates that the search might have drawn, as far as the record says; at least those that it has."""
    known = [cap for one in observations if (cap := cap_of(one.decision)) is not None]
    return max([*known, len(observations), 1])


def _draw_scores(axes: Axes, observations: Sequence[Observation], target: float | None, colours: _Colours) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    from langchain_optscale.stats import truncnorm

    numbers = np.arange(1, len(observations) + 1)
    scores = np.array([one.score for one in observations])
    estimates = [(n, one.estimate) for n, one in zip(numbers, observations, strict=True) if one.estimate is not None]
    if estimates:
        where = [n for n, _ in estimates]
        means = np.array([truncnorm.mean(e.mu, e.sigma) for _, e in estimates])
        spreads = np.array([truncnorm.std(e.mu, e.sigma) for _, e in estimates])
        low, high = np.clip(means - spreads, 0, 1), np.clip(means + spreads, 0, 1)
        axes.fill_between(where, low, high, color=colours.green, alpha=0.2, linewidth=0)
        axes.plot(where, means, color=colours.green, label="estimated mean ± std")
    best = np.maximum.accumulate(scores)
    axes.step(numbers, best, where="post", color=colours.blue, linewidth=1.2, label="best so far")
    axes.plot(numbers, scores, "o", color=colours.blue, markersize=6, label="score")
    if target is not None:
        axes.axhline(target, color=colours.orange, linestyle="--", linewidth=1.2, label=f"target {target:g}")
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel("verifier's score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.tick_params(labelbottom=False)


def _draw_density(axes: Axes, result: SearchRecord, target: float | None, colours: _Colours) -> None:
    import numpy as np

    from langchain_optscale.stats import truncnorm

    grid = np.linspace(0, 1, 401)
    log_density = truncnorm.logpdf(grid, result.estimate.mu, result.estimate.sigma)
    height = np.exp(log_density - np.max(log_density))
    axes.fill_betweenx(grid, 0, height, color=colours.green, alpha=0.4, linewidth=0)
    if target is not None:
        axes.axhline(target, color=colours.orange, linestyle="--", linewidth=1.2)
    axes.set_xticks([])
    axes.set_xlabel("density", fontsize=_FONT_POINTS - 1)
    axes.tick_params(labelleft=False)


def _draw_bound(axes: Axes, observations: Sequence[Observation], cap: int, colours: _Colours) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = range(1, len(observations) + 1)
    decisions = [(n, one.decision) for n, one in zip(numbers, observations, strict=True)]
    beyond = [n for n, decision in decisions if is_beyond(decision)]
    known = [(n, decision.optimal_n) for n, decision in decisions if decision.optimal_n and not is_beyond(decision)]
    axes.plot(numbers, numbers, color=colours.grey, linewidth=1.5, label="n, candidates so far")
    if known:
        axes.plot(*zip(*known, strict=True), "s", color=colours.orange, markersize=6, label="N*, computed optimum")
    if beyond:
        style: dict[str, Any] = {
            "markerfacecolor": "none",
            "markeredgecolor": colours.orange,
            "linestyle": "none",
            "clip_on": False,
        }
        axes.plot(beyond, [cap] * len(beyond), "s", markersize=6, label=_beyond_label(decisions, cap), **style)
    axes.axhline(cap, color=colours.grey, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, cap * 1.08 + 0.5)
    axes.set_xlabel("candidates, in order of arrival")
    axes.set_ylabel("candidates")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_xlim(0.5, max(len(observations), 2) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _beyond_label(decisions: Sequence[tuple[int, Decision]], cap: int) -> str:
    """What the open marks at the cap mean."""
    unreachable = any(
        is_beyond(made) and (made.optimal_n is None or "price" not in made.figures) for _, made in decisions
    )
    return f"not reachable within {cap}" if unreachable else f"worth more than {cap}"
