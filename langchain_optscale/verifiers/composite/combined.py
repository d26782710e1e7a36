"""One verifier out of several."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.types import Candidate, Usage, Verdict
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.composite.members import config_for, members_of, numbered_names, united_kwargs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["Combination", "EnsembleVerifier", "OnFailure"]

Combination = Literal["mean", "min", "product"]
"""How scores become one: their weighted mean, the lowest, or their product."""

OnFailure = Literal["raise", "skip"]
"""What follows where a member fails: its error, or the verdict of the others."""


class EnsembleVerifier(Verifier):
    """Combines the scores of several verifiers, and thereby asks for everything that each of them asks for.

    All of them run at once, in threads on the sync path and in tasks on the async one. The verdict's `raw` has each
    verifier's score by its name (numbered where a name occurs twice), its `usage` what all of them consumed, its
    `explanation` all that were given.

    Where a member fails, `on_failure` says what follows. With "raise" its error is raised as it is, the first of
    several; the other members are cancelled on the async path, and on the sync one left to finish in their threads, or
    not begun. With "skip" the members that did not fail are combined as if the ensemble had no others, with `None` in
    `raw` for those that did, and an error is raised only where all fail: the first member's. Scores with and without a
    member are not of one kind, so skip members only that agree well. A `SettingsError` is a mistake rather than a
    failure and always raised, and so is a cancellation.

    Args:
        verifiers: At least one of anything that `as_verifier` accepts.
        weights: Positive weights for `combine="mean"`, one for each verifier; equal by default. Only their
            proportions matter.
        combine: "mean" is 1 only where every score is 1; "min" lets no strength make up for a weakness;
            "product" suits scores that are probabilities of independent requirements.
        on_failure: "raise" or "skip".

    Raises:
        SettingsError: A setting is out of range, or two verifiers want the policy called in contradicting
            ways.

    Example:
        ```python
        EnsembleVerifier([LengthCheck(at_most=100), RequiredWords(["because"])], weights=[1, 3])
        ```
    """

    def __init__(
        self,
        verifiers: Iterable[VerifierLike],
        weights: Iterable[float] | None = None,
        combine: Combination = "mean",
        on_failure: OnFailure = "raise",
    ) -> None:
        self.verifiers = members_of("EnsembleVerifier", verifiers)
        if combine not in get_args(Combination):
            raise SettingsError(f"combine must be 'mean', 'min' or 'product', not {combine!r}")
        if on_failure not in get_args(OnFailure):
            raise SettingsError(f"on_failure must be 'raise' or 'skip', not {on_failure!r}")
        self.combine = combine
        self.on_failure = on_failure
        self.weights = None if weights is None else _checked(tuple(weights), len(self.verifiers), combine)
        self._policy_kwargs = united_kwargs(self.verifiers)

    def __repr__(self) -> str:
        weights = "" if self.weights is None else f", weights={list(self.weights)}"
        failing = "" if self.on_failure == "raise" else f", on_failure={self.on_failure!r}"
        return f"EnsembleVerifier({list(self.verifiers)}{weights}, combine={self.combine!r}{failing})"

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """Everything that one of the verifiers needs."""
        return dict(self._policy_kwargs)

    def for_search(self, answers: AnswerBook) -> EnsembleVerifier:
        """The same of the verifiers as this search uses them."""
        inner = [verifier.for_search(answers) for verifier in self.verifiers]
        if all(one is other for one, other in zip(inner, self.verifiers, strict=True)):
            return self
        return EnsembleVerifier(inner, self.weights, self.combine, self.on_failure)

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask all verifiers at once, each in a thread.

        Returns:
            The combined verdict.

        Raises:
            Exception: The error of a verifier that failed.
        """
        pool = ContextThreadPoolExecutor(max_workers=len(self.verifiers))
        try:
            futures = [
                pool.submit(verifier.verify, prompt, candidate, config_for(verifier, config))
                for verifier in self.verifiers
            ]
            for future in concurrent.futures.as_completed(futures):
                self._note(future.exception())
            return self._combined([future.exception() or future.result() for future in futures])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask all verifiers at once, each in a task.

        Returns:
            The combined verdict.

        Raises:
            Exception: The error of a verifier that failed.
        """

        async def ask(verifier: Verifier) -> Verdict | Exception:
            try:
                return await verifier.averify(prompt, candidate, config_for(verifier, config))
            except Exception as error:  # noqa: BLE001 - raised below, or told with the verdict
                self._note(error)
                return error

        error: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(verifier)) for verifier in self.verifiers]
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]
        if error is not None:
            # Out here, so that the error keeps the cause it had instead of getting the group as its context.
            raise error
        return self._combined([task.result() for task in tasks])

    def _note(self, error: BaseException | None) -> None:
        """Raise what ends the whole verification."""
        skipped = self.on_failure == "skip" and isinstance(error, Exception) and not isinstance(error, SettingsError)
        if error is not None and not skipped:
            raise error

    def _combined(self, outcomes: Sequence[Verdict | BaseException]) -> Verdict:
        names = numbered_names(self.verifiers)
        verdicts = {name: one for name, one in zip(names, outcomes, strict=True) if isinstance(one, Verdict)}
        failed = {name: one for name, one in zip(names, outcomes, strict=True) if isinstance(one, BaseException)}
        if not verdicts:
            raise next(iter(failed.values()))
        said = [f"{name}: {verdict.explanation}" for name, verdict in verdicts.items() if verdict.explanation]
        said += [f"{name} failed: {type(error).__name__}: {error}" for name, error in failed.items()]
        spent = [verdict.usage for verdict in verdicts.values() if verdict.usage is not None]
        weights = self.weights or (1.0,) * len(names)
        return Verdict(
            score=self._score(
                [verdict.score for verdict in verdicts.values()],
                [weight for name, weight in zip(names, weights, strict=True) if name in verdicts],
            ),
            explanation="; ".join(said) or None,
            usage=sum(spent, Usage()) if spent else None,
            raw={name: verdicts[name].score if name in verdicts else None for name in names},
        )

    def _score(self, scores: list[float], weights: list[float]) -> float:
        if self.combine == "min":
            return min(scores)
        if self.combine == "product":
            return math.prod(scores)
        # fsum rounds once, and rounding is monotone: the quotient cannot exceed 1.
        mean = math.fsum(w * s for w, s in zip(weights, scores, strict=True)) / math.fsum(weights)
        # Products of tiny scores lose digits to underflow; a mean lies between its terms all the same.
        mean = min(max(mean, min(scores)), max(scores))
        return mean if min(scores) == 1.0 else min(mean, math.nextafter(1.0, 0.0))


def _checked(weights: tuple[float, ...], count: int, combine: Combination) -> tuple[float, ...]:
    if combine != "mean":
        raise SettingsError(f"weights have no meaning for combine={combine!r}")
    if len(weights) != count:
        raise SettingsError(f"{len(weights)} weights were given for {count} verifiers")
    if not all(is_finite(weight) and weight > 0 for weight in weights):
        raise SettingsError(f"weights must be positive finite numbers, got {list(weights)}")
    try:
        math.fsum(weights)
    except OverflowError:
        raise SettingsError("the weights are too large to be added up; only their proportions matter") from None
    return tuple(float(weight) for weight in weights)
