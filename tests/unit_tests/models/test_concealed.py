"""Secrets of a model's settings are in no repr, trace or serialised form of what uses it."""

import pytest
from langchain_core.load import dumps

from langchain_optscale import ChatOptScale, OptScale
from langchain_optscale.models.concealed import concealed

SECRET = "hunter2"  # noqa: S105 - found nowhere

HOLDERS = {
    "headers": {"default_headers": {"X-Api-Key": SECRET}},
    "query": {"default_query": {"key": SECRET}},
    "proxy": {"openai_proxy": f"http://me:{SECRET}@127.0.0.1:9"},
    "address": {"base_url": f"http://me:{SECRET}@127.0.0.1:9/v1"},
    "call headers": {"model_kwargs": {"extra_headers": {"Authorization": f"Bearer {SECRET}"}}},
    "body": {"extra_body": {"api_key": SECRET}},
    "key": {"api_key": SECRET},
}


def policy_with(holder):
    openai = pytest.importorskip("langchain_openai")
    given = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "api_key": "k", "max_retries": 0}
    if holder == "bound headers":
        return openai.ChatOpenAI(**given).bind(extra_headers={"Authorization": SECRET})
    return openai.ChatOpenAI(**(given | HOLDERS[holder]))


@pytest.mark.parametrize("kind", [OptScale, ChatOptScale])
@pytest.mark.parametrize("holder", [*HOLDERS, "bound headers"])
def test_no_repr_shows_a_secret(holder, kind):
    search = kind(policy=policy_with(holder), verifier=lambda prompt, candidate: 0.5, max_samples=1, max_retries=0)
    shown = repr(search), str(search), dumps(search) if kind is OptScale else ""
    assert all(SECRET not in text for text in shown)
    assert "policy=ChatOpenAI('m')" in repr(search)


@pytest.mark.parametrize("holder", [*HOLDERS, "bound headers"])
def test_no_trace_of_the_chat_model_has_a_secret(holder):
    search = ChatOptScale(policy=policy_with(holder), verifier=lambda prompt, candidate: 0.5, max_samples=1)
    assert SECRET not in str(search._identifying_params)


def test_what_is_no_secret_stays():
    settings = {
        "max_tokens": 7,
        "token_budget": 5,
        "stop": ["x"],
        "base_url": "http://host/v1",
        "nested": [{"top_p": 1}],
    }
    assert concealed(settings) == settings
    assert concealed({"nested": [{"auth_token": "k"}], "headers": None}) == {
        "nested": [{"auth_token": "**********"}],
        "headers": None,
    }
