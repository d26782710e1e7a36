"""What a checkpointer makes of a search: time travel, a person's say, memory of settings, and what is stored."""

import json

import pytest
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from langchain_optscale import FixedPrior, SettingsError, StopReason
from langchain_optscale.stopping import MaxSamples, TargetReached
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in, texts, thread

SCORES = [0.2, 0.4, 0.3, 0.55, 0.5, 0.6, 0.1, 0.7, 0.65, 0.97, 0.3, 0.2]


def strict_saver():
    """As under LANGGRAPH_STRICT_MSGPACK: nothing but LangGraph's own list of safe types is read back."""
    return InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_every_durability_keeps_the_whole_search(durability, policy):
    graph, _ = graph_of(SCORES, policy=policy, round_size=3, max_samples=6)
    compiled = graph.compile(checkpointer=strict_saver())
    state = compiled.invoke(QUESTION, thread(), durability=durability)
    kept = compiled.get_state(thread())
    assert kept.values["optscale"] == state["optscale"]
    assert kept.values["messages"] == state["messages"]
    assert kept.next == ()


def raw_bytes(saver):
    rows = [saver.blobs, saver.writes, saver.storage]
    return repr([dict(row) for row in rows]).encode()


def test_no_secret_and_no_model_is_stored():
    class Secretive(ChatOpenAI):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            return PlainPolicy(texts=["0.95"])._generate(messages)

    model = Secretive(model="m", api_key="sk-very-secret", base_url="http://127.0.0.1:9/v1")
    graph, _ = graph_of(SCORES)
    saver = strict_saver()
    compiled = graph.compile(checkpointer=saver)
    state = compiled.invoke(QUESTION, thread(), context={"policy": model, "target": 0.9})
    assert state["messages"][-1].text == "0.95"
    assert state["optscale"]["search"]["given"] == ["policy"]
    assert state["optscale"]["search"]["settings"] == {"target": 0.9}
    stored = raw_bytes(saver)
    assert b"0.95" in stored
    assert b"sk-very-secret" not in stored
    assert b"Secretive" not in stored.replace(b"optscale/Secretive", b"")


def history_at(compiled, node, position=0, config=None):
    """The position-th checkpoint, oldest first, at which `node` comes next."""
    snapshots = list(compiled.get_state_history(config or thread()))[::-1]
    return [snapshot for snapshot in snapshots if snapshot.next == (node,)][position]


def test_the_history_shows_the_search_growing():
    graph, _ = graph_of(SCORES, round_size=3, max_samples=8)
    compiled = graph.compile(checkpointer=InMemorySaver())
    compiled.invoke(QUESTION, thread())
    seen = [
        len(snapshot.values["optscale"]["verdicts"])
        for snapshot in list(compiled.get_state_history(thread()))[::-1]
        if snapshot.values.get("optscale")
    ]
    assert seen == [0, 2, 2, 2, 5, 5, 5, 8, 8, 8]


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_fork_from_an_earlier_round_with_another_target(policy):
    graph, model = graph_of(SCORES, policy=policy, round_size=3, max_samples=12)
    compiled = graph.compile(checkpointer=strict_saver())
    compiled.invoke(QUESTION, thread())
    drawn = len(model.requests)
    earlier = history_at(compiled, "decide", 1)
    assert len(earlier.values["optscale"]["verdicts"]) == 5
    modest = compiled.invoke(None, earlier.config, context={"target": 0.5})
    assert len(model.requests) == drawn
    assert (result_in(modest).text, result_in(modest).stop_reason) == ("0.55", StopReason.TARGET_REACHED)
    assert len(modest["optscale"]["candidates"]) == 5
    greedy = compiled.invoke(None, earlier.config, context={"target": 0.99, "max_samples": 11})
    assert result_in(greedy).stop_reason is StopReason.MAX_SAMPLES
    assert [candidate.text for candidate in result_in(greedy).candidates] == texts(*SCORES[:11])


@pytest.mark.parametrize("node", ["ask", "decide"])
def test_fork_by_editing_the_state(node):
    graph, _ = graph_of(SCORES, round_size=3)
    compiled = graph.compile(checkpointer=strict_saver())
    compiled.invoke(QUESTION, thread())
    earlier = history_at(compiled, node, 1 if node == "decide" else 2)
    forked = compiled.update_state(earlier.config, {"optscale": {"search": {"settings": {"target": 0.5}}}})
    assert compiled.get_state(forked).next == (node,)
    result = result_in(compiled.invoke(None, forked))
    assert (result.score, len(result.candidates), result.stop_reason) == (0.55, 5, StopReason.TARGET_REACHED)


def test_the_thread_stores_the_settings_of_the_run():
    rule = TargetReached(0.6) | MaxSamples(9)
    graph, _ = graph_of(SCORES, round_size=2, stopping=MaxSamples(9))
    saver = strict_saver()
    broken = graph.compile(checkpointer=saver, interrupt_after=["decide"])
    broken.invoke(QUESTION, thread(), context={"stopping": rule, "seed": 1})
    state = graph.compile(checkpointer=saver).invoke(None, thread())
    assert result_in(state).decision.rule == "TargetReached"
    assert result_in(state).text == "0.6"
    assert result_in(state).candidates[0].text == "0.4"  # the seed too


def test_settings_that_no_checkpoint_stores_must_be_given_again():
    graph, _ = graph_of(SCORES, round_size=2)
    saver = strict_saver()
    context = {"policy": PlainPolicy(texts=texts(0.3, 0.4, 0.95, 0.1)), "prior": FixedPrior(0.5, 0.2)}
    graph.compile(checkpointer=saver, interrupt_after=["decide"]).invoke(QUESTION, thread(), context=context)
    compiled = graph.compile(checkpointer=saver)
    with pytest.raises(SettingsError, match="began with its own policy and prior, which no checkpoint stores"):
        compiled.invoke(None, thread())
    assert result_in(compiled.invoke(None, thread(), context=context)).text == "0.95"


# A person's say


def ended(**settings):
    graph, model = graph_of(SCORES, round_size=3, max_samples=5, review=True, **settings)
    compiled = graph.compile(checkpointer=strict_saver())
    state = compiled.invoke(QUESTION, thread())
    (asked,) = state["__interrupt__"]
    return compiled, model, asked.value


def test_the_question_has_the_state_of_the_search():
    _, _, asked = ended()
    assert json.loads(json.dumps(asked)) == asked
    assert asked["reason"] == "MAX_SAMPLES"
    assert asked["best"] == {"index": 3, "score": 0.55, "text": "0.55"}
    assert asked["target"] == 0.9
    assert asked["spent"]["candidates"] == 5
    assert asked["problem"] is None


@pytest.mark.parametrize("answer", ["accept", {"accept": True}])
def test_accepting_the_best(answer):
    compiled, model, _ = ended()
    drawn = len(model.requests)
    assert compiled.invoke(Command(resume=answer), thread())["messages"][-1].text == "0.55"
    assert len(model.requests) == drawn


@pytest.mark.parametrize("policy", [PlainPolicy, ScriptedPolicy])
def test_raising_the_budget_keeps_the_candidates(policy):
    compiled, model, _ = ended(policy=policy)
    state = compiled.invoke(Command(resume={"max_samples": 12}), thread())
    result = result_in(state)
    assert result.text == "0.97"
    assert [candidate.text for candidate in result.candidates] == texts(*SCORES[: len(result.candidates)])
    seeds = [request["seed"] + offset for request in model.requests for offset in range(request.get("n", 1))]
    assert sorted(seeds) == list(range(len(result.candidates)))
    assert [one.indexes for one in result.rounds][:2] == [(0, 1), (2, 3, 4)]


def test_changing_the_target():
    compiled, model, _ = ended()
    drawn = len(model.requests)
    result = result_in(compiled.invoke(Command(resume={"target": 0.5}), thread(), context={"target": 0.9}))
    assert (result.text, result.stop_reason) == ("0.55", StopReason.TARGET_REACHED)
    assert len(model.requests) == drawn


def test_asked_again_when_it_is_still_not_reached():
    compiled, _, _ = ended()
    state = compiled.invoke(Command(resume={"max_samples": 8}), thread())
    (asked,) = state["__interrupt__"]
    assert asked.value["best"]["score"] == 0.7
    state = compiled.invoke(Command(resume={"max_samples": 11}), thread())
    assert result_in(state).text == "0.97"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("yes", "answer 'accept', or with new values for some of target"),
        ({"policy": "x"}, "answer 'accept'"),
        ({"target": 3}, "target: Input should be less than or equal to 1"),
        ({"target": 0.95}, "with these settings the search would end at once: stop: the largest allowed number"),
    ],
)
def test_an_unusable_answer_is_asked_for_again(answer, problem):
    compiled, _, _ = ended()
    (asked,) = compiled.invoke(Command(resume=answer), thread())["__interrupt__"]
    assert asked.value["problem"].startswith(problem)
    assert compiled.invoke(Command(resume="accept"), thread())["messages"][-1].text == "0.55"


def test_no_review_when_the_target_is_reached():
    graph, _ = graph_of(SCORES, review=True, target=0.4)
    assert "__interrupt__" not in graph.compile(checkpointer=InMemorySaver()).invoke(QUESTION, thread())


def test_a_custom_rule_is_judged_by_its_reason():
    graph, _ = graph_of(SCORES, review=True, stopping=TargetReached(0.99) | MaxSamples(3))
    state = graph.compile(checkpointer=InMemorySaver()).invoke(QUESTION, thread())
    assert state["__interrupt__"][0].value["target"] is None
    graph, _ = graph_of(SCORES, review=True, stopping=TargetReached(0.4) | MaxSamples(3))
    assert "__interrupt__" not in graph.compile(checkpointer=InMemorySaver()).invoke(QUESTION, thread())


def test_a_review_of_a_search_without_any_score():
    def no(prompt, candidate):
        raise ValueError("never")

    graph, _ = graph_of(SCORES, review=True, verifier=no, max_samples=2)
    state = graph.compile(checkpointer=InMemorySaver()).invoke(QUESTION, thread())
    assert state["__interrupt__"][0].value["best"] is None


def test_review_needs_a_checkpointer():
    graph, model = graph_of(SCORES, review=True)
    with pytest.raises(SettingsError, match="review=True needs a checkpointer"):
        graph.compile().invoke(QUESTION)
    assert not model.requests


# What a thread stores is a client's word: who may write to a thread is not the operator.


def stored(settings=None, **search):
    """Write into the record of a search that has been interrupted."""
    return {"optscale": {"search": {**({"settings": settings} if settings else {}), **search}}}


def interrupted(**settings):
    """A search that was interrupted after its first round, its policy, and how to go on with what is written."""
    graph, model = graph_of([0.1] * 40, round_size=2, **({"stopping": MaxSamples(4)} | settings))
    saver = strict_saver()
    graph.compile(checkpointer=saver, interrupt_after=["decide"]).invoke(QUESTION, thread())
    return graph.compile(checkpointer=saver), model


def test_a_rule_that_a_client_wrote_into_a_thread_is_refused():
    rule = (TargetReached(0.99) | MaxSamples(3)).to_dict()
    compiled, model = interrupted()
    compiled.update_state(thread(), stored({"stopping": rule}))
    drawn = len(model.requests)
    with pytest.raises(SettingsError, match="stores its own stopping, which this process has not been given"):
        compiled.invoke(None, thread())
    assert len(model.requests) == drawn
    compiled, _ = interrupted(overridable={"stopping"})
    compiled.update_state(thread(), stored({"stopping": rule}))
    assert len(result_in(compiled.invoke(None, thread())).candidates) == 3


def test_a_rule_that_the_thread_stores_for_another_process_is_given_again():
    rule = TargetReached(0.6) | MaxSamples(9)
    saver = strict_saver()
    first, _ = graph_of(SCORES, round_size=2, stopping=MaxSamples(9))
    first.compile(checkpointer=saver, interrupt_after=["decide"]).invoke(QUESTION, thread(), context={"stopping": rule})
    second, _ = graph_of(SCORES, round_size=2, stopping=MaxSamples(9))
    compiled = second.compile(checkpointer=saver)
    with pytest.raises(SettingsError, match="give the same again through context="):
        compiled.invoke(None, thread())
    assert result_in(compiled.invoke(None, thread(), context={"stopping": rule})).decision.rule == "TargetReached"


def test_a_rule_cannot_lift_the_operators_cap():
    compiled, _ = interrupted(overridable={"stopping"})
    compiled.update_state(thread(), stored({"stopping": MaxSamples(30).to_dict()}))
    with pytest.raises(SettingsError, match="a run may not change max_samples"):
        compiled.invoke(None, thread())


@pytest.mark.parametrize("name", ["policy", "verifier"])
def test_a_model_is_not_named_by_a_thread(name):
    compiled, _ = interrupted()
    compiled.update_state(thread(), stored({name: "openai:gpt-5-mini"}))
    with pytest.raises(SettingsError, match=f"a run may not set {name} by plain data"):
        compiled.invoke(None, thread())


def test_a_client_cannot_write_a_review_that_nobody_gave():
    compiled, _ = interrupted(stopping=None, max_samples=4)
    compiled.update_state(thread(), stored(review={"max_samples": 30}))
    with pytest.raises(SettingsError, match="max_samples=30 is above the limit of 4"):
        compiled.invoke(None, thread())


def test_the_input_of_a_run_reaches_the_conversation_alone():
    graph, model = graph_of([0.1] * 40, max_samples=3)
    smuggled = {"rounds": [], "search": {"id": "x", "question": "", "settings": {"stopping": MaxSamples(40).to_dict()}}}
    state = graph.compile().invoke({**QUESTION, "optscale": smuggled})
    assert state["optscale"]["search"]["settings"] == {}
    assert len(model.requests) == 3
