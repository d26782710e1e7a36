"""Small objects of the shape of other packages' evaluators; the packages themselves are tested elsewhere."""

import asyncio
import pickle
import sys
import threading
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langsmith.evaluation import RunEvaluator, run_evaluator
from pydantic import BaseModel

from langchain_optscale import AllCandidatesFailed, CachedVerifier, EnsembleVerifier, LLMJudge, OptScale
from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.verifiers import CallableVerifier, EvaluatorVerifier, as_verifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

PROMPT = ChatPromptValue(messages=[HumanMessage("What is the capital of France?")])
REFERENCE = {"configurable": {"reference": "Paris"}}


def verdicts(evaluator, answer="Paris", config=None):
    """By both paths."""
    verifier = as_verifier(evaluator)
    candidate = make_candidate(answer)
    return (
        verifier.verify(PROMPT, candidate, config),
        asyncio.run(verifier.averify(PROMPT, candidate, config)),
    )


def scores(evaluator, answer="Paris", config=None):
    return [verdict.score for verdict in verdicts(evaluator, answer, config)]


def refused(evaluator, sentence, kind=SettingsError, config=None):
    with pytest.raises(kind, match=sentence):
        as_verifier(evaluator).verify(PROMPT, make_candidate("Paris"), config)
    with pytest.raises(kind, match=sentence):
        asyncio.run(as_verifier(evaluator).averify(PROMPT, make_candidate("Paris"), config))


def exact(*, outputs, reference_outputs, **kwargs):
    return {"key": "exact", "score": outputs == reference_outputs, "comment": "compared"}


async def exact_async(*, outputs, reference_outputs, **kwargs):
    await asyncio.sleep(0)
    return exact(outputs=outputs, reference_outputs=reference_outputs)


class TestConformance(VerifierConformance):
    def make_verifier(self):
        return EvaluatorVerifier(exact, reference="Paris")

    def good_candidate(self):
        return make_candidate("Paris")

    def bad_candidate(self):
        return make_candidate("Lyon")


@pytest.mark.parametrize("evaluator", [exact, exact_async])
def test_the_reference_of_a_call(evaluator):
    for verdict in verdicts(evaluator, config=REFERENCE):
        assert (verdict.score, verdict.explanation) == (1, "compared")
    assert scores(evaluator, "Lyon", REFERENCE) == [0, 0]
    refused(evaluator, r"needs a reference: give EvaluatorVerifier\(evaluator, reference=")


def test_the_reference_of_a_verifier_and_of_a_question():
    assert scores(EvaluatorVerifier(exact, reference="Lyon"), "Lyon") == [1, 1]
    assert scores(EvaluatorVerifier(exact, reference=lambda prompt: prompt.to_messages()[0].text[-7:-1])) == [0, 0]
    # That of the call comes first.
    assert scores(EvaluatorVerifier(exact, reference="Lyon"), "Paris", REFERENCE) == [1, 1]
    assert scores(partial(exact, reference_outputs="Lyon"), "Lyon") == [1, 1]


def test_every_question_of_a_batch_has_its_own():
    policy = FakeListChatModel(responses=["4", "4"])
    search = OptScale(policy=policy, verifier=exact, max_samples=1)
    configs = [{"configurable": {"reference": answer}} for answer in ("4", "5")]
    assert [result.score for result in search.batch(["2 + 2?", "2 + 3?"], configs)] == [1, 0]


def test_a_judge_takes_it_too():
    asked = []

    class Judge(FakeListChatModel):
        def _call(self, messages, *args, **kwargs):
            asked.append(messages[-1].text)
            return super()._call(messages, *args, **kwargs)

    judge = LLMJudge(Judge(responses=["no grade"]), method="text", reference="Lyon")
    for config in (REFERENCE, None):
        with pytest.raises(InvalidScoreError):
            judge.verify(PROMPT, make_candidate("Paris is the capital"), config)
    assert ["\nParis\n" in one for one in asked] == [True, False]
    assert ["\nLyon\n" in one for one in asked] == [False, True]


def test_a_cached_verdict_is_that_of_its_reference():
    verifier = CachedVerifier(EvaluatorVerifier(exact, reference="Lyon"))
    candidate = make_candidate("Paris")
    assert [verifier.verify(PROMPT, candidate, config).score for config in (None, REFERENCE, None)] == [0, 1, 0]
    assert verifier.info().hits == 1


def mapping(outputs: dict, reference_outputs: Mapping[str, Any]) -> bool:
    return outputs["city"] == reference_outputs["city"]


def messages(*, outputs: list[BaseMessage]) -> bool:
    return [message.type for message in outputs] == ["human", "ai"]


def text(inputs: "str | dict", outputs: str) -> bool:
    return (inputs, outputs) == ("What is the capital of France?", "Paris")


def test_an_annotation_says_what_is_taken():
    assert scores(mapping, config={"configurable": {"reference": {"city": "Paris"}}}) == [1, 1]
    assert scores(messages) == [1, 1]
    assert scores(text) == [1, 1]


class City(BaseModel):
    city: str
    size: int = 2


@pytest.mark.parametrize(
    ("reference", "answer", "parsed"),
    [
        ({"city": "Paris"}, "Paris", None),
        ({"city": "Paris", "size": 2}, '{"size": 2, "city": "Paris"}', None),
        ({"city": "Paris", "size": 2}, 'Here it is:\n```json\n{"size": 2, "city": "Paris"}\n```', None),
        ({"city": "Paris", "size": 2}, "as JSON", City(city="Paris")),
        (["Paris", 2], '["Paris", 2]', None),
        ("[1]", "[1]", None),
        (4, "4", None),
    ],
)
def test_an_answer_has_the_form_of_its_reference(reference, answer, parsed):
    def equal(*, outputs, reference_outputs: Any):
        return outputs == reference_outputs or outputs == str(reference_outputs)

    config = {"configurable": {"reference": reference}}
    candidate = replace(make_candidate(answer), parsed=parsed)
    assert as_verifier(equal).verify(PROMPT, candidate, config).score == 1
    wrong = replace(make_candidate("Lyon"), parsed=parsed and City(city="Lyon"))
    assert as_verifier(equal).verify(PROMPT, wrong, config).score == 0


def test_a_conversation_is_no_form_of_an_answer():
    def seen(*, outputs):
        return outputs == "[1]"

    for steps in ([HumanMessage("q")], [{"role": "user", "content": "q"}], {"messages": [HumanMessage("q")]}):
        assert scores(seen, "[1]", {"configurable": {"reference": steps}}) == [1, 1]


def test_a_text_is_no_conversation_to_compare_with():
    def compared(outputs: list[BaseMessage], reference_outputs: list[BaseMessage]) -> float:
        return 1.0

    refused(compared, "compares conversations, and the reference is text", config=REFERENCE)


def test_one_of_two_paths_is_enough():
    class AsyncOnly(RunEvaluator):
        def evaluate_run(self, run, example=None, evaluator_run_id=None):
            raise NotImplementedError

        async def aevaluate_run(self, run, example=None, evaluator_run_id=None):
            return {"score": 0.25}

    assert scores(AsyncOnly()) == [0.25, 0.25]


def test_neither_path_is_said():
    def abstract(*, outputs):
        raise NotImplementedError("later")

    refused(abstract, "later", NotImplementedError)


def test_a_variable_of_a_prompt_is_named():
    def filled(*, outputs, **kwargs):
        return "{outputs} {context}".format(outputs=outputs, **kwargs) == "Paris France"

    filled.__module__ = "openevals.llm"
    refused(filled, r"has the variable 'context': bind it by functools.partial\(evaluator, context=...\)")
    assert scores(partial(filled, context="France")) == [1, 1]


def create_checker():
    def inner(*, outputs):
        return 1.0

    return inner


def test_what_is_made_has_its_makers_name():
    assert as_verifier(create_checker()).name == "checker"


def test_views():
    def shaped(inputs, outputs):
        return inputs == 1 and outputs == {"length": 5}

    verifier = EvaluatorVerifier(
        shaped,
        inputs=lambda prompt, candidate: len(prompt.to_messages()),
        outputs=lambda prompt, candidate: {"length": len(candidate.text)},
    )
    assert scores(verifier) == [1, 1]


def test_of_a_run():
    @run_evaluator
    def right(run, example):
        return {"score": run.outputs["output"] == example.outputs["output"], "comment": run.inputs["input"]}

    def plain(run, example):
        return {"score": run.outputs["output"] == example.outputs["output"], "comment": run.inputs["input"]}

    for evaluator in (right, plain):
        for verdict in verdicts(evaluator, config=REFERENCE):
            assert (verdict.score, verdict.explanation) == (1, "What is the capital of France?")


def test_a_scorer_function_of_braintrust():
    def scored(input, output, expected=None):  # noqa: A002 - its name
        return {"name": "s", "score": output == expected, "metadata": {"rationale": input}}

    for verdict in verdicts(scored, config=REFERENCE):
        assert (verdict.score, verdict.explanation) == (1, "What is the capital of France?")


def of(package, name, **members):
    """A class as if that package had defined it."""
    return type(name, (), {"__module__": f"{package}.inner", **members})


def test_a_scorer_of_autoevals():
    async def in_thread(self, output, expected=None, **kwargs):
        raise AssertionError("its base class only calls the sync method")

    def evaluated(self, output, expected=None, **kwargs):
        self.threads.add(threading.current_thread())
        if expected is None:
            raise ValueError("Levenshtein requires an expected value")
        return {"name": "s", "score": output == expected, "metadata": {"rationale": kwargs["input"]}}

    base = of("autoevals", "Scorer", _run_eval_async=in_thread, eval_async=in_thread, eval=evaluated)
    scorer = type("Mine", (base,), {"threads": set()})()
    for verdict in verdicts(scorer, config=REFERENCE):
        assert (verdict.score, verdict.explanation) == (1, "What is the capital of France?")
    refused(scorer, "Mine needs a reference")
    assert len(scorer.threads) > 1  # not in the event loop


def test_a_number_is_compared_as_one():
    base = of("autoevals", "Scorer", _run_eval_async=None, eval=lambda self, output, expected, **_: output == expected)
    config = {"configurable": {"reference": 4}}
    assert scores(base(), "4.0", config) == [1, 1]
    refused(base(), "the reference is a number", InvalidScoreError, config)


@pytest.fixture
def pydantic_evals(monkeypatch):
    @dataclass
    class EvaluatorContext:
        inputs: Any
        output: Any
        expected_output: Any
        duration: float

    evaluators = types.ModuleType("pydantic_evals.evaluators")
    evaluators.EvaluatorContext = EvaluatorContext
    errors = types.ModuleType("pydantic_evals.otel._errors")
    errors.SpanTreeRecordingError = RuntimeError
    for module in (types.ModuleType("pydantic_evals"), types.ModuleType("pydantic_evals.otel"), evaluators, errors):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("pydantic_evals")
def test_an_evaluator_of_pydantic_evals():
    @dataclass
    class Reason:
        value: Any
        reason: str

    def evaluate(self, context):
        return Reason(context.output == context.expected_output, context.inputs)

    async def evaluate_async(self, context):
        return evaluate(self, context)

    for method in (evaluate, evaluate_async):
        evaluator = type("Equal", (of("pydantic_evals", "Evaluator"),), {"evaluate": method})()
        for verdict in verdicts(evaluator, config=REFERENCE):
            assert (verdict.score, verdict.explanation) == (1, "What is the capital of France?")


def test_langchain_string_evaluators():
    class Exact:
        requires_reference = True

        def evaluate_strings(self, *, prediction, reference=None, input=None):  # noqa: A002 - its name
            return {"score": prediction == reference, "reasoning": input}

        async def aevaluate_strings(self, **arguments):
            return self.evaluate_strings(**arguments)

    for verdict in verdicts(Exact(), config=REFERENCE):
        assert (verdict.score, verdict.explanation) == (1, "What is the capital of France?")
    refused(Exact(), "needs a reference")
    refused(type("StringDistance", (Exact,), {})(), "less is better")


def test_reward_hub():
    def rewards(self, messages, **kwargs):
        assert messages[-1]["content"] == "Paris"
        return [7.5]

    model = type("Outcome", (of("reward_hub", "AbstractOutcomeRewardModel"),), {"score": rewards})()
    refused(model, "scored 7.5, which is not in", InvalidScoreError)
    assert scores(EvaluatorVerifier(model, rescale=lambda reward: reward / 10)) == [0.75, 0.75]
    judge = type("Judge", (of("reward_hub", "PointwiseJudgeModel"), type(model)), {})()
    assert scores(judge) == [0.75, 0.75]


def of_all_rows(outputs: list, reference_outputs: list) -> float:
    return 1.0


def of_two_systems(inputs: dict, outputs: list[dict]) -> list:
    return [0, 1]


def by_position(outputs, /) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("evaluator", "sentence"),
    [
        (of("reward_hub", "GroupwiseJudgeModel")(), "ranks several answers"),
        (of("deepeval", "BaseArenaMetric")(), "compares several answers"),
        (of("langsmith", "DynamicComparisonRunEvaluator")(), "ranks several runs"),
        (of("ragas", "Faithfulness", __call__=lambda self, prompt, candidate: 1.0)(), "Faithfulness of ragas"),
        (lambda prediction, reference: 1.0, r"\(prediction, reference\) compares a text with a reference"),
        (lambda y_true, y_pred: 1.0, "compares a text with a reference"),
        (lambda outputs, rubric: 1.0, "needs rubric, which no candidate has"),
        (of_all_rows, "takes lists, as evaluators of whole experiments do"),
        (of_two_systems, "takes lists, as evaluators of whole experiments do"),
        (lambda runs, examples: 1.0, "takes lists, as evaluators of whole experiments do"),
        (by_position, "takes arguments by position"),
    ],
)
def test_what_cannot_score_one_candidate_is_refused(evaluator, sentence):
    with pytest.raises(SettingsError, match=sentence):
        as_verifier(evaluator)
    with pytest.raises(SettingsError, match=sentence):
        OptScale(policy=FakeListChatModel(responses=["4"]), verifier=evaluator)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"metric": "a", "weights": {"a": 1}}, "exclude each other"),
        ({"weights": {}}, "numbers above 0"),
        ({"weights": {"a": 0}}, "numbers above 0"),
        ({"rescale": 2}, "rescale must be a function"),
        ({"outputs": "text"}, "outputs must be a function"),
    ],
)
def test_settings(settings, sentence):
    with pytest.raises(SettingsError, match=sentence):
        EvaluatorVerifier(exact, **settings)


def test_what_is_no_evaluator():
    with pytest.raises(SettingsError, match="not a known evaluator"):
        EvaluatorVerifier(lambda prompt, candidate: 1.0)
    with pytest.raises(SettingsError, match="instance"):
        EvaluatorVerifier(of("autoevals", "Scorer"))
    with pytest.raises(SettingsError, match="EvaluatorVerifier"):
        CallableVerifier(exact)


def test_a_function_of_prompt_and_candidate_stays_one():
    assert isinstance(as_verifier(lambda question, answer: 1.0), CallableVerifier)
    assert isinstance(as_verifier(exact), EvaluatorVerifier)


@pytest.mark.parametrize("is_async", [False, True])
def test_models_that_an_evaluator_calls_are_counted(is_async):
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}

    def model():
        return GenericFakeChatModel(messages=iter([AIMessage("fine", usage_metadata=usage)]))

    def judged(*, outputs):
        return {"score": 1, "comment": model().invoke(outputs).text}

    async def judged_async(*, outputs):
        return {"score": 1, "comment": (await model().ainvoke(outputs)).text}

    for verdict in verdicts(judged_async if is_async else judged):
        assert verdict.usage.to_dict() == {"input_tokens": 5, "output_tokens": 2, "requests": 1}


def test_coroutines_of_the_sync_path_share_an_event_loop():
    loops = set()

    async def remembered(*, outputs):
        loops.add(asyncio.get_running_loop())
        return 1.0

    verifier = as_verifier(remembered)
    for _ in range(3):
        verifier.verify(PROMPT, make_candidate("Paris"))
    assert len(loops) == 1


def test_an_error_of_the_evaluator_stays_what_it_is():
    def broken(*, outputs):
        raise ZeroDivisionError("broken")

    refused(broken, "broken", ZeroDivisionError)


def test_a_missing_reference_ends_the_search_at_once():
    policy = FakeListChatModel(responses=["4"])
    with pytest.raises(AllCandidatesFailed, match="needs a reference") as caught:
        OptScale(policy=policy, verifier=exact, max_samples=8).invoke("2 + 2?")
    assert len(caught.value.failures) <= 2


def test_it_can_be_sent_to_another_process():
    verifier = pickle.loads(pickle.dumps(EvaluatorVerifier(exact, reference="Paris")))  # noqa: S301 - our own
    assert scores(verifier) == [1, 1]


def test_a_mock_is_a_function():
    verifier = as_verifier(Mock(return_value=0.25))
    assert isinstance(verifier, CallableVerifier)
    assert scores(verifier) == [0.25, 0.25]


def test_inside_of_others():
    verifier = EnsembleVerifier([exact, lambda prompt, candidate: 0.5])
    assert verifier.verify(PROMPT, make_candidate("Paris"), REFERENCE).score == 0.75
    assert repr(as_verifier(exact)) == "EvaluatorVerifier(exact)"


def test_a_prompt_of_text():
    assert (
        as_verifier(text)
        .verify(StringPromptValue(text="What is the capital of France?"), make_candidate("Paris"))
        .score
    )
