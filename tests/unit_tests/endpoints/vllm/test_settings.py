"""What `vllm_policy` and `vllm_verifier` are set up with; nothing is sent."""

import pytest
from langchain_core.load import dumps
from pydantic import SecretStr

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers import LLMJudge, RewardModelVerifier

pytest.importorskip("langchain_openai")
from langchain_optscale.endpoints.vllm import discover, vllm_policy, vllm_verifier

URL = "http://gpu:8000"
KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-belongs-to-openai")
    monkeypatch.delenv("OPTSCALE_POLICY_API_KEY", raising=False)
    monkeypatch.delenv("OPTSCALE_VERIFIER_API_KEY", raising=False)


def key_of(model):
    return model.openai_api_key.get_secret_value()


def test_a_policy():
    policy = vllm_policy(URL, "m", max_tokens=9, logprobs=3, extra_body={"top_k": 5}, top_p=0.9, timeout_s=30)
    assert policy.openai_api_base == "http://gpu:8000/v1"
    assert (policy.max_retries, policy.temperature, policy.max_tokens, policy.top_p) == (0, 1.0, 9, 0.9)
    assert (policy.logprobs, policy.top_logprobs) == (True, 3)
    assert policy.extra_body == {"top_k": 5}
    assert (policy.request_timeout.read, policy.request_timeout.connect) == (30, 5)


def test_further_arguments_take_precedence():
    assert vllm_policy(URL, "m", max_retries=2, metadata={"optscale_max_n": 4}).max_retries == 2


def test_keys_come_from_the_argument_or_our_own_variable(monkeypatch):
    assert key_of(vllm_policy(URL, "m")) == "not-needed"
    monkeypatch.setenv("OPTSCALE_POLICY_API_KEY", "")  # as Docker Compose sets what the user has not
    assert key_of(vllm_policy(URL, "m")) == "not-needed"
    monkeypatch.setenv("OPTSCALE_POLICY_API_KEY", "sk-of-the-policy")
    assert key_of(vllm_policy(URL, "m")) == "sk-of-the-policy"
    assert key_of(vllm_policy(URL, "m", api_key=KEY)) == KEY


def test_the_key_is_not_shown(monkeypatch):
    monkeypatch.setenv("OPTSCALE_VERIFIER_API_KEY", KEY)
    policy = vllm_policy(URL, "m", api_key=KEY)
    verifiers = [vllm_verifier(URL, "m", kind=kind) for kind in ("judge", "classify", "pooling", "score", "prm")]
    assert KEY not in repr(policy) + str(policy) + dumps(policy) + repr(verifiers)


@pytest.mark.parametrize("key", ["sk-0123456789\nabcdef", "sk-0123456789-\xe9", "sk-0123456789 abcdef"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key):
    for build in (vllm_policy, lambda *args, **kwargs: vllm_verifier(*args, kind="prm", **kwargs), discover):
        with pytest.raises(SettingsError, match="the API key holds") as caught:
            build(URL, "m", api_key=key)
        assert "0123456789" not in str(caught.value)


def test_a_key_from_a_file_ends_with_a_line_break():
    assert key_of(vllm_policy(URL, "m", api_key=f"{KEY}\n")) == KEY
    assert key_of(vllm_policy(URL, "m", api_key=SecretStr(" \n"))) == "not-needed"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "60"])
def test_timeouts_out_of_range(seconds):
    for build in (vllm_policy, lambda *args, **kwargs: vllm_verifier(*args, kind="judge", **kwargs), discover):
        with pytest.raises(SettingsError, match="timeout_s must be a number of seconds above 0"):
            build(URL, "m", timeout_s=seconds)


@pytest.mark.parametrize("settings", [{"logprobs": 21}, {"logprobs": -1}])
def test_settings_out_of_range(settings):
    with pytest.raises(SettingsError):
        vllm_policy(URL, "m", **settings)


def test_a_judge_has_a_token_limit():
    judge = vllm_verifier(URL, "m", kind="judge", max_tokens=50)._asker._model
    assert (judge.max_tokens, judge.temperature, judge.max_retries) == (50, 0.0, 0)
    assert vllm_verifier(URL, "m", kind="judge")._asker._model.max_tokens == 1024


def test_kinds():
    assert isinstance(vllm_verifier(URL, "m", kind="judge"), LLMJudge)
    for kind in ("classify", "pooling", "score", "prm"):
        verifier = vllm_verifier(URL, "m", kind=kind)
        assert isinstance(verifier, RewardModelVerifier)
        assert verifier.kind == kind
    assert vllm_verifier(URL, "m", kind="prm", aggregate="min").aggregate == "min"
    with pytest.raises(SettingsError, match="kind must be one of auto, judge"):
        vllm_verifier(URL, "m", kind="reward")
