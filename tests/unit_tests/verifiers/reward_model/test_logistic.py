import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers import Logistic
from tests.unit_tests.shared_data import shared_data


@given(st.floats(-700, 700), st.floats(-10, 10), st.floats(0.1, 10))
def test_agrees_with_scipy(logit, location, scale):
    assert Logistic(location, scale)(logit) == pytest.approx(special.expit((logit - location) / scale), rel=1e-12)


def test_extremes():
    assert (Logistic()(1e308), Logistic()(-1e308)) == (1.0, 0.0)
    assert Logistic(scale=1e-3)(-1e300) == 0.0


def test_unlabelled_fit_is_the_maximum_likelihood_of_a_logistic():
    logits = stats.logistic(loc=-2.0, scale=3.0).rvs(4000, random_state=1)
    fit = Logistic.fit(logits.tolist())
    assert (fit.location, fit.scale) == pytest.approx((-2.0, 3.0), abs=0.15)
    # Then scores are uniform: the share of candidates that are worse.
    assert stats.kstest([fit(logit) for logit in logits], "uniform").pvalue > 0.05


def test_labelled_fit_finds_the_truth():
    rng = np.random.default_rng(2)
    logits = rng.normal(1.0, 4.0, 20_000)
    correct = rng.random(20_000) < special.expit((logits - 2.0) / 1.5)
    fit = Logistic.fit(logits.tolist(), correct.tolist())
    assert (fit.location, fit.scale) == pytest.approx((2.0, 1.5), abs=0.1)


@pytest.mark.parametrize(
    "data",
    [
        ([1.0],),
        ([1.0, 1.0],),
        ([1.0, math.nan],),
        ([1.0, 2.0], [True, True]),
        ([1.0, 2.0], [True]),
        ([2.0, 1.0, 0.0], [False, False, True]),
    ],
)
def test_data_that_cannot_be_fitted(data):
    with pytest.raises(SettingsError):
        Logistic.fit(*data)


@pytest.mark.parametrize("settings", [(math.nan, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, math.inf), (True, 1.0)])
def test_settings_out_of_range(settings):
    with pytest.raises(SettingsError):
        Logistic(*settings)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_logistic_fitted_on_one_half_chooses_like_the_raw_logits_on_the_other(half, labelled):
    path = shared_data("pools", "gsm8k_rm_logit_base_x4.jsonl")
    questions = [json.loads(line)["samples"] for line in path.read_text().splitlines()]
    fitted, kept = questions[half::2], questions[1 - half :: 2]
    pooled = [sample for samples in fitted for sample in samples]
    logits, correct = ([sample[key] for sample in pooled] for key in ("logit", "correct"))
    logistic = Logistic.fit(logits, correct if labelled else None)
    scores = [[logistic(sample["logit"]) for sample in samples] for samples in kept]
    assert all(0.0 < score < 1.0 for row in scores for score in row)

    def accuracy(values):
        chosen = [max(range(len(row)), key=row.__getitem__) for row in values]
        return sum(samples[best]["correct"] for samples, best in zip(kept, chosen, strict=True)) / len(kept)

    assert accuracy(scores) == accuracy([[sample["logit"] for sample in samples] for samples in kept])
