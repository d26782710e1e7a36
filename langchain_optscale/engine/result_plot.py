"""A plot of a search, for papers and notebooks; `result_html` has the card of a notebook's output cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_optscale.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from langchain_optscale.records.search_record import SearchRecord
    from langchain_optscale.records.types import Observation

__all__ = ["plot_search"]

# Okabe and Ito's palette: told apart with every common form of colour blindness, and in grey by its lightness.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


def plot_search(result: SearchRecord) -> Figure:
    """Scores as they arrived, the estimated distribution behind them, and N* meeting n.

    The upper panel has one dot a score, the best so far as a line, and the estimate's mean with a band of one
    standard deviation; the distribution at the end stands upright beside it. The lower panel has the computed optimal
    N after each score, and the number of scores so far: the search stops where they meet, unless it reached the
    target before.

    Args:
        result: A finished search.

    Returns:
        A figure of 7 by 5 inches that belongs to no window; save it with `figure.savefig("search.png")`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Plotting a search", 'pip install "langchain-optscale[plots]"') from error

    observations = [one for round_ in result.rounds for one in round_.observations if one.score is not None]
    figure = Figure(figsize=(7, 5), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(3, 2))
    scores = figure.add_subplot(grid[0, 0])
    density = figure.add_subplot(grid[0, 1], sharey=scores)
    bound = figure.add_subplot(grid[1, 0], sharex=scores)
    target = result.decision.figures.get("target")
    _draw_scores(scores, observations, target)
    _draw_density(density, result, target)
    _draw_bound(bound, observations)
    sentence = result.stop_reason.value
    figure.suptitle(f"{len(observations)} candidates: {sentence}", fontsize=11)
    return figure


def _draw_scores(axes: Axes, observations: Sequence[Observation], target: float | None) -> None:
    import numpy as np

    from langchain_optscale.stats import truncnorm

    numbers = np.arange(1, len(observations) + 1)
    scores = np.array([one.score for one in observations])
    estimates = [(n, one.estimate) for n, one in zip(numbers, observations, strict=True) if one.estimate is not None]
    if estimates:
        where = [n for n, _ in estimates]
        means = np.array([truncnorm.mean(e.mu, e.sigma) for _, e in estimates])
        spreads = np.array([truncnorm.std(e.mu, e.sigma) for _, e in estimates])
        low, high = np.clip(means - spreads, 0, 1), np.clip(means + spreads, 0, 1)
        axes.fill_between(where, low, high, color=_GREEN, alpha=0.15, linewidth=0)
        axes.plot(where, means, color=_GREEN, label="estimated mean ± std")
    axes.step(numbers, np.maximum.accumulate(scores), where="post", color=_BLUE, linewidth=1, label="best so far")
    axes.plot(numbers, scores, "o", color=_BLUE, markersize=5, label="score")
    if target is not None:
        axes.axhline(target, color=_ORANGE, linestyle="--", linewidth=1, label=f"target {target:g}")
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel("verifier's score")
    axes.legend(fontsize=8, loc="lower right")
    axes.tick_params(labelbottom=False)


def _draw_density(axes: Axes, result: SearchRecord, target: float | None) -> None:
    import numpy as np

    from langchain_optscale.stats import truncnorm

    grid = np.linspace(0, 1, 401)
    log_density = truncnorm.logpdf(grid, result.estimate.mu, result.estimate.sigma)
    height = np.exp(log_density - np.max(log_density))
    axes.fill_betweenx(grid, 0, height, color=_GREEN, alpha=0.3, linewidth=0)
    if target is not None:
        axes.axhline(target, color=_ORANGE, linestyle="--", linewidth=1)
    axes.set_xticks([])
    axes.set_xlabel("estimated\ndensity")
    axes.tick_params(labelleft=False)


def _draw_bound(axes: Axes, observations: Sequence[Observation]) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = range(1, len(observations) + 1)
    known = [(n, one.decision.optimal_n) for n, one in zip(numbers, observations, strict=True)]
    computed = [(n, bound) for n, bound in known if bound is not None]
    axes.plot(numbers, numbers, color=_GREY, linewidth=1, label="n, candidates so far")
    if computed:
        axes.plot(*zip(*computed, strict=True), "s-", color=_ORANGE, markersize=4, label="N*, computed optimum")
        if max(bound for _, bound in computed) > 10 * len(observations):
            axes.set_yscale("log")
    axes.set_xlabel("candidates, in order of arrival")
    axes.set_ylabel("number of\ncandidates")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
