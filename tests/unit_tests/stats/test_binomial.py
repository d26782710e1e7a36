"""Exact bounds of a share against scipy, and their coverage where trials come in clusters."""

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.binomial import clopper_pearson, clustered_share, paired_difference, upper_bound


@pytest.mark.parametrize(("count", "trials"), [(0, 1), (0, 30), (1, 30), (15, 30), (29, 30), (30, 30)])
def test_against_scipy(count, trials):
    expected = stats.binomtest(count, trials).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(clopper_pearson(count, trials), (expected.low, expected.high), rtol=1e-9)
    one_sided = stats.binomtest(count, trials, alternative="less").proportion_ci(0.9, "exact")
    assert upper_bound(count, trials, 0.1) == pytest.approx(one_sided.high, rel=1e-9)


def test_no_trials_say_nothing():
    assert clopper_pearson(0, 0) == clustered_share([0.0], [0.0]) == (0.0, 1.0)


def test_a_share_near_one_is_covered():
    """True share 0.97; 30 % of 50 questions are counted: a percentile bootstrap covers 38 % of the time."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        claimed = generator.random(50) < 0.3
        held = claimed & (generator.random(50) < 0.97)
        low, high = clustered_share(held, claimed)
        covered += low <= 0.97 <= high
    assert covered / 1000 >= 0.95


def test_repeats_of_a_question_are_no_further_questions():
    """Eight equal replays of each of 40 questions: as wide as 40 trials, and the truth is covered."""
    generator, covered = np.random.default_rng(1), 0
    for _ in range(1000):
        held = np.repeat(generator.random(40) < 0.8, 8).reshape(40, 8).sum(axis=1)
        low, high = clustered_share(held, np.full(40, 8))
        covered += low <= 0.8 <= high
    assert covered / 1000 >= 0.94
    one = clustered_share(np.arange(40) < 30, np.ones(40))
    np.testing.assert_allclose(clustered_share(8.0 * (np.arange(40) < 30), np.full(40, 8.0)), one)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(SettingsError):
        upper_bound(3, 2, 0.1)
    with pytest.raises(SettingsError):
        clopper_pearson(1, 2, level=1.0)


@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.5), (1.0, 0.7602), (2.5, 0.96145), (3.5, 0.99334)])
def test_an_average_over_pairs_is_covered(shift, truth):
    """Areas under the curve of 20 questions with 4 right and 4 wrong scores: the truth is Phi(shift / sqrt 2)."""
    assert stats.norm.cdf(shift / np.sqrt(2)) == pytest.approx(truth, abs=1e-4)
    generator = np.random.default_rng(2)
    right, wrong = generator.normal(size=(2, 1000, 20, 4)) + np.array([shift, 0.0])[:, None, None, None]
    won = (right[..., :, None] > wrong[..., None, :]).sum(axis=(2, 3))
    covered = sum(low <= truth <= high for low, high in _intervals(won, 16))
    assert covered / 1000 >= 0.93
    widths = [high - low for low, high in _intervals(won[:50], 16)]
    assert truth > 0.9 or np.mean(widths) < 0.5 * np.mean([high - low for low, high in _intervals(won[:50], 16, False)])


def _intervals(won, pairs, averaged=True):
    return [clustered_share(row, np.full(len(row), pairs), averaged=averaged) for row in won]


# -- paired differences


@pytest.mark.parametrize("count", [1, 20, 300])
def test_no_difference_leaves_what_the_questions_cannot_exclude(count):
    """Of n questions none is lost: a share of up to 1 - 0.025^(1/n) may be, by scipy's exact test."""
    most = stats.binomtest(0, count).proportion_ci(0.95, "exact").high
    np.testing.assert_allclose(paired_difference(np.zeros(count)), (-most, most), rtol=1e-9)


def test_paired_differences_by_hand():
    """Ten questions won and none lost of 40: square-and-add of the intervals of 10 and of 0 of 40.

    The variance of the won ones is estimated with 39 degrees of freedom: 39 (z / t)^2 effective trials.
    """
    trials = 39 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 39)) ** 2
    won = stats.beta.ppf([0.025, 0.975], [0.25 * trials, 0.25 * trials + 1], [0.75 * trials + 1, 0.75 * trials])
    lost = stats.binomtest(0, 40).proportion_ci(0.95, "exact").high
    low, high = paired_difference([1.0] * 10 + [0.0] * 30)
    assert low == pytest.approx(0.25 - np.hypot(0.25 - won[0], lost))
    assert high == pytest.approx(won[1])
    np.testing.assert_allclose(paired_difference([-1.0] * 10 + [0.0] * 30), (-high, -low), rtol=1e-12)


def test_many_questions_have_the_interval_of_the_normal_law():
    generator = np.random.default_rng(3)
    differences = generator.choice([-1.0, 0.0, 1.0], 4000, p=[0.2, 0.5, 0.3])
    half = 1.96 * differences.std() / np.sqrt(4000)
    expected = (differences.mean() - half, differences.mean() + half)
    np.testing.assert_allclose(paired_difference(differences), expected, atol=0.001)


@pytest.mark.parametrize("orders", [1, 4])
@pytest.mark.parametrize(("won", "lost"), [(1.0, 0.0), (2.5, 0.0), (3.5, 0.0), (5.0, 0.0), (2.0, 2.0), (12.0, 4.0)])
def test_few_questions_that_differ_are_covered(won, lost, orders):
    """Of 60 questions as many are won and lost on average, in several orders by a chance of their own.

    Percentiles of a bootstrap cover 56 % to 97 % of the time here.
    """
    generator, covered, repeats, count = np.random.default_rng(4), 0, 400, 60
    truth = (won - lost) / count * (1.0 if orders == 1 else 0.5)
    for _ in range(repeats):
        sign = generator.choice([1.0, -1.0, 0.0], count, p=[won / count, lost / count, 1.0 - (won + lost) / count])
        chance = np.ones(count) if orders == 1 else generator.random(count)
        low, high = paired_difference(sign * generator.binomial(orders, chance) / orders)
        covered += low <= truth <= high
    assert covered / repeats >= 0.93


def test_differences_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="between -1 and 1"):
        paired_difference([0.0, 1.5])
    assert paired_difference([]) == (-1.0, 1.0)
    low, high = paired_difference([1.0])
    assert -1.0 <= low < 0.0 < high == 1.0
