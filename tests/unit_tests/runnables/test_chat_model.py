"""ChatOptScale where a chat model is expected."""

import json

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, trim_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_optscale import ChatOptScale, SettingsError
from tests.unit_tests.fakes import ScriptedPolicy, read_score


def model(texts=("0.1", "0.95", "0.3"), **kwargs):
    target = {} if "stopping" in kwargs or "settings" in kwargs else {"target": 0.9}
    return ChatOptScale(policy=ScriptedPolicy(texts=list(texts)), verifier=read_score, **target | kwargs)


async def test_in_a_chain():
    chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{q}")]) | model() | StrOutputParser()
    assert chain.invoke({"q": "?"}) == "0.95"
    assert await chain.ainvoke({"q": "?"}) == "0.95"
    assert chain.batch([{"q": "a"}, {"q": "b"}]) == ["0.95", "0.95"]
    assert "".join(chain.stream({"q": "?"})) == "0.95"


def test_the_verifier_sees_the_whole_conversation():
    seen = []

    def verify(prompt, candidate):
        seen.append([message.type for message in prompt.to_messages()])
        return 1.0

    conversation = [SystemMessage("s"), HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    ChatOptScale(policy=ScriptedPolicy(texts=["x"]), verifier=verify, max_samples=1).invoke(conversation)
    assert seen == [["system", "human", "ai", "human"]]


def test_the_message_carries_the_record():
    message = model().invoke("q")
    about = message.response_metadata["optscale"]
    assert about["n"] == 2
    assert sorted(about["scores"]) == [0.1, 0.95]
    assert (about["best_index"], about["score"], about["stop_reason"]) == (1, 0.95, "TARGET_REACHED")
    assert about["usage"]["policy"] == {"input_tokens": 10, "output_tokens": 10, "requests": 1}
    assert {
        "mu",
        "sigma",
        "optimal_n",
        "explanation",
        "drawn",
        "failed",
        "rounds",
        "duration_s",
    } <= about.keys()
    assert message.usage_metadata == {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
    assert message.response_metadata["model_name"] == "optscale/ScriptedPolicy"
    json.dumps(about)


def test_the_policys_own_message_stays_as_it_was():
    policy = ScriptedPolicy(texts=["0.95"])
    seen = []
    verifier = lambda prompt, candidate: seen.append(candidate) or read_score(prompt, candidate)  # noqa: E731
    ChatOptScale(policy=policy, verifier=verifier, max_samples=1).invoke("q")
    assert "optscale" not in seen[0].message.response_metadata


def test_stop_words_and_bound_arguments_reach_the_policy():
    chat = model(max_samples=1)
    chat.bind(stop=["!"], top_p=0.5).invoke("q")
    assert chat.policy.requests == [{"stop": ["!"], "top_p": 0.5, "seed": 0}]


async def test_settings_can_be_changed_for_a_call():
    chat = model(("0.1",))
    config = {"configurable": {"max_samples": 3}}
    assert chat.invoke("q", config).response_metadata["optscale"]["n"] == 3
    assert (await chat.ainvoke("q", config)).response_metadata["optscale"]["n"] == 3
    assert chat.with_config(config).invoke("q").response_metadata["optscale"]["n"] == 3
    assert chat.invoke("q").response_metadata["optscale"]["n"] == 16
    with pytest.raises(SettingsError, match="max_samples"):
        chat.invoke("q", {"configurable": {"max_samples": 0}})


def test_the_outer_cache_works_and_knows_the_settings():
    set_llm_cache(InMemoryCache())
    try:
        chat = model(("0.1",), max_samples=2, limits={"max_samples": 3})
        first = chat.invoke("q")
        assert chat.invoke("q").content == first.content
        assert len(chat.policy.requests) == 1
        chat.invoke("q", {"configurable": {"max_samples": 3}})
        assert len(chat.policy.requests) > 1
    finally:
        set_llm_cache(None)


def test_usage_callback_sees_every_token_once():
    with get_usage_metadata_callback() as usage:
        message = model().invoke("q")
    spent = message.usage_metadata["total_tokens"]
    assert {name: used["total_tokens"] for name, used in usage.usage_metadata.items()} == {"scripted-1": spent}


class CountingPolicy(ScriptedPolicy):
    """A token is a letter, and a message begins with three more."""

    def get_token_ids(self, text):
        return [ord(letter) for letter in text]

    def get_num_tokens_from_messages(self, messages, tools=None):
        return sum(3 + len(message.text) for message in messages) + 100 * len(tools or ())


def test_tokens_are_counted_as_the_policy_counts_them():
    counting = CountingPolicy(texts=["0.5"])
    for policy in (counting, counting.bind(top_p=0.9)):
        chat = ChatOptScale(policy=policy, verifier=read_score)
        assert (chat.get_token_ids("ab"), chat.get_num_tokens("abc")) == ([97, 98], 3)
        conversation = [HumanMessage("abc"), AIMessage("de"), HumanMessage("f")]
        assert chat.get_num_tokens_from_messages(conversation) == 15
        assert chat.get_num_tokens_from_messages(conversation, tools=[print]) == 115
        assert trim_messages(conversation, max_tokens=9, token_counter=chat) == conversation[1:]
    own = ChatOptScale(policy=counting, verifier=read_score, custom_get_token_ids=lambda text: text.split())
    assert own.get_num_tokens("a bc d") == 3


def test_repr_has_no_secrets():
    from langchain_openai import ChatOpenAI

    chat = ChatOptScale(policy=ChatOpenAI(model="m", api_key="sk-very-secret"), verifier=read_score)
    for text in (repr(chat), str(chat), str(chat._identifying_params), str(chat.to_json())):
        assert "very-secret" not in text
