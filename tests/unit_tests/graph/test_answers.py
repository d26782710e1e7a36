"""Answers in the graph are those of `OptScale`: equal ones are one string, whatever tasks they were read in."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from langchain_optscale import OptScale, SettingsError, create_optscale_graph
from langchain_optscale.answers import Compared, SameMath
from langchain_optscale.answers._math_turns import comparing
from langchain_optscale.answers.equivalence import Equivalence
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import AgreementVerifier
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy
from tests.unit_tests.graph.searches import QUESTION, looks_of, result_in, thread

# Equal values in several spellings, and one text without an answer.
TEXTS = [r"\boxed{1/2}", r"\boxed{.50}", r"\boxed{\frac12}", r"\boxed{x+x}", r"\boxed{2x}", r"\boxed{7}", "none"]
DRAWS = st.lists(st.sampled_from(TEXTS), min_size=8, max_size=8)
# Comparing two answers takes milliseconds; where the machine is busy with something else they would, after the usual
# five seconds, count as different in one of two searches and not in the other.
BOXED = Compared("boxed", SameMath(timeout_s=60.0))


def length(prompt, candidate):
    return len(candidate.text) / 20


def both(policy, **settings):
    ours = result_in(create_optscale_graph(policy=policy, **settings).compile().invoke(QUESTION))
    return ours, OptScale(policy=policy, **settings).invoke("How much?", {"max_concurrency": 1})


def alike(ours, theirs):
    assert looks_of(ours) == looks_of(theirs)
    assert [one.answer for one in ours.candidates] == [one.answer for one in theirs.candidates]
    assert ours.best.index == theirs.best.index
    assert ours.decision == theirs.decision


@run(max_examples=15, deadline=None)
@given(texts=DRAWS, sizes=st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_the_same_answers_decisions_and_choice_in_rounds_of_any_size(texts, sizes):
    policy = PlainPolicy(texts=texts)
    rule = {"stopping": MaxSamples(8), "first_round": sizes[0], "round_size": sizes[1]}
    alike(*both(policy, verifier=length, extract=BOXED, select="vote", **rule))


@run(max_examples=10, deadline=None)
@given(texts=DRAWS, policy=st.sampled_from([PlainPolicy, ScriptedPolicy]))
def test_the_same_agreement_one_candidate_at_a_time(texts, policy):
    rule = {"stopping": TargetReached(0.7) | MaxSamples(8), "first_round": 1, "round_size": 1}
    alike(*both(policy(texts=texts), verifier=AgreementVerifier(), extract=BOXED, select="vote", **rule))


@run(max_examples=10, deadline=None)
@given(texts=DRAWS, size=st.sampled_from([2, 4, 8]))
def test_the_same_agreement_where_a_round_is_one_request(texts, size):
    rule = {"stopping": MaxSamples(8), "first_round": size, "round_size": size}
    alike(*both(ScriptedPolicy(texts=texts), verifier=AgreementVerifier(), extract=BOXED, select="vote", **rule))


def test_in_a_parallel_round_each_agrees_with_the_rounds_before_it():
    graph = create_optscale_graph(
        policy=PlainPolicy(texts=[r"\boxed{2}"]),
        verifier=AgreementVerifier(),
        extract=BOXED,
        select="vote",
        stopping=MaxSamples(4),
        first_round=2,
        round_size=2,
    )
    result = result_in(graph.compile().invoke(QUESTION))
    assert result.scores == pytest.approx([1 / 2, 1 / 2, 3 / 4, 3 / 4])


def test_agreement_needs_answers():
    with pytest.raises(SettingsError, match="extract="):
        create_optscale_graph(policy=PlainPolicy(texts=["1"]), verifier=AgreementVerifier())


def test_answers_are_the_same_when_every_step_is_another_process():
    saver = InMemorySaver()
    settings = {"verifier": length, "extract": "math", "select": "vote", "stopping": MaxSamples(6), "first_round": 3}
    policy = PlainPolicy(texts=["so x + x", "so 2x", "so x*2", "so 2x", "so 7", "so 14/2"])

    def step(given):
        compiled = create_optscale_graph(policy=policy, **settings).compile(checkpointer=saver, interrupt_after="*")
        compiled.invoke(given, thread())
        return compiled.get_state(thread())

    snapshot = step(QUESTION)
    while snapshot.next:
        snapshot = step(None)
    theirs = OptScale(policy=policy, **settings).invoke("How much?", {"max_concurrency": 1})
    alike(result_in(snapshot.values), theirs)
    assert len({one.answer for one in theirs.candidates}) < len(theirs.candidates)


def test_answers_are_read_off_the_event_loop_and_only_then_does_a_step_leave_it():
    read_in, loop_thread = set(), threading.get_ident()

    def extract(text):
        read_in.add(threading.get_ident())
        return text

    for settings in ({"extract": extract}, {}):
        graph = create_optscale_graph(policy=PlainPolicy(texts=["a", "bb"]), verifier=length, max_samples=2, **settings)
        state = asyncio.run(graph.compile().ainvoke(QUESTION))
        assert len(state["optscale"]["verdicts"]) == 2
    assert read_in
    assert loop_thread not in read_in


def test_an_extractor_that_raises_is_a_failure_of_its_candidate():
    def extract(text):
        if text == "bad":
            raise LookupError("no answer here")
        return text

    graph = create_optscale_graph(
        policy=PlainPolicy(texts=["bad", "good"]), verifier=length, extract=extract, max_samples=2
    )
    result = result_in(graph.compile().invoke(QUESTION))
    assert result.failures[0].stage == "verify"
    assert "no answer here" in result.failures[0].error
    assert result.best.answer == "good"


@dataclass(frozen=True)
class CostlyComparison(Equivalence):
    """Every comparison takes five of the fifteen seconds that a search has."""

    granted: list[str] = field(default_factory=list, hash=False, compare=False)

    def canonical(self, text):
        return text

    def match(self, form, known):
        comparisons = comparing.get()
        if comparisons.left_s:
            comparisons.spend(5.0)
            self.granted.append(form)


@pytest.mark.parametrize("is_async", [False, True])
def test_the_tasks_of_one_search_share_its_seconds_of_comparing(is_async):
    comparison = CostlyComparison()
    graph = create_optscale_graph(
        policy=PlainPolicy(texts=[rf"\boxed{{x+{number}}}" for number in range(12)]),
        verifier=length,
        extract=Compared("boxed", comparison),
        stopping=MaxSamples(12),
        first_round=2,
        round_size=1,
    ).compile()
    for searched in (1, 2):
        run = asyncio.run(graph.ainvoke(QUESTION)) if is_async else graph.invoke(QUESTION)
        assert len(result_in(run).candidates) == 12
        # Two tasks of the first round may both find seconds left; another search has its own.
        assert 3 * searched <= len(comparison.granted) <= 4 * searched
