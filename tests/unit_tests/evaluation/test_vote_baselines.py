"""Best-of-majority, CGES, CITE, DeepConf, BEACON and Pandora's box: by hand, and against independent computations."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.index_policies import _Z, Beacon, PandoraBox, _indices
from langchain_optscale.evaluation.vote_baselines import (
    BestOfMajority,
    ConfidenceFilteredVote,
    ConfidenceGuided,
    ModeCertificate,
    log_e_value,
)
from tests.unit_tests.evaluation.replayed import question


def test_best_of_majority():
    asked = question(answers="3444556", scores=[0.99, 0.1, 0.3, 0.2, 0.8, 0.1, 0.9])
    assert BestOfMajority(frequency=0.5).run(asked, 7).chosen == 4  # "5" has two of the leader's three votes
    assert BestOfMajority(frequency=1.0).run(asked, 7).chosen == 2
    assert BestOfMajority(frequency=0.1).run(asked, 7).chosen == 0
    assert BestOfMajority(n=3).run(asked, 7).drawn == 3
    assert BestOfMajority().run(question(answers=[None, None], scores=[0.1, 0.2]), 2).chosen == 1


def test_cges_by_hand():
    # One answer, K = 2: odds (c / (1 - c))^n against another; 0.8 / 0.2 = 4, so 16 : 1 is 0.941, 64 : 1 is 0.985.
    asked = question(answers="44444", scores=[0.8] * 5)
    assert ConfidenceGuided(0.94).run(asked, 5).drawn == 2
    assert ConfidenceGuided(0.95).run(asked, 5).drawn == 3
    outcome = ConfidenceGuided(0.95).run(question(answers="4" * 3 + "5" * 5, scores=[0.8] * 3 + [0.9] * 5), 8)
    assert (outcome.drawn, outcome.kept) == (3, False)
    assert ConfidenceGuided().run(question(answers=[None] * 4, scores=[0.9] * 4), 4).drawn == 4


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 0), (8, 2), (5, 5)])
def test_the_e_value_is_a_likelihood_ratio(first, second):
    mixture, _ = integrate.quad(lambda p: 2.0 * p**first * (1.0 - p) ** second, 0.5, 1.0)
    assert math.exp(log_e_value(first, second)) == pytest.approx(mixture / 0.5 ** (first + second), rel=1e-9)


def test_a_fixed_target_is_hardly_ever_certified_falsely():
    """Two answers with equal chances, watched after every draw: at most the error, by Ville's inequality."""
    generator, error, false = np.random.default_rng(0), 0.1, 0
    for _ in range(400):
        votes = np.cumsum(generator.random(60) < 0.5)
        false += any(log_e_value(int(v), n + 1 - int(v)) >= -math.log(error) for n, v in enumerate(votes))
    assert stats.binomtest(false, 400, error, alternative="greater").pvalue > 0.01


def test_mode_certificate():
    assert ModeCertificate(0.05).run(question(answers="4" * 12), 12).drawn == 7  # 2^8 / 8 (1 - 2^-8) >= 20
    split = ModeCertificate(0.05).run(question(answers="45" * 6), 12)
    assert (split.drawn, split.kept) == (12, None)
    assert ModeCertificate(0.05).run(question(answers="4" * 7 + "5" * 9), 16).kept is False


def test_confidence_filtered_vote():
    asked = question(answers="44555544", scores=[0.9, 0.8, 0.3, 0.2, 0.4, 0.1, 0.9, 0.7])
    outcome = ConfidenceFilteredVote(warm_up=4, keep=0.5).run(asked, 8)
    assert (outcome.drawn, outcome.rounds, outcome.chosen, outcome.kept) == (4, 1, 0, True)
    assert ConfidenceFilteredVote(warm_up=4, keep=1.0).run(asked, 8).drawn == 8
    assert ConfidenceFilteredVote(warm_up=64).run(asked, 8).drawn == 8
    assert ConfidenceFilteredVote().run(question(answers=[None] * 3, scores=[0.1, 0.3, 0.2]), 3).chosen == 1


def test_the_last_index_is_the_expected_gain_of_one_draw():
    """With one draw left h(n, z) = E[(U - z)+] for U ~ t with n - 1 degrees of freedom."""
    for cap in (6, 16):
        law = stats.t(cap - 2)
        for z in (0.3, 1.0, 2.0):
            gain, _ = integrate.quad(lambda u, law=law, z=z: (u - z) * law.pdf(u), z, np.inf)
            assert np.interp(z, _Z, _indices(cap)[cap - 1]) == pytest.approx(gain, rel=0.06)


def test_indices_fall_with_the_best_score_and_rise_with_what_is_left():
    indices = _indices(16)
    for n in (3, 8, 14):
        assert (np.diff(indices[n]) <= 1e-6).all()
    assert np.interp(1.0, _Z, _indices(32)[8]) >= np.interp(1.0, _Z, _indices(16)[8]) - 1e-6
    assert indices[8][40] >= indices[15][40]


def test_index_policies_stop_early_at_high_prices():
    scores = np.random.default_rng(1).random(16).tolist()
    for policy in (Beacon, PandoraBox):
        drawn = [policy(price=price).run(question(scores=scores), 16).drawn for price in (0.5, 0.05, 0.001)]
        assert drawn[0] <= 4
        assert drawn == sorted(drawn)
        assert policy(price=0.01).run(question(scores=[0.4] * 16), 16).drawn == 3
        assert policy(price=0.01).run(question(scores=[0.4, 0.5]), 2).drawn == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: BestOfMajority(frequency=0.0),
        lambda: ConfidenceGuided(1.0),
        lambda: ModeCertificate(0.0),
        lambda: ConfidenceFilteredVote(warm_up=0),
        lambda: ConfidenceFilteredVote(keep=1.5),
        lambda: Beacon(price=0.0),
        lambda: PandoraBox(error=1.0),
    ],
)
def test_what_is_refused(make):
    with pytest.raises(SettingsError):
        make()
