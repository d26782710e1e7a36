"""What a run may change: numbers within the operator's own, nothing built from plain data, unless opted in."""

import asyncio

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import ChatOptScale, OptScale, create_optscale_graph
from langchain_optscale.answers import RegexAnswer
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers import RegexCheck

QUESTION = {"messages": [{"role": "user", "content": "q"}]}


def safe(prompt, candidate):
    return 0.0 if "UNSAFE" in candidate.text else 0.8


def policy():
    return FakeListChatModel(responses=["safe", "UNSAFE!", "safe"])


def given(**settings):
    return {"policy": policy(), "verifier": safe, "max_samples": 3, **settings}


def by_optscale(changes, **settings):
    return len(OptScale(**given(**settings)).invoke("q", {"configurable": changes}).candidates)


def by_async_optscale(changes, **settings):
    return len(asyncio.run(OptScale(**given(**settings)).ainvoke("q", {"configurable": changes})).candidates)


def by_chat_model(changes, **settings):
    message = ChatOptScale(**given(**settings)).invoke("q", {"configurable": changes})
    return message.response_metadata["optscale"]["drawn"]


def by_context(changes, **settings):
    state = create_optscale_graph(**given(**settings)).compile().invoke(QUESTION, context=changes)
    return len(state["optscale"]["candidates"])


def by_configurable(changes, **settings):
    state = create_optscale_graph(**given(**settings)).compile().invoke(QUESTION, {"configurable": changes})
    return len(state["optscale"]["candidates"])


WAYS = [by_optscale, by_async_optscale, by_chat_model, by_context, by_configurable]
BUILT = {
    "extract": {"optscale": "RegexAnswer", "pattern": "(a+)+$"},
    "stopping": {"rule": "MaxSamples", "n": 99},
    "estimator": {"optscale": "Posterior"},
    "prior": {"optscale": "FixedPrior", "mean": 0.9, "std": 0.1},
    "select": {"optscale": "WeightedVote", "exponent": 2.0},
    "price": {"policy": {"input": 0}, "verifier": None},
}


@pytest.mark.parametrize("run", WAYS)
@pytest.mark.parametrize("name", BUILT)
def test_nothing_is_built_from_a_runs_input(run, name):
    with pytest.raises(SettingsError, match=f"a run may not set {name} by plain data"):
        run({name: BUILT[name]})


@pytest.mark.parametrize(
    "changes",
    [
        {"verifier": {"optscale": "RegexCheck", "pattern": "UNSAFE"}},
        {"policy": "other"},
        {"policy": "openai:gpt-5-mini"},
        {"verifier": "openai:gpt-5-mini"},
    ],
)
def test_a_context_replaces_neither_verifier_nor_policy(changes):
    with pytest.raises(SettingsError, match="a run may not set"):
        by_context(changes)


@pytest.mark.parametrize("name", ["settings", "overridable", "limits"])
def test_a_run_names_no_files_and_gives_itself_no_rights(name):
    with pytest.raises(SettingsError, match="a run may not"):
        by_context({name: "/etc/passwd"})


@pytest.mark.parametrize("name", ["overridable", "limits"])
def test_what_a_run_may_change_is_the_operators_alone(name):
    with pytest.raises(
        SettingsError, match=f"overridable names '{name}', which is not a setting that a run could change"
    ):
        OptScale(**given(overridable={name}))


BEYOND = {
    "max_samples": (12, 3),
    "token_budget": (2_000, 1_000),
    "deadline_s": (99.0, 60.0),
    "candidate_timeout_s": (99.0, 60.0),
    "max_failures": (9, 5),
    "policy_limit": (9, 5),
    "verifier_limit": (9, 5),
    "max_retries": (3, 2),
}


@pytest.mark.parametrize("run", WAYS)
@pytest.mark.parametrize("name", BEYOND)
def test_numbers_change_within_what_the_operator_has_set(run, name):
    beyond, own = BEYOND[name]
    with pytest.raises(SettingsError, match=f"{name}={beyond} is above the limit of {own}"):
        run({name: beyond}, **{name: own})
    assert run({name: own}, **{name: own}) == 3


@pytest.mark.parametrize("name", ["token_budget", "deadline_s", "max_failures"])
def test_a_budget_is_not_lifted(name):
    with pytest.raises(SettingsError, match=f"{name}=None is above the limit"):
        by_context({name: None}, **{name: BEYOND[name][1]})
    assert by_context({name: None}) == 3


def test_a_word_lifts_no_number():
    with pytest.raises(SettingsError, match="max_failures='auto' is above the limit of 5"):
        by_context({"max_failures": "auto"}, max_failures=5)
    assert by_context({"max_failures": 4}, max_failures="auto") == 3


def test_the_default_cap_is_a_ceiling_too():
    with pytest.raises(SettingsError, match="max_samples=17 is above the limit of 16"):
        OptScale(policy=policy(), verifier=safe).invoke("q", {"configurable": {"max_samples": 17}})


def test_a_rule_of_this_process_keeps_to_the_cap():
    assert by_optscale({"stopping": MaxSamples(99)}) == 3
    with pytest.raises(SettingsError, match="max_samples=99 is above the limit of 4"):
        OptScale(policy=policy(), verifier=safe, stopping=MaxSamples(4)).invoke(
            "q", {"configurable": {"stopping": MaxSamples(99)}}
        )
    assert by_optscale({"stopping": MaxSamples(2), "first_round": 1}) == 2


def test_limits_raise_and_bind():
    assert by_context({"max_samples": 5}, limits={"max_samples": 6}) == 5
    with pytest.raises(SettingsError, match="max_samples=7 is above the limit of 6"):
        by_context({"max_samples": 7}, limits={"max_samples": 6})
    assert by_optscale({"policy_limit": SharedLimit(2)}, limits={"policy_limit": 2}) == 3
    with pytest.raises(SettingsError, match="above the limit of 2"):
        by_optscale({"policy_limit": SharedLimit(3)}, limits={"policy_limit": 2})


def test_limits_hold_for_the_operator_and_where_nothing_is_set():
    with pytest.raises(SettingsError, match="max_samples=9 is above the limit of 4"):
        OptScale(policy=policy(), verifier=safe, max_samples=9, limits={"max_samples": 4})
    search = OptScale(policy=policy(), verifier=safe, limits={"max_samples": 4, "token_budget": 500})
    assert (search.max_samples, search.token_budget) == (4, 500)
    search = OptScale(policy=policy(), verifier=safe, stopping=MaxSamples(9), limits={"max_samples": 4})
    assert len(search.invoke("q").candidates) == 4
    with pytest.raises(SettingsError, match="the rule's cap of 30 candidates is above limits"):
        OptScale(policy=policy(), verifier=safe, stopping=MaxSamples(30), limits={"max_samples": 20})


def test_overridable_names_what_may_change_in_whatever_form():
    state = (
        create_optscale_graph(**given(overridable={"verifier"}))
        .compile()
        .invoke(QUESTION, context={"verifier": {"optscale": "RegexCheck", "pattern": "UNSAFE"}})
    )
    assert state["messages"][-1].text == "UNSAFE!"
    with pytest.raises(SettingsError, match="a run may not change target; it may change verifier"):
        by_context({"target": 0.5}, overridable={"verifier"})
    with pytest.raises(SettingsError, match="a run may not change target; it may change nothing"):
        by_context({"target": 0.5}, overridable=set())
    with pytest.raises(SettingsError, match="a run may not change verifier"):
        by_context({"verifier": RegexCheck("UNSAFE")}, overridable={"target"})


def test_objects_of_this_process_may_be_given():
    assert by_context({"verifier": RegexCheck("UNSAFE"), "extract": RegexAnswer("(UN)?SAFE")}) >= 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"overridable": "target"}, "overridable must be a set of names"),
        ({"overridable": {"tarket"}}, "overridable names 'tarket', which is not a setting"),
        ({"limits": 3}, "limits must map settings"),
        ({"limits": {"target": 1}}, "limits has 'target'; there are limits for max_samples"),
        ({"limits": {"max_samples": "9"}}, "limits: max_samples must be a number"),
    ],
)
def test_wrong_permissions_are_refused(settings, sentence):
    with pytest.raises(SettingsError, match=sentence):
        OptScale(**given(**settings))


@pytest.mark.parametrize("name", ["policy", "verifier"])
@pytest.mark.parametrize("run", [by_optscale, by_async_optscale, by_chat_model, by_configurable])
def test_a_config_names_no_model(run, name):
    # The config of a run has keys of many parties; these are none of ours, and no model is made of them.
    assert run({name: "openai:gpt-5-mini"}) == run({})
