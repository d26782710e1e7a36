"""The look-ahead against an enumeration of all sequences of candidates, and against simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from langchain_optscale.answers import AnswerPosterior
from langchain_optscale.answers._lookahead import AHEAD, Reduced, expected_leader
from tests.unit_tests.answers.simulated import MODEL, draw

STATES = [
    Reduced((0.5, 0.2, 0.3), (3.0, 1.0), ((2.0, 1.5), (1.2, 2.0), (0.7, 3.0)), (4.0, 6.0, 7.5), 1.3),
    Reduced((0.3, 0.3, 0.4), (1.0, 1.0), ((1.0, 1.0), (1.0, 1.0), (0.5, 2.0)), (3.0, 3.0, 4.0), 0.0),
    Reduced((0.7, 0.0, 0.3), (1.0, 0.0), ((1.5, 0.5), (1.0, 1.0), (0.4, 1.0)), (2.2, 3.3, 3.3), 2.5),
    Reduced((0.05, 0.04, 0.91), (2.0, 2.0), ((1.0, 3.0), (1.0, 3.0), (0.3, 4.0)), (9.0, 9.0, 11.0), 0.8),
]


def sequences(state, k):
    """E[max] by drawing k candidates one at a time: each repeats L or C, joins a group, or founds one."""
    edges = np.concatenate([[-np.inf], state.signal / 2 + np.array([-1.0, 0.0, 1.0]), [np.inf]])
    if_right = np.diff(stats.norm.cdf(edges - state.signal))
    if_wrong = np.diff(stats.norm.cdf(edges))
    total, best = 0.0, 0.0
    outcomes = {}
    # A candidate's move: "L", "C", or the number of its group, groups numbered by appearance.
    for moves in itertools.product(["L", "C", *range(k)], repeat=k):
        groups = [move for move in moves if not isinstance(move, str)]
        if list(dict.fromkeys(groups)) != list(range(len(set(groups)))):
            continue
        outcomes[moves] = groups
    for moves, groups in outcomes.items():
        sizes = {group: groups.count(group) for group in set(groups)}
        # Of equally large groups the first one has the score that counts.
        first = max(sizes, key=lambda group: (sizes[group], -group), default=None)
        by_truth = {}
        for truth in ["L", "C", *sizes, "none"]:
            place = {"L": 0, "C": 1}.get(truth, 2)
            alpha, beta = state.difficulty[place]
            counts = {"L": state.counts[0], "C": state.counts[1]}
            everyone, hits, misses, chance = state.seats[place], 0, 0, state.chance[place]
            strangers = everyone - sum(count for name, count in counts.items() if name != truth)
            for move in moves:
                total_p = alpha + beta + hits + misses
                if move == truth:
                    chance *= (alpha + hits) / total_p
                    hits += 1
                    continue
                chance *= (beta + misses) / total_p
                weight = counts.get(move, 0.0) or (strangers if not isinstance(move, str) else 0.0)
                chance *= weight / (everyone + misses)
                counts[move] = counts.get(move, 0.0) + 1
                misses += 1
            by_truth[truth] = chance
        total += sum(by_truth.values())
        for right, wrong in zip(if_right, if_wrong, strict=True):
            best += max(
                chance * (right if truth == first else wrong) for truth, chance in by_truth.items() if truth != "none"
            )
    return total, best


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_every_sequence_drawn_out(state, k):
    total, best = sequences(state, k)
    assert total == pytest.approx(1.0, abs=1e-9)
    assert expected_leader(state)[k] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("state", STATES)
def test_more_candidates_are_never_expected_to_make_it_less_sure(state):
    ahead = expected_leader(state)
    assert tuple(ahead) == AHEAD
    for before, after in itertools.pairwise([state.chance[0], *ahead.values()]):
        assert before - 1e-9 <= after <= 1.0 + 1e-9


@pytest.mark.parametrize("n", [1, 3, 6])
def test_what_was_expected_happens(n):
    """Over questions drawn from the law, the mean expected rise is close to the mean rise."""
    generator = np.random.default_rng(n)
    expected, happened = {k: [] for k in AHEAD}, {k: [] for k in AHEAD}
    for _ in range(700):
        samples = draw(generator, MODEL, n + AHEAD[-1]).samples
        answers, scores = [s.answer for s in samples], [s.score for s in samples]
        now = AnswerPosterior.of(answers[:n], scores[:n], MODEL)
        if now.place is None:
            continue
        for k, rise in now.expected_rise().items():
            expected[k].append(rise)
            later = AnswerPosterior.of(answers[: n + k], scores[: n + k], MODEL)
            happened[k].append(later.probability - now.probability)
    for k in AHEAD:
        noise = np.std(happened[k]) / math.sqrt(len(happened[k]))
        # Scores of old answers and all new groups but one are left out, so it expects a little too little.
        assert np.mean(expected[k]) < np.mean(happened[k]) + 3 * noise + 0.005
        assert np.mean(expected[k]) > 0.5 * np.mean(happened[k]) - 3 * noise - 0.005
