# ruff: noqa: S101
"""A test class for your own verifiers.

Example:
    ```python
    from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

    class TestMyVerifier(VerifierConformance):
        def make_verifier(self):
            return MyVerifier()

        def good_candidate(self):
            return make_candidate("Paris is the capital of France.")

        def bad_candidate(self):
            return make_candidate("no idea")
    ```
"""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, message_to_dict
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.records.candidates import Candidate, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.verifiers.base import Verifier

__all__ = ["VerifierConformance", "make_candidate"]

_SECRET = re.compile(r"sk-[A-Za-z0-9_-]{8,}")


def make_candidate(text: str, index: int = 0, **response_metadata: Any) -> Candidate:
    """A candidate with this text.

    Args:
        text: What the policy answered.
        index: The candidate's number.
        **response_metadata: What came with the answer, such as `logprobs`.

    Returns:
        The candidate, of round 0.
    """
    return Candidate(index, AIMessage(text, response_metadata=response_metadata), round=0)


class VerifierConformance:
    """Tests that every verifier must pass; subclass it in a test module.

    Override `make_verifier`, `good_candidate` and `bad_candidate`, and `prompt` where the question matters. The class
    does not import pytest.

    Attributes:
        deterministic: False where the same candidate may get another score the second time.
        synchronous: False where the verifier works on the async path alone.
    """

    deterministic = True
    synchronous = True

    def make_verifier(self) -> Verifier:
        """A fresh verifier."""
        raise NotImplementedError

    def good_candidate(self) -> Candidate:
        """A candidate that deserves a high score."""
        raise NotImplementedError

    def bad_candidate(self) -> Candidate:
        """A candidate that deserves no higher score than the good one."""
        raise NotImplementedError

    def prompt(self) -> PromptValue:
        """The conversation that the candidates answer."""
        return ChatPromptValue(messages=[HumanMessage("What is the capital of France?")])

    def test_scores_are_finite_and_between_0_and_1(self) -> None:
        """Both paths answer with a verdict."""
        for verify in self._paths():
            for candidate in (self.good_candidate(), self.bad_candidate()):
                _assert_verdict(verify(candidate))

    def test_good_is_not_below_bad(self) -> None:
        """Higher is better."""
        for verify in self._paths():
            assert verify(self.good_candidate()).score >= verify(self.bad_candidate()).score

    def test_verifying_twice_gives_the_same_score(self) -> None:
        """Nothing is carried over from one verification to the next, and sync and async agree."""
        if self.deterministic:
            for candidate in (self.good_candidate(), self.bad_candidate()):
                scores = [verify(candidate).score for verify in (*self._paths(), *self._paths())]
                assert len(set(scores)) == 1, f"the same candidate was scored {scores}"

    def test_concurrent_calls_do_not_mix_up_candidates(self) -> None:
        """One verifier serves many candidates at once."""
        if not self.deterministic:
            return
        verifier, prompt = self.make_verifier(), self.prompt()
        candidates = [self.good_candidate(), self.bad_candidate()] * 8

        async def together() -> list[Verdict]:
            return await asyncio.gather(*(verifier.averify(prompt, candidate) for candidate in candidates))

        good, bad = (self._averify(candidate).score for candidate in candidates[:2])
        assert [verdict.score for verdict in asyncio.run(together())] == [good, bad] * 8

    def test_a_config_is_accepted(self) -> None:
        """The driver always hands one over."""
        config: Any = {"tags": ["conformance"], "callbacks": [], "metadata": {"optscale": "conformance"}}
        verifier, prompt = self.make_verifier(), self.prompt()
        _assert_verdict(asyncio.run(verifier.averify(prompt, self.good_candidate(), config)))
        if self.synchronous:
            _assert_verdict(verifier.verify(prompt, self.good_candidate(), config))

    def test_candidate_and_prompt_are_not_changed(self) -> None:
        """Both belong to the search."""
        verifier, prompt, candidate = self.make_verifier(), self.prompt(), self.good_candidate()
        before = _snapshot(prompt, candidate)
        if self.synchronous:
            verifier.verify(prompt, candidate)
        asyncio.run(verifier.averify(prompt, candidate))
        assert _snapshot(prompt, candidate) == before

    def test_repr_shows_no_secret(self) -> None:
        """A repr ends up in logs and traces."""
        verifier = self.make_verifier()
        assert not _SECRET.search(f"{verifier!r} {verifier}")

    def test_name_and_policy_kwargs_have_their_types(self) -> None:
        """The driver relies on them."""
        verifier = self.make_verifier()
        assert isinstance(verifier.name, str)
        assert verifier.name
        assert all(isinstance(key, str) for key in verifier.policy_kwargs)

    def test_odd_texts_give_a_verdict_or_an_error(self) -> None:
        """Nothing that a policy may answer leads to a score that is none."""
        good = self.good_candidate()
        odd = [
            "",
            " \n\t ",
            "\x00\ufeff\u202e",
            "naïve 東京 🦜👩‍👩‍👧 é مرحبا",
            "word, 1.5 {} ```json\n" * 5_000,
        ]
        for text in odd:
            message = good.message.model_copy(update={"content": text})
            for verify in self._paths():
                try:
                    verdict = verify(replace(good, message=message))
                except Exception:  # noqa: BLE001, S112 - an error is a right answer to such a text
                    continue
                _assert_verdict(verdict)

    def _paths(self) -> list[Callable[[Candidate], Verdict]]:
        return [self._verify, self._averify] if self.synchronous else [self._averify]

    def _verify(self, candidate: Candidate) -> Verdict:
        return self.make_verifier().verify(self.prompt(), candidate)

    def _averify(self, candidate: Candidate) -> Verdict:
        return asyncio.run(self.make_verifier().averify(self.prompt(), candidate))


def _assert_verdict(verdict: Verdict) -> None:
    assert isinstance(verdict, Verdict), f"a verifier must answer with a Verdict, not {verdict!r}"
    assert math.isfinite(verdict.score)
    assert 0.0 <= verdict.score <= 1.0


def _snapshot(prompt: PromptValue, candidate: Candidate) -> Any:
    return (
        [message_to_dict(message) for message in prompt.to_messages()],
        candidate.to_dict(),
        prompt.to_string(),
    )
