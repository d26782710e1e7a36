"""Settings as plain data: dumped and loaded, pickled, and as cache keys."""

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumpd, dumps, load
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI

from langchain_optscale import ChatOptScale, FixedPrior
from langchain_optscale.answers import (
    BoxedAnswer,
    Compared,
    ExactText,
    LastNumber,
    RegexAnswer,
    SameMath,
    WeightedVote,
)
from langchain_optscale.engine.serialisation import NoJSONForm, from_spec, identity, to_spec
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.stats import MaximumAPosteriori, Posterior
from langchain_optscale.stopping import MaxSamples, TargetReached, paper
from langchain_optscale.verifiers import (
    ConfidenceVerifier,
    JSONCheck,
    LengthCheck,
    NumberCheck,
    RegexCheck,
    RequiredWords,
)
from tests.unit_tests.fakes import ScriptedPolicy, read_score

pytestmark = pytest.mark.filterwarnings(
    "ignore:The function `load:langchain_core._api.beta_decorator.LangChainBetaWarning"
)

SECRET = "sk-very-secret"  # noqa: S105 - that is the point


def openai(**kwargs):
    return ChatOpenAI(model="m", api_key=SECRET, **kwargs)


def loaded(data):
    return load(data, allowed_objects="all", valid_namespaces=["langchain_optscale"], secrets_from_env=True)


@pytest.mark.parametrize(
    "value",
    [
        LengthCheck(at_most=3, unit="sentences"),
        RegexCheck(r"a\d+", flags=2),
        NumberCheck(3.5, abs_tol=0.1, graded=True),
        RequiredWords(["a", "b c"], forbidden=["d"]),
        ConfidenceVerifier(),
        JSONCheck({"type": "object", "properties": {"rule": {"type": "string"}, "optscale": {"type": "null"}}}),
        TargetReached(0.9) | MaxSamples(3) & TargetReached(0.5),
        paper(0.9, 0.95, 8, 2),
        FixedPrior(0.8, 0.1),
        MaximumAPosteriori(),
        Posterior(),
        BoxedAnswer() | LastNumber(percent=True),
        Compared(RegexAnswer(r"is (\w+)"), ExactText()),
        SameMath(),
        WeightedVote(2.0),
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_plain_form_comes_back_equal(value):
    data = json.loads(json.dumps(to_spec(value)))
    assert from_spec(data) == value


@pytest.mark.parametrize("value", [read_score, lambda p, c: 1.0, object(), JSONCheck, {1: 2}])
def test_what_has_none_says_so(value):
    with pytest.raises(NoJSONForm, match="no form as plain data"):
        to_spec(value)


def test_only_known_parts_are_ever_built():
    with pytest.raises(InvalidRecordError, match="unknown part 'Popen'"):
        from_spec({"optscale": "Popen", "args": "ls"})
    with pytest.raises(InvalidRecordError, match="LengthCheck"):
        from_spec({"optscale": "LengthCheck", "at_most": -1})


def test_a_model_is_dumped_and_loaded(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    model = ChatOptScale(
        policy=openai(), verifier=LengthCheck(at_most=3), stopping=paper(0.9, 0.95, 8, 2), seed=3, temperature=0.5
    )
    data = dumpd(model)
    assert SECRET not in json.dumps(data)
    again = loaded(data)
    assert again.asdict() == model.asdict()
    assert (again.stopping, again.verifier, again.temperature) == (model.stopping, model.verifier, 0.5)
    assert again.policy.openai_api_key.get_secret_value() == SECRET
    assert again.model_fields_set == model.model_fields_set


def test_a_bound_model_is_dumped_and_loaded(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    bound = ChatOptScale(policy=openai(), verifier=LengthCheck(at_most=3)).bind(stop=["x"])
    assert loaded(dumpd(bound)).kwargs == {"stop": ["x"]}


def test_a_model_with_a_function_is_marked_as_not_serialisable():
    data = dumpd(ChatOptScale(policy=openai(), verifier=read_score))
    assert data["type"] == "not_implemented"
    assert SECRET not in json.dumps(data)


def test_no_secret_in_any_form():
    model = ChatOptScale(policy=openai(default_headers={"X-Other": "y"}), verifier=LengthCheck(at_most=3))
    forms = [repr(model), str(model), dumps(model), str(model.asdict()), str(model._get_llm_string())]
    forms.append(pickle.dumps(model).decode("latin-1"))
    assert not [form for form in forms if SECRET in form]


def name_of(model):
    return model.policy.model_name, model.max_samples


def test_a_process_pool_gets_the_model(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    model = ChatOptScale(policy=openai(), verifier=LengthCheck(at_most=3), max_samples=5)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(name_of, model).result() == ("m", 5)


def test_copies_need_no_plain_form():
    import copy

    model = ChatOptScale(policy=ScriptedPolicy(texts=["1.0"]), verifier=read_score, max_samples=1)
    for same in (copy.copy(model), model.model_copy(), model.model_copy(deep=False)):
        assert same.invoke("q").content == "1.0"


def test_functions_are_told_apart_by_identity():
    def make(score):
        return lambda prompt, candidate: score

    one, other = make(0.1), make(0.2)
    assert identity(one) == identity(one)
    assert identity(one) != identity(other)
    assert identity(LengthCheck(at_most=3)) == identity(LengthCheck(at_most=3))


@pytest.fixture
def cache():
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.usefixtures("cache")
def test_a_cached_answer_belongs_to_its_verifier():
    policy = ScriptedPolicy(texts=["0.1", "0.9"])
    first = ChatOptScale(policy=policy, verifier=lambda p, c: float(c.text), max_samples=2)
    other = ChatOptScale(policy=policy, verifier=lambda p, c: 1 - float(c.text), max_samples=2)
    assert (first.invoke("q").content, other.invoke("q").content) == ("0.9", "0.1")
    asked = len(policy.requests)
    assert (first.invoke("q").content, other.invoke("q").content) == ("0.9", "0.1")
    assert len(policy.requests) == asked


@pytest.mark.usefixtures("cache")
async def test_draws_never_come_from_a_cache():
    policy = ScriptedPolicy(texts=["0.1"])
    model = ChatOptScale(policy=policy, verifier=read_score, max_samples=4, fanout="calls")
    await model.ainvoke("q")
    assert len(policy.requests) == 4
    assert (await model.ainvoke("q")).content == "0.1"
    assert len(policy.requests) == 4


def test_fields_can_be_made_configurable_under_other_names():
    policy = ScriptedPolicy(texts=["0.1"])
    model = ChatOptScale(policy=policy, verifier=read_score, stopping=MaxSamples(2), first_round=1)
    chosen = model.configurable_fields(stopping=ConfigurableField(id="rule"), temperature=ConfigurableField(id="heat"))
    assert chosen.invoke("q").response_metadata["optscale"]["n"] == 2
    message = chosen.with_config(configurable={"rule": MaxSamples(3), "heat": 0.3}).invoke("q")
    assert message.response_metadata["optscale"]["n"] == 3
    assert policy.requests[-1]["temperature"] == 0.3
    assert {spec.id for spec in chosen.config_specs} >= {"rule", "heat"}
