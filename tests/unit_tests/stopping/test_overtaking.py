"""The closed forms of a race between answers, against exact sums and simulated Dirichlet-multinomial draws."""

import itertools
import math

import numpy as np
import pytest
from scipy import special

from langchain_optscale.stopping.overtaking import LEADER, OTHERS, RIVAL, Race


def exact_moments(counts: tuple[int, int, int], weights: tuple[float, float], further: int) -> tuple[float, float]:
    """Mean and variance of the rival's gain by enumerating every Dirichlet-multinomial outcome."""
    alphas = np.array(counts, dtype=float) + np.array([LEADER, RIVAL, OTHERS])
    whole = alphas.sum()
    moments = np.zeros(3)
    for a, b in itertools.product(range(further + 1), repeat=2):
        if a + b > further:
            continue
        outcome = np.array([a, b, further - a - b])
        log = math.lgamma(further + 1) + math.lgamma(whole) - math.lgamma(whole + further)
        log += float((special.gammaln(alphas + outcome) - special.gammaln(alphas) - special.gammaln(outcome + 1)).sum())
        gain = b * weights[1] - a * weights[0]
        moments += math.exp(log) * np.array([1.0, gain, gain * gain])
    assert moments[0] == pytest.approx(1.0)
    return moments[1], moments[2] - moments[1] ** 2


@pytest.mark.parametrize("counts", [(3, 0, 0), (4, 2, 1), (9, 8, 3)])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.3, 3.0)])
@pytest.mark.parametrize("further", [1, 5, 12])
def test_mean_and_variance_are_those_of_the_dirichlet_multinomial(
    counts: tuple[int, int, int], weights: tuple[float, float], further: int
) -> None:
    race = Race.of(sum(counts), (counts[0], weights[0]), (counts[1], weights[1]), 1.0)
    mean, variance = exact_moments(counts, weights, further)
    assert further * race.drift == pytest.approx(mean)
    # The variance of one contribution is taken without its covariance over draws, which the size factor restores.
    assert further * race.variance * (race.size + further) / (race.size + 1.0) == pytest.approx(variance)


def test_excess_and_probability_are_those_of_a_normal_law() -> None:
    race = Race.of(8, (5, 1.2), (2, 0.8), 4.4)
    std = math.sqrt(6 * race.variance * (race.size + 6) / (race.size + 1))
    gains = np.random.default_rng(0).normal(6 * race.drift, std, 2_000_000)
    assert race.probability(6) == pytest.approx(float((gains > 4.4).mean()), abs=1e-3)
    assert race.excess(6) == pytest.approx(float(np.maximum(gains - 4.4, 0).mean()), abs=1e-3)


def test_probability_is_close_to_the_exact_one_where_promises_are_made() -> None:
    generator = np.random.default_rng(1)
    for lead, rival, others, further in [(5, 1, 0, 20), (6, 2, 1, 16), (4, 0, 0, 28)]:
        laws = generator.dirichlet((lead + LEADER, rival + RIVAL, others + OTHERS), 40_000)
        draws = np.array([generator.multinomial(further, law) for law in laws])
        behind = lead + draws[:, 0] - rival - draws[:, 1]
        overtaken = float((behind < 0).mean() + 0.5 * (behind == 0).mean())
        race = Race.of(lead + rival + others, (lead, 1.0), (rival, 1.0), lead - rival)
        assert race.probability(further) == pytest.approx(overtaken, abs=0.025)


def test_a_larger_lead_is_overtaken_less_often_and_a_longer_race_more_often() -> None:
    races = [Race.of(6, (4, 1.0), (1, 1.0), lead) for lead in (1.0, 3.0, 5.0)]
    chances = [race.probability(10) for race in races]
    assert chances == sorted(chances, reverse=True)
    assert races[1].probability(4) < races[1].probability(40)
    assert races[1].excess(4) < races[1].excess(40)
