"""What all checks of a candidate's text have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import to_candidate

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate, Verdict

__all__ = ["TextCheck"]


class TextCheck(Verifier):
    """A verifier of the candidate's text alone: implement `check`."""

    @property
    def deterministic(self) -> bool:
        """Equal candidates get equal scores."""
        return True

    def verify(
        self, prompt: PromptValue | str, candidate: Candidate | str, config: RunnableConfig | None = None
    ) -> Verdict:
        """Score one candidate by its text; a string is its own text, so that a check can be tried on one.

        Raises:
            Exception: What `check` raises.
        """
        return self.check(to_candidate(candidate).text)

    @abstractmethod
    def check(self, text: str) -> Verdict:
        """Score a text."""
