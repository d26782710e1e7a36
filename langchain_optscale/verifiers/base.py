"""The verifier interface.

A verifier answers with a `Verdict` or raises. Retrying, and recording a failure as a value, is the driver's
part; a verifier that swallows its own errors into a score of 0 would poison the estimate of the score
distribution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import run_in_executor

from langchain_optscale.records.failures import Raised, failure_of
from langchain_optscale.verifiers._concurrent import arun_together, run_together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.records.types import Candidate, Failure, Verdict

__all__ = ["Verifier", "as_failure"]


class Verifier(ABC):
    """Scores candidates; write `verify`, and `averify` too where the work is natively asynchronous.

    A verifier must be safe to call from several threads, and from several tasks, at once.

    Example:
        ```python
        class Brevity(Verifier):
            def verify(self, prompt, candidate, config=None):
                return Verdict(1 / (1 + len(candidate.text) / 500))
        ```
    """

    @property
    def name(self) -> str:
        """What a trace calls this verifier's runs."""
        return type(self).__name__

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments that the policy must be called with so that this verifier can work."""
        return {}

    def for_search(self, answers: AnswerBook) -> Verifier:
        """The verifier as one search uses it; called once for every search, before its first verification.

        Most verifiers look at one candidate alone and serve all searches at once. One that looks at the others too
        returns a copy that holds `answers`, and one that is made of other verifiers returns a copy made of theirs.

        Args:
            answers: The answers of the search's candidates that have arrived, kept up to date while it runs.

        Raises:
            SettingsError: The verifier cannot work in this search, as where it needs answers and `extract` is not set.
        """
        return self

    @abstractmethod
    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate.

        Args:
            prompt: The user's conversation that the candidate answers.
            candidate: The candidate; it must not be changed.
            config: To be handed to every Runnable that is called on the way.

        Returns:
            The verdict, its score in [0, 1], higher is better.

        Raises:
            Exception: Whatever kept the verifier from a verdict; nothing is swallowed.
        """

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate without blocking the event loop; by default `verify` in a thread.

        Args:
            prompt: The user's conversation that the candidate answers.
            candidate: The candidate; it must not be changed.
            config: To be handed to every Runnable that is called on the way.

        Returns:
            What `verify` returns.

        Raises:
            Exception: Whatever kept the verifier from a verdict.
        """
        return await run_in_executor(config, self.verify, prompt, candidate, config)

    def verify_batch(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> list[Verdict | Failure]:
        """Score several candidates of one prompt, by default each by `verify` in threads.

        Args:
            prompt: The user's conversation that the candidates answer.
            candidates: The candidates; they must not be changed.
            config: As for `verify`; its "max_concurrency" limits how many are verified at once.

        Returns:
            For each candidate, in their order, its verdict, or the failure that kept the verifier from one.
        """

        def one(candidate: Candidate) -> Verdict | Failure:
            try:
                return self.verify(prompt, candidate, config)
            except Exception as error:  # noqa: BLE001 - one candidate's error must not cost the others' verdicts
                return as_failure(error)

        return run_together([partial(one, candidate) for candidate in candidates], config)

    async def averify_batch(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> list[Verdict | Failure]:
        """As `verify_batch`, by default each by `averify` at once; cancelling it cancels them all."""

        async def one(candidate: Candidate) -> Verdict | Failure:
            try:
                return await self.averify(prompt, candidate, config)
            except Exception as error:  # noqa: BLE001 - one candidate's error must not cost the others' verdicts
                return as_failure(error)

        return await arun_together([partial(one, candidate) for candidate in candidates], config)


def as_failure(error: Exception) -> Failure:
    """A verifier's error as a value."""
    return failure_of("verify", Raised(error, attempts=1))
