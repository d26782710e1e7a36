"""Weights from labels and from agreement, against simulations with known truth, closed forms and SciPy."""

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from langchain_optscale import SettingsError
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats.latent_class import LatentClass, fit_latent_class
from langchain_optscale.stats.stacking import Stack, _logistic, auc, fit_stack


def votes(rng, n, accuracies, right=0.4):
    truth = rng.random(n) < right
    columns = [np.where(rng.random(n) < accuracy, truth, ~truth) for accuracy in accuracies]
    return truth, np.stack(columns, axis=1).astype(int)


def graded(rng, questions, per, strengths, right=0.4):
    """Continuous scores whose separation is known: a member of strength d has an AUC of Phi(d / sqrt 2)."""
    truth = rng.random(questions * per) < right
    scores = special.expit(rng.normal(0, 1, (len(truth), len(strengths))) + np.outer(truth, strengths))
    return scores, np.repeat(np.arange(questions), per), truth.astype(float)


@pytest.mark.parametrize("accuracies", [(0.9, 0.75, 0.65), (0.8, 0.8, 0.8, 0.55, 0.7)])
def test_accuracies_are_found_without_labels(accuracies):
    _, levels = votes(np.random.default_rng(1), 6000, accuracies)
    model = fit_latent_class(levels)
    assert model.accuracy() == pytest.approx(accuracies, abs=0.03)
    assert model.right == pytest.approx(0.4, abs=0.04)


def test_chances_are_those_of_bayes():
    """With the tables known, P(right | votes) has a closed form."""
    model = LatentClass(0.4, np.array([[[a, 1 - a], [1 - a, a]] for a in (0.9, 0.8, 0.7)]))
    for row in itertools.product((0, 1), repeat=3):
        likelihood = [
            p * math.prod(a if vote == y else 1 - a for vote, a in zip(row, (0.9, 0.8, 0.7), strict=True))
            for y, p in ((0, 0.6), (1, 0.4))
        ]
        expected = likelihood[1] / sum(likelihood)
        assert model.chances(np.array([row]))[0] == pytest.approx(expected)


def test_a_missing_vote_says_nothing():
    _, levels = votes(np.random.default_rng(3), 4000, (0.9, 0.8, 0.7))
    model = fit_latent_class(levels)
    assert model.chances(np.array([[-1, -1, -1]]))[0] == pytest.approx(model.right)


def test_a_latent_class_needs_three_members():
    with pytest.raises(SettingsError, match="at least three members"):
        fit_latent_class(np.zeros((5, 2), dtype=int))


def test_the_regression_is_that_of_scipy():
    rng = np.random.default_rng(4)
    features, targets = rng.normal(0, 1, (80, 3)), rng.random(80)

    def loss(at):
        logits = features @ at[:3] + at[3]
        penalty = 0.5 * 2.0 * np.sum(at[:3] ** 2) + 0.5e-6 * at[3] ** 2
        return np.sum(np.logaddexp(0, logits) - targets * logits) + penalty

    found = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    weights, intercept = _logistic(features, targets, 2.0)
    assert [*weights, intercept] == pytest.approx(found, abs=1e-5)


def test_auc_is_that_of_mann_and_whitney():
    rng = np.random.default_rng(5)
    scores, right = np.round(rng.random(60), 1), rng.random(60) < 0.4
    expected = stats.mannwhitneyu(scores[right], scores[~right]).statistic / (right.sum() * (~right).sum())
    assert auc(scores, right) == pytest.approx(expected)
    assert math.isnan(auc([0.1, 0.2], [True, True]))


@pytest.mark.parametrize("mode", ["gold", "none"])
def test_a_stack_beats_its_best_member_and_the_mean_on_other_questions(mode):
    rng = np.random.default_rng(6)
    strengths = (1.5, 1.0, 0.5, 0.0)
    stack = fit_stack(*graded(rng, 150, 6, strengths), mode)
    scores, _, truth = graded(rng, 500, 6, strengths)
    joined = [stack(row) for row in scores]
    best = auc(scores[:, 0], truth == 1)
    assert best == pytest.approx(stats.norm.cdf(1.5 / math.sqrt(2)), abs=0.02)
    ideal = stats.norm.cdf(math.sqrt(sum(d**2 for d in strengths) / 2))  # the likelihood ratio's own
    assert auc(joined, truth == 1) > best + 0.02
    assert auc(joined, truth == 1) > auc(special.logit(scores).mean(axis=1), truth == 1)
    assert auc(joined, truth == 1) == pytest.approx(ideal, abs=0.015)
    assert stack.chosen == "stack"
    assert stack.weights[0] > stack.weights[1] > stack.weights[2] > abs(stack.weights[3]) - 0.1


@pytest.mark.parametrize("mode", ["gold", "none"])
def test_a_stack_is_calibrated_on_other_questions(mode):
    rng = np.random.default_rng(7)
    stack = fit_stack(*graded(rng, 300, 6, (1.5, 1.2, 1.0)), mode)
    scores, _, truth = graded(rng, 500, 6, (1.5, 1.2, 1.0))
    chances = np.array([stack(row) for row in scores])
    for low, high in itertools.pairwise((0.0, 0.25, 0.5, 0.75, 1.0)):
        inside = (chances >= low) & (chances < high)
        assert truth[inside].mean() == pytest.approx(chances[inside].mean(), abs=0.06 if mode == "gold" else 0.12)


def test_members_that_err_together_do_not_drag_the_stack_below_its_best():
    """Three copies of one bad member agree with each other; labels show it, and the best member takes over."""
    rng = np.random.default_rng(8)
    truth = (rng.random(1200) < 0.5).astype(float)
    shared = rng.normal(0, 1, 1200)
    bad = [shared + rng.normal(0, 0.1, 1200) for _ in range(3)]
    good = rng.normal(0, 1, 1200) + 2.5 * truth
    scores = special.expit(np.stack([good, *bad], axis=1))
    stack = fit_stack(scores, np.repeat(np.arange(200), 6), truth, "none")
    assert stack.chosen == "best member"
    assert stack.weights[1:] == (0.0, 0.0, 0.0)
    assert stack.report["auc"] == pytest.approx(stack.report["members"][0])
    gold = fit_stack(scores, np.repeat(np.arange(200), 6), truth, "gold")
    assert max(map(abs, gold.weights[1:])) < 0.1 * gold.weights[0]


def test_never_worse_than_the_best_member_by_more_than_a_standard_error():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        strengths = rng.uniform(-0.3, 1.5, 3)
        for mode in ("gold", "none"):
            report = fit_stack(*graded(rng, 30, 5, strengths), mode).report
            assert report["auc"] >= max(report["members"]) - report["error"] - 1e-12


def test_without_labels_and_with_two_members_weights_are_equal():
    scores, groups, _ = graded(np.random.default_rng(9), 40, 5, (1.0, 0.5))
    stack = fit_stack(scores, groups, None, "none")
    assert (stack.chosen, stack.weights) == ("equal weights", (0.5, 0.5))


def test_missing_scores_are_neutral():
    rng = np.random.default_rng(10)
    scores, groups, truth = graded(rng, 100, 6, (1.5, 1.0, 0.5))
    holes = scores.copy()
    holes[rng.random(holes.shape) < 0.2] = np.nan
    stack = fit_stack(holes, groups, truth, "gold")
    middle = [float(np.nanmedian(column)) for column in holes.T]
    assert stack([None, *middle[1:]]) == pytest.approx(stack(middle), abs=0.02)


def test_a_stack_comes_back_equal_and_damage_is_refused():
    stack = fit_stack(*graded(np.random.default_rng(11), 40, 5, (1.0, 0.5, 0.7)))
    again = Stack.from_dict(stack.to_dict())
    assert again == stack
    data = stack.to_dict()
    for damage in ({"format": "x"}, {"weights": [1.0]}, {"intercept": math.inf}, {"scales": []}):
        with pytest.raises(InvalidRecordError):
            Stack.from_dict({**data, **damage})


def test_what_cannot_be_fitted_is_refused():
    scores, groups, truth = graded(np.random.default_rng(12), 10, 5, (1.0, 0.5))
    with pytest.raises(SettingsError, match="at least 30 labelled"):
        fit_stack(scores, groups, np.full(50, np.nan))
    with pytest.raises(SettingsError, match="as many groups"):
        fit_stack(scores, groups[:-1], truth)
    with pytest.raises(SettingsError, match="at least two questions"):
        fit_stack(scores, np.zeros(50), truth)
    with pytest.raises(SettingsError, match="'gold' or 'none'"):
        fit_stack(scores, groups, truth, "silver")
