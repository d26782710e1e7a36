"""The pictures of docs/benchmarks.md: that they show the given numbers, with units, and name what is missing."""

import pytest

from docs.benchmark_plots import plot_difficulty, plot_optimal_n
from langchain_optscale.errors import SettingsError
from tests.unit_tests.evaluation.test_plots import saved


def test_difficulty_is_named_by_what_it_is():
    labels = [
        plot_difficulty([0.2, 0.7], {"ours": [3.0, 1.0]}, groups=2, measure=measure).axes[0].get_xlabel()
        for measure in ("accuracy", "mean score")
    ]
    assert "right" in labels[0]
    assert "right" not in labels[1]
    assert "mean score" in labels[1]


def test_difficulty(tmp_path):
    difficulty = [0.0, 0.1, 0.5, 0.6, 0.9, 1.0]
    figure = plot_difficulty(difficulty, {"ours": [16, 12, 8, 6, 2, 2]}, groups=3)
    (line,) = figure.axes[0].get_lines()
    assert list(line.get_ydata()) == [14.0, 7.0, 2.0]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["5%", "55%", "95%"]
    assert saved(figure, tmp_path) > 5_000
    with pytest.raises(SettingsError, match="of one length"):
        plot_difficulty(difficulty, {"ours": [1.0]})


def test_optimal_n(tmp_path):
    traces = {"ours": [[None, 6, 4], [None, 8, 5, 5], [None, float("inf")]]}
    figure = plot_optimal_n(traces, cap=16)
    diagonal, ours = figure.axes[0].get_lines()
    assert list(ours.get_xdata()) == [2, 3, 4]
    # Median of 6, 8 and the cap; of 4 and 5; of 5 alone.
    assert list(ours.get_ydata()) == [8.0, 4.5, 5.0]
    assert list(diagonal.get_xdata()) == [1, 4]
    assert saved(figure, tmp_path) > 5_000
    with pytest.raises(SettingsError, match="nothing to show"):
        plot_optimal_n({"ours": [[None]]}, cap=4)
