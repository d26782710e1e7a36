"""The next verifier after a failure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.composite.members import Composite, config_for, members_of, numbered_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate, Verdict
    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["FallbackVerifier"]


class FallbackVerifier(Composite):
    """Calls one verifier after another until one returns a verdict.

    After any exception but a cancellation or a `SettingsError` the next verifier is called. Where all fail, the last
    one's error is raised with a note for each of the others, and it determines whether the search retries: put the most
    reliable verifier last.

    The verdict's `raw` has the name of its "verifier", its own "raw", and the errors before it by name under "failed".
    The usage of failed verifiers is not part of the verdict.

    A search treats the scores as draws from one distribution. Where fallbacks are frequent, bring the verifiers to one
    scale with `CalibratedVerifier`.

    Args:
        *verifiers: At least one of anything that `as_verifier` accepts, the preferred one first; or one list of them.

    Raises:
        SettingsError: There is no verifier, or two need contradicting policy arguments.

    Example:
        ```python
        FallbackVerifier(RewardModelVerifier("http://localhost:8000", "rm"), LLMJudge(model))
        ```

        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> def offline(prompt, candidate):
        ...     raise ConnectionError("the server is down")
        >>> verifier = FallbackVerifier(offline, lambda prompt, candidate: 0.5)
        >>> verdict = verifier.verify(StringPromptValue(text="Why?"), make_candidate("Because."))
        >>> verdict.score, verdict.raw["failed"]
        (0.5, {'offline': 'ConnectionError: the server is down'})
    """

    def __init__(self, *verifiers: VerifierLike | Sequence[VerifierLike]) -> None:
        listed: Any = verifiers[0] if len(verifiers) == 1 and isinstance(verifiers[0], list | tuple) else verifiers
        super().__init__(members_of("FallbackVerifier", listed))
        self._names = numbered_names(self.verifiers)

    def __repr__(self) -> str:
        return f"FallbackVerifier({', '.join(map(repr, self.verifiers))})"

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Call the verifiers in turn.

        Returns:
            The first verdict.

        Raises:
            Exception: The last verifier's error, where all failed.
        """
        failed: dict[str, Exception] = {}
        for name, verifier in zip(self._names, self.verifiers, strict=True):
            try:
                return _with_failures(verifier.verify(prompt, candidate, config_for(verifier, config)), name, failed)
            except SettingsError:
                raise
            except Exception as error:  # noqa: BLE001 - part of the verdict, or raised below
                failed[name] = error
        raise _last_of(failed)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """As `verify`, without blocking the event loop."""
        failed: dict[str, Exception] = {}
        for name, verifier in zip(self._names, self.verifiers, strict=True):
            try:
                return _with_failures(
                    await verifier.averify(prompt, candidate, config_for(verifier, config)), name, failed
                )
            except SettingsError:
                raise
            except Exception as error:  # noqa: BLE001 - part of the verdict, or raised below
                failed[name] = error
        raise _last_of(failed)


def _with_failures(verdict: Verdict, name: str, failed: Mapping[str, Exception]) -> Verdict:
    errors = {one: f"{type(error).__name__}: {error}" for one, error in failed.items()}
    return replace(verdict, raw={"verifier": name, "raw": verdict.raw, "failed": errors})


def _last_of(failed: Mapping[str, Exception]) -> Exception:
    *others, (_, last) = failed.items()
    # A verifier may raise the same object again, with its notes.
    known = getattr(last, "__notes__", ())
    for name, error in others:
        if error is not last and (note := f"before it {name} failed: {type(error).__name__}: {error}") not in known:
            last.add_note(note)
    return last
