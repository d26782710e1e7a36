"""Which comparisons are asked for, what comes of them, and where candidates stand before."""

import itertools
import math

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from scipy import stats

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.comparisons import Comparison, FailedComparison, Ranking
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.comparison.selection import TournamentSelection
from langchain_optscale.verifiers.comparison.standing import noise_of, standing_of
from langchain_optscale.verifiers.comparison.tournament import Tournament


def by(truth):
    """A judge that prefers the candidate with the larger truth."""

    def judge(order):
        best = max(order, key=lambda index: truth[index])
        return Comparison(tuple(order), tuple(float(index == best) for index in order))

    return judge


def play(tournament, judge):
    batches = []
    while orders := tournament.ask():
        batches.append(orders)
        for order in orders:
            tournament.tell(order, judge(order))
    return batches


@pytest.mark.parametrize("group_size", [2, 3, 4])
def test_the_strongest_of_four_is_found_in_both_orders(group_size):
    for best in range(4):
        tournament = Tournament(range(4), group_size=group_size)
        batches = play(tournament, by({index: -abs(index - best) for index in range(4)}))
        assert tournament.ranking().best == best
        asked = [order for batch in batches for order in batch]
        assert sorted(asked) == sorted(order[::-1] for order in asked)
        assert tournament.over


def test_the_budget_is_kept_and_a_pair_is_never_asked_by_half():
    for budget in range(2, 14):
        tournament = Tournament(range(5), budget=budget)
        count = sum(map(len, play(tournament, by({index: index for index in range(5)}))))
        assert count <= budget
        assert count % 2 == 0


def test_nothing_is_asked_about_one_candidate_or_a_clear_leader():
    assert Tournament([3]).ask() == []
    assert Tournament([3]).ranking().best == 3
    assert Tournament([3, 5], [9.0, 0.0], std=1.0).ask() == []


def test_scores_and_comparisons_count_together():
    ahead = Tournament([0, 1], [3.0, 0.0], std=1.2)
    play(ahead, by({0: 0, 1: 1}))
    assert ahead.ranking().best == 0  # one pair is not enough against so clear a score
    level = Tournament([0, 1], [0.3, 0.0], std=1.2)
    play(level, by({0: 0, 1: 1}))
    assert level.ranking().best == 1


def test_the_order_of_arrival_changes_nothing():
    rankings = []
    for shuffle in itertools.islice(itertools.permutations(range(6)), 0, 720, 97):
        tournament = Tournament(range(4))
        orders = tournament.ask()
        for place in shuffle:
            tournament.tell(orders[place], by({0: 1, 1: 3, 2: 0, 3: 2})(orders[place]))
        rankings.append((tournament.ranking(), tournament.ask()))
    assert all(ranking == rankings[0] for ranking in rankings)


def test_a_judge_that_fails_leaves_the_pointwise_choice():
    tournament = Tournament([4, 7], [0.5, 0.2], std=1.0)
    for order in tournament.ask():
        tournament.tell(order, FailedComparison(order, "TimeoutError: late"), Usage(5, 0, 1))
    assert tournament.over
    ranking = tournament.ranking()
    assert (ranking.best, len(ranking.failures), ranking.usage) == (4, 2, Usage(10, 0, 2))


def test_one_failure_is_left_out():
    tournament = Tournament([4, 7])
    first, second = tournament.ask()
    tournament.tell(first, FailedComparison(first, "TimeoutError: late"))
    tournament.tell(second, by({4: 0, 7: 1})(second))
    assert tournament.ranking().best == 7


def test_what_was_not_asked_for_is_refused():
    tournament = Tournament([4, 7])
    tournament.ask()
    with pytest.raises(SettingsError, match="was not asked for"):
        tournament.tell((4, 9), Comparison((4, 9), (1.0, 0.0)))
    for settings in ({"budget": 1}, {"votes": 0}, {"group_size": 1}, {"confidence": 1.0}):
        with pytest.raises(SettingsError, match=next(iter(settings))):
            Tournament([4, 7], **settings)


def test_an_ended_tournament_asks_nothing_more():
    tournament = Tournament(range(4))
    tournament.ask()
    tournament.end()
    assert tournament.over
    assert tournament.ask() == []


def test_votes_ask_again():
    def doubtful(order):
        return Comparison(tuple(order), (0.5, 0.5))

    once, thrice = Tournament([0, 1]), Tournament([0, 1], votes=3)
    assert [len(play(one, doubtful)) for one in (once, thrice)] == [1, 3]


def test_a_tournament_finds_the_better_one_more_often_than_noisy_scores():
    """Simulated truth: scores and comparisons have the same noise, one grade in ten."""
    rng = np.random.default_rng(3)
    right = {"pointwise": 0, "tournament": 0}
    for _ in range(300):
        truth = rng.normal(0.6, 0.1, 8)
        scores = truth + rng.normal(0, 0.1, 8)
        candidates, verdicts = scored(np.clip(scores, 0, 1))
        standing = standing_of(candidates, verdicts, "best", 4, 0.1)
        tournament = Tournament(standing.indexes, standing.means, std=standing.std, budget=12)

        def judge(order, truth=truth):
            one, other = truth[list(order)] + rng.normal(0, 0.1, 2)
            return Comparison(tuple(order), (float(one > other), float(one <= other)))

        play(tournament, judge)
        right["tournament"] += truth[tournament.ranking().best] == truth.max()
        right["pointwise"] += truth[scores.argmax()] == truth.max()
    gained = right["tournament"] - right["pointwise"]
    assert stats.binomtest(max(0, gained) + 150, 300).pvalue < 0.05, right


def scored(scores, answers=None):
    answers = answers or [None] * len(scores)
    candidates = [Candidate(index, AIMessage(f"{index}"), 0, answer=answer) for index, answer in enumerate(answers)]
    return candidates, {index: Verdict(float(score)) for index, score in enumerate(scores)}


def test_candidates_within_the_noise_are_compared_the_leader_first():
    candidates, verdicts = scored([0.5, 0.92, 0.9, 0.1, 0.88, 0.85, 0.87])
    standing = standing_of(candidates, verdicts, "best", 4, 0.05)
    assert standing.indexes == (1, 2, 4, 6)
    assert list(standing.means) == sorted(standing.means, reverse=True)
    assert standing_of(candidates, verdicts, "best", 4, 0.0).indexes == (1,)
    assert standing_of(*scored([0.9, 0.9, 0.8]), "best", 4, 0.0).indexes == (0, 1)


def test_equal_answers_are_not_compared():
    candidates, verdicts = scored([0.9, 0.95, 0.9, 0.93], ["4", "4", "5", None])
    assert set(standing_of(candidates, verdicts, "best", 4, 0.1).indexes) == {1, 2, 3}


def test_votes_say_where_answers_stand():
    answers = ["4"] * 6 + ["5"] * 5 + ["6"]
    candidates, verdicts = scored([0.5] * 12, answers)
    standing = standing_of(candidates, verdicts, "vote", 4)
    assert [candidates[index].answer for index in standing.indexes][:2] == ["4", "5"]
    assert standing.means[0] > standing.means[1]
    clear = standing_of(*scored([0.5] * 12, ["4"] * 11 + ["6"]), "posterior", 4)
    assert len(clear.indexes) == 1  # so large a majority is not put to a judge


def test_the_noise_that_verdicts_report():
    votes = {"votes": [0.5, 0.7, 0.6, 0.6], "scale": "0-10", "criteria": {}}
    assert noise_of([Verdict(0.6, raw=votes)]) == pytest.approx(np.std(votes["votes"], ddof=1) / 2)
    law = {"probabilities": {"7": 0.5, "9": 0.5}, "mass": 1.0}
    graded = {"votes": [0.8], "scale": "0-10", "criteria": {"overall": {"judged": [law]}}}
    assert noise_of([Verdict(0.8, raw=graded)]) == pytest.approx(0.1)
    wrapped = Verdict(0.8, raw={"score": 0.8, "raw": graded})
    assert noise_of([wrapped]) == pytest.approx(0.1)
    certain = {"votes": [0.8, 0.8], "scale": "0-10", "criteria": {}}
    assert noise_of([Verdict(0.8, raw=certain)]) == pytest.approx(0.1 / math.sqrt(24))
    silent_judge = {"votes": [0.8], "scale": "0-10", "criteria": {"overall": {}}}
    for silent in (None, {}, silent_judge, {"votes": 3, "scale": "x"}):
        assert noise_of([Verdict(0.8, raw=silent)]) == 0.1


def test_records_come_back_equal_and_damage_is_refused():
    tournament = Tournament([4, 7, 9])
    play(tournament, by({4: 0, 7: 2, 9: 1}))
    ranking = tournament.ranking()
    assert Ranking.from_dict(ranking.to_dict()) == ranking
    assert "candidate 7 instead of 4 after" in str(ranking)
    for damage in ({"stds": [1.0]}, {"indexes": []}, {"comparisons": [{"order": [1, 1], "shares": [1, 0]}]}):
        with pytest.raises(InvalidRecordError):
            Ranking.from_dict({**ranking.to_dict(), **damage})


def test_settings_of_a_tournament():
    for settings in ({"k": 1}, {"budget": 1}, {"noise": -0.1}, {"confidence": 0.2}, {"votes": 0}):
        with pytest.raises(SettingsError, match=next(iter(settings))):
            TournamentSelection(lambda p, a, b: 1, **settings)
    with pytest.raises(SettingsError, match="not another tournament"):
        TournamentSelection(base=TournamentSelection())
    with pytest.raises(SettingsError, match="recorded scores cannot replay"):
        TournamentSelection(lambda p, a, b: 1).position(["4"], [0.5])
