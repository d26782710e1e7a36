"""The test of exchangeability, against simulated streams and SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.exchangeability import _BETS, ExchangeabilityTest, _densities


@pytest.mark.parametrize("values", ["continuous", "few"])
def test_it_rejects_what_has_not_changed_as_seldom_as_promised(values):
    generator, streams, alpha = np.random.default_rng(3), 300, 0.1
    draw = {
        "continuous": lambda size: generator.beta(0.6, 1.4, size).tolist(),
        "few": lambda size: generator.choice([0.0, 0.5, 1.0], size, p=[0.2, 0.3, 0.5]).tolist(),
    }[values]
    rejected = 0
    for seed in range(streams):
        test = ExchangeabilityTest({"a": draw(10)}, alpha, seed)
        rejected += any(test.observe("a", value) for value in draw(120))
    # Ville: at most alpha; 3.5 standard errors of the count.
    assert rejected <= alpha * streams + 3.5 * math.sqrt(streams * alpha * (1.0 - alpha))


def test_ranks_are_independent_and_uniform_whatever_the_law():
    generator = np.random.default_rng(4)
    test = ExchangeabilityTest({"a": generator.choice([0.2, 0.9, 1.0], 5).tolist()}, 0.01)
    ranks = [test._rank(test._known["a"], float(value)) for value in generator.choice([0.2, 0.9, 1.0], 3000)]
    assert stats.kstest(ranks, "uniform").pvalue > 0.001
    assert abs(stats.spearmanr(ranks[1:], ranks[:-1]).statistic) < 4.0 / math.sqrt(3000)


@pytest.mark.parametrize("rank", [0.003, 0.4, 0.98])
def test_the_bets_are_beta_densities(rank):
    assert _densities(rank) == pytest.approx([stats.beta.pdf(rank, a, b) for a, b in _BETS])


def test_opposite_changes_of_two_kinds_add_up():
    """Mixed jointly they are found sooner than one kind alone, and far sooner than without kinds."""
    generator = np.random.default_rng(5)
    past = generator.normal(0.5, 0.1, (2, 100))

    def steps(kinds):
        reference = {}
        for kind, values in zip(kinds, past, strict=True):
            reference.setdefault(kind, []).extend(values.tolist())
        test, turned = ExchangeabilityTest(reference, 0.001), np.random.default_rng(6)
        for step in range(1, 400):
            place = step % 2
            if test.observe(kinds[place], turned.normal(0.6 if place else 0.4, 0.1)):
                return step
        return 400

    assert steps(["agree", "differ"]) < 0.7 * steps(["same", "same"])


def test_a_kind_without_past_values_is_learned_as_it_comes():
    test = ExchangeabilityTest({"a": [0.1, 0.2], "b": []}, 0.01)
    assert not any(test.observe("b", 0.5) for _ in range(50))
    assert test.count == 50


def test_many_values_are_thinned_and_ranks_stay():
    test = ExchangeabilityTest({"a": np.linspace(0.0, 1.0, 20_000).tolist()}, 0.01)
    test._rank(test._known["a"], 0.5)
    assert len(test._known["a"]) == 10_000
    assert test._rank(test._known["a"], 0.25) == pytest.approx(0.25, abs=1e-3)


def test_a_rejection_stays():
    test = ExchangeabilityTest({"a": [0.1, 0.2, 0.3] * 20}, 0.01)
    assert any(test.observe("a", 0.9) for _ in range(60))
    count = test.count
    assert test.observe("a", 0.2)
    assert (test.rejected, test.count) == (True, count)


@pytest.mark.parametrize(("reference", "alpha"), [({}, 0.01), ({"a": []}, 0.0), ({"a": []}, 1.0)])
def test_what_cannot_be_tested_is_refused(reference, alpha):
    with pytest.raises(SettingsError):
        ExchangeabilityTest(reference, alpha)
