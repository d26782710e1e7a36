"""openevals and agentevals."""

from functools import partial

import pytest
from agentevals.graph_trajectory.strict import graph_trajectory_strict_match
from agentevals.trajectory.llm import (
    TRAJECTORY_ACCURACY_PROMPT,
    create_async_trajectory_llm_as_judge,
    create_trajectory_llm_as_judge,
)
from agentevals.trajectory.match import create_async_trajectory_match_evaluator, create_trajectory_match_evaluator
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from openevals.exact import exact_match, exact_match_async
from openevals.json import create_json_match_evaluator
from openevals.llm import create_async_llm_as_judge, create_llm_as_judge
from openevals.string.levenshtein import levenshtein_distance

from langchain_optscale import OptScale
from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers import EvaluatorVerifier

PROMPT = "Question: {inputs}\nAnswer: {outputs}"


class Judge(BaseChatModel):
    """Likes what mentions Paris, and says what it read."""

    @property
    def _llm_type(self):
        return "judge"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        asked = messages[-1].text
        grade = {"reasoning": f"read {len(asked)} characters", "score": "Paris" in asked.rpartition("Answer")[2]}
        usage = {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}
        call = {"name": "score", "args": grade, "id": "1"}
        message = AIMessage("", tool_calls=[call], usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def with_structured_output(self, schema, **kwargs):
        return self | RunnableLambda(lambda message: message.tool_calls[0]["args"])


@pytest.mark.parametrize("evaluator", [exact_match, exact_match_async])
def test_exact_match(score, evaluator):
    assert score(evaluator, reference="Paris").score == 1
    assert score(evaluator, "Lyon", reference="Paris").score == 0
    assert score(partial(evaluator, reference_outputs="Lyon"), "Lyon").score == 1
    with pytest.raises(SettingsError, match=r"exact_match.* needs a reference"):
        score(evaluator)


def test_levenshtein(score):
    assert score(levenshtein_distance, "Pariss", reference="Paris").score == pytest.approx(5 / 6)


def test_json_match(score):
    evaluator = create_json_match_evaluator(aggregator="average")
    mapped = EvaluatorVerifier(evaluator, outputs=lambda prompt, candidate: {"city": candidate.text, "size": 2})
    assert score(mapped, reference={"city": "Paris", "size": 3}).score == 0.5


def test_json_in_the_text_of_the_answer(score):
    reference = {"city": "Paris", "size": 2}
    answer = '```json\n{"size": 3, "city": "Paris"}\n```'
    assert score(create_json_match_evaluator(aggregator="average"), answer, reference=reference).score == 0.5
    assert score(exact_match, answer.replace("3", "2"), reference=reference).score == 1
    assert score(exact_match, answer, reference=reference).score == 0


def test_a_variable_that_only_the_user_knows(score):
    evaluator = create_llm_as_judge(prompt="Context: {context}\n" + PROMPT, judge=Judge())
    with pytest.raises(SettingsError, match=r"partial\(evaluator, context=...\)"):
        score(evaluator)
    assert score(partial(evaluator, context="France")).score == 1


@pytest.mark.parametrize("make", [create_llm_as_judge, create_async_llm_as_judge])
def test_llm_as_judge(score, make):
    evaluator = make(prompt=PROMPT, judge=Judge(), feedback_key="correctness")
    verdict = score(evaluator)
    assert verdict.score == 1
    assert verdict.explanation.startswith("read ")
    assert verdict.usage.to_dict() == {"input_tokens": 11, "output_tokens": 3, "requests": 1}
    assert verdict.raw["metrics"][0]["name"] == "correctness"
    assert score(evaluator, "Lyon").score == 0


def test_llm_as_judge_that_needs_a_reference(score):
    evaluator = create_llm_as_judge(prompt=PROMPT + "\nRight: {reference_outputs}", judge=Judge())
    assert score(evaluator, reference="Paris").score == 1
    with pytest.raises(SettingsError, match="needs a reference"):
        score(evaluator)


@pytest.mark.parametrize("make", [create_trajectory_match_evaluator, create_async_trajectory_match_evaluator])
def test_trajectory_match(score, make):
    evaluator = make(trajectory_match_mode="strict")
    steps = [HumanMessage("What is the capital of France?"), AIMessage("Paris")]
    assert score(evaluator, reference=steps).score == 1
    called = AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "1"}])
    assert score(evaluator, reference=[steps[0], called]).score == 0


@pytest.mark.parametrize("make", [create_trajectory_llm_as_judge, create_async_trajectory_llm_as_judge])
def test_trajectory_judge(score, make):
    verdict = score(make(prompt=TRAJECTORY_ACCURACY_PROMPT, judge=Judge()))
    assert verdict.usage.input_tokens == 11


def test_a_trajectory_of_a_graph_is_no_answer(score):
    with pytest.raises(SettingsError, match="compares trajectories of a graph"):
        score(graph_trajectory_strict_match, reference={"inputs": [], "results": [], "steps": []})


def test_what_makes_an_evaluator_is_none(score):
    with pytest.raises(SettingsError, match=r"needs prompt|not a known evaluator of single answers"):
        score(create_llm_as_judge)


def test_in_a_search():
    policy = FakeListChatModel(responses=["Lyon", "Paris"])
    result = OptScale(
        policy=policy,
        verifier=create_llm_as_judge(prompt=PROMPT, judge=Judge()),
        max_samples=2,
        # Whichever is scored first: the default rule could stop at Paris.
        stopping=MaxSamples(2),
    ).invoke("What is the capital of France?")
    assert result.text == "Paris"
    assert result.usage["verifier"].requests == 2
