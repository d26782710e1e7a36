"""The law of the chance to reach a target, against simulated questions whose chances are known."""

import numpy as np
import pytest

from langchain_optscale import FixedPrior
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats import EmpiricalPrior, Posterior
from langchain_optscale.stats.chances import PLACES, chance_ahead, fit_chances, least_draws, prob_reach, reached_counts
from langchain_optscale.stats.reaching import TARGETS, fit_alike
from langchain_optscale.stopping.record_values import success_chance

COLUMN = TARGETS.index(0.9)


def table(chances, size, seed=0):
    """The law fitted to `size` scores of each question, whose chances at the target 0.9 are given."""
    generator = np.random.default_rng(seed)
    reached = np.zeros((len(chances), len(TARGETS)))
    reached[:, COLUMN] = generator.binomial(size, chances)
    return fit_chances(reached, np.full(len(chances), float(size)))


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("law", ["beta", "two kinds", "alike"])
def test_the_chance_within_k_is_that_of_the_simulated_questions(law, size):
    generator = np.random.default_rng(7)
    chances = {
        "beta": generator.beta(0.6, 1.0, 3000),
        "two kinds": np.where(generator.random(3000) < 0.3, 0.02, 0.6),
        "alike": np.full(3000, 0.2),
    }[law]
    fitted = table(chances, size)
    # Beyond as many draws as a question has scores the data say less.
    for k, error in ((1, 0.02), (2, 0.02), (size, 0.02), (2 * size, 0.05)):
        assert prob_reach(fitted, 0.9, k) == pytest.approx(1.0 - ((1.0 - chances) ** k).mean(), abs=error)


def test_misses_lower_the_chance_by_bayes_rule():
    chances = np.where(np.arange(4000) % 2 == 0, 0.02, 0.5)
    fitted = table(chances, 32)
    for missed in (1, 3, 6):
        left = (1.0 - chances) ** missed
        expected = 1.0 - (left * (1.0 - chances) ** 4).sum() / left.sum()
        assert prob_reach(fitted, 0.9, 4, missed) == pytest.approx(expected, abs=0.03)


def test_a_shape_of_two_parameters_would_promise_too_much():
    """A few questions that hardly ever reach the target decide how many draws a confidence of 0.95 takes."""
    generator = np.random.default_rng(3)
    chances = np.where(generator.random(4000) < 0.12, 0.03, generator.beta(8.0, 4.0, 4000))
    counts = generator.binomial(16, chances)
    reached = np.zeros((len(chances), len(TARGETS)))
    reached[:, COLUMN] = counts
    fitted = fit_chances(reached, np.full(len(chances), 16.0))
    a, b = fit_alike([(int(count), 16) for count in counts])
    needed = [
        next(k for k in range(1, 500) if reach(k) >= 0.95)
        for reach in (
            lambda k: 1.0 - ((1.0 - chances) ** k).mean(),
            lambda k: prob_reach(fitted, 0.9, k),
            lambda k: success_chance(0, k, a, b),
        )
    ]
    assert needed[0] <= needed[1] <= 1.4 * needed[0]
    assert needed[2] < 0.6 * needed[0]


def test_between_two_targets_the_probability_is_interpolated():
    fitted = fit_chances(*reached_counts([[0.2, 0.72, 0.78], [0.3, 0.1, 0.9]] * 30))
    at = [prob_reach(fitted, target, 3) for target in (0.7, 0.71, 0.74, 0.75)]
    assert at == sorted(at, reverse=True)
    assert at[1] == pytest.approx(0.8 * at[0] + 0.2 * at[3])
    assert prob_reach(fitted, 0.05, 3) == prob_reach(fitted, TARGETS[0], 3)
    assert prob_reach(fitted, 0.9, 0) == pytest.approx(0.0)


def test_an_empirical_prior_knows_the_law_and_keeps_it_in_its_file(tmp_path):
    prior = EmpiricalPrior.fit([[0.2, 0.97], [0.3, 0.1]] * 20)
    assert prior.prob_reach(0.95, 2) == prob_reach(prior.chances, 0.95, 2)
    prior.save(tmp_path / "prior.json")
    assert EmpiricalPrior.load(tmp_path / "prior.json") == prior
    former = {key: value for key, value in prior.to_dict().items() if key != "chances"}
    assert EmpiricalPrior.from_dict(former).prob_reach(0.95, 2) is None


@pytest.mark.parametrize(
    "row", [[0.95, [1.0]], [0.95, [2.0, *[0.0] * 23]], [0.95, [-1.0, 2.0, *[0.0] * 22]], [1.5, [1.0, *[0.0] * 23]]]
)
def test_a_damaged_law_is_refused(row):
    data = EmpiricalPrior.fit([[0.2, 0.97], [0.3, 0.1]] * 5).to_dict()
    with pytest.raises(InvalidRecordError):
        EmpiricalPrior.from_dict({**data, "chances": [row]})


def test_questions_that_never_reach_a_target_make_a_prior_that_loads():
    prior = EmpiricalPrior.fit(np.random.default_rng(0).uniform(0.1, 0.3, (400, 16)).tolist())
    assert EmpiricalPrior.from_dict(prior.to_dict()) == prior
    assert prior.prob_reach(0.95, 16) < 0.05


def test_other_priors_are_asked_by_the_posterior_predictive():
    prior, posterior = FixedPrior(0.8, 0.1), Posterior()((), FixedPrior(0.8, 0.1))
    assert chance_ahead(prior, 0.9)(5) == pytest.approx(posterior.prob_reach(0.9, 5))
    within = 1.0 - (1.0 - posterior.prob_reach(0.9, 8)) / (1.0 - posterior.prob_reach(0.9, 3))
    assert chance_ahead(prior, 0.9, missed=3)(5) == pytest.approx(within)


def test_least_draws_is_the_first_that_suffices():
    prior = EmpiricalPrior.fit(np.random.default_rng(0).uniform(0.5, 1.0, (200, 8)).tolist())
    k = least_draws(prior, 0.95, 0.9, 200)
    assert prior.prob_reach(0.95, k) >= 0.9 > prior.prob_reach(0.95, k - 1)
    assert least_draws(prior, 0.95, 0.9, 4) == 4
    assert least_draws(prior, 0.3, 0.9, 4) == 1


def test_places_are_chances_on_both_sides():
    assert PLACES[0] == pytest.approx(5e-4)
    assert PLACES[-1] == pytest.approx(1.0 - 5e-4)
