"""Models, verifiers and searches on their way to another process."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import StringPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from langchain_optscale import (
    CachedVerifier,
    ChatOptScale,
    EnsembleVerifier,
    LLMJudge,
    OptScale,
    RewardModelVerifier,
    SettingsError,
    create_optscale_tool,
)
from langchain_optscale.endpoints.vllm import vllm_policy, vllm_verifier
from langchain_optscale.models.http_clients import chat_model
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.models.travel import secrets_included
from langchain_optscale.verifiers import LengthCheck, RunnableVerifier
from langchain_optscale.verifiers.conformance import make_candidate
from tests.unit_tests.fakes import ScriptedPolicy, read_score

SECRET = "sk-very-secret"  # noqa: S105 - that is the point
QUESTION = StringPromptValue(text="2 + 2?")


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPTSCALE_POLICY_API_KEY", "OPTSCALE_VERIFIER_API_KEY"):
        monkeypatch.setenv(name, "key-on-arrival")


def openai(**kwargs):
    return ChatOpenAI(model="m", api_key=SECRET, **kwargs)


def judge_chain():
    return ChatPromptTemplate.from_template("{candidate}") | openai(temperature=0.25) | StrOutputParser()


def things(path):
    return {
        "search": OptScale(policy=openai().bind(stop=["x"]), verifier=LLMJudge(openai(), scale="1-5"), max_samples=5),
        "chat": ChatOptScale(policy=openai(), verifier=CachedVerifier(LLMJudge(openai())), temperature=0.5),
        "chain": OptScale(policy=openai(), verifier=RunnableVerifier(judge_chain())),
        "judge": LLMJudge(openai(temperature=0.75), criteria=["it is right"], method="text"),
        "reward": RewardModelVerifier("http://localhost:9", "reward", api_key=SECRET),
        "joined": EnsembleVerifier([LLMJudge(openai()), LengthCheck(at_most=9)], weights=[1, 2]),
        "cached": CachedVerifier(LengthCheck(at_most=9), store=path),
        "tool": create_optscale_tool(policy=openai(), verifier=LengthCheck(at_most=9), total_token_budget=99),
        "vllm": OptScale(
            policy=vllm_policy(["http://a:1", "http://b:2"], "served", api_key=SECRET, max_tokens=7),
            verifier=LengthCheck(at_most=9),
        ),
        "vllm_reward": vllm_verifier(["http://a:1", "http://b:2"], "served", kind="classify", api_key=SECRET),
        "limit": OptScale(policy=openai(), verifier=LengthCheck(at_most=9), policy_limit=SharedLimit(3)),
    }


READ = """
import json, pickle, sys
read = {name: pickle.loads(bytes.fromhex(data)) for name, data in json.load(sys.stdin).items()}
key = lambda model: model.openai_api_key.get_secret_value()
judge = lambda verifier: verifier.model
print(json.dumps({
    "kinds": {name: type(one).__name__ for name, one in read.items()},
    "keys": sorted({key(model) for model in (
        read["search"].policy.bound, judge(read["search"].verifier), read["chat"].policy,
        judge(read["chat"].verifier.verifier), read["chain"].verifier.runnable.steps[1], judge(read["judge"]),
        judge(read["joined"].verifiers[0]), read["tool"].search.policy, read["vllm"].policy, read["limit"].policy)}),
    "settings": [
        read["search"].max_samples, read["search"].policy.kwargs, str(read["search"].verifier.scale),
        read["chat"].temperature, sorted(read["chat"].model_fields_set - {"profile"}),
        read["chain"].verifier.runnable.steps[1].temperature, judge(read["judge"]).temperature,
        read["judge"].method_in_use, list(read["joined"].weights), read["tool"].total_token_budget,
        read["tool"].spent_tokens, read["vllm"].policy.max_tokens, read["limit"].policy_limit.n],
    "reward": [read["reward"].endpoint[1], read["vllm_reward"].endpoint[1]],
}))
"""


def in_fresh_process(code, stdin):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "ignore", "-c", code],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_fresh_process_reads_everything_with_its_own_clients_and_keys(tmp_path):
    data = {name: pickle.dumps(thing) for name, thing in things(tmp_path / "verdicts").items()}
    assert not [name for name, one in data.items() if SECRET.encode() in one]
    read = json.loads(in_fresh_process(READ, json.dumps({name: one.hex() for name, one in data.items()})))
    assert read["kinds"]["chat"] == "ChatOptScale"
    assert read["kinds"]["vllm_reward"] == "RewardModelVerifier"
    assert read["keys"] == ["key-on-arrival"]
    assert read["settings"] == [
        5,
        {"stop": ["x"]},
        "1-5",
        0.5,
        ["policy", "temperature", "verifier"],
        0.25,
        0.75,
        "text",
        [1.0, 2.0],
        99,
        0,
        7,
        3,
    ]
    assert read["reward"] == ["http://localhost:9", "http://a:1"]


def test_what_has_arrived_searches():
    search = OptScale(policy=FakeListChatModel(responses=["four", "4"]), verifier=LengthCheck(at_most=1), max_samples=2)
    code = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.stdin.read())).invoke('2 + 2?').text)"
    assert in_fresh_process(code, pickle.dumps(search).hex()).strip() == "four"


@pytest.mark.parametrize("kind", [OptScale, ChatOptScale])
def test_cloudpickle_sends_functions_and_models_of_your_own(kind):
    class Policy(FakeListChatModel):
        responses: list[str] = ["0.5"]  # noqa: RUF012 - pydantic copies it

    model = kind(policy=Policy(), verifier=lambda prompt, candidate: float(candidate.text), max_samples=1)
    again = cloudpickle.loads(cloudpickle.dumps(model))
    assert again.invoke("q").text == "0.5"
    assert again.max_samples == 1


def test_a_function_of_a_module_and_a_model_with_a_lock_can_be_sent():
    model = ChatOptScale(policy=ScriptedPolicy(texts=["1.0"]), verifier=read_score, max_samples=1)
    assert pickle.loads(pickle.dumps(model)).invoke("q").content == "1.0"  # noqa: S301 - our own


def test_secrets_are_sent_where_they_are_asked_for(tmp_path):
    everything = things(tmp_path / "verdicts")
    with secrets_included():
        data = {name: pickle.dumps(everything[name]) for name in ("search", "reward", "vllm", "vllm_reward")}
    assert all(SECRET.encode() in one for one in data.values())
    again = {name: pickle.loads(one) for name, one in data.items()}  # noqa: S301 - our own
    assert again["search"].policy.bound.openai_api_key.get_secret_value() == SECRET
    assert again["vllm"].policy.openai_api_key.get_secret_value() == SECRET


def test_a_key_that_is_missing_on_arrival_is_named(monkeypatch):
    data = pickle.dumps(RewardModelVerifier("http://localhost:9", "reward", api_key=SECRET))
    policy = pickle.dumps(OptScale(policy=openai(), verifier=LengthCheck(at_most=9)))
    for name in ("OPENAI_API_KEY", "OPTSCALE_VERIFIER_API_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=r"\$OPTSCALE_VERIFIER_API_KEY: set it in this process"):
        pickle.loads(data)  # noqa: S301 - our own
    with pytest.raises(SettingsError, match="set its key in the environment of this process"):
        pickle.loads(policy)  # noqa: S301 - our own


def test_a_key_without_a_known_variable_is_refused_at_once():
    model = chat_model(base_url="http://localhost:9/v1", api_key=SECRET, model="m")
    with pytest.raises(SettingsError, match="the key of http://localhost:9/v1/ is not written into a pickle"):
        pickle.dumps(OptScale(policy=model, verifier=LengthCheck(at_most=9)))
    keyless = chat_model(base_url="http://localhost:9/v1", api_key=None, model="m", temperature=0.5)
    again = pickle.loads(pickle.dumps(OptScale(policy=keyless, verifier=LengthCheck(at_most=9))))  # noqa: S301 - our own
    assert again.policy.temperature == 0.5
    assert type(again.policy.root_client).__name__ == "GivenOpenAI"


def test_a_changed_copy_of_a_servers_model_keeps_its_change():
    policy = vllm_policy("http://a:1", "served", temperature=0.1).model_copy(update={"temperature": 0.9})
    again = pickle.loads(pickle.dumps(OptScale(policy=policy, verifier=LengthCheck(at_most=9))))  # noqa: S301 - our own
    assert again.policy.temperature == 0.9


def test_a_cache_arrives_empty_with_its_file(tmp_path):
    with CachedVerifier(LengthCheck(at_most=9), store=tmp_path / "verdicts") as cached:
        cached.verify(QUESTION, make_candidate("4"))
        with pickle.loads(pickle.dumps(cached)) as again:  # noqa: S301 - our own
            assert again.info() == (0, 0, 0)
            again.verify(QUESTION, make_candidate("4"))
            assert again.info() == (1, 0, 1)  # from the file


def test_copies_share_what_they_did_before(tmp_path):
    judge = LLMJudge(openai())
    assert copy.copy(judge).model is judge.model
    chain = RunnableVerifier(judge_chain())
    assert copy.copy(chain).runnable is chain.runnable
    with secrets_included():
        assert copy.deepcopy(RewardModelVerifier("http://localhost:9", "reward", api_key=SECRET)).model == "reward"
