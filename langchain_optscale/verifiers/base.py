"""The verifier interface.

A verifier returns a `Verdict` or raises. The search retries, and records an error as a failure; a verifier that turns
its errors into a score of 0 distorts the estimate of the score distribution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.verifiers.coercion import takes_plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["Verifier"]


class Verifier(ABC):
    """Scores candidates. Implement `verify`, and `averify` where the work is natively asynchronous.

    A verifier must be safe to call from several threads and tasks at once. In `verify` and `averify` it gets a prompt
    value and a `Candidate`; to try it on, callers may give a question and an answer as strings or messages instead.

    Example:
        >>> from langchain_optscale import Verdict
        >>> class Brevity(Verifier):
        ...     def verify(self, prompt, candidate, config=None):
        ...         return Verdict(1 / (1 + len(candidate.text) / 500))
        >>> Brevity().verify("The capital of France?", "Paris" * 100).score
        0.5
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("verify", "averify"):
            if callable(method := vars(cls).get(name)):
                setattr(cls, name, takes_plain_text(method))

    @property
    def name(self) -> str:
        """Name of this verifier's runs in a trace."""
        return type(self).__name__

    @property
    def content(self) -> Any:
        """What the verdicts depend on besides the candidate, so that cached ones do not outlive a change of it.

        Of a dataclass its fields and its code; None where it is not known. See `records.content`.
        """
        return self if is_dataclass(self) else None

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments that the policy must be called with so that this verifier can work."""
        return {}

    @property
    def deterministic(self) -> bool:
        """Whether equal candidates always get equal scores, so that a search asks once for them; by default not."""
        return False

    @property
    def needs_whole_answers(self) -> bool:
        """Whether answers that were cut off are failures even under `accept_truncated`; by default not."""
        return False

    def for_search(self, answers: AnswerBook) -> Verifier:
        """The verifier as one search uses it; called once for every search, before its first verification.

        A verifier that scores each candidate on its own returns itself. One that compares candidates returns a copy
        that holds `answers`; one made of other verifiers returns a copy made of theirs.

        Args:
            answers: The answers of the completed candidates, kept up to date while the search runs.

        Raises:
            SettingsError: The verifier cannot work in this search, as where it needs answers and `extract` is not set.
        """
        return self

    def check_sync(self) -> None:  # noqa: B027 - most verifiers have nothing to check
        """Check before a search on the sync path that this verifier works there; by default it does.

        Raises:
            SettingsError: It works on the async path alone.
        """

    @abstractmethod
    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate.

        Args:
            prompt: The user's conversation that the candidate answers.
            candidate: The candidate; it must not be changed.
            config: To be passed to every Runnable that the verifier calls.

        Returns:
            The verdict, its score in [0, 1], higher is better.

        Raises:
            Exception: Any error that prevents a verdict.
        """

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop; by default `verify` in a thread."""
        return await run_in_thread(self.verify, prompt, candidate, config)
