"""Candidates that are equal word for word: verified once, counted once, and told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import OptScale
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping import AnswerConfidence, MaxSamples
from langchain_optscale.stopping.session import Session
from langchain_optscale.verifiers import RegexCheck, Verifier
from tests.unit_tests.fakes import ScriptedPolicy

SENTENCE = "The answer is 391."


class Counting(Verifier):
    """Counts how often it is asked."""

    def __init__(self, *, deterministic: bool) -> None:
        self._deterministic = deterministic
        self.asked: list[str] = []

    @property
    def deterministic(self) -> bool:
        return self._deterministic

    def verify(self, prompt: Any, candidate: Any, config: Any = None) -> Verdict:
        self.asked.append(candidate.text)
        return Verdict(0.5)


def cached(text: str = SENTENCE) -> FakeListChatModel:
    """A policy that takes no seed and always says the same."""
    return FakeListChatModel(responses=[text])


@pytest.mark.parametrize(
    ("deterministic", "reverify_equal", "asked"),
    [(True, None, 1), (False, None, 4), (True, True, 4), (False, False, 1), (True, False, 1)],
)
@pytest.mark.parametrize("path", ["sync", "async"])
def test_a_deterministic_verifier_is_asked_once_for_equal_candidates(
    deterministic: bool, reverify_equal: bool | None, asked: int, path: str
) -> None:
    verifier = Counting(deterministic=deterministic)
    search = OptScale(
        policy=cached(), verifier=verifier, stopping=MaxSamples(4), first_round=4, reverify_equal=reverify_equal
    )
    result = search.invoke("q") if path == "sync" else asyncio.run(search.ainvoke("q"))
    assert len(verifier.asked) == asked
    assert [verdict.score for verdict in result.verdicts.values()] == [0.5] * 4


def test_our_checks_are_deterministic_and_functions_are_not_known_to_be() -> None:
    assert RegexCheck("4").deterministic
    search = OptScale(policy=cached(), verifier=lambda prompt, candidate: 0.5)
    assert not search.verifier.deterministic


def test_candidates_that_differ_in_anything_are_verified_each() -> None:
    verifier = Counting(deterministic=True)
    policy = FakeListChatModel(responses=["4", "5", "4 ", "<think>x</think>4"])
    OptScale(policy=policy, verifier=verifier, stopping=MaxSamples(4), first_round=4).invoke("q")
    assert sorted(verifier.asked) == ["4", "4 ", "5"]


def test_identical_candidates_are_told() -> None:
    search = OptScale(policy=cached(), verifier=lambda p, c: 0.5, stopping=MaxSamples(4), first_round=4)
    assert search.invoke("q").notes == ("3 of 4 candidates repeat an earlier one word for word",)


@pytest.mark.parametrize("path", ["sync", "async"])
def test_copies_do_not_make_an_answer_sure(path: str) -> None:
    def stopped(policy: Any) -> Any:
        search = OptScale(
            policy=policy,
            verifier=lambda prompt, candidate: 0.6,
            extract="number",
            stopping=AnswerConfidence(0.9) | MaxSamples(8),
        )
        return search.invoke("q") if path == "sync" else asyncio.run(search.ainvoke("q"))

    copied = stopped(cached())
    assert copied.stop_reason is StopReason.MAX_SAMPLES
    assert copied.decision.figures["votes"] == 1
    agreeing = stopped(FakeListChatModel(responses=[f"{word} the answer is 391." for word in "abcdefgh"]))
    assert agreeing.stop_reason is StopReason.ANSWER_CONFIDENT
    seeded = stopped(ScriptedPolicy(texts=[SENTENCE]))
    assert seeded.stop_reason is StopReason.ANSWER_CONFIDENT, "each was drawn with a seed of its own"


def test_copies_of_a_long_text_have_one_vote() -> None:
    essay = " ".join(f"word{number}" for number in range(60)) + " so it is 5."
    policy = ScriptedPolicy(texts=[essay, essay, essay, "It is 6.", "Surely it is 6."])
    result = OptScale(
        policy=policy,
        verifier=lambda prompt, candidate: 0.5,
        extract="number",
        select="vote",
        stopping=MaxSamples(5),
        first_round=5,
    ).invoke("q")
    assert result.best.answer == "6"


def test_a_session_replays_what_it_was_told_of_copies() -> None:
    session = Session(AnswerConfidence(0.9), max_samples=8, first_round=4)
    session.ask()
    for index in range(4):
        session.tell(index, Verdict(0.6), answer="391", fingerprint="Sabc")
    assert not session.decision.stop
    replayed = Session.from_dict(session.to_dict())
    assert replayed.decision == session.decision
    assert replayed.history == session.history
