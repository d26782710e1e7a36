"""When a step is searched, without an agent."""

from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage

from langchain_optscale import OptScaleMiddleware, SettingsError
from langchain_optscale.agents import When
from langchain_optscale.agents.when import FirstIsGood
from langchain_optscale.stopping import History, MaxSamples
from langchain_optscale.stopping.conformance import RuleConformance
from tests.unit_tests.fakes import ScriptedPolicy, read_score
from tests.unit_tests.records.test_tool_calls import calling

FINAL, STEP, STRUCTURED = AIMessage("42"), calling(("search", {})), calling(("Answer", {}))


def request(response_format=None):
    return SimpleNamespace(tools=[SimpleNamespace(name="search"), {"name": "web"}], response_format=response_format)


def opens(condition, message, asked=None):
    return When(condition).gate(asked or request()).opens(message)


class TestRule(RuleConformance):
    def make_rule(self):
        return FirstIsGood(0.7)


def test_named_conditions():
    assert When("always").gate(request()) is True
    assert [opens("final_answers", message) for message in (FINAL, STEP)] == [True, False]
    assert [opens("tool_calls", message) for message in (FINAL, STEP)] == [False, True]


def test_structured_output_by_a_tool_is_a_final_answer():
    assert opens("final_answers", STRUCTURED, request(response_format=object()))
    assert not opens("final_answers", STRUCTURED)
    assert not opens("final_answers", STEP, request(response_format=object()))


def test_a_number_is_about_the_first_score_alone():
    assert (When(0.7).gate(request()), When(0.7).threshold, When().threshold) == (True, 0.7, None)
    rule = FirstIsGood(0.7)
    assert [rule(History(scores=scores)).stop for scores in [(), (0.6,), (0.7,), (0.6, 0.9)]] == [0, 0, 1, 0]
    assert (rule | MaxSamples(2))(History(scores=(0.6, 0.9))).reason.name == "MAX_SAMPLES"


def test_functions_of_the_request_and_of_the_first_message():
    assert When(lambda asked: len(asked.tools) > 1).gate(request()) is True
    assert When(lambda asked: False).gate(request()) is False
    assert opens(lambda asked, first: "4" in first.content, FINAL)


@pytest.mark.parametrize(
    "condition", ["sometimes", 0, 1.5, True, None, float("nan"), lambda: True, lambda a, b, c: True]
)
def test_other_conditions_are_refused(condition):
    with pytest.raises(SettingsError, match="when must be"):
        OptScaleMiddleware(verifier=read_score, when=condition)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": ScriptedPolicy(texts=["x"])}, "the policy is the agent's own model"),
        ({"max_sample": 3}, "unknown setting 'max_sample'"),
        ({"run_token_budget": 1.5}, "run_token_budget must be"),
        ({"target": 0.5, "stopping": MaxSamples(3)}, "target belong"),
        ({"verifier": 3}, "verifier"),
    ],
)
def test_bad_settings_are_one_sentence_at_once(settings, words):
    with pytest.raises(SettingsError, match=words):
        OptScaleMiddleware(**({"verifier": read_score} | settings))
