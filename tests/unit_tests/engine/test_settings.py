"""Bad input gets one clear sentence, at construction."""

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.runnables import RunnableLambda

from langchain_optscale import ChatOptScale, FixedPrior, OptScale, SettingsError
from langchain_optscale.stats.estimation import MaximumLikelihood
from langchain_optscale.stopping import MaxSamples, optscale, paper
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score


def policy(**kwargs):
    return ScriptedPolicy(texts=["0.5"], **kwargs)


@pytest.mark.parametrize("entry", [OptScale, ChatOptScale])
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"confidence": 1.0}, "confidence: .* less than 1, got 1.0"),
        ({"confidence": 0}, "confidence: .* greater than 0, got 0"),
        ({"target": 1.5}, "target: .* less than or equal to 1, got 1.5"),
        ({"target": float("nan")}, "target"),
        ({"max_samples": 0}, "max_samples: .* greater than or equal to 1, got 0"),
        ({"max_samples": 2.5}, "max_samples: .* integer"),
        ({"max_samples": "8"}, "max_samples: .* integer"),
        (
            {"first_round": 9, "max_samples": 8},
            r"first_round \(9\) must not be larger than max_samples \(8\)",
        ),
        ({"first_round": 0}, "first_round"),
        ({"round_size": 0}, "round_size"),
        ({"max_retries": -1}, "max_retries"),
        ({"token_budget": 0}, "token_budget"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": float("inf")}, "deadline_s"),
        ({"fanout": "both"}, "fanout"),
        ({"select": "worst"}, "select"),
        ({"max_sample": 3}, "unknown setting 'max_sample'; did you mean 'max_samples'\\?"),
        ({"model": 3}, "unknown setting 'model'; did you mean 'policy'\\?"),
        ({"judge": 3}, "unknown setting 'judge'; did you mean 'verifier'\\?"),
        ({"color": 3}, "unknown setting 'color'; known are policy, verifier, target"),
        ({"stopping": MaxSamples(4), "target": 0.8}, "target belong to the default rule"),
        ({"stopping": 0.9}, "stopping"),
        ({"policy": 4}, "policy must be a chat model or another Runnable, got int"),
        ({"policy": ScriptedPolicy(texts=["x"], temperature=0)}, "temperature is 0"),
        ({"policy": policy().bind(temperature=0)}, "temperature is 0"),
        ({"policy": PlainPolicy(texts=["x"]), "fanout": "n"}, "fanout='n' needs a chat model that takes `n`"),
        ({"policy": RunnableLambda(lambda x: "x"), "seed": 7}, "does not accept seeds"),
        ({"verifier": 3}, "verifier"),
        ({"estimator": MaximumLikelihood(), "prior": FixedPrior(0.8, 0.1)}, "does not use a prior"),
        ({"prior": 0.8}, "prior"),
    ],
)
def test_bad_settings(entry, settings, sentence):
    with pytest.raises(SettingsError, match=sentence) as caught:
        entry(**{"policy": policy(), "verifier": read_score} | settings)
    assert "\n" not in str(caught.value)


def test_a_missing_model_is_named():
    with pytest.raises(SettingsError, match="verifier is missing"):
        OptScale(policy=policy())


def test_temperature_zero_is_fine_for_one_candidate():
    one = OptScale(policy=policy(temperature=0), verifier=read_score, max_samples=1)
    assert one.invoke("q").scores == (0.5,)


def test_temperature_zero_in_the_call_is_noticed():
    with pytest.raises(SettingsError, match="temperature is 0"):
        OptScale(policy=policy(), verifier=read_score).invoke("q", temperature=0)


@pytest.mark.parametrize("value", [7, {"a": 1}, [object()], None])
def test_an_input_that_is_no_prompt(value):
    with pytest.raises(SettingsError, match="the input must be a string, a prompt value or a list of messages"):
        OptScale(policy=policy(), verifier=read_score).invoke(value)


def test_the_rules_own_cap_counts_unless_one_is_given():
    own = OptScale(policy=policy(), verifier=read_score, stopping=paper(0.95, 0.95, 64, 20))
    assert own.session().max_samples == 64
    assert own.session().ask() == 20
    both = OptScale(policy=policy(), verifier=read_score, stopping=paper(0.95, 0.95, 64, 5), max_samples=8)
    assert both.session().max_samples == 8


def test_budgets_join_the_rule():
    settings = OptScale(policy=policy(), verifier=read_score, token_budget=100, deadline_s=5, max_failures=3)
    assert repr(settings.rule()) == (
        repr(optscale(None, 0.95, 16)) + " | MaxFailures(limit=3) | TokenBudget(limit=100) | Deadline(seconds=5.0)"
    )


def test_a_small_cap_shrinks_the_default_first_round():
    assert OptScale(policy=policy(), verifier=read_score, max_samples=1).session().ask() == 1


@pytest.fixture
def llm_cache():
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


def test_draws_never_come_from_a_cache(llm_cache):
    scripted = ScriptedPolicy(texts=["0.1", "0.2", "0.3"], seed=None)
    result = OptScale(policy=scripted, verifier=read_score, max_samples=3, fanout="calls").invoke("q")
    assert len(scripted.requests) == 3
    assert len(result.scores) == 3


def test_a_cache_that_cannot_be_kept_off_is_an_error(llm_cache):
    chain = RunnableLambda(lambda value: value) | PlainPolicy(texts=["0.1"])
    with pytest.raises(SettingsError, match="a global LLM cache is set"):
        OptScale(policy=chain, verifier=read_score)
