"""Certified answers: the promise in simulations where the truth is known, the exact bounds, and the file."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.pools import Pool, Question, Sample
from langchain_optscale.stopping import Certificate, MaxSamples
from langchain_optscale.stopping.certificate import as_certificate, least_labels
from langchain_optscale.stopping.labelled import probability_right

DELTA = EPS = 0.1
REPEATS, LABELS, FRESH = 300, 200, 20000


def _informative(generator, count):
    chance = generator.beta(2.0, 0.6, count)
    noise = np.exp(generator.normal(0.0, 0.5, count))
    odds = chance / (1.0 - chance) * noise
    return odds / (1.0 + odds), generator.random(count) < chance


def _noise(generator, count):
    return generator.random(count), generator.random(count) < 0.6


def _misconception(generator, count):
    """Unanimity is right in 83 %, and nothing tells more than agreement."""
    agreement = generator.choice([0.5, 0.75, 1.0], count, p=[0.2, 0.3, 0.5])
    return agreement, generator.random(count) < np.select([agreement == 1.0, agreement == 0.75], [0.83, 0.7], 0.5)


def _borderline(generator, count):
    """Every threshold is wrong by a hair: the hardest case."""
    return generator.random(count), generator.random(count) < 1.0 - DELTA - 0.003


LAWS = {"informative": _informative, "noise": _noise, "misconception": _misconception, "borderline": _borderline}


def _certificates(law, delta=DELTA, eps=EPS):
    generator = np.random.default_rng(3)
    for _ in range(REPEATS):
        estimates, right = law(generator, LABELS)
        yield Certificate.fit(zip(estimates.tolist(), right.tolist(), strict=True), delta, eps)


@pytest.mark.parametrize("name", LAWS)
def test_the_promise_holds_over_labelled_sets(name):
    """At most eps of the labelled sets give a certificate whose accepted answers are wrong more often than delta.

    Four laws are compared, so each is tested at a quarter of 1 %.
    """
    estimates, right = LAWS[name](np.random.default_rng(4), FRESH)
    broken = 0
    for certificate in _certificates(LAWS[name]):
        mask = estimates > (1.0 if certificate.threshold is None else certificate.threshold)
        broken += bool(mask.any() and (~right[mask]).mean() > DELTA)
    assert stats.binomtest(broken, REPEATS, EPS, alternative="greater").pvalue > 0.01 / len(LAWS)


@pytest.mark.parametrize("name", ["noise", "misconception"])
def test_what_tells_nothing_is_hardly_ever_certified(name):
    assert sum(certificate.threshold is not None for certificate in _certificates(LAWS[name])) <= 0.02 * REPEATS


def test_what_tells_something_is_certified():
    shares = [certificate.accepted / LABELS for certificate in _certificates(_informative)]
    assert np.mean(shares) > 0.3


def test_the_threshold_is_that_of_fixed_sequence_testing():
    """Against the definition: the lowest threshold above which every tested bound holds, by scipy's Beta quantile."""
    generator = np.random.default_rng(5)
    for _ in range(50):
        estimates, right = _informative(generator, 120)
        found = Certificate.fit(zip(estimates, right, strict=True), DELTA, EPS)
        order = np.argsort(-estimates)
        wrong = np.cumsum(~right[order])
        expected = 0
        for n in range(38, 121):  # 38 labels with one wrong one prove 10 %, and 3 x 38 <= 120 < 3 x 52
            if stats.beta.ppf(1 - EPS, wrong[n - 1] + 1, n - wrong[n - 1]) > DELTA:
                break
            expected = n
        assert (found.accepted, found.wrong) == (expected, wrong[expected - 1] if expected else 0)
        assert sum(found.accepts(one) for one in estimates) == expected


def test_equal_estimates_are_accepted_together():
    pairs = [(0.9, True)] * 30 + [(0.8, True)] * 9 + [(0.8, False)] * 30
    certificate = Certificate.fit(pairs)
    assert (certificate.threshold, certificate.accepted, certificate.wrong) == (0.8, 30, 0)
    assert certificate.accepts(0.85)
    assert not certificate.accepts(0.8)


def test_no_answer_is_never_accepted():
    certificate = Certificate.fit([(0.9, True)] * 30 + [(0.0, True)] * 30)
    assert certificate.threshold == 0.0
    assert not certificate.accepts(0.0)


def test_few_labels_prove_nothing():
    assert least_labels(0.1, 0.1) == math.ceil(math.log(0.1) / math.log(0.9))
    for wrong, least in ((1, 38), (2, 52)):
        assert least_labels(0.1, 0.1, wrong) == least
        assert stats.beta.ppf(0.9, wrong + 1, least - wrong) <= 0.1 < stats.beta.ppf(0.9, wrong + 1, least - 1 - wrong)
    assert Certificate.fit([(0.9, True)] * 21).threshold is None
    assert Certificate.fit([(0.9, True)] * 22).threshold == 0.0
    assert Certificate.fit([]).threshold is None


def test_a_pool_is_searched_once_a_question():
    right = tuple(Sample(score=0.9, correct=True, answer="4") for _ in range(6))
    wrong = tuple(Sample(score=0.2, correct=False, answer=str(place)) for place in range(6))
    pool = Pool(tuple(Question(str(i), "?", right if i % 3 else wrong) for i in range(90)))
    certificate = Certificate.fit(pool, rule=MaxSamples(6), select="vote")
    assert (certificate.labels, certificate.accepted, certificate.wrong) == (90, 60, 0)
    assert Certificate.fit(pool).accepted == 60  # by the default rule
    unlabelled = Pool((Question("a", "?", (Sample(score=0.5),)),))
    with pytest.raises(SettingsError, match="do not say whether they are right"):
        Certificate.fit(unlabelled)


def test_the_estimate():
    assert probability_right(["4", None], [0.9, 0.8], 1) == 0.0
    assert probability_right([None, None], [0.9, 0.8], 1) == 0.8
    assert probability_right(["4"] * 6 + ["5"], [0.5] * 7, 0) > probability_right(["4"] * 6 + ["5"], [0.5] * 7, 6)


def test_saved_and_loaded(tmp_path):
    certificate = Certificate.fit([(0.9, True)] * 30 + [(0.1, False)] * 5)
    certificate.save(tmp_path / "certificate.json")
    assert Certificate.load(tmp_path / "certificate.json") == certificate
    assert as_certificate(tmp_path / "certificate.json") == as_certificate(certificate.to_dict()) == certificate
    for text in ("", "[]", "{}", json.dumps({**certificate.to_dict(), "accepted": 99}), "[" * 100000):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InvalidRecordError):
            Certificate.load(tmp_path / "bad.json")
        with pytest.raises(SettingsError):
            as_certificate(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRecordError):
        Certificate.load(tmp_path / "bad.json")
    with pytest.raises(SettingsError, match="cannot be read"):
        Certificate.load(tmp_path / "missing.json")
    with pytest.raises(SettingsError, match="cannot be written"):
        certificate.save(tmp_path / "nowhere" / "certificate.json")


@pytest.mark.parametrize(
    "arguments", [([], 0.0, 0.1), ([], 0.1, 1.0), ([], True, 0.1), ([0.5], 0.1, 0.1), ([(2.0, True)], 0.1, 0.1)]
)
def test_what_is_out_of_range_is_refused(arguments):
    with pytest.raises(SettingsError):
        Certificate.fit(*arguments)
    with pytest.raises(SettingsError, match="True or False"):
        Certificate.fit([(0.5, "yes")])
    with pytest.raises(SettingsError, match="result or a number"):
        Certificate.fit([("0.5", True)])
