"""The test of a mean that may be looked at after every value, against simulated streams."""

import math

import numpy as np
import pytest

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.mean_test import MeanTest, bets_against, stake


def ever_rejected(mean, slack, alpha, values):
    """Of streams, one a column: which are ever rejected; the recursion of `MeanTest` for all at once."""
    bets, reserve = bets_against(mean, slack), 1.0
    active, most = [0.0] * len(bets), 1.0
    for count, value in enumerate(values):
        reserve -= stake(count)
        active = [
            (one + stake(count)) * (1.0 + bet * (value - bound)) for one, (bet, bound) in zip(active, bets, strict=True)
        ]
        most = np.maximum(most, sum(active) / len(bets) + reserve)
    return most >= 1.0 / alpha


@pytest.mark.parametrize("law", ["bernoulli", "beta", "dependent"])
def test_an_alarm_without_a_change_is_as_rare_as_promised_however_often_one_looks(law):
    generator, streams, looks, alpha = np.random.default_rng(5), 600, 2500, 0.05
    values = {
        "bernoulli": lambda: (generator.random((looks, streams)) < 0.3).astype(float),
        "beta": lambda: generator.beta(0.6, 1.4, (looks, streams)),
        # Its spread depends on the past, its mean does not.
        "dependent": lambda: (
            0.3
            + 0.3
            * np.where(np.arange(looks) % 7 < 3, 1.0, 0.1)[:, None]
            * generator.choice([-1.0, 1.0], (looks, streams))
        ),
    }[law]()
    rejected = int(ever_rejected(0.3, 0.0, alpha, values).sum())
    # Ville: at most alpha; 3.5 standard errors of the count.
    assert rejected <= alpha * streams + 3.5 * math.sqrt(streams * alpha * (1.0 - alpha))


def test_the_test_is_the_recursion():
    above = MeanTest(0.2, 0.0, 0.05)
    steps = next(count for count in range(1, 200) if above.observe(0.8))
    assert ever_rejected(0.2, 0.0, 0.05, np.full((steps, 1), 0.8)).all()
    assert not ever_rejected(0.2, 0.0, 0.05, np.full((steps - 1, 1), 0.8)).any()
    assert above.observe(0.2)
    assert above.count == steps


def test_the_stakes_are_one_unit_of_capital():
    assert sum(stake(count) for count in range(100_000)) == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("given", [(1.5, 0.0, 0.05), (0.5, -0.1, 0.05), (0.5, 0.0, 1.0)])
def test_numbers_out_of_range_are_refused(given):
    with pytest.raises(SettingsError):
        MeanTest(*given)
