"""The search as a state machine: jobs out, outcomes in; no threads, no waiting, a clock of the test's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_optscale import AllCandidatesFailed, StopReason, Usage, Verdict
from langchain_optscale.engine.jobs import Cancelled, Choice, Done, Draw, Verify
from langchain_optscale.engine.search import Search
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.records.failures import Raised, failure_of
from langchain_optscale.records.tool_calls import call_key
from langchain_optscale.stopping import MaxSamples, Price
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score

TOKENS = Usage(10, 5, 1)  # of one candidate
CALL = {"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}


class RefusedError(Exception):
    status_code = 400


def by_call(candidate):
    return call_key(candidate.message)


class Table:
    """A search, and the hands that do its jobs."""

    def __init__(self, policy=PlainPolicy, equality_key=None, emit_events=False, **given):
        self.now = 0.0
        self.settings = SearchSettings(policy=policy(texts=["x"]), verifier=read_score, **given)
        self.search = self.again(equality_key=equality_key, emit_events=emit_events)

    def again(self, **options):
        self.search = Search(self.settings, self.settings.sampler(), clock=lambda: self.now, **options)
        return self.search

    def take(self, room=99):
        return self.search.take(room)

    def draw(self, *jobs, text="x", **changes):
        """Every request is answered in full."""
        for job in jobs:
            assert isinstance(job, Draw)
            choices = [choice(text, **changes) for _ in job.indexes]
            self.search.record_outcome(job, Done(choices, 1.0))

    def verify(self, job, score, usage=None, unreported=None):
        assert isinstance(job, Verify)
        self.search.record_outcome(job, Done(Verdict(score, usage=usage), 1.0, unreported))

    def drawn_round(self):
        """The verifications of a round whose draws are all answered."""
        self.draw(*self.take())
        return self.take()

    @property
    def reason(self):
        return self.search.session.decision.reason


def choice(text="x", calls=(), usage=TOKENS, **changes):
    return Choice(AIMessage(text, tool_calls=list(calls)), usage, **changes)


def indexes(jobs):
    return [job.indexes if isinstance(job, Draw) else job.candidate.index for job in jobs]


def test_a_round_is_drawn_then_verified_and_the_target_ends_the_search():
    table = Table(target=0.9)
    draws = table.take()
    assert indexes(draws) == [(0,), (1,)]
    assert table.take() == []  # nothing more while they are pending
    table.draw(*draws)
    first, second = table.take()
    table.verify(second, 0.3)
    assert not table.search.over
    table.verify(first, 0.95)
    assert table.search.over
    assert table.take() == []
    result = table.search.result()
    assert (result.best.index, result.score, result.scores) == (0, 0.95, (0.95, 0.3))
    assert result.stop_reason is StopReason.TARGET_REACHED
    assert result.usage["policy"] == Usage(20, 10, 2)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(6)), st.lists(st.floats(0, 0.8), min_size=6, max_size=6))
def test_verdicts_may_come_in_any_order(order, scores):
    table = Table(stopping=MaxSamples(6), first_round=6)
    verifications = table.drawn_round()
    for index in order:
        table.verify(verifications[index], scores[index])
    result = table.search.result()
    assert list(result.verdicts) == list(order)
    assert result.scores == tuple(scores)
    assert result.scores[result.best_index] == max(scores)
    assert result.best.index == scores.index(max(scores))
    assert [one.index for one in result.rounds[0].observations] == list(order)


def test_verifications_go_before_draws_within_the_room():
    table = Table(stopping=MaxSamples(8), first_round=4)
    draws = table.take(2)
    assert indexes(draws) == [(0,), (1,)]
    table.draw(*draws)
    assert indexes(table.take(3)) == [0, 1, (2,)]
    assert table.take(0) == []
    assert indexes(table.take(9)) == [(3,)]


def test_the_next_round_begins_when_nothing_is_pending():
    table = Table(stopping=MaxSamples(5), first_round=2, round_size=2)
    first, second = table.drawn_round()
    table.verify(first, 0.1)
    assert table.take() == []
    table.verify(second, 0.2)
    assert indexes(table.take()) == [(2,), (3,)]


def test_one_request_asks_for_a_whole_round_where_the_server_offers_it():
    table = Table(policy=ScriptedPolicy, first_round=4)
    assert indexes(table.take()) == [(0, 1, 2, 3)]


def test_overlapping_rounds_keep_a_rounds_worth_under_way():
    table = Table(stopping=MaxSamples(24), first_round=4, round_size=4, overlap=True)
    table.draw(*table.take())
    verifications = table.take()
    table.verify(verifications[0], 0.1)
    assert indexes(table.take()) == [(4,)]
    for job, score in zip(verifications[1:3], (0.2, 0.3), strict=True):
        table.verify(job, score)
    assert indexes(table.take()) == [(5,), (6,)]
    assert len(table.search.session.pending) == 4


def test_overlap_waits_for_one_request_with_half_a_round():
    table = Table(policy=ScriptedPolicy, stopping=MaxSamples(24), first_round=4, round_size=4, overlap=True)
    verifications = table.drawn_round()
    table.verify(verifications[0], 0.1)
    assert table.take() == []
    table.verify(verifications[1], 0.1)
    assert indexes(table.take()) == [(4, 5)]


class TestFaults:
    def test_a_draw_that_failed_is_a_failure_with_its_attempts(self):
        table = Table(stopping=MaxSamples(2))
        broken, draw = table.take()
        table.search.record_outcome(broken, Raised(ConnectionError("reset"), 4))
        table.draw(draw)
        table.verify(*table.take(), 0.5)
        result = table.search.result()
        assert (result.failures[0].stage, result.failures[0].attempts) == ("draw", 4)
        assert result.failures[0].error == "ConnectionError: reset"
        assert result.scores == (0.5,)

    def test_a_verification_that_failed_is_a_failure_of_its_candidate(self):
        table = Table(stopping=MaxSamples(2))
        first, second = table.drawn_round()
        table.search.record_outcome(first, Raised(ValueError("no"), 1, Usage(3, 1, 1)))
        table.verify(second, 0.5, usage=Usage(7, 2, 1))
        result = table.search.result()
        assert result.failures[0].stage == "verify"
        assert result.usage["verifier"] == Usage(10, 3, 2)
        assert len(result.candidates) == 2

    def test_a_choice_that_cannot_be_verified_is_kept(self):
        table = Table(stopping=MaxSamples(1), first_round=1)
        table.draw(*table.take(), failure=failure_of("verify", Raised(ValueError("no answer"), 1)))
        assert table.search.over
        with pytest.raises(AllCandidatesFailed, match=r"verify \(read_score\): ValueError: no answer") as caught:
            table.search.result()
        assert len(caught.value.candidates) == 1

    def test_failures_end_the_search_where_they_are_limited(self):
        table = Table(max_failures=1)
        first, _ = table.take()
        table.search.record_outcome(first, Raised(ValueError("no"), 1))
        assert table.search.over
        assert table.reason is StopReason.FAILURES

    def test_nothing_scored_raises_with_every_cause(self):
        table = Table(stopping=MaxSamples(2))
        for job in table.take():
            table.search.record_outcome(job, Raised(ValueError("no"), 1))
        with pytest.raises(AllCandidatesFailed, match=r"draw \(PlainPolicy\): ValueError: no \(2x\)"):
            table.search.result()


class TestFewerChoices:
    def test_a_refused_request_is_halved_with_those_that_wait(self):
        table = Table(policy=ScriptedPolicy, stopping=MaxSamples(16), first_round=16)
        (request,) = table.take()
        table.search.record_outcome(request, Raised(RefusedError(), 1))
        smaller = table.take()
        assert [len(job.indexes) for job in smaller] == [8, 8]
        table.search.record_outcome(smaller[0], Raised(RefusedError(), 1))
        assert [len(job.indexes) for job in table.take()] == [4, 4]

    def test_a_single_choice_that_is_refused_has_failed(self):
        table = Table(policy=ScriptedPolicy, stopping=MaxSamples(2))
        (request,) = table.take()
        table.search.record_outcome(request, Raised(RefusedError(), 1))
        for job in table.take():
            table.search.record_outcome(job, Raised(RefusedError(), 1))
        assert table.search.over

    def test_any_other_error_is_a_failure_of_all_its_candidates(self):
        table = Table(policy=ScriptedPolicy, stopping=MaxSamples(4), first_round=4)
        (request,) = table.take()
        table.search.record_outcome(request, Raised(TimeoutError("no"), 1))
        assert table.search.over

    def test_fanout_n_does_not_fall_back(self):
        table = Table(policy=ScriptedPolicy, stopping=MaxSamples(4), first_round=4, fanout="n")
        (request,) = table.take()
        table.search.record_outcome(request, Raised(RefusedError(), 1))
        assert table.search.over

    def test_missing_choices_are_drawn_one_by_one(self):
        table = Table(policy=ScriptedPolicy, stopping=MaxSamples(4), first_round=4)
        (request,) = table.take()
        table.search.record_outcome(request, Done([choice()], 1.0))
        assert indexes(table.take()) == [0, (1,), (2,), (3,)]

    def test_more_choices_than_asked_for_are_dropped(self):
        table = Table(stopping=MaxSamples(1), first_round=1)
        (request,) = table.take()
        table.search.record_outcome(request, Done([choice("a"), choice("b")], 1.0))
        table.verify(*table.take(), 0.5)
        assert [candidate.text for candidate in table.search.result().candidates] == ["a"]

    def test_no_choice_at_all_is_a_failure(self):
        table = Table(stopping=MaxSamples(1), first_round=1)
        table.search.record_outcome(*table.take(), Done([], 1.0))
        with pytest.raises(AllCandidatesFailed, match="the policy's response contains no choices"):
            table.search.result()

    def test_a_server_is_believed_to_take_fewer_after_three_searches_only(self):
        table = Table(policy=ScriptedPolicy, stopping=MaxSamples(8), first_round=8)
        for _ in range(3):
            (request,) = table.take()
            table.search.record_outcome(request, Raised(RefusedError(), 1))
            assert [len(job.indexes) for job in table.take()] == [4, 4]
            table.again()
        assert [len(job.indexes) for job in table.take()] == [4, 4]


class TestBudgets:
    def test_what_is_paid_for_is_verified_where_that_costs_nothing(self):
        table = Table(stopping=MaxSamples(16), token_budget=30, first_round=4)
        first, *rest = table.drawn_round()  # 60 tokens
        table.verify(first, 0.1)
        assert table.reason is StopReason.TOKEN_BUDGET
        assert not table.search.over
        for job in rest:
            assert table.search.wants(job)
            table.verify(job, 0.2)
        assert table.search.over
        assert len(table.search.result().scores) == 4

    def test_a_verifier_that_costs_is_asked_no_further(self):
        table = Table(stopping=MaxSamples(16), token_budget=100, first_round=4)
        first, second, *_ = table.drawn_round()
        table.verify(first, 0.1, usage=Usage(100, 10, 1))
        assert table.search.over
        assert not table.search.wants(second)
        assert table.take() == []

    def test_nothing_is_drawn_once_the_budget_is_spent_though_there_is_no_score(self):
        table = Table(stopping=MaxSamples(8), token_budget=15, first_round=8)
        table.draw(*table.take(1))
        assert indexes(table.take(9)) == [0]
        assert table.reason is None  # a budget ends no search before its first score
        table.search.tick()
        assert table.take(9) == []

    def test_without_a_verification_under_way_the_draws_go_on(self):
        table = Table(stopping=MaxSamples(2), token_budget=15)
        first, second = table.take()
        failure = Raised(ValueError("no"), 1)
        table.search.record_outcome(first, failure)
        assert not table.search.over
        table.draw(second)
        assert indexes(table.take()) == [1]

    def test_money_ends_the_search_as_tokens_do(self):
        price = {"policy": Price(1, 2)}  # 20e-6 a candidate
        table = Table(cost_budget=60e-6, price=price, round_size=1, stopping=MaxSamples(16))
        scores = iter((0.1, 0.4, 0.2, 0.3))
        while not table.search.over:
            for job in table.take():
                if isinstance(job, Draw):
                    table.draw(job)
                else:
                    table.verify(job, next(scores))
        assert (table.reason, table.search.result().score) == (StopReason.COST_BUDGET, 0.4)
        assert len(table.search.result().candidates) == 3

    def test_queued_draws_are_dropped_at_the_end(self):
        table = Table(stopping=MaxSamples(16), token_budget=30, first_round=4)
        table.draw(*table.take(2))
        first, second = table.take(2)
        table.verify(first, 0.1)
        assert table.reason is StopReason.TOKEN_BUDGET
        assert table.take(9) == []
        table.verify(second, 0.1)
        assert table.search.over


class TestTime:
    def test_a_deadline_ends_the_search_by_the_clock_it_was_given(self):
        table = Table(deadline_s=10.0)
        first, second = table.drawn_round()
        table.now = 4.0
        table.verify(first, 0.2)
        assert table.search.wait_s == 6.0
        table.search.tick()
        assert not table.search.over
        table.now = 10.0
        assert table.search.wait_s == 0.0
        table.search.tick()
        assert table.search.over
        assert table.reason is StopReason.DEADLINE
        table.verify(second, 1.0)  # too late to decide, but kept
        result = table.search.result()
        assert (result.stop_reason, result.score, result.duration_s) == (StopReason.DEADLINE, 1.0, 10.0)

    def test_without_a_deadline_there_is_no_waiting_time(self):
        table = Table()
        assert table.search.wait_s is None
        table.now = 1e9
        table.search.tick()
        assert not table.search.over

    def test_a_deadline_also_ends_the_verifying_after_a_budget(self):
        table = Table(stopping=MaxSamples(16), token_budget=30, first_round=4, deadline_s=5.0)
        first, *_ = table.drawn_round()
        table.verify(first, 0.1)
        assert not table.search.over
        table.now = 5.0
        assert table.search.over


class TestCancellation:
    def test_after_the_end_draws_are_unwanted(self):
        table = Table(target=0.9, first_round=3)
        draws = table.take()
        table.draw(draws[0])
        (first,) = table.take()
        table.verify(first, 0.95)
        assert [table.search.wants(job) for job in draws[1:]] == [False, False]
        table.search.record_outcome(draws[1], Cancelled())
        table.draw(draws[2])  # it had finished: it was paid for
        result = table.search.result()
        assert [candidate.index for candidate in result.candidates] == [0, 2]
        assert result.failures == {}

    def test_a_cancelled_verification_reports_its_usage(self):
        table = Table(target=0.9)
        first, second = table.drawn_round()
        table.verify(first, 0.95)
        table.search.record_outcome(second, Cancelled(Usage(10, 5, 1)))
        result = table.search.result()
        assert result.usage["verifier"] == Usage(10, 5, 1)
        assert list(result.verdicts) == [0]

    def test_a_verdict_that_was_reached_late_may_be_the_best(self):
        table = Table(target=0.9)
        first, second = table.drawn_round()
        table.verify(first, 0.95)
        table.verify(second, 0.97)
        assert table.search.result().score == 0.97


class TestTwins:
    def draws(self, table, calls):
        for job, made in zip(table.take(), calls, strict=True):
            table.draw(job, text="", calls=made)
        return table.take()

    def test_equal_tool_calls_share_a_verdict_whose_usage_counts_once(self):
        table = Table(stopping=MaxSamples(3), first_round=3, equality_key=by_call)
        other = {**CALL, "args": {"a": 2}}
        first, second = self.draws(table, [[CALL], [{**CALL, "id": "9"}], [other]])
        assert indexes([first, second]) == [0, 2]
        table.verify(first, 0.4, usage=Usage(7, 2, 1))
        table.verify(second, 0.3, usage=Usage(7, 2, 1))
        result = table.search.result()
        assert {index: verdict.score for index, verdict in result.verdicts.items()} == {0: 0.4, 1: 0.4, 2: 0.3}
        assert result.verdicts[1].usage is None
        assert result.usage["verifier"] == Usage(14, 4, 2)

    def test_a_twin_that_arrives_after_the_verdict_gets_it_at_once(self):
        table = Table(stopping=MaxSamples(2), equality_key=by_call)
        first, second = table.take()
        table.draw(first, text="", calls=[CALL])
        table.verify(*table.take(), 0.4)
        table.draw(second, text="", calls=[CALL])
        assert table.search.over
        assert table.search.result().scores == (0.4, 0.4)

    def test_twins_share_a_failure_too(self):
        table = Table(stopping=MaxSamples(2), equality_key=by_call)
        (job,) = self.draws(table, [[CALL], [CALL]])
        table.search.record_outcome(job, Raised(ValueError("no"), 2))
        with pytest.raises(AllCandidatesFailed) as caught:
            table.search.result()
        first, second = (caught.value.failures[index] for index in (0, 1))
        assert (first.stage, first.error, first.attempts) == (second.stage, second.error, second.attempts)

    def test_equal_text_is_verified_each_time(self):
        assert len(Table(equality_key=by_call).drawn_round()) == 2

    def test_a_verifier_that_compares_candidates_verifies_each(self):
        assert len(self.draws(Table(stopping=MaxSamples(2)), [[CALL], [CALL]])) == 2


def test_events_tell_the_whole_search():
    table = Table(stopping=MaxSamples(2), emit_events=True)
    first, second = table.drawn_round()
    table.verify(first, 0.5)
    table.search.record_outcome(second, Raised(ValueError("no"), 1))
    table.search.result()
    events = table.search.events()
    names = [event.name.removeprefix("optscale:") for event in events]
    assert names == ["round", "candidate", "candidate", "verdict", "failure", "answer"]
    assert events[3].data["decision"] == {**events[3].data["decision"], "stop": False}
    assert table.search.events() == []


def test_an_answer_is_kept_with_its_candidate():
    table = Table(stopping=MaxSamples(1), first_round=1, extract="boxed")
    table.draw(*table.take(), answer="12")
    (job,) = table.take()
    assert job.candidate.answer == "12"
    table.verify(job, 0.5)
    assert table.search.session.history.answers == ("12",)


def test_settings_that_change_make_another_session():
    table = Table(stopping=MaxSamples(2))
    one, other = table.settings.session(), table.settings.session()
    one.ask()
    assert other.pending == ()
    changed = table.settings.for_call({"stopping": MaxSamples(3)})
    assert changed.session().stopping == MaxSamples(3)
