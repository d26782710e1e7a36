"""One verifier out of several."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_optscale.errors import SettingsError
from langchain_optscale.records import Candidate, Usage, Verdict
from langchain_optscale.verifiers.adapters import VerifierLike, as_verifier
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

__all__ = ["Combination", "EnsembleVerifier"]

Combination = Literal["mean", "min", "product"]
"""How scores become one: their weighted mean, the lowest, or their product."""


class EnsembleVerifier(Verifier):
    """Combines the scores of several verifiers, and thereby asks for everything that each of them asks for.

    On the sync path they run one after another, on the async path concurrently; where one fails, the others
    are cancelled and its error is raised as it is. The verdict's `raw` has each verifier's score by its name
    (numbered where a name occurs twice), its `usage` what all of them consumed, its `explanation` all that
    were given.

    Args:
        verifiers: At least one of anything that `as_verifier` accepts.
        weights: Positive weights for `combine="mean"`, one for each verifier; equal by default. Only their
            proportions matter.
        combine: "mean" is 1 only where every score is 1; "min" lets no strength make up for a weakness;
            "product" suits scores that are probabilities of independent requirements.

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
    ) -> None:
        self.verifiers = tuple(as_verifier(verifier) for verifier in verifiers)
        if not self.verifiers:
            raise SettingsError("EnsembleVerifier needs at least one verifier")
        if combine not in get_args(Combination):
            raise SettingsError(f"combine must be 'mean', 'min' or 'product', not {combine!r}")
        self.combine = combine
        self.weights = None if weights is None else _checked(tuple(weights), len(self.verifiers), combine)
        self._policy_kwargs = _union(self.verifiers)

    def __repr__(self) -> str:
        weights = "" if self.weights is None else f", weights={list(self.weights)}"
        return f"EnsembleVerifier({list(self.verifiers)}{weights}, combine={self.combine!r})"

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """Everything that one of the verifiers needs."""
        return dict(self._policy_kwargs)

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask one verifier after another.

        Returns:
            The combined verdict.

        Raises:
            Exception: The first error of a verifier.
        """
        return self._combined(
            [verifier.verify(prompt, candidate, _config_for(verifier, config)) for verifier in self.verifiers]
        )

    async def averify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Ask all verifiers at once.

        Returns:
            The combined verdict.

        Raises:
            Exception: The first error of a verifier.
        """
        error: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(verifier.averify(prompt, candidate, _config_for(verifier, config)))
                    for verifier in self.verifiers
                ]
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]
        if error is not None:
            # Out here, so that the error keeps the cause it had instead of getting the group as its context.
            raise error
        return self._combined([task.result() for task in tasks])

    def _combined(self, verdicts: list[Verdict]) -> Verdict:
        names = _numbered([verifier.name for verifier in self.verifiers])
        scores = [verdict.score for verdict in verdicts]
        said = [
            f"{name}: {verdict.explanation}"
            for name, verdict in zip(names, verdicts, strict=True)
            if verdict.explanation
        ]
        spent = [verdict.usage for verdict in verdicts if verdict.usage is not None]
        return Verdict(
            score=self._score(scores),
            explanation="; ".join(said) or None,
            usage=sum(spent, Usage()) if spent else None,
            raw=dict(zip(names, scores, strict=True)),
        )

    def _score(self, scores: list[float]) -> float:
        if self.combine == "min":
            return min(scores)
        if self.combine == "product":
            return math.prod(scores)
        weights = self.weights or (1.0,) * len(scores)
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


def _union(verifiers: Iterable[Verifier]) -> dict[str, Any]:
    union: dict[str, Any] = {}
    for verifier in verifiers:
        for key, value in verifier.policy_kwargs.items():
            if union.setdefault(key, value) != value:
                raise SettingsError(
                    f"{verifier.name} needs the policy to be called with {key}={value!r}, "
                    f"another verifier with {key}={union[key]!r}"
                )
    return union


def _numbered(names: list[str]) -> list[str]:
    repeated = {name for name, count in Counter(names).items() if count > 1}
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if name in repeated else name)
    return numbered


def _config_for(verifier: Verifier, config: RunnableConfig | None) -> RunnableConfig | None:
    """The config for one of several: its own name in the trace, and no run id, which must not occur twice."""
    if config is None:
        return None
    own: RunnableConfig = {**config, "run_name": verifier.name}
    own.pop("run_id", None)
    return own
