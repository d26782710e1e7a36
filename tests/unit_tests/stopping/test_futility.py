"""Giving a target up: the promise, against simulations with a known truth."""

import numpy as np
import pytest

from langchain_optscale import FixedPrior
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats import EmpiricalPrior
from langchain_optscale.stopping import Futility, History, Rule
from langchain_optscale.stopping.conformance import RuleConformance
from langchain_optscale.stopping.futility import chance_of_reaching


class TestConformance(RuleConformance):
    def make_rule(self) -> Rule:
        return Futility(0.9, 0.05)


def given_up(
    rows: np.ndarray, target: float, prior: EmpiricalPrior | None, probability: float = 0.05
) -> tuple[int, int]:
    """How many questions were stopped for futility, and in how many of them the target was still to come."""
    rule, gave, could = Futility(target, probability), 0, 0
    cap = rows.shape[1]
    for row in rows:
        first = int(np.argmax(row >= target)) if (row >= target).any() else cap
        for n in range(1, min(first, cap - 1) + 1):
            if rule(History(scores=tuple(row[:n].tolist()), max_samples=cap, prior=prior)).stop:
                gave += 1
                could += first < cap
                break
    return gave, could


def outliers(generator: np.random.Generator, chance: float, questions: int, cap: int = 64) -> np.ndarray:
    body = generator.normal(0.3, 0.02, (questions, cap)).clip(0, 1)
    return np.where(generator.random((questions, cap)) < chance, 0.95, body)


def test_without_past_scores_smooth_failures_do_not_end_a_search() -> None:
    """5 % of the candidates score 0.95 and the rest 0.3 +- 0.02: 172 of 189 questions were given up wrongly once."""
    gave, could = given_up(outliers(np.random.default_rng(0), 0.05, 100), 0.9, None)
    assert could <= 0.07 * gave
    assert gave == 0


def test_without_past_scores_the_end_of_a_long_search_is_given_up() -> None:
    history = History(scores=(0.3, 0.32) * 63 + (0.31,), max_samples=128)
    decision = Futility(0.9, 0.05)(history)
    assert (decision.stop, decision.reason, decision.claim) == (True, StopReason.FUTILITY, "target out of reach")
    assert decision.probability == pytest.approx(1.0 - decision.figures["chance"])
    assert not Futility(0.9, 0.05)(History(scores=history.scores, max_samples=256)).stop


@pytest.mark.parametrize("chance", [0.01, 0.02, 0.05])
def test_a_learned_prior_keeps_the_promise_where_successes_are_rare_outliers(chance: float) -> None:
    generator = np.random.default_rng(int(1000 * chance))
    prior = EmpiricalPrior.fit(outliers(generator, chance, 200)[:, :10].tolist())
    gave, could = given_up(outliers(generator, chance, 120), 0.9, prior)
    assert could <= 0.07 * gave + 2.0 * np.sqrt(0.07 * 0.93 * gave)


def test_a_learned_prior_gives_up_early_where_questions_are_unlike() -> None:
    """Half of the questions pass often, half never: past scores tell so, and save most of the cap."""
    generator = np.random.default_rng(3)

    def draw(questions: int) -> np.ndarray:
        chance = np.where(generator.random((questions, 1)) < 0.5, 0.6, 0.0)
        return (generator.random((questions, 32)) < chance) * 1.0

    prior = EmpiricalPrior.fit(draw(100)[:, :10].tolist())
    rows = draw(80)
    gave, could = given_up(rows, 0.9, prior)
    assert gave >= 30
    assert could <= 0.07 * gave
    futile = History(scores=(0.0,) * 28, max_samples=32, prior=prior)
    assert Futility(0.9, 0.05)(futile).stop
    assert not Futility(0.9, 0.05)(History(scores=(0.0,) * 28, max_samples=32)).stop


def test_rising_scores_put_no_target_out_of_reach() -> None:
    rising = tuple(0.2 + 0.004 * i for i in range(127))
    assert chance_of_reaching(History(scores=rising, max_samples=128), 0.9, 1, 0.05) == 1.0
    assert chance_of_reaching(History(scores=rising[::-1], max_samples=128), 0.9, 1, 0.05) < 0.05


def test_a_fixed_prior_knows_of_no_second_mode() -> None:
    history = History(scores=(0.3,) * 20, max_samples=64, prior=FixedPrior(0.3, 0.02, 0.01, 0.01))
    assert 0.2 < chance_of_reaching(history, 0.9, 44, 0.05) < 0.4


def test_never_stops_at_the_cap_without_scores_or_once_reached() -> None:
    rule = Futility(0.9, 0.5)
    for history in (
        History(max_samples=8),
        History(scores=(0.1,) * 8, max_samples=8),
        History(scores=(0.95, 0.1), max_samples=8),
        History(scores=(0.1,) * 8),
    ):
        assert not rule(history).stop


def test_reads_the_name_that_0_1_0_wrote() -> None:
    assert Rule.from_dict({"rule": "Hopeless", "target": 0.9, "probability": 0.05}) == Futility(0.9, 0.05)


@pytest.mark.parametrize("settings", [{"target": 1.1, "probability": 0.1}, {"target": 0.9, "probability": 0.0}])
def test_refuses_what_is_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="must"):
        Futility(**settings)
