"""pydantic_evals, deepeval, autoevals and reward-hub."""

import asyncio
import json
import sys
import threading
import time
import types
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import autoevals
import openai
import pydantic_evals.evaluators as pydantic
import pytest
from deepeval.metrics import (
    AnswerRelevancyMetric,
    ArenaGEval,
    BaseMetric,
    ConversationalGEval,
    ExactMatchMetric,
    GEval,
    PatternMatchMetric,
)
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import MultiTurnParams, SingleTurnParams
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue
from pydantic_ai.models.test import TestModel

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.verifiers import EvaluatorVerifier, Logistic, as_verifier
from langchain_optscale.verifiers.conformance import make_candidate


@pytest.mark.parametrize(
    ("evaluator", "answer", "expected"),
    [
        (pydantic.EqualsExpected(), "Paris", 1),
        (pydantic.EqualsExpected(), "Lyon", 0),
        (pydantic.Equals(value="Paris"), "Paris", 1),
        (pydantic.Contains(value="Par"), "Paris", 1),
        (pydantic.Contains(value="Par"), "Lyon", 0),
        (pydantic.IsInstance(type_name="str"), "Lyon", 1),
        (pydantic.MaxDuration(seconds=1), "Lyon", 1),
    ],
)
def test_pydantic_evals(score, evaluator, answer, expected):
    assert score(evaluator, answer, reference="Paris").score == expected


def test_the_reason_of_pydantic_evals(score):
    assert "Par" in score(pydantic.Contains(value="Par"), "Lyon").explanation


def judge_of_pydantic(**settings):
    model = TestModel(custom_output_args={"reason": "because", "pass": True, "score": 0.75})
    return pydantic.LLMJudge(rubric="Is it right?", model=model, include_input=True, **settings)


def test_a_judge_of_pydantic_evals(score):
    verdict = score(judge_of_pydantic(score={"include_reason": True}, assertion=False))
    assert (verdict.score, verdict.explanation) == (0.75, "because")


def test_two_metrics_of_pydantic_evals(score):
    judge = judge_of_pydantic(score={"evaluation_name": "good"}, assertion={"evaluation_name": "passed"})
    with pytest.raises(SettingsError, match="'good', 'passed'"):
        score(judge)
    assert score(EvaluatorVerifier(judge, metric="good")).score == 0.75
    assert score(EvaluatorVerifier(judge, weights={"good": 1, "passed": 1})).score == 0.875


def test_what_pydantic_evals_cannot_score(score):
    with pytest.raises(InvalidScoreError, match="no result"):
        score(pydantic.EqualsExpected())
    with pytest.raises(Exception, match="no spans"):
        score(pydantic.HasMatchingSpan(query={"name_equals": "search"}))


class Grader(DeepEvalBaseLLM):
    """Gives each schema of deepeval what it asks for."""

    ANSWERS: ClassVar = {
        "steps": ["read it"],
        "score": 8,
        "reason": "good",
        "statements": ["Paris"],
        "verdicts": [{"verdict": "yes"}, {"verdict": "no"}],
    }

    def __init__(self):
        self.calls = 0
        super().__init__("grader")

    def load_model(self):
        return self

    def get_model_name(self):
        return "grader"

    def generate(self, prompt, schema=None, **kwargs):
        self.calls += 1
        if schema is None:
            return json.dumps(self.ANSWERS)
        return schema(**{name: self.ANSWERS[name] for name in schema.model_fields if name in self.ANSWERS})

    async def a_generate(self, prompt, schema=None, **kwargs):
        return self.generate(prompt, schema)


def test_deepeval(score):
    assert score(ExactMatchMetric(), reference="Paris").score == 1
    assert score(ExactMatchMetric(), "Lyon", reference="Paris").score == 0
    assert score(PatternMatchMetric(pattern="Par.*"), "Lyon").score == 0
    with pytest.raises(SettingsError, match="needs a reference"):
        score(ExactMatchMetric())


def test_the_tools_of_a_run_reach_deepeval():
    class Tools(BaseMetric):
        threshold = 0.5
        seen: ClassVar = []

        def measure(self, test_case, *args, **kwargs):
            self.seen.append([(one.name, one.input_parameters, one.output) for one in test_case.tools_called or ()])
            self.score = 1.0

        async def a_measure(self, test_case, *args, **kwargs):
            raise NotImplementedError  # the sync method will do

        def is_successful(self):
            return self.score >= self.threshold

    call = {"name": "look_up", "args": {"country": "France"}, "id": "1", "type": "tool_call"}
    steps = [
        HumanMessage("q"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("Paris", tool_call_id="1"),
        AIMessage("P"),
    ]
    prompt = ChatPromptValue(messages=steps[:1])
    run = replace(make_candidate("P"), state={"messages": steps})
    alone = replace(make_candidate(""), message=steps[1])
    verifier = as_verifier(Tools())
    assert verifier.verify(prompt, run).score == 1
    assert asyncio.run(verifier.averify(prompt, alone)).score == 1
    assert Tools.seen == [[("look_up", {"country": "France"}, "Paris")], [("look_up", {"country": "France"}, None)]]


def test_judges_of_deepeval(score):
    params = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
    verdict = score(GEval(name="right", criteria="Is it right?", evaluation_params=params, model=Grader()))
    assert (verdict.score, verdict.explanation) == (0.8, "good")
    verdict = score(AnswerRelevancyMetric(model=Grader()))
    assert (verdict.score, verdict.explanation) == (0.5, "good")


def test_a_conversation_of_deepeval(score):
    metric = ConversationalGEval(
        name="right",
        criteria="Is it right?",
        evaluation_params=[MultiTurnParams.CONTENT, MultiTurnParams.ROLE],
        model=Grader(),
    )
    assert score(metric).score == 0.8


def test_an_arena_of_deepeval_is_refused(score):
    params = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
    metric = ArenaGEval(name="better", criteria="Which is better?", evaluation_params=params, model=Grader())
    with pytest.raises(SettingsError, match="compares several answers"):
        score(metric)


class Slow(BaseMetric):
    """The share of the letter a; slowly, so that calls overlap."""

    threshold = 0.5

    def __init__(self, *, less_is_better=False):
        self.less_is_better = less_is_better

    def measure(self, test_case, *args, **kwargs):
        self.score = test_case.actual_output.count("a") / len(test_case.actual_output)
        time.sleep(0.05)
        self.reason = test_case.actual_output
        self.input_tokens, self.output_tokens = 5, 2
        return self.score

    async def a_measure(self, test_case, *args, **kwargs):
        self.score = test_case.actual_output.count("a") / len(test_case.actual_output)
        await asyncio.sleep(0.05)
        self.reason = test_case.actual_output
        self.input_tokens, self.output_tokens = 5, 2
        return self.score

    def is_successful(self):
        return self.score <= self.threshold if self.less_is_better else self.score >= self.threshold

    @property
    def __name__(self):
        return "share of a"


def test_concurrent_calls_of_a_metric_do_not_mix():
    verifier = as_verifier(Slow())
    prompt = ChatPromptValue(messages=[HumanMessage("q")])
    answers = ["a" * k + "b" * (10 - k) for k in range(11)]

    async def everything():
        return await asyncio.gather(*(verifier.averify(prompt, make_candidate(answer)) for answer in answers))

    asynchronous = asyncio.run(everything())
    synchronous = [None] * len(answers)

    def work(place):
        synchronous[place] = verifier.verify(prompt, make_candidate(answers[place]))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(answers))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for verdicts in (asynchronous, synchronous):
        assert [verdict.score for verdict in verdicts] == [k / 10 for k in range(11)]
        assert [verdict.explanation for verdict in verdicts] == answers
        assert all(verdict.usage.input_tokens == 5 for verdict in verdicts)


def test_a_metric_of_which_less_is_better_is_turned_round(score):
    assert score(Slow(less_is_better=True), "aaab").score == 0.25
    assert score(Slow(), "aaab").score == 0.75


def test_autoevals(score):
    assert score(autoevals.Levenshtein(), "Pariss", reference="Paris").score == pytest.approx(5 / 6)
    assert score(autoevals.ExactMatch(), reference="Paris").score == 1
    assert score(autoevals.NumericDiff(), "8", reference=10).score == pytest.approx(1 - 2 / 18)
    assert score(autoevals.ListContains(), '["Paris", "Lyon"]', reference=["Paris", "Lyon"]).score == 1
    with pytest.raises(InvalidScoreError, match="no JSON list"):
        score(autoevals.ListContains(), reference=["Paris"])
    with pytest.raises(SettingsError, match="Levenshtein needs a reference"):
        score(autoevals.Levenshtein())
    with pytest.raises(InvalidScoreError, match="the reference is a number"):
        score(autoevals.NumericDiff(), reference=10)
    with pytest.raises(SettingsError, match="instance"):
        score(autoevals.Levenshtein)


class Chooser(BaseHTTPRequestHandler):
    """A chat model that always chooses C, "the same"."""

    def log_message(self, *args):
        return

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        choice = json.dumps({"reasons": "they agree", "choice": "C"})
        call = {"id": "1", "type": "function", "function": {"name": "select_choice", "arguments": choice}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
        reply["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def chooser():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chooser)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_judge_of_autoevals(score, chooser, kind):
    judge = autoevals.Factuality(client=kind(base_url=chooser, api_key="x"), model="m")
    verdict = score(judge, reference="Paris")
    assert (verdict.score, verdict.explanation) == (1, "they agree")


class Stub(types.ModuleType):
    """In place of torch and transformers, which reward-hub imports for models that are not loaded here."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@pytest.fixture
def reward_hub(monkeypatch):
    for name in ("torch", "torch.nn", "torch.nn.functional", "transformers"):
        stub = Stub(name)
        monkeypatch.setitem(sys.modules, name, stub)
        if "." in name:
            parent, _, own = name.rpartition(".")
            setattr(sys.modules[parent], own, stub)
    import reward_hub.base
    import reward_hub.llm_judge

    return reward_hub


def test_reward_hub(score, reward_hub):
    class Outcome(reward_hub.base.AbstractOutcomeRewardModel):
        def score(self, messages, **kwargs):
            assert messages[-1] == {"role": "assistant", "content": "Paris"}
            return [2.0]

    class Process(reward_hub.base.AbstractProcessRewardModel):
        def score(self, question, responses, step_sep="\n\n", aggregation_method=None, **kwargs):
            assert (question, responses) == ("What is the capital of France?", ["Paris"])
            return [0.25]

    assert score(Process()).score == 0.25
    assert score(EvaluatorVerifier(Outcome(), rescale=Logistic(location=2.0))).score == 0.5
    with pytest.raises(InvalidScoreError, match="rescale="):
        score(Outcome())


def test_judges_of_reward_hub(score, reward_hub):
    said = '{"score": 8, "reasoning": "fine"}'
    judge = reward_hub.llm_judge.PointwiseJudgeModel(
        "gpt-4o", criterion="overall_quality", api_key="x", mock_response=said
    )
    verdict = score(judge)
    assert (verdict.score, verdict.explanation) == (0.8, "fine")
    ranking = reward_hub.llm_judge.GroupwiseJudgeModel(
        "gpt-4o", criterion="overall_quality", api_key="x", mock_response=said
    )
    with pytest.raises(SettingsError, match="ranks several answers"):
        score(ranking)
