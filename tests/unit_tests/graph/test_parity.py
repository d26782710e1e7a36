"""The graph decides as `OptScale.invoke` does on the same scores, whether or not it was interrupted on the way."""

import asyncio

from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from langchain_optscale import FixedPrior, OptScale, paper
from langchain_optscale.records.failures import AllCandidatesFailed
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score
from tests.unit_tests.graph.searches import QUESTION, complete, graph_of, looks_of, result_in, texts, thread

SCORES = st.lists(st.sampled_from([0.0, 0.13, 0.4, 0.55, 0.6, 0.62, 0.7, 0.88, 0.95, 1.0]), min_size=24, max_size=24)
SETTINGS = st.fixed_dictionaries(
    {"max_samples": st.integers(1, 24), "round_size": st.integers(1, 9)},
    optional={
        "target": st.sampled_from([0.5, 0.9, 0.99]),
        "confidence": st.sampled_from([0.5, 0.9, 0.99]),
        "first_round": st.integers(1, 6),
        "token_budget": st.integers(20, 300),
        "max_failures": st.integers(1, 3),
        "prior": st.just(FixedPrior(0.6, 0.2, 0.3, 0.2)),
    },
).filter(lambda settings: settings.get("first_round", 1) <= settings["max_samples"])
BROKEN = st.sets(st.integers(0, 23), max_size=4)


def expected(policy, scores, broken, settings):
    """The search one candidate at a time, which is the order in which the graph records them."""
    model = policy(texts=texts(*scores), errors=errors(broken))
    search = OptScale(policy=model, verifier=read_score, **complete(settings))
    try:
        return search.invoke("How much?", {"max_concurrency": 1})
    except AllCandidatesFailed as error:
        return error


def errors(broken):
    return {index: [ValueError(f"candidate {index} is broken")] for index in broken}


def agree(ours, theirs):
    """Both decided alike: after every candidate up to the one that ended the search, and why it ended."""
    if isinstance(theirs, AllCandidatesFailed):
        # What else was drawn in the last round may have failed or not; up to the end, all has failed.
        if isinstance(ours, AllCandidatesFailed):
            assert theirs.failures.items() <= ours.failures.items()
            return
        assert all(look.score is None for look in looks_of(ours)[: len(theirs.failures)])
        return
    end, other = ours.decision, theirs.decision
    assert (end.stop, end.reason, end.rule, end.optimal_n) == (other.stop, other.reason, other.rule, other.optimal_n)
    if len(looks_of(ours)) == len(looks_of(theirs)):  # else it speaks of more candidates
        assert end == other
    assert [one.indexes for one in ours.rounds] == [one.indexes for one in theirs.rounds]
    observed = looks_of(theirs)
    assert looks_of(ours)[: len(observed)] == observed
    # The rest of the last round was paid for, so the best of it counts; it can only be better.
    assert ours.score >= theirs.score


def outcome_of(call):
    try:
        return result_in(call())
    except AllCandidatesFailed as error:
        return error


@run(max_examples=60, deadline=None)
@given(scores=SCORES, broken=BROKEN, settings=SETTINGS)
def test_same_decisions(scores, broken, settings):
    graph, _ = graph_of(scores, policy_settings={"errors": errors(broken)}, **settings)
    compiled = graph.compile()
    ours = outcome_of(lambda: compiled.invoke(QUESTION))
    agree(ours, expected(PlainPolicy, scores, broken, settings))


@run(max_examples=25, deadline=None)
@given(scores=SCORES, settings=SETTINGS)
def test_same_decisions_where_a_round_is_one_request(scores, settings):
    graph, model = graph_of(scores, policy=ScriptedPolicy, **settings)
    ours = result_in(asyncio.run(graph.compile().ainvoke(QUESTION)))
    theirs = expected(ScriptedPolicy, scores, (), settings)
    agree(ours, theirs)
    assert len(model.requests) == len(ours.rounds)


@run(max_examples=15, deadline=None)
@given(scores=SCORES, broken=BROKEN, settings=SETTINGS)
def test_same_decisions_when_every_step_is_another_process(scores, broken, settings):
    """A graph is built anew for every superstep, so that nothing is carried over but what the checkpoints hold."""
    saver, asked = InMemorySaver(), []

    def one_step(given):
        graph, model = graph_of(scores, policy_settings={"errors": errors(broken)}, **settings)
        compiled = graph.compile(checkpointer=saver, interrupt_after="*")
        compiled.invoke(given, thread())
        asked.extend(request["seed"] for request in model.requests)
        return compiled.get_state(thread())

    def step_by_step():
        snapshot = one_step(QUESTION)
        while snapshot.next:
            snapshot = one_step(None)
        return snapshot.values

    agree(outcome_of(step_by_step), expected(PlainPolicy, scores, broken, settings))
    assert len(asked) == len(set(asked))


def test_the_published_rule_too():
    scores = [0.5, 0.52, 0.9, 0.6, 0.58, 0.96, 0.4, 0.7, 0.71, 0.3, 0.66, 0.61, 0.2, 0.99, 0.8, 0.1]
    settings = {"stopping": paper(target=0.9, confidence=0.9, max_samples=16, first_round=3), "round_size": 4}
    graph, _ = graph_of(scores, **settings)
    agree(result_in(graph.compile().invoke(QUESTION)), expected(PlainPolicy, scores, (), settings))
