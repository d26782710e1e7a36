"""Pictures: that they show what they are given, with units, and say what is missing."""

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.catalogue import METHODS, catalogue
from langchain_optscale.evaluation.plots import (
    plot_frontier,
    plot_reliability,
    plot_reports,
    plot_scores,
)
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.records.decisions import Estimate


def row(method, samples, accuracy):
    return {
        "method": method,
        "samples": samples,
        "accuracy": accuracy,
        "accuracy_ci": (accuracy - 0.02, accuracy + 0.03),
    }


def saved(figure, tmp_path):
    figure.savefig(tmp_path / "picture.png", dpi=100)
    return (tmp_path / "picture.png").stat().st_size


def test_frontier(tmp_path):
    rows = [row("ours", 4.0, 0.8), row("ours", 2.0, 0.75), row("best-of-N", 8.0, 0.79)]
    figure = plot_frontier(rows, title="a pool")
    (axes,) = figure.axes
    ours, fixed = axes.containers
    assert ours.get_label() == "ours"
    assert list(ours[0].get_xdata()) == [2.0, 4.0]  # in order of cost
    assert list(ours[0].get_ydata()) == pytest.approx([75.0, 80.0])
    assert list(fixed[0].get_xdata()) == [8.0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("samples per question", "accuracy in %")
    assert all(container.has_yerr for container in axes.containers)
    (graded,) = plot_frontier(rows, measure="mean score", intervals=False).axes
    assert list(graded.containers[0][0].get_ydata()) == pytest.approx([0.75, 0.8])
    assert graded.get_ylabel() == "mean score"
    assert not any(container.has_yerr for container in graded.containers)
    assert saved(figure, tmp_path) > 5_000
    with pytest.raises(SettingsError, match="no row has 'tokens'"):
        plot_frontier(rows, x="tokens")


def test_eight_methods_have_eight_looks():
    (axes,) = plot_frontier([row(str(number), 2.0, 0.5) for number in range(8)]).axes
    lines = [container[0] for container in axes.containers]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 8


def test_every_method_of_the_catalogue_has_a_look_of_its_own():
    figure = plot_frontier([row(name, 2.0, 0.5) for name in METHODS])
    (axes,) = figure.axes
    lines = [container[0] for container in axes.containers]
    assert len({(line.get_color(), line.get_marker(), line.get_fillstyle()) for line in lines}) == len(METHODS) > 8
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(METHODS)


def test_several_replays_share_a_legend_and_the_look_of_each_method(tmp_path):
    samples = tuple(Sample(score=s, correct=s > 0.5) for s in (0.1, 0.6, 0.9))
    answered = tuple(Sample(score=s, answer=str(s)) for s in (0.1, 0.6, 0.9))
    first, second = (Pool((Question("a", "?", drawn),), name) for name, drawn in (("one", samples), ("two", answered)))
    figure = plot_reports([replay(pool, catalogue(pool), permutations=1) for pool in (first, second)])
    looks = [
        {one.get_label(): (one[0].get_color(), one[0].get_marker(), one[0].get_fillstyle()) for one in axes.containers}
        for axes in figure.axes
    ]
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy in %", "mean score"]
    assert looks[0].keys() - looks[1].keys() == {"oracle-correct"}
    together = looks[0] | looks[1]
    assert all(together[name] == look for one in looks for name, look in one.items())
    assert len(set(together.values())) == len(together)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(together)
    assert saved(figure, tmp_path) > 5_000
    with pytest.raises(SettingsError, match="no report"):
        plot_reports([])


def test_reliability(tmp_path):
    generator = np.random.default_rng(0)
    predicted = generator.random(400)
    figure = plot_reliability({"raw": predicted}, generator.random(400) < predicted, bins=5)
    line = figure.axes[0].get_lines()[1]
    assert len(line.get_xdata()) == 5
    assert np.abs(line.get_xdata() - line.get_ydata()).max() < 0.15
    assert saved(figure, tmp_path) > 5_000


def test_scores(tmp_path):
    scores, correct = [0.1, 0.5, 0.9, 1.0], [False, False, True, True]
    figure = plot_scores(scores, correct=correct, estimate=Estimate(0.6, 0.3, "known", 4))
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 4
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert {"right (2)", "wrong (2)"} <= set(labels)
    assert saved(figure, tmp_path) > 5_000
    assert saved(plot_scores([1.0]), tmp_path) > 5_000
    with pytest.raises(SettingsError, match="of one length"):
        plot_scores(scores, correct=[True])
