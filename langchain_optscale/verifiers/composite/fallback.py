"""The next verifier where one fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.composite.members import config_for, members_of, numbered_names, united_kwargs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.records.types import Candidate, Verdict
    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["FallbackVerifier"]


class FallbackVerifier(Verifier):
    """Asks one verifier after another until one gives a verdict.

    Any exception of a verifier makes the next one's turn. Not so a cancellation, which ends the verification, and a
    `SettingsError`, which is a mistake to be mended. Where all fail, the last one's error is raised, with a note for
    each of the others, and it decides whether the search tries again: put the most dependable verifier last.

    The verdict's `raw` has the "verifier" that gave it, its own "raw", and under "failed" the errors of those before
    it, by name. What a verifier has consumed before it failed counts for the search, not for the verdict.

    Scores of different verifiers are rarely of one kind, and a search takes them for draws from one distribution: bring
    them to one scale, as with `CalibratedVerifier`, where falling back is more than an exception.

    Args:
        *verifiers: At least one of anything that `as_verifier` accepts, the preferred one first; or one list of them.

    Raises:
        SettingsError: There is no verifier, or two want the policy called in contradicting ways.

    Example:
        ```python
        FallbackVerifier(RewardModelVerifier("http://localhost:8000", "rm"), LLMJudge(model))
        ```
    """

    def __init__(self, *verifiers: VerifierLike | Sequence[VerifierLike]) -> None:
        listed: Any = verifiers[0] if len(verifiers) == 1 and isinstance(verifiers[0], list | tuple) else verifiers
        self.verifiers = members_of("FallbackVerifier", listed)
        self._names = numbered_names(self.verifiers)
        self._policy_kwargs = united_kwargs(self.verifiers)

    def __repr__(self) -> str:
        return f"FallbackVerifier({', '.join(map(repr, self.verifiers))})"

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """Everything that one of the verifiers needs: which of them will speak is not known beforehand."""
        return dict(self._policy_kwargs)

    def for_search(self, answers: AnswerBook) -> FallbackVerifier:
        """The same of the verifiers as this search uses them."""
        inner = [verifier.for_search(answers) for verifier in self.verifiers]
        if all(one is other for one, other in zip(inner, self.verifiers, strict=True)):
            return self
        return FallbackVerifier(*inner)

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask until one answers.

        Returns:
            The first verdict.

        Raises:
            Exception: The last verifier's error, where all failed.
        """
        failed: dict[str, Exception] = {}
        for name, verifier in zip(self._names, self.verifiers, strict=True):
            try:
                return _told(verifier.verify(prompt, candidate, config_for(verifier, config)), name, failed)
            except SettingsError:
                raise
            except Exception as error:  # noqa: BLE001 - kept, and told with the verdict or raised below
                failed[name] = error
        raise _last_of(failed)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        failed: dict[str, Exception] = {}
        for name, verifier in zip(self._names, self.verifiers, strict=True):
            try:
                return _told(await verifier.averify(prompt, candidate, config_for(verifier, config)), name, failed)
            except SettingsError:
                raise
            except Exception as error:  # noqa: BLE001 - kept, and told with the verdict or raised below
                failed[name] = error
        raise _last_of(failed)


def _told(verdict: Verdict, name: str, failed: Mapping[str, Exception]) -> Verdict:
    errors = {one: f"{type(error).__name__}: {error}" for one, error in failed.items()}
    return replace(verdict, raw={"verifier": name, "raw": verdict.raw, "failed": errors})


def _last_of(failed: Mapping[str, Exception]) -> Exception:
    *others, (_, last) = failed.items()
    # A verifier may raise the same object twice; its notes must not pile up.
    known = getattr(last, "__notes__", ())
    for name, error in others:
        if error is not last and (note := f"before it {name} failed: {type(error).__name__}: {error}") not in known:
            last.add_note(note)
    return last
