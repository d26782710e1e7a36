"""Selection: hand-computed votes and ties, what the ways have in common, and what a search and a replay share."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_optscale.answers import SELECTIONS, BestScore, MostProbable, Vote, WeightedVote, as_selection, choose
from langchain_optscale.answers.selection import votes_of
from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.pools import Sample
from langchain_optscale.evaluation.selection import place_of, replayable
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.stopping import MaxSamples
from tests.unit_tests.evaluation.replayed import question

columns = st.lists(st.tuples(st.sampled_from(["3", "4", "5", None]), st.floats(0, 1)), min_size=1, max_size=12)


def vote(given_, scores):
    return Vote().position(list(given_), scores)


def weighted(given_, scores, exponent=1.0):
    return WeightedVote(exponent).position(list(given_), scores)


def test_the_earliest_of_equal_scores():
    assert BestScore().position([None] * 3, [0.1, 0.8, 0.8]) == 1


def test_the_majority_and_its_best_sample():
    # Three votes for 4; of its samples the last has the best score.
    assert vote("43454", [0.1, 0.9, 0.1, 0.5, 0.3]) == 4


def test_equal_votes_go_by_score_then_by_place():
    assert vote("3443", [0.2, 0.1, 0.8, 0.3]) == 2
    assert vote("3443", [0.5, 0.5, 0.5, 0.5]) == 0
    assert vote("3443", [None] * 4) == 0


def test_samples_without_an_answer_stand_alone():
    listed, scores = [None, None, None, "4", "4"], [0.9, 0.9, 0.9, 0.1, 0.2]
    assert vote(listed, scores) == 4
    assert weighted(listed, scores) == 0  # 0.9 alone against 0.3 together
    assert list(votes_of(listed).values()) == [[0], [1], [2], [3, 4]]


def test_a_weighted_vote_by_hand():
    # 3: 0.9; 4: 0.5 + 0.5 = 1.0. Squared: 0.81 against 0.5. To the power 0: one vote against two.
    assert [weighted("344", [0.9, 0.5, 0.5], exponent) for exponent in (0.0, 1.0, 2.0)] == [1, 1, 0]


def test_scores_of_zero_and_powers_that_vanish():
    assert weighted("344", [0.0, 0.0, 0.0]) == 1  # all scores are equal, so the votes decide
    assert weighted("344", [0.0, 0.0, 1e-300]) == 2
    # In double precision 0.3^5000 is 0; the best score still decides.
    assert weighted("443", [0.2, 0.2, 0.3], 5000.0) == 2
    assert weighted("344", [0.2, 0.3, 0.3], 5000.0) == 1


def test_equal_sums_tie_in_every_order():
    # 0.1 + 0.2 + 0.3 depends on the order of a plain sum.
    assert weighted("333444", [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]) == 2


@given(columns)
def test_extreme_exponents(listed):
    given_, scores = zip(*listed, strict=True)
    assert weighted(given_, scores, 0.0) == vote(given_, scores)
    assert given_[weighted(given_, scores)] in given_


@given(columns)
def test_the_chosen_is_the_earliest_best_of_its_answer(listed):
    given_, scores = zip(*listed, strict=True)
    for chosen in (vote(given_, scores), weighted(given_, scores), weighted(given_, scores, 3.0)):
        if given_[chosen] is not None:
            of_same = [place for place, answer in enumerate(given_) if answer == given_[chosen]]
            assert chosen == max(of_same, key=lambda place: (scores[place], -place))


@given(columns)
def test_without_answers_the_best_score_decides(listed):
    _, scores = zip(*listed, strict=True)
    for selection in SELECTIONS.values():
        assert selection.position([None] * len(scores), scores) == scores.index(max(scores))


@given(columns)
def test_the_posterior_chooses_the_best_of_an_answer(listed):
    given_, scores = zip(*listed, strict=True)
    chosen = MostProbable().position(given_, scores)
    if given_[chosen] is not None:
        assert scores[chosen] == max(score for answer, score in listed if answer == given_[chosen])


def candidates(given_):
    return [Candidate(index, AIMessage("x"), 0, answer=answer) for index, answer in given_.items()]


def test_choosing_among_candidates_goes_by_their_index():
    listed = candidates({7: "4", 2: "3", 5: "4"})
    scores = {7: 0.5, 2: 0.9, 5: 0.5}
    assert [choose(select, listed, scores) for select in ("best", "vote", "weighted_vote")] == [2, 5, 5]
    assert choose(lambda among, by_index: among[-1].index, listed, scores) == 7
    assert choose(WeightedVote(9.0), listed, scores) == 2


@pytest.mark.parametrize("select", ["worst", 3, None, Vote, ["best"]])
def test_what_is_no_selection(select):
    with pytest.raises(SettingsError, match="select must be one of 'best', 'vote', 'weighted_vote', 'posterior' or a"):
        as_selection(select)


def test_what_is_refused():
    listed = candidates({0: "4"})
    for chosen in (99, None, "0"):
        with pytest.raises(SettingsError, match="the index of a scored candidate"):
            choose(lambda among, scores, chosen=chosen: chosen, listed, {0: 0.5})
    without = [Sample(answer="3"), Sample(answer="4")]
    for select in ("best", "weighted_vote"):
        with pytest.raises(SettingsError, match="from_logits"):
            place_of(select, without)
    for exponent in (-1.0, math.nan, math.inf, True):
        with pytest.raises(SettingsError, match="exponent"):
            WeightedVote(exponent)
    with pytest.raises(SettingsError, match="a name or a Selection to be replayed"):
        SessionMethod(MaxSamples(1), "it", select=lambda among, scores: 0)


@pytest.mark.parametrize("select", ["best", "vote", "weighted_vote", WeightedVote(3.0)])
@given(listed=columns)
@settings(deadline=None)
def test_a_replay_chooses_as_a_search_does(select, listed):
    given_, scores = zip(*listed, strict=True)
    asked = question(answers=given_, scores=scores)
    replayed = SessionMethod(MaxSamples(len(listed)), "it", select=select).run(asked, len(listed)).chosen
    live = choose(select, candidates(dict(enumerate(given_))), dict(enumerate(scores)))
    assert live == replayed == place_of(select, asked.samples)
    assert replayable(select) is as_selection(select)
