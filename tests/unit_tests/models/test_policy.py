"""Drawing: one request or several, seeds, and the arguments of the chat model."""

import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale import SettingsError
from langchain_optscale.engine.sampler import Sampler
from langchain_optscale.models.policy import policy_name
from langchain_optscale.models.prompts import to_prompt
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy

PROMPT = StringPromptValue(text="q")


def test_requests_are_chunked_to_the_servers_limit():
    policy = ScriptedPolicy(texts=["x"], metadata={"optscale_max_n": 3})
    sampler = Sampler(policy)
    assert sampler.requests(range(4, 12)) == [(4, 5, 6), (7, 8, 9), (10, 11)]
    sampler.fall_back()
    assert sampler.requests(range(2)) == [(0,), (1,)]


def test_calls_are_the_only_way_without_n():
    assert Sampler(PlainPolicy(texts=["x"])).requests(range(2)) == [(0,), (1,)]
    assert Sampler(ScriptedPolicy(texts=["x"]), fanout="calls").requests(range(2)) == [(0,), (1,)]


def test_seeds_never_overlap():
    # A server gives choice j of a request with seed s the seed s + j: over all requests they must be distinct.
    policy = ScriptedPolicy(texts=[str(i) for i in range(200)], metadata={"optscale_max_n": 3})
    sampler = Sampler(policy, seed=100)
    texts = [
        choice.message.text for request in sampler.requests(range(20)) for choice in sampler.draw(PROMPT, request, {})
    ]
    assert texts == [str(seed) for seed in range(100, 120)]


def test_a_fixed_seed_of_the_policy_is_spread():
    policy = ScriptedPolicy(texts=["a", "b", "c"], seed=1)
    assert [Sampler(policy).draw(PROMPT, (i,), {})[0].message.text for i in range(2)] == ["b", "c"]
    bound = ScriptedPolicy(texts=["a", "b", "c"], seed=None).bind(seed=2)
    assert Sampler(bound).draw(PROMPT, (0,), {})[0].message.text == "c"


def test_no_seed_is_sent_where_none_is_set():
    policy = ScriptedPolicy(texts=["a"], seed=None)
    Sampler(policy).draw(PROMPT, (5,), {})
    assert policy.requests == [{}]


def test_the_callers_arguments_override_those_of_the_verifier():
    policy = ScriptedPolicy(texts=["a"], seed=None)
    Sampler(policy.bind(logprobs=False), model_kwargs={"logprobs": True, "top_logprobs": 5}).draw(PROMPT, (0,), {})
    assert policy.requests == [{"logprobs": False, "top_logprobs": 5}]


def test_every_choice_has_its_own_usage_and_model_name():
    drawn = Sampler(ScriptedPolicy(texts=["a", "b"])).draw(PROMPT, (0, 1), {})
    assert [choice.usage.output_tokens for choice in drawn] == [5, 5]
    assert [choice.message.usage_metadata["total_tokens"] for choice in drawn] == [15, 5]
    assert [choice.message.response_metadata["model_name"] for choice in drawn] == ["scripted-1"] * 2


def test_an_answer_that_is_no_message():
    from langchain_core.runnables import RunnableLambda

    message = "the policy must answer with a message, a string or a pydantic model, got dict"
    with pytest.raises(SettingsError, match=message):
        Sampler(RunnableLambda(lambda prompt: {"text": "x"})).draw(PROMPT, (0,), {})


def test_names():
    from langchain_openai import ChatOpenAI

    openai = ChatOpenAI(model="gpt-x", api_key="none")
    assert policy_name(openai.bind(stop=["x"])) == "gpt-x"
    assert policy_name(ScriptedPolicy(texts=["x"])) == "ScriptedPolicy"
    assert policy_name(openai | (lambda message: message)) == "RunnableSequence"


def test_prompts():
    assert to_prompt("q").to_string() == "q"
    assert to_prompt([("system", "s"), ("human", "h")]).to_messages()[1].content == "h"
    assert to_prompt(PROMPT) is PROMPT
