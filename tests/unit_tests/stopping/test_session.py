"""Ask and tell, without any model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale import FixedPrior, Session
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.records.decisions import Estimate, StopReason
from langchain_optscale.stats import MaximumAPosteriori, MaximumLikelihood, Posterior
from langchain_optscale.stopping import (
    Deadline,
    MaxFailures,
    MaxSamples,
    MinSamples,
    OptimalN,
    TargetReached,
    TokenBudget,
    optscale,
    paper,
)


def tell_all(session, scores):
    """Feed a session from a list, in order of the indexes."""
    while session.ask():
        for index in session.pending:
            if session.decision.stop:
                break
            session.tell(index, Verdict(scores[index]))
    return session


def test_rounds():
    session = Session(MaxSamples(16), max_samples=13, first_round=2, round_size=8)
    sizes = []
    while count := session.ask():
        sizes.append(count)
        assert session.ask() == 0  # a round is asked for only when nothing is pending
        for index in session.pending:
            session.tell(index, Verdict(0.5))
    assert sizes == [2, 8, 3]
    assert session.decision.reason is StopReason.MAX_SAMPLES
    assert [round_.indexes for round_ in session.rounds] == [(0, 1), tuple(range(2, 10)), (10, 11, 12)]


def test_a_rounds_size_is_the_rules_wish():
    session = Session(MinSamples(5), max_samples=32, first_round=1, round_size=8)
    assert session.ask() == 5  # fewer could not end the search


def test_the_papers_first_round_is_drawn_at_once():
    session = Session(paper(0.95, 0.95, max_samples=32, first_round=10), max_samples=32)
    assert session.ask() == 10


def test_stops_in_mid_round_and_keeps_what_comes_late():
    session = Session(TargetReached(0.9), max_samples=8, first_round=4)
    session.ask()
    session.tell(2, Verdict(0.3))
    assert session.tell(1, Verdict(0.92)).stop
    decision = session.decision
    assert session.pending == (0, 3)
    assert session.ask() == 0
    assert session.tell(3, Verdict(0.99)) is decision
    assert session.best == 3
    assert session.scores == {2: 0.3, 1: 0.92, 3: 0.99}


def test_the_earliest_of_equals_is_best():
    session = Session(MaxSamples(3), max_samples=3, first_round=3)
    session.ask()
    for index in (2, 0, 1):
        session.tell(index, Verdict(0.7))
    assert session.best == 0


def test_failures_are_no_scores():
    session = Session(MaxFailures(3), max_samples=8, first_round=4)
    session.ask()
    for index in (0, 1):
        session.tell(index, Failure("draw", "boom"))
    assert session.history.scores == ()
    assert session.best is None
    session.tell(2, Verdict(0.1))
    assert session.best == 2
    assert session.tell(3, Failure("verify", "boom")).reason is StopReason.FAILURES


def test_failures_count_towards_the_cap():
    session = Session(TargetReached(0.9), max_samples=3, first_round=3)
    session.ask()
    for index in range(3):
        session.tell(index, Failure("draw", "boom"))
    assert session.decision.reason is StopReason.MAX_SAMPLES
    assert session.ask() == 0


def test_time_and_tokens_are_told():
    session = Session(Deadline(10.0) | TokenBudget(100), max_samples=8, first_round=3)
    session.ask()
    assert session.next_deadline == 10.0
    session.tell(0, Verdict(0.5), tokens=60, elapsed_s=4.0)
    assert not session.tick(9.9).stop
    assert session.tick(10.0).reason is StopReason.DEADLINE
    assert session.next_deadline is None

    session = Session(Deadline(10.0) | TokenBudget(100), max_samples=8, first_round=3)
    session.ask()
    session.tell(0, Verdict(0.5), tokens=60)
    assert session.tell(1, Failure("verify", "boom"), tokens=60).reason is StopReason.TOKEN_BUDGET


def test_the_clock_does_not_run_backwards():
    session = Session(Deadline(10.0), max_samples=8)
    session.ask()
    session.tell(0, Verdict(0.5), elapsed_s=6.0)
    session.tell(1, Verdict(0.5), elapsed_s=5.0)
    assert session.history.elapsed_s == 6.0


def test_observations_have_the_estimate_and_the_decision_after_each_score():
    session = tell_all(
        Session(TargetReached(0.9) | OptimalN(0.9, 0.95), estimator=Posterior(), max_samples=16),
        [0.5, 0.6, 0.7, 0.65, 0.95] + [0.1] * 11,
    )
    observations = [observation for round_ in session.rounds for observation in round_.observations]
    assert [observation.score for observation in observations] == [0.5, 0.6, 0.7, 0.65, 0.95]
    # Once the target is reached no rule asks for an estimate.
    assert [observation.estimate and observation.estimate.n for observation in observations] == [1, 2, 3, 4, None]
    assert observations[-1].decision is session.decision
    assert session.decision.reason is StopReason.TARGET_REACHED


def test_estimates_use_the_estimator_and_the_prior():
    prior = FixedPrior(0.8, 0.1)
    session = Session(OptimalN(0.9, 0.95), prior=prior, max_samples=8)
    assert session.estimator == MaximumAPosteriori()
    session.ask()
    session.tell(0, Verdict(0.7))
    assert session.estimate == MaximumAPosteriori()((0.7,), prior)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Session(MaxSamples(4), first_round=0), "first_round must be a whole number of at least 1"),
        (lambda: Session(MaxSamples(4), round_size=1.5), "round_size must be"),
        (lambda: Session(MaxSamples(4), max_samples=0), "max_samples must be"),
        (lambda: Session(lambda history: None), "stopping must be a rule"),
        (lambda: Session(MaxSamples(4), estimator=MaximumLikelihood(), prior=FixedPrior(0.8, 0.1)), "prior"),
        (lambda: Session(MaxSamples(4), estimator=MaximumAPosteriori()), "prior"),
    ],
)
def test_bad_settings(make, sentence):
    with pytest.raises(SettingsError, match=sentence):
        make()


def test_telling_of_a_stranger_is_an_error():
    session = Session(MaxSamples(4))
    session.ask()
    with pytest.raises(SettingsError, match="candidate 7 was never asked for"):
        session.tell(7, Verdict(0.5))
    session.tell(0, Verdict(0.5))
    with pytest.raises(SettingsError, match="candidate 0 has been told already"):
        session.tell(0, Verdict(0.5))


scores_of_a_search = st.lists(st.floats(0, 1), min_size=16, max_size=16)
rules = st.sampled_from(
    [
        optscale(0.9, 0.95, 16),
        paper(0.9, 0.95, 16, 3),
        OptimalN(0.7, 0.9) | TokenBudget(900),
        TargetReached(0.5) & MinSamples(3),
    ]
)


def test_a_session_with_the_posterior_survives_json():
    estimator = Posterior(dirichlet_weight=0.1)
    session = tell_all(Session(OptimalN(0.95, 0.9), estimator=estimator, max_samples=12), [0.5] * 12)
    back = Session.from_dict(json.loads(json.dumps(session.to_dict())))
    assert back.estimator == session.estimator
    assert back.rounds == session.rounds
    assert all(type(look.estimate) is Estimate for round_ in session.rounds for look in round_.observations)


@given(scores_of_a_search, rules, st.randoms(use_true_random=False), st.integers(1, 8))
def test_resuming_from_json_reaches_the_same_decisions(scores, rule, random, round_size):
    whole = Session(rule, max_samples=16, round_size=round_size)
    resumed = Session(rule, max_samples=16, round_size=round_size)
    while whole.ask():
        resumed = Session.from_dict(json.loads(json.dumps(resumed.to_dict())))
        assert resumed.ask() == len(whole.pending)
        order = list(whole.pending)
        random.shuffle(order)
        for index in order:
            outcome = Failure("draw", "lost", 2) if random.random() < 0.1 else Verdict(scores[index])
            told = {"answer": "42", "tokens": 50, "elapsed_s": float(index)}
            resumed = Session.from_dict(json.loads(json.dumps(resumed.to_dict())))
            assert resumed.tell(index, outcome, **told) == whole.tell(index, outcome, **told)
        if whole.decision.stop:
            break
    assert resumed.rounds == whole.rounds
    assert resumed.scores == whole.scores
    assert resumed.history == whole.history


@given(st.lists(st.floats(0, 1), min_size=1, max_size=64), st.integers(1, 20), st.integers(1, 9), st.floats(0, 1))
def test_never_draws_more_than_allowed(scores, cap, round_size, target):
    session = Session(optscale(target, 0.95, 64), max_samples=cap, first_round=1, round_size=round_size)
    drawn = 0
    while count := session.ask():
        drawn += count
        assert count <= max(round_size, 1)
        for index in session.pending:
            session.tell(index, Verdict(scores[index % len(scores)]))
    assert 1 <= drawn <= cap
    assert session.decision.stop
    assert session.decision.reason is not None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"format": "something else"},
        {"stopping": {"rule": "Unknown"}},
        {"events": [["ask", 5]]},
        {"events": [["explode", 1]]},
        {"events": [["tell", 0, 0.5]]},
        {"estimator": {"estimator": "Nobody"}},
        {"max_samples": "many"},
    ],
)
def test_damaged_json_is_refused(change):
    data = Session(MaxSamples(4)).to_dict() | change
    with pytest.raises(InvalidRecordError):
        Session.from_dict(data)


def test_what_has_no_json_form_says_so():
    class OddPrior:
        mu, sigma, mu_std, sigma_std = 0.8, 0.1, 0.1, 0.1

    with pytest.raises(InvalidRecordError, match="FixedPrior"):
        Session(MaxSamples(4), prior=OddPrior()).to_dict()

    class OddEstimator(MaximumLikelihood):
        pass

    with pytest.raises(InvalidRecordError, match="no JSON form"):
        Session(MaxSamples(4), estimator=OddEstimator()).to_dict()
