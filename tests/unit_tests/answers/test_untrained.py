"""The untrained posterior, against numerical integration and multivariate normal densities."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from langchain_optscale.answers import untrained
from langchain_optscale.answers.untrained import UntrainedPosterior, select_untrained


def restaurant(groups: list[int], kappa: float, discount: float) -> float:
    """Probability of one seating with these table sizes, guest by guest."""
    probability, seated, tables = 1.0, 0, []
    for size in groups:
        for guest in range(size):
            if seated:
                share = (kappa + len(tables) * discount) if guest == 0 else (guest - discount)
                probability *= share / (kappa + seated)
            if guest == 0:
                tables.append(1)
            seated += 1
    return probability


@pytest.mark.parametrize("counts", [[1], [3], [2, 1], [4, 2, 1, 1]])
def test_votes_part_is_the_integral_over_p_and_the_restaurants(counts: list[int]) -> None:
    logs, none = untrained._of_votes(counts)
    total = sum(counts)
    law = stats.beta(0.4, 0.45)
    for place, log in enumerate([*logs, none]):
        right = counts[place] if place < len(counts) else 0
        wrong = [count for i, count in enumerate(counts) if i != place]
        likelihood, _ = integrate.quad(
            lambda q, right=right: law.pdf(q) * q**right * (1 - q) ** (total - right),
            0,
            1,
            points=[0.001, 0.999],
            limit=200,
        )
        mixture = np.mean([restaurant(wrong, kappa, 0.2) for kappa in (0.2, 0.7, 2.0, 5.0)])
        assert math.exp(log) == pytest.approx(likelihood * mixture, rel=1e-3)


def density(z: np.ndarray, groups: list[int], s: float, rho: float, shift: np.ndarray) -> float:
    """Log density of all logits, the question's level having a variance that is as good as infinite."""
    same = np.equal.outer(groups, groups)
    covariance = 1e6 + s * s * rho * same + s * s * (1 - rho) * np.eye(len(groups))
    return float(stats.multivariate_normal(shift, covariance, allow_singular=False).logpdf(z))


def test_scores_part_is_the_ratio_of_normal_mixtures() -> None:
    scores = [[0.8, 0.7], [0.4], [0.6, 0.65, 0.3]]
    groups = [g for g, one in enumerate(scores) for _ in one]
    z = np.array([math.log(s / (1 - s)) for one in scores for s in one])
    weights = {0.0: 0.4, 0.7: 0.3, 1.5: 0.3}
    shapes = list(itertools.product((0.25, 0.5, 1.0, 2.0), (0.1, 0.5, 0.97)))
    base = np.array([density(z, groups, s, rho, np.zeros(len(z))) for s, rho in shapes])
    found = untrained._of_scores([2, 1, 3], scores)
    for answer, ratio in enumerate(found):
        hit = np.array(groups) == answer
        shifted = [
            math.log(sum(w * math.exp(density(z, groups, s, rho, hit * d * s) - base[i]) for d, w in weights.items()))
            + base[i]
            for i, (s, rho) in enumerate(shapes)
        ]
        expected = math.log(np.exp(shifted - base.max()).sum() / np.exp(base - base.max()).sum())
        assert ratio == pytest.approx(max(-1.5, min(1.5, expected)), abs=1e-3)


def test_silent_candidates_change_no_probability() -> None:
    answers, scores = ["42"] * 12 + ["7", "8"], [0.5] * 14
    alone = UntrainedPosterior.of(answers, scores)
    joined = UntrainedPosterior.of([*answers, *[None] * 6], [*scores, *[0.5] * 6])
    assert joined == alone
    assert answers[alone.place or 0] == "42"


def test_probabilities_sum_to_one_and_a_check_that_passes_one_decides() -> None:
    posterior = UntrainedPosterior.of(["a"] * 6 + ["b"], [0.0] * 6 + [1.0])
    assert sum(posterior.probabilities.values()) + posterior.none == pytest.approx(1.0)
    assert posterior.place == 6
    assert posterior.probability == posterior.probabilities["b"] > 0.8


def test_scores_that_separate_outweigh_a_small_majority_and_noise_does_not() -> None:
    separating = select_untrained(["a", "a", "a", "b", "b"], [0.1, 0.12, 0.09, 0.93, 0.95])
    noise = select_untrained(["a", "a", "a", "b", "b"], [0.5, 0.55, 0.45, 0.52, 0.54])
    assert separating == 4
    assert noise in (0, 1, 2)


def test_without_answers_the_best_score_is_selected() -> None:
    assert select_untrained([None, None, None], [0.2, 0.7, 0.7]) == 1
    assert UntrainedPosterior.of([None], [0.3]).probability == 0.0
