"""What LangChain users type at first works, or says what to type."""

import asyncio
import subprocess
import sys

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

import langchain_optscale
from langchain_optscale import ChatOptScale, LLMJudge, OptScale, SettingsError, optscale
from langchain_optscale.answers import RegexAnswer
from langchain_optscale.errors import MissingExtraError
from langchain_optscale.stopping import MaxSamples
from tests.unit_tests.fakes import PlainPolicy, read_score


class TestKeywordsOfACall:
    @pytest.mark.parametrize("kind", [OptScale, ChatOptScale])
    def test_settings_are_understood_and_not_passed_to_the_client(self, kind):
        policy = PlainPolicy(texts=["0.1"])
        search = kind(policy=policy, verifier=read_score, first_round=1, round_size=1)
        search.invoke("q", stopping=MaxSamples(3))
        asyncio.run(search.ainvoke("q", stopping=MaxSamples(2)))
        search.bind(stopping=MaxSamples(1)).invoke("q")
        assert len(policy.requests) == 6
        assert all("stopping" not in request for request in policy.requests)

    @pytest.mark.parametrize("kind", [OptScale, ChatOptScale])
    def test_a_misspelt_one_says_what_was_meant(self, kind):
        policy = PlainPolicy(texts=["0.1"])
        with pytest.raises(SettingsError, match="unknown setting 'max_sampls'; did you mean 'max_samples'"):
            kind(policy=policy, verifier=read_score).invoke("q", max_sampls=3)
        with pytest.raises(SettingsError, match="verifier cannot be changed for one call"):
            kind(policy=policy, verifier=read_score).invoke("q", verifier=read_score)
        assert not policy.requests

    def test_the_arguments_of_the_policy_reach_it(self):
        policy = PlainPolicy(texts=["1.0"])
        OptScale(policy=policy, verifier=read_score).invoke("q", max_tokens=7, temperature=0.3)
        assert policy.requests[0]["max_tokens"] == 7


class TestModelsByName:
    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch):
        pytest.importorskip("langchain")
        pytest.importorskip("langchain_openai")
        monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")

    def test_policy_and_verifier(self):
        search = OptScale(policy="openai:gpt-5-mini", verifier="openai:gpt-4o")
        assert search.policy.model_name == "gpt-5-mini"
        assert isinstance(search.verifier, LLMJudge)
        assert search.verifier.model.model_name == "gpt-4o"

    def test_a_missing_package_is_named(self):
        with pytest.raises(MissingExtraError, match=r"verifier='mistralai:small' .* pip install langchain-mistralai"):
            OptScale(policy="openai:gpt-5-mini", verifier="mistralai:small")

    def test_an_unknown_provider(self):
        with pytest.raises(
            SettingsError, match="judge='nobody:x' cannot be made into a chat model; write the provider"
        ):
            LLMJudge("nobody:x")

    def test_without_langchain_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
        with pytest.raises(
            MissingExtraError, match=r"policy='openai:gpt-5-mini' .*langchain-optscale\[agents,openai\]"
        ):
            OptScale(policy="openai:gpt-5-mini", verifier=read_score)

    def test_without_langchain_the_provider_s_package_is_named_too(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
        for judge, package in (("google_genai:gemini", "google-genai"), ("bedrock:claude", "aws")):
            with pytest.raises(MissingExtraError) as caught:
                LLMJudge(judge)
            assert str(caught.value).endswith(f'langchain-optscale[agents]" langchain-{package}')

    @pytest.mark.parametrize("kind", [OptScale, ChatOptScale])
    @pytest.mark.parametrize("given", [{}, {"model": "openai:gpt-4o"}])
    def test_a_model_that_each_call_chooses(self, kind, given, monkeypatch):
        from langchain.chat_models import init_chat_model
        from langchain_openai import ChatOpenAI

        asked = []

        def generate(model, messages, stop=None, run_manager=None, **kwargs):
            asked.append(model.model_name)
            return PlainPolicy(texts=["1.0"])._generate(messages)

        monkeypatch.setattr(ChatOpenAI, "_generate", generate)
        policy = init_chat_model(configurable_fields="any", **given)
        search = kind(policy=policy, verifier=read_score, max_samples=1)
        search.invoke("q", {"configurable": {"model": "openai:gpt-5", "thread_id": "1", "target": 0.5}})
        assert asked == ["gpt-5"]
        assert repr(search)

    def test_such_a_model_as_the_judge(self):
        from langchain.chat_models import init_chat_model

        judge = init_chat_model(configurable_fields="any", model="openai:gpt-4o")
        assert isinstance(OptScale(policy=PlainPolicy(texts=["x"]), verifier=judge).verifier, LLMJudge)


class City(BaseModel):
    name: str
    people: int


class TestParsed:
    @pytest.mark.parametrize(
        "answer",
        [
            City(name="Oslo", people=7),
            {"raw": AIMessage("x"), "parsed": City(name="Oslo", people=7), "parsing_error": None},
        ],
    )
    def test_the_verifier_sees_the_object(self, answer):
        search = OptScale(
            policy=RunnableLambda(lambda prompt: answer), verifier=lambda prompt, candidate: candidate.parsed.people / 7
        )
        result = search.invoke("q")
        assert (result.best.parsed.name, result.score) == ("Oslo", 1.0)
        assert result.to_dict()["candidates"][0]["parsed"] == {"name": "Oslo", "people": 7}

    def test_the_message_and_the_tokens_are_those_of_the_model_within(self):
        policy = PlainPolicy(texts=['{"name": "Oslo", "people": 7}']) | RunnableLambda(
            lambda message: City.model_validate_json(message.text)
        )
        result = OptScale(policy=policy, verifier=lambda prompt, candidate: 1.0, max_samples=1).invoke("q")
        assert result.text == '{"name": "Oslo", "people": 7}'
        assert result.best.parsed == City(name="Oslo", people=7)
        assert result.total_usage.total_tokens == 15

    def test_an_answer_that_does_not_parse_is_a_failure(self):
        answers = iter([ValueError("no City"), None])

        def answer(prompt):
            error = next(answers)
            parsed = None if error else City(name="Oslo", people=7)
            return {"raw": AIMessage("x"), "parsed": parsed, "parsing_error": error}

        search = OptScale(policy=RunnableLambda(answer), verifier=lambda p, c: 1.0, first_round=1, max_samples=2)
        assert [failure.error for failure in search.invoke("q").failures.values()] == ["ValueError: no City"]


class TestUsageCallbacks:
    @pytest.mark.parametrize("path", ["invoke", "ainvoke", "stream", "astream"])
    def test_every_token_is_counted_once(self, path):
        model = ChatOptScale(policy=PlainPolicy(texts=["0.5"]), verifier=read_score, stopping=MaxSamples(4))
        handler = UsageMetadataCallbackHandler()
        with get_usage_metadata_callback() as ambient:
            message = asyncio.run(self._answer(model, path, {"callbacks": [handler]}))
        for counted in (handler, ambient):
            assert {name: usage["total_tokens"] for name, usage in counted.usage_metadata.items()} == {"scripted-1": 60}
        assert message.usage_metadata["total_tokens"] == 60

    async def _answer(self, model, path, config):
        if path == "invoke":
            return model.invoke("q", config)
        if path == "ainvoke":
            return await model.ainvoke("q", config)
        chunks = (
            model.stream("q", config) if path == "stream" else [chunk async for chunk in model.astream("q", config)]
        )
        whole = None
        for chunk in chunks:
            whole = chunk if whole is None else whole + chunk
        return whole


class TestEvaluators:
    def test_keyword_evaluators_get_texts(self):
        def matches(*, inputs, outputs, reference_outputs="4", **kwargs):
            return {"key": "exact", "score": outputs == reference_outputs, "comment": f"{inputs} -> {outputs}"}

        result = OptScale(policy=PlainPolicy(texts=["3", "4"]), verifier=matches).invoke("2 + 2")
        assert (result.text, result.verdicts[result.best.index].explanation) == ("4", "2 + 2 -> 4")

    async def test_async_ones_too(self):
        async def matches(*, outputs, **kwargs):
            return outputs == "4"

        assert (await OptScale(policy=PlainPolicy(texts=["4"]), verifier=matches).ainvoke("q")).score == 1.0

    def test_other_names_stay_the_prompt_and_the_candidate(self):
        result = OptScale(policy=PlainPolicy(texts=["4"]), verifier=lambda question, output: output.index == 0).invoke(
            "q"
        )
        assert result.score == 1.0


class TestExports:
    def test_everything_can_be_imported_without_extras(self):
        code = (
            "import sys; sys.modules['langchain'] = None\n"
            "from langchain_optscale import *\n"
            "import langchain_optscale, pydoc\n"
            "assert all(hasattr(langchain_optscale, name) for name in langchain_optscale.__all__)\n"
            "assert not hasattr(langchain_optscale, 'nothing')\n"
            "pydoc.render_doc(langchain_optscale); pydoc.render_doc(OptScale)\n"
            "try: OptScaleMiddleware(verifier=len)\n"
            "except ImportError as error: print(error)\n"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert 'pip install "langchain-optscale[agents]"' in out.stdout

    def test_prices_and_settings_are_at_the_top(self):
        assert langchain_optscale.Price(input=1.0).input == 1.0
        assert "token_budget" in langchain_optscale.SearchSettings.model_fields


def _yields(prompt, candidate):
    yield 0.5


class TestMistakesThatCostNothing:
    """Each is refused by one sentence before the first request."""

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"target": "0.9"}, "target must be a number, got '0.9'"),
            ({"target": True}, "target must be a number, got True"),
            ({"confidence": "95%"}, "confidence must be a number, got '95%'"),
            ({"deadline_s": "30"}, "deadline_s must be a number, got '30'"),
            ({"candidate_timeout_s": True}, "candidate_timeout_s must be a number, got True"),
            ({"round_cost": "2"}, "round_cost must be a number"),
            ({"cost_budget": "0.1"}, "cost_budget must be a number"),
            ({"verifier": _yields}, "_yields is a generator: write return in place of yield"),
            ({"select": lambda candidates: 0}, "select must accept two positional arguments"),
            ({"extract": 5}, "(?m)message and state, got 5$"),
            ({"extract": ["boxed", "choice"]}, r"write FirstOf\(...\)"),
            ({"extract": RegexAnswer}, "write an instance"),
            ({"extract": "([0-9]+)"}, r"write RegexAnswer\(pattern\)"),
            (
                {"temperature": 0.7},
                r"it belongs to the model: give it to the policy, as in policy.bind\(temperature=...\)",
            ),
            ({"stop": ["x"]}, r"as in policy.bind\(stop=...\)"),
            ({"policy": ""}, "policy='' names no model"),
        ],
    )
    def test_a_setting(self, settings, message):
        with pytest.raises(SettingsError, match=message) as caught:
            OptScale(**{"policy": PlainPolicy(texts=["0.1"]), "verifier": read_score, **settings})
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", [OptScale, ChatOptScale])
    @pytest.mark.parametrize("inputs", ["a question", b"x", {"question": "x"}, None, 5])
    def test_a_batch_of_one_question(self, kind, inputs):
        policy = PlainPolicy(texts=["0.1"])
        with pytest.raises(
            SettingsError, match=r"must be a list of questions, got .*; put a single question into a list"
        ):
            kind(policy=policy, verifier=read_score).batch(inputs)
        with pytest.raises(SettingsError, match="must be a list of questions"):
            asyncio.run(kind(policy=policy, verifier=read_score).abatch(inputs))
        assert not policy.requests

    def test_an_empty_conversation(self):
        policy = PlainPolicy(texts=["0.1"])
        with pytest.raises(SettingsError, match="the input is an empty list: it needs at least one message"):
            OptScale(policy=policy, verifier=read_score).invoke([])
        assert not policy.requests

    def test_an_unknown_provider_is_one_line(self):
        pytest.importorskip("langchain")
        with pytest.raises(
            SettingsError, match="write the provider and the model in one string, such as 'openai:gpt-5-mini'"
        ) as caught:
            LLMJudge("no-such-model")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("arguments", [{"target": "x"}, {"confidence": "x"}, {"price": "x"}, {"target": True}])
    def test_a_rule(self, arguments):
        with pytest.raises(SettingsError, match=next(iter(arguments))):
            optscale(**arguments)
