"""What a calibration does for a verifier so weak that many candidates do not help: our arithmetic pool."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langchain_optscale.evaluation.baselines import BestOfN
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Pool, read_pool
from langchain_optscale.evaluation.replay import replay
from langchain_optscale.stats import (
    EmpiricalPrior,
    IsotonicCalibration,
    LogisticCalibration,
    expected_calibration_error,
)
from langchain_optscale.stopping import MarginalGain, TargetReached, optscale

# Without its answers, since the default looks at them too: here the calibrated scores have to end the search.
POOL = Pool(
    tuple(
        replace(question, samples=tuple(replace(sample, answer=None) for sample in question.samples))
        for question in read_pool(Path(__file__).parents[2] / "data" / "pools" / "arithmetic_x64.jsonl")
    )
)
SPLITS = 3


def labelled(pool):
    return [sample.score for sample in pool.samples], [sample.correct for sample in pool.samples]


def halves():
    for seed in range(SPLITS):
        first, second = POOL.split(0.5, seed=seed)
        yield from ((first, second, seed), (second, first, seed))


@pytest.mark.parametrize("calibrate", [IsotonicCalibration.fit, LogisticCalibration.fit])
@pytest.mark.parametrize(("more", "most"), [(MarginalGain(0.01), 9)])
def test_a_price_in_accuracy_ends_the_search_where_candidates_stop_helping(calibrate, more, most):
    rule = optscale(max_samples=64) | more
    found = []
    for half, other, seed in halves():
        calibration = calibrate(*labelled(other))
        prior = EmpiricalPrior.fit([[calibration(s.score) for s in question.samples[:16]] for question in other])
        calibrated = half.with_scores(lambda sample, to=calibration: to(sample.score))
        priced = SessionMethod(rule, "calibrated", prior=prior, round_size=1)
        (at_price,) = replay(calibrated, [priced], permutations=1, seed=seed, bootstrap=1).runs
        default = SessionMethod(optscale(max_samples=64), "raw", round_size=1)
        raw, full, of_one = replay(half, [default, BestOfN(), BestOfN(1)], permutations=1, seed=seed, bootstrap=1).runs
        found.append(
            [at_price["samples"].mean(), raw["samples"].mean()]
            + [run["accuracy"].mean() for run in (at_price, full, of_one)]
        )
    samples, on_raw_scores, accuracy, of_all, of_one = np.mean(found, axis=0)
    # On raw scores it goes on long after best-of-N has stopped getting better, near 4 to 8 candidates.
    assert on_raw_scores > 40
    assert samples < most
    # Both are known to about 0.01 here.
    assert accuracy > of_all - 0.01 > of_one


def test_calibration_brings_scores_to_frequencies():
    errors = []
    for half, other, _ in halves():
        scores, correct = labelled(half)
        for fit in (IsotonicCalibration.fit, LogisticCalibration.fit):
            calibration = fit(*labelled(other))
            after = expected_calibration_error([calibration(score) for score in scores], correct)
            errors.append((expected_calibration_error(scores, correct), after))
    before, after = np.mean(errors, axis=0)
    assert before > 0.2
    assert after < 0.08


def test_the_target_reads_as_a_probability():
    """On calibrated scores, 70 % of the candidates that reach 0.7 are right, more or less."""
    right = []
    for half, other, seed in halves():
        calibration = IsotonicCalibration.fit(*labelled(other))
        calibrated = half.with_scores(lambda sample, to=calibration: to(sample.score))
        rule = SessionMethod(TargetReached(0.7), "until 0.7", round_size=1)
        report = replay(calibrated, [rule], permutations=1, seed=seed, bootstrap=1)
        (run,) = report.runs
        right += run["accuracy"][run["reached"] > 0].tolist()
    assert len(right) > 30
    assert np.mean(right) > 0.6
