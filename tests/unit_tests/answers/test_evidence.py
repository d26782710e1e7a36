"""A vote in log-odds, against Bayes' rule written out for a small world."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.answers import BestScore, EvidenceVote, Vote
from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.calibration import IsotonicCalibration

CANDIDATES = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.floats(0.01, 0.99)), min_size=1, max_size=12)


def test_it_is_naive_bayes():
    # A world of nine answers, one of them right, every wrong one equally likely: a right candidate repeats the right
    # answer always, a wrong one a given wrong answer with probability 1 / 8. The score is c with P(right | c) = c.
    names = [f"w{k}" for k in range(9)]
    generator = np.random.default_rng(0)
    for _ in range(200):
        answers = generator.choice(names[:3], size=5).tolist()
        scores = generator.uniform(0.05, 0.95, size=5).tolist()
        posterior = {
            truth: math.prod(
                score if answer == truth else (1 - score) / 8 for answer, score in zip(answers, scores, strict=True)
            )
            for truth in names
        }
        likeliest = max(set(answers), key=posterior.__getitem__)
        chosen = EvidenceVote(agreement=8.0).position(answers, scores)
        assert answers[chosen] == likeliest
        assert scores[chosen] == max(s for a, s in zip(answers, scores, strict=True) if a == likeliest)


@given(CANDIDATES)
def test_the_order_of_candidates_does_not_matter(candidates):
    if len({score for _, score in candidates}) < len(candidates):
        return
    vote = EvidenceVote()
    answers, scores = zip(*candidates, strict=True)
    chosen = candidates[vote.position(answers, scores)]
    for order in itertools.islice(itertools.permutations(candidates), 0, 60, 7):
        again = order[vote.position([a for a, _ in order], [s for _, s in order])]
        # Sums in another order may differ in their last place, and then equal evidence need not tie.
        assert again == chosen or evidence(candidates, again[0]) == pytest.approx(evidence(candidates, chosen[0]))


def evidence(candidates, answer):
    return math.fsum(math.log(8 * s / (1 - s)) for a, s in candidates if a == answer)


@given(CANDIDATES)
def test_uninformative_scores_leave_a_vote(candidates):
    answers = [answer for answer, _ in candidates]
    if None in answers:
        return
    flat = [0.5] * len(answers)
    chosen = answers[EvidenceVote().position(answers, flat)]
    assert answers.count(chosen) == answers.count(answers[Vote().position(answers, flat)])


def test_a_low_score_speaks_against_its_answer():
    assert EvidenceVote().position(["3", "4", "4"], [0.9, 0.05, 0.05]) == 0
    assert EvidenceVote().position(["3", "4", "4"], [0.9, 0.5, 0.6]) == 2


def test_silence_counts_for_nothing():
    vote = EvidenceVote()
    assert vote.position([None, None, "4"], [0.99, 0.99, 0.01]) == 2
    assert vote.position([None, None], [0.2, 0.3]) == BestScore().position([None, None], [0.2, 0.3]) == 1
    assert vote.position(["", None], [0.1, 0.9]) == 0


def test_scores_are_calibrated_first():
    calibration = IsotonicCalibration.fit([0.5, 0.6, 0.7, 0.8] * 5, [False, False, True, True] * 5)
    answers, scores = ["3", "4", "4"], [0.8, 0.5, 0.5]
    assert EvidenceVote().position(answers, scores) == 1
    vote = EvidenceVote(calibration)
    assert vote.position(answers, scores) == 0
    assert vote.among(answers, scores, [calibration(score) for score in scores]) == 0
    assert repr(vote) == "EvidenceVote(agreement=8.0)"


@pytest.mark.parametrize("agreement", [0.0, -1.0, math.inf, math.nan, True])
def test_an_agreement_out_of_range(agreement):
    with pytest.raises(SettingsError, match="agreement must be"):
        EvidenceVote(agreement=agreement)


def test_a_missing_score():
    with pytest.raises(SettingsError, match="no score"):
        EvidenceVote().position(["a", "b"], [0.5, None])
