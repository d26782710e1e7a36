"""What agrees among answers that nothing checks, and when the embedded model is told to be brief."""

import asyncio
import math
from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from langchain_optscale.cli.short_answers import ShortAnswer, Wording, instructed
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers import ConfidenceVerifier
from tests.unit_tests.fakes import PlainPolicy

SAME = [
    ("The capital of France is Paris.", "The capital of France is Paris. It has 2.1 million inhabitants, of whom..."),
    ("17 * 23 = 391.", "It is 391.", "To multiply 17 by 23, add 340 and 51. The result is 391."),
    ("A week has 7 days.", "There are 7 days in a week. Weeks repeat."),
    ("It is Rome.", "it is rome", "**It is Rome.**"),
]
DIFFERENT = [
    ("It is Paris.", "It is Lyon."),
    ("It has 7.", "It has 8."),
    ("Yes.", "No."),
    ("东京。很大。", "大阪。很大。"),
]


def form(text):
    found = ShortAnswer().find(text)
    return found.equivalence.canonical(found.text)


@pytest.mark.parametrize("texts", SAME)
def test_the_same_answer_in_other_words_beside_it(texts):
    assert len(set(map(form, texts))) == 1


@pytest.mark.parametrize("texts", DIFFERENT)
def test_other_answers(texts):
    assert len(set(map(form, texts))) == len(texts)


@pytest.mark.parametrize("text", ["", "  \n "])
def test_no_answer(text):
    assert ShortAnswer()(text) is None


def test_long_texts_are_read_at_once():
    assert ShortAnswer()("a. " * 100_000) is not None


def sure(probability):
    """A candidate of two tokens of this probability."""
    entry = {"token": "x", "logprob": math.log(probability)}
    message = AIMessage("It is Paris.", response_metadata={"logprobs": {"content": [entry, entry]}})
    return Candidate(0, message, 0)


def test_the_score_keeps_the_order_of_confidence_and_never_speaks_against_an_answer():
    prompt = StringPromptValue(text="q")
    scores = [Wording().verify(prompt, sure(p)).score for p in (1e-6, 0.2, 0.5, 0.9, 1.0)]
    assert scores == pytest.approx([0.5, 0.6, 0.75, 0.95, 1.0], abs=1e-6)
    assert asyncio.run(Wording().averify(prompt, sure(0.2))).score == pytest.approx(0.6)
    assert Wording().policy_kwargs == ConfidenceVerifier().policy_kwargs


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.4, 0.7, 0.95])
def test_answers_that_agree_end_a_search_of_eight_after_two_to_five(probability):
    score = Wording().verify(StringPromptValue(text="q"), sure(probability)).score
    settings = SearchSettings(
        policy=PlainPolicy(texts=["x"]),
        verifier=Wording(),
        extract=ShortAnswer(),
        max_samples=8,
        round_size=2,
    )
    session = settings.session()
    while not session.decision.stop:
        first = session.history.drawn
        for index in range(first, first + session.ask()):
            session.tell(index, Verdict(score), answer="paris")
    # Scores that speak neither for nor against an answer leave it to the votes, which may all be of one mistake.
    assert session.history.drawn <= (5 if probability < 0.1 else 3)


def asked(question, *, system=None, policy=None, policy_url=None, is_checked=False):
    arguments = SimpleNamespace(system=system, policy=policy, policy_url=policy_url)
    return instructed(arguments, question, is_checked=is_checked).to_messages()


def test_the_embedded_model_is_told_to_be_brief_where_nothing_checks_it():
    instruction, question = asked("What is a star?")
    assert isinstance(instruction, SystemMessage)
    assert "one short sentence" in instruction.text
    assert question.text == "What is a star?"


@pytest.mark.parametrize(
    "given",
    [{"system": ""}, {"policy": "openai:m"}, {"policy_url": "http://localhost/v1"}, {"is_checked": True}],
    ids=lambda given: next(iter(given)),
)
def test_nobody_else_is_told_anything(given):
    assert asked("What is a star?", **given) == [HumanMessage("What is a star?")]
    assert asked("17 * 23") == [HumanMessage("17 * 23")]


def test_an_instruction_that_is_given():
    assert [one.text for one in asked("What?", system="Rhyme.", policy="openai:m")] == ["Rhyme.", "What?"]
    own = ChatPromptValue(messages=[SystemMessage("Be wise."), HumanMessage("What?")])
    assert [one.text for one in asked(own, system="Rhyme.")] == ["Be wise.", "What?"]
