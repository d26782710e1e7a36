import asyncio

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_optscale import OptScale
from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.verifiers import DecisionVerifier, as_verifier
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

decisions = pytest.importorskip("langchain_core.decisions", reason="langchain-core has decision models since 1.8")
Choice, Noul, Score, Box = decisions.Choice, decisions.Noul, decisions.Score, decisions.Box

PROMPT = ChatPromptValue(messages=[HumanMessage("What is the capital of France?")])
USAGE = {"input_tokens": 7, "output_tokens": 1}


class Decider(decisions.BaseDecisionModel):
    """Likes Paris; answers every question of one request."""

    model: str = "decider"
    usage: dict | None = USAGE
    left_out: tuple = ()
    empty: bool = False
    seen: list = []  # noqa: RUF012 - pydantic copies it for each object

    @property
    def _provider(self):
        return "here"

    def _classify(self, state, questions):
        self.seen.append((state, questions))
        p = 0.75 if "Paris" in state["answer"] else 0.25
        answers = {name: self._answer(one, p) for name, one in questions.items() if name not in self.left_out}
        return decisions.ClassifierResponse.model_validate(
            {"model": self.model, "answers": answers, **({"usage": self.usage} if self.usage else {})}
        )

    def _answer(self, question, p):
        if question.type == "noul":
            return {"type": "noul", "noul": p}
        if question.type == "score":
            levels = len(question.criteria)
            shares = {0: 1 - p, levels - 1: 0.0 if self.empty else p} if not self.empty else {}
            legend = dict(enumerate(question.criteria))
            return {"type": "score", "score": 0, "legend": legend, "probabilities": shares, "confidence": 1}
        good, bad = list(question.criteria)[:2]
        return {"type": "choice", "choice": good, "probabilities": {good: p, bad: 1 - p}, "confidence": 1}


class TestConformance(VerifierConformance):
    def make_verifier(self):
        return DecisionVerifier(Decider())

    def good_candidate(self):
        return make_candidate("Paris")

    def bad_candidate(self):
        return make_candidate("Lyon")


def verdict(verifier, answer="Paris", config=None):
    """The same by both paths."""
    verifier = as_verifier(verifier)
    synchronous = verifier.verify(PROMPT, make_candidate(answer), config)
    assert asyncio.run(verifier.averify(PROMPT, make_candidate(answer), config)) == synchronous
    return synchronous


@pytest.mark.parametrize("bound", [lambda model: model, lambda model: model.with_config(tags=["t"])])
def test_a_decision_model_is_a_verifier(bound):
    found = verdict(bound(Decider()))
    assert found.score == 0.75
    assert found.usage.to_dict() == {**USAGE, "requests": 1}
    assert found.raw == {"answers": {"answer": {"type": "noul", "noul": 0.75}}}


@pytest.mark.parametrize(
    ("question", "settings", "score"),
    [
        ("Is it right?", {}, 0.75),
        (Noul(instructions="Is it right?"), {}, 0.75),
        (Score(instructions="How good?", criteria=["bad", "fair", "good"]), {}, 0.75),
        (Choice(instructions="Which?", criteria={"right": None, "wrong": None}), {"right": 1, "wrong": 0}, 0.75),
        (Choice(instructions="Which?", criteria={"right": None, "wrong": None}), {"right": 0.8, "wrong": 0.4}, 0.7),
    ],
)
def test_kinds_of_questions(question, settings, score):
    assert verdict(DecisionVerifier(Decider(), question, values=settings or None)).score == pytest.approx(score)


def test_several_questions_are_one_request():
    model = Decider()
    questions = {"right": "Is it right?", "wrong": Choice(instructions="?", criteria={"no": None, "yes": None})}
    verifier = DecisionVerifier(model, questions, values={"no": 0, "yes": 1}, weights={"right": 3, "wrong": 1})
    found = verdict(verifier)
    assert found.score == pytest.approx((3 * 0.75 + 0.25) / 4)
    assert found.explanation == "right 0.75; wrong 0.25"
    assert found.usage.requests == 1
    assert set(found.raw["answers"]["wrong"]["probabilities"]) == {"no", "yes"}


def test_what_the_model_sees():
    model = Decider()
    verdict(model, config={"configurable": {"reference": "Paris"}})
    state, questions = model.seen[-1]
    assert state == {"conversation": PROMPT.to_messages(), "answer": "Paris", "reference": "Paris"}
    assert "`reference`" in questions["answer"].instructions
    verdict(model)
    state, questions = model.seen[-1]
    assert "reference" not in state
    assert "`reference`" not in questions["answer"].instructions


def test_a_model_that_tells_no_usage_is_a_request():
    assert verdict(Decider(usage=None)).usage.to_dict() == {"input_tokens": 0, "output_tokens": 0, "requests": 1}


def test_usage_of_a_search_also_inside_a_chain():
    def asked(question):
        return {"state": {"answer": question["candidate"]}, "questions": {"q": Noul(instructions="Right?")}}

    chain = RunnableLambda(asked) | Decider() | RunnableLambda(lambda response: response.nouls["q"].noul)
    for verifier in (chain, Decider()):
        result = OptScale(policy=FakeListChatModel(responses=["Paris"]), verifier=verifier, max_samples=2).invoke("?")
        assert result.score == 0.75
        used, drawn = result.usage["verifier"], len(result.candidates)
        assert used.requests >= 1
        assert used.input_tokens == 7 * used.requests
        assert used.requests <= drawn


def test_a_failed_request_is_not_counted():
    class Failing(Decider):
        def _classify(self, state, questions):
            raise ConnectionError("down")

    from langchain_optscale.verifiers.usage import UsageCounter

    counter = UsageCounter()
    with pytest.raises(ConnectionError):
        as_verifier(Failing()).verify(PROMPT, make_candidate("Paris"), counter.attach(None))
    assert counter.usage is None


@pytest.mark.parametrize(
    ("model", "sentence"),
    [(Decider(left_out=("answer",)), "did not answer"), (Decider(empty=True), "no label")],
)
def test_replies_without_a_score(model, sentence):
    question = Score(instructions="How good?", criteria=["bad", "good"])
    with pytest.raises(InvalidReplyError, match=sentence):
        DecisionVerifier(model, {"answer": question}).verify(PROMPT, make_candidate("Paris"))


CHOICE = Choice(instructions="?", criteria={"a": None, "b": None})


@pytest.mark.parametrize(
    ("question", "settings", "sentence"),
    [
        (7, {}, "must be text, a Noul"),
        (Box(instructions="?"), {}, "must be text, a Noul"),
        ({}, {}, "at least one question"),
        (CHOICE, {}, "expected a, b, got none"),
        (CHOICE, {"values": {"a": 1}}, "expected a, b, got a"),
        (CHOICE, {"values": {"a": 1, "b": 2}}, r"lie in \[0, 1\]"),
        ("?", {"values": {"a": 1}}, "expected none, got a"),
        ("?", {"weights": {"answer": 0}}, "above 0"),
        ("?", {"weights": {"other": 1}}, "each question"),
    ],
)
def test_settings(question, settings, sentence):
    with pytest.raises(SettingsError, match=sentence):
        DecisionVerifier(Decider(), question, **settings)


def test_another_model():
    with pytest.raises(SettingsError, match="a decision model"):
        DecisionVerifier(FakeListChatModel(responses=["x"]))
