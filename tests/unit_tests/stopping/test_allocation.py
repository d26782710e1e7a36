"""Which question a further candidate helps most, against what further candidates do in a simulation."""

import json

import numpy as np
import pytest

from langchain_optscale import Session, StopReason, Verdict
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stopping import History, MaxSamples, optscale
from langchain_optscale.stopping.allocation import Offer, value_of_next, wave


def test_open_questions_come_before_settled_ones():
    def rise(*answers):
        return value_of_next(History(scores=(0.5,) * len(answers), answers=answers, max_samples=16))

    assert rise("1", "2") > rise("1", "1") > rise("1", "1", "1", "1")
    assert rise("1", "1", "2", "2") > rise("1", "1", "1", "2")


def test_scores_alone_promise_less_the_more_of_them_there_are():
    rises = [value_of_next(History(scores=(0.4, 0.6) * n, max_samples=64)) for n in (1, 2, 4, 8)]
    assert rises == sorted(rises, reverse=True)
    assert value_of_next(History(scores=(0.3, 1.0), max_samples=8)) == 0.0


def test_a_question_at_its_cap_promises_nothing():
    assert value_of_next(History(scores=(0.1, 0.9), failures=2, max_samples=4)) == 0.0
    assert value_of_next(History(scores=(0.1, 0.9), failures=1, max_samples=4)) > 0.0


def test_the_rise_of_the_best_score_ranks_questions_as_their_laws_do():
    """Beta laws whose true gain by the next score is known by simulation."""
    source = np.random.default_rng(0)
    laws = [(2.0 * precision, 2.0 * precision) for precision in (0.5, 2.0, 8.0, 32.0)]
    shown, true = [], []
    for a, b in laws:
        scores = source.beta(a, b, (4000, 5))
        shown.append(np.mean([value_of_next(History(scores=tuple(row[:4]), max_samples=16)) for row in scores]))
        true.append(np.maximum(scores[:, 4] - scores[:, :4].max(axis=1), 0.0).mean())
    assert true == sorted(true, reverse=True)
    assert shown[1:] == sorted(shown[1:], reverse=True)


def test_a_wave_takes_the_best_that_it_can_pay_for():
    offers = [Offer(0, 0.3, 10.0), Offer(1, 0.2, 2.0), Offer(2, 0.2, 2.0), Offer(3, 0.0, 1.0)]
    assert wave(offers, 120.0, 12) == [1, 2, 0]
    assert wave(offers, 100.0, 12) == [1, 2]  # an eighth of it does not pay for the third
    assert wave(offers, 32.0, 12) == [1, 2]
    assert wave(offers, 31.9, 12) == [1]  # the first is paid for by all that is left
    assert wave(offers, 2.0, 12) == [1]
    assert wave(offers, 120.0, 4) == [1]
    assert wave(offers, 1.0, 12) == []
    assert wave([], 5.0, 4) == []


def votes_of(source, questions):
    """Answers of questions that are easy or hard, each with a score that says nothing."""
    shares = source.dirichlet((0.4,) * 6, questions)
    drawn = [source.choice(6, 16, p=row) for row in shares]
    return [[(str(answer), 0.5) for answer in row] for row in drawn]


def scores_of(source, questions):
    levels = source.beta(2.0, 2.0, questions)
    return [[(None, float(score)) for score in source.beta(4 * level, 4 * (1 - level), 16)] for level in levels]


def both_of(source, questions):
    """Answers with scores, some of which do not tell candidates apart."""
    rows = votes_of(source, questions)
    return [
        [(answer, 0.1 if number % 3 == 0 else float(source.uniform(0.3, 0.8))) for answer, _ in row]
        for number, row in enumerate(rows)
    ]


def drawn_alone(rows, effort):
    """How many candidates the default draws of each question, one at a time."""
    counts = []
    for row in rows:
        session = Session(optscale(effort=effort, max_samples=16), max_samples=16)
        while not session.decision.stop:
            place = session.history.n
            session.adopt(1)
            session.tell(place, Verdict(row[place][1]), answer=row[place][0])
        counts.append(session.history.n)
    return np.array(counts)


def drawn_together(rows, budget):
    """How many they get of one budget."""
    sessions = [Session(optscale(price=1e-9, max_samples=16), max_samples=16) for _ in rows]
    counts = np.zeros(len(rows), dtype=int)
    chosen = list(range(len(rows)))
    while chosen:
        for index in chosen:
            sessions[index].adopt(1)
            answer, score = rows[index][counts[index]]
            sessions[index].tell(int(counts[index]), Verdict(score), answer=answer)
            counts[index] += 1
        offers = [Offer(i, value_of_next(one.history)) for i, one in enumerate(sessions) if not one.decision.stop]
        chosen = wave(offers, budget - counts.sum(), len(rows))
    return counts


@pytest.mark.parametrize("effort", ["medium", "high"])
@pytest.mark.parametrize("made", [votes_of, scores_of, both_of])
def test_a_budget_of_what_the_default_draws_is_spent_as_the_default_spends_it(made, effort):
    rows = made(np.random.default_rng(2), 80)
    alone = drawn_alone(rows, effort)
    together = drawn_together(rows, int(alone.sum()))
    assert together.sum() == alone.sum()
    assert alone.std() > 1.0  # the questions differ, so that equal numbers would be far off
    assert np.abs(together - alone).sum() / 2 <= 0.03 * alone.sum()


def test_greedy_waves_find_more_than_equal_shares():
    """Binary trials of known chance: what is found by 3 trials a question, each question 300 times."""
    source = np.random.default_rng(1)
    chances = source.beta(0.6, 1.4, 300)
    trials = source.random((300, 12)) < chances[:, None]
    equal = trials[:, :3].any(axis=1).mean()
    drawn = np.ones(300, dtype=int)
    while (remaining := 900 - drawn.sum()) > 0:
        histories = [
            History(scores=tuple(map(float, row[:n])), max_samples=12) for row, n in zip(trials, drawn, strict=True)
        ]
        chosen = wave([Offer(i, value_of_next(one)) for i, one in enumerate(histories)], remaining, 300)
        if not chosen:
            break
        drawn[chosen] += 1
    found = np.mean([row[:n].any() for row, n in zip(trials, drawn, strict=True)])
    assert drawn.sum() <= 900
    assert found > equal + 0.02


def test_a_session_ends_from_outside_and_is_read_back():
    session = Session(MaxSamples(8), max_samples=8)
    session.adopt(1)
    session.tell(0, Verdict(0.5))
    assert session.end(StopReason.BATCH_BUDGET).stop
    assert session.ask() == 0
    again = Session.from_dict(json.loads(json.dumps(session.to_dict())))
    assert again.decision == session.decision
    assert session.end(StopReason.DEADLINE).reason is StopReason.BATCH_BUDGET
    form = session.to_dict()
    form["events"][-1][1] = "BOREDOM"
    with pytest.raises(InvalidRecordError, match="BOREDOM"):
        Session.from_dict(form)
