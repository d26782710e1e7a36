"""The pictures of `docs/benchmarks.md` that only it needs: samples by difficulty, and N* by round."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation._pictures import COLOURS, GREY, MARKS, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

__all__ = ["plot_difficulty", "plot_optimal_n"]


def plot_difficulty(
    difficulty: Sequence[float],
    samples: Mapping[str, Sequence[float]],
    *,
    groups: int = 5,
    measure: str = "accuracy",
) -> Figure:
    """Where a method spends its samples: questions in groups of equal size, from the hardest to the easiest.

    Args:
        difficulty: For each question the share of its recorded samples that is right (or its mean score), in [0, 1].
        samples: By method, the mean samples that each question took; each as long as `difficulty`.
        groups: How many groups, at least 1.
        measure: What the difficulty is, as in `Report.measure`: "accuracy" for the share that is right.

    Returns:
        The figure, 6 by 4 inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: There are no questions, or the lengths differ.
    """
    shares = np.asarray(difficulty, dtype=np.float64)
    if not shares.size or any(len(spent) != shares.size for spent in samples.values()):
        raise SettingsError("difficulty and samples must be lists of one length of at least 1")
    parts = [part for part in np.array_split(np.argsort(shares, kind="stable"), groups) if part.size]
    figure, (axes,) = new_figure()
    places = np.arange(len(parts))
    for (name, spent), colour, mark in zip(samples.items(), cycle(COLOURS), cycle(MARKS), strict=False):
        means = [float(np.asarray(spent, dtype=np.float64)[part].mean()) for part in parts]
        axes.plot(places, means, color=colour, marker=mark, markersize=5, linewidth=1, label=name)
    means_of = [shares[part].mean() for part in parts]
    if measure == "accuracy":
        known, ticks = "share of a question's recorded samples that is right", [f"{mean:.0%}" for mean in means_of]
    else:
        known, ticks = f"{measure} of a question's recorded samples", [f"{mean:.2f}" for mean in means_of]
    axes.set_xticks(places, ticks)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{known} (groups of equal size)")
    axes.set_ylabel("mean samples drawn")
    axes.legend(fontsize=8)
    return figure


def plot_optimal_n(traces: Mapping[str, Sequence[Sequence[float | None]]], *, cap: int) -> Figure:
    """The computed optimal N as scores arrive: the median over searches, and the middle four fifths as a band.

    A search ends where its N* meets the number of scores, the grey diagonal; those that have ended are left out of
    what stands to the right of it.

    Args:
        traces: By method, for each search its N* after 1, 2, ... scores; None where none was computed, infinity where
            the target is out of reach.
        cap: Values above it are drawn at it.

    Returns:
        The figure, 6 by 4 inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: No trace has a value.
    """
    if not any(value is not None for searches in traces.values() for trace in searches for value in trace):
        raise SettingsError("no search has a computed optimal N: nothing to show")
    figure, (axes,) = new_figure()
    longest = max(len(trace) for searches in traces.values() for trace in searches)
    axes.plot([1, longest], [1, longest], color=GREY, linewidth=1, linestyle="--", label="scores so far")
    for (name, searches), colour, mark in zip(traces.items(), cycle(COLOURS), cycle(MARKS), strict=False):
        numbers, bands = [], []
        for place in range(longest):
            known = [trace[place] for trace in searches if place < len(trace)]
            values = [min(float(value), cap) for value in known if value is not None]
            if values:
                numbers.append(place + 1)
                bands.append(np.percentile(values, (10, 50, 90)))
        low, middle, high = np.array(bands).T
        axes.fill_between(numbers, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(numbers, middle, color=colour, marker=mark, markersize=4, linewidth=1, label=name)
    axes.locator_params(integer=True)
    axes.set_xlabel("scores so far")
    axes.set_ylabel("computed optimal N")
    axes.legend(fontsize=8)
    return figure
