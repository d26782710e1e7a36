"""How many more scores reach a target: the promise of one analysis, where the truth is known.

Questions whose target the first scores have already are left out: there the promise cannot fail.
"""

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.stats import Posterior
from langchain_optscale.stats.binomial import clopper_pearson

SEEN, MORE, SURE = 3, 61, 0.9


def of_the_weak_prior(generator, count):
    """Scores of questions drawn from what the docstring of `Posterior` says it believes, by SciPy and an urn."""
    rows = np.empty((count, SEEN + MORE))
    for row in rows:
        if generator.random() < 0.2:
            urn(generator, row)
        else:
            mu, sigma = generator.normal(0.75, 0.35), np.exp(generator.normal(np.log(0.15), 0.8))
            low, high = -mu / sigma, (1.0 - mu) / sigma
            row[:] = stats.truncnorm.ppf(generator.random(len(row)), low, high, mu, sigma)
    return rows


def urn(generator, row):
    """A Dirichlet process of strength 2 in Polya's urn; its base: uniform, and piled up at and near 0 and 1."""
    for place in range(len(row)):
        if generator.random() < place / (2.0 + place):
            row[place] = row[generator.integers(place)]
        else:
            low, high = [(0.0, 1.0), (0.0, 0.005), (0.005, 0.0537), (0.9537, 0.995), (0.995, 1.0)][
                generator.choice(5, p=[0.6, 0.08, 0.07, 0.12, 0.13])
            ]
            row[place] = generator.uniform(low, high)


@pytest.mark.parametrize("steps", [0, 10])
def test_what_is_promised_is_kept_where_something_was_needed(steps):
    rows = of_the_weak_prior(np.random.default_rng(5), 1500)
    if steps:
        rows = np.rint(rows * steps) / steps
    estimator = Posterior(resolution=1 / steps if steps else None)
    promised, kept = [], []
    for row in rows:
        for target in (0.8, 0.9, 0.95):
            if row[:SEEN].max() >= target:
                continue
            estimate = estimator(row[:SEEN].tolist())
            k = estimate.least_k(target, SURE, MORE)
            if k:
                promised.append(estimate.prob_reach(target, k))
                kept.append(row[SEEN : SEEN + k].max() >= target)
    low, high = clopper_pearson(sum(kept), len(kept), 0.99)
    assert len(kept) > 150
    assert low <= np.mean(promised) <= high
