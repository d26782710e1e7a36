"""Checks of a verifier's server: it scores right and wrong answers."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.endpoints.doctor.report import Examination, Finding, Task
from langchain_optscale.endpoints.vllm.discovery import VERIFIER_KEY, find_task
from langchain_optscale.endpoints.vllm.verifier import vllm_verifier
from langchain_optscale.errors import InvalidReplyError
from langchain_optscale.records.candidates import Candidate

if TYPE_CHECKING:
    from langchain_optscale.endpoints.vllm.verifier import Kind

__all__ = ["LESSONS", "VerifierExamination"]

LESSONS: tuple[tuple[str, str, str], ...] = (
    ("What is 17 + 25?", "17 + 25 = 42. The answer is 42.", "17 + 25 = 52. The answer is 52."),
    ("What is 8 times 7?", "8 times 7 is 56. The answer is 56.", "8 times 7 is 54. The answer is 54."),
    ("Solve 3x = 12 for x.", "Dividing both sides by 3 gives x = 4.", "Dividing both sides by 3 gives x = 9."),
    (
        "A book costs 12 dollars. How much do 3 books cost?",
        "3 books cost 3 * 12 = 36 dollars.",
        "3 books cost 3 + 12 = 15 dollars.",
    ),
    ("Is 9 a prime number?", "No: 9 = 3 * 3, so it is not prime.", "Yes: 9 has no divisors, so it is prime."),
    ("What is half of 90?", "Half of 90 is 90 / 2 = 45.", "Half of 90 is 90 / 2 = 50."),
)
"""Questions that every verifier should be able to judge, each with a right and a wrong answer."""


class VerifierExamination(Examination):
    """Examines a server as the verifier of a search; `kind` is how it gives scores, see `vllm_verifier`."""

    role = "verifier"
    key_variable = VERIFIER_KEY
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("reachable"),
        Task("authorised", needs="reachable"),
        Task("served", needs="authorised"),
        Task("kind", needs="served"),
        Task("range", needs="kind"),
        Task("judgement", needs="range"),
    )

    def __init__(self, *server: Any, kind: Kind) -> None:
        super().__init__(*server)
        self._kind = kind
        self._scores: list[tuple[float, float]] = []

    def kind(self) -> str:
        """It is a verifier of a known kind."""
        found = find_task(self.client, self.model or "")
        if found is None:
            raise Finding(
                "answers to none of /pooling, /classify, /score and /v1/chat/completions",
                "serve a reward model by: vllm serve MODEL --runner pooling",
            )
        if self._kind == "auto":
            self._kind = "judge" if found == "generate" else found
        # An outcome reward model has several routes, judges and process reward models one each.
        elif any((self._kind == kind) != (found == task) for kind, task in (("judge", "generate"), ("prm", "prm"))):
            raise Finding(
                f"asked for kind {self._kind!r}, but the server is of kind {found!r}",
                "leave the kind out, or serve the model with the right --runner: pooling for reward models",
            )
        return self._kind

    def range(self) -> str:
        """Scores are numbers in [0, 1], and not all equal."""
        key: Any = self.api_key or "not-needed"
        verifier = vllm_verifier(self.root, self.model, kind=self._kind, api_key=key, timeout_s=self.timeout_s)

        def score(question: str, answer: str) -> float:
            prompt = ChatPromptValue(messages=[HumanMessage(question)])
            return verifier.verify(prompt, Candidate(0, AIMessage(answer), round=0)).score

        try:
            self._scores = [(score(question, right), score(question, wrong)) for question, right, wrong in LESSONS]
        except InvalidReplyError as error:
            if self._kind != "judge":
                raise
            hint = "a judge has to grade in a fixed form: take a larger model, or a reward model"
            raise Finding(str(error), hint) from error
        scores = [score for pair in self._scores for score in pair]
        low, high = min(scores), max(scores)
        if low == high:
            raise Finding(
                f"all {len(scores)} answers, right and wrong, have the score {low:.4g}",
                "equal scores cannot select a candidate: is this the right model, and the right kind?",
            )
        return f"{len(scores)} scores from {low:.4g} to {high:.4g}"

    def judgement(self) -> str:
        """Right answers score above wrong ones."""
        above = sum(right > wrong for right, wrong in self._scores)
        margin = statistics.fmean(right - wrong for right, wrong in self._scores)
        seen = f"{above} of {len(self._scores)} right answers score above the wrong one, by {margin:.3g} on average"
        if 2 * above <= len(self._scores):
            raise Finding(
                seen,
                "the verifier cannot tell right from wrong: is it a reward model, with its own chat template, and is a "
                "high score good? a base model that was never trained to judge scores at random",
            )
        return seen
