"""Agreement among candidates as a score: self-consistency without a second model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook

__all__ = ["AgreementVerifier"]


@dataclass(frozen=True)
class AgreementVerifier(Verifier):
    """How often a candidate's answer occurs among the completed candidates (self-consistency).

    With m - 1 of the n - 1 other candidates giving the same answer the score is

        (m - 1 + agreeing) / (n - 1 + agreeing + differing),

    the mean of the Beta posterior of "another candidate gives this answer" (Laplace's rule of succession): m / (n + 1)
    by default. The first candidate scores 1/2, so one candidate cannot end the search; nine that agree reach 0.9. A
    candidate without an answer agrees with no other.

    The search needs `extract=`. Answers are counted when their candidate is drawn, before its verification, so all
    choices of one request count for each of them; the order of arrival determines the scores.

    A score is the agreement at the time of its verdict and is not revised. Early scores shrink towards 1/2 and scores
    depend on one another, so they are no draws from one distribution: rules that estimate one (`OptimalN`,
    `MarginalGain`, `Futility`, the default) are not valid here. `TargetReached(t) | MaxSamples(n)` is: it stops when
    the probability that a further candidate repeats this answer has posterior mean t. Select by `select="vote"`, which
    counts all candidates at the end.

    Outside a search every candidate scores as the first.

    Attributes:
        agreeing: Prior pseudo-count of candidates that agree, above 0.
        differing: Prior pseudo-count of candidates that differ, above 0.

    Raises:
        SettingsError: A number is out of range.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import OptScale
        >>> from langchain_optscale.stopping import MaxSamples, TargetReached
        >>> policy = FakeListChatModel(responses=["2 + 2 is 4", "4", "I say 5", "so x = 4"])
        >>> settings = {"extract": "number", "select": "vote", "stopping": TargetReached(0.7) | MaxSamples(8)}
        >>> search = OptScale(policy=policy, verifier=AgreementVerifier(), **settings)
        >>> search.invoke("What is 2 + 2?").best.answer
        '4'
    """

    agreeing: float = 1.0
    differing: float = 1.0
    _answers: AnswerBook | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("agreeing", "differing"):
            value = getattr(self, name)
            if not is_finite(value) or value <= 0 or not math.isfinite(1 / value):
                raise SettingsError(f"{name} must be a finite number above 0, got {value!r}")

    def for_search(self, answers: AnswerBook) -> AgreementVerifier:
        """A copy that counts this search's answers.

        Raises:
            SettingsError: The search extracts no answers.
        """
        if answers.extract is None:
            raise SettingsError("AgreementVerifier compares answers: set extract= to find them")
        return replace(self, _answers=answers)

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate.

        Returns:
            A score in (0, 1); `raw` has "same", the other candidates with the same answer, and "others", all others.
        """
        same, others = (0, 0) if self._answers is None else self._answers.agreement(candidate.index)
        score = min(1.0, (same + self.agreeing) / (others + self.agreeing + self.differing))
        said = f"{same} of {others} other candidates give the same answer"
        if candidate.answer is None:
            said = "the candidate has no answer to agree on"
        return Verdict(score, said, raw={"same": same, "others": others})

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`."""
        return self.verify(prompt, candidate, config)
