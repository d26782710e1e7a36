"""One verifier out of several."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.composite.joined import JoinedVerifier
from langchain_optscale.verifiers.composite.members import members_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["Combination", "EnsembleVerifier", "OnFailure"]

Combination = Literal["mean", "min", "product"]
"""How scores are combined: their weighted mean, the lowest, or their product."""

OnFailure = Literal["raise", "skip"]
"""Where a member fails: raise its error, or combine the others."""


class EnsembleVerifier(JoinedVerifier):
    """Combines the scores of several verifiers.

    The members run at once, in threads on the sync path and in tasks on the async one. The verdict's `raw` has each
    member's score by its name (numbered where a name occurs twice); its `usage` is the sum, its `explanation` joins
    theirs.

    With `on_failure="raise"` a member's error is raised, the first of several; the other members are cancelled on the
    async path, and on the sync one finish in their threads or never start. With "skip" the other members' scores are
    combined, `raw` has `None` for the failed ones, and an error is raised only where all fail: the first member's.
    Scores with and without a member are not comparable, so skip only members that agree well. A `SettingsError` and a
    cancellation are always raised.

    Args:
        verifiers: At least one of anything that `as_verifier` accepts.
        weights: Positive weights for `combine="mean"`, one for each verifier; equal by default. Only their
            proportions matter.
        combine: "mean" is 1 only where every score is 1; "min" is the weakest score; "product" suits probabilities of
            independent requirements.
        on_failure: "raise" or "skip".

    Raises:
        SettingsError: A setting is out of range, or two verifiers need contradicting policy arguments.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers import LengthCheck, RequiredWords
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> verifier = EnsembleVerifier([LengthCheck(at_most=100), RequiredWords(["because"])], weights=[1, 3])
        >>> verdict = verifier.verify(StringPromptValue(text="Why?"), make_candidate("Nobody knows."))
        >>> verdict.score, verdict.raw
        (0.25, {'LengthCheck': 1.0, 'RequiredWords': 0.0})
    """

    def __init__(
        self,
        verifiers: Iterable[VerifierLike],
        weights: Iterable[float] | None = None,
        combine: Combination = "mean",
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(members_of("EnsembleVerifier", verifiers))
        if combine not in get_args(Combination):
            raise SettingsError(f"combine must be 'mean', 'min' or 'product', not {combine!r}")
        if on_failure not in get_args(OnFailure):
            raise SettingsError(f"on_failure must be 'raise' or 'skip', not {on_failure!r}")
        self.combine = combine
        self.on_failure = on_failure
        self.weights = None if weights is None else _checked(tuple(weights), len(self.verifiers), combine)

    def __repr__(self) -> str:
        weights = "" if self.weights is None else f", weights={list(self.weights)}"
        failing = "" if self.on_failure == "raise" else f", on_failure={self.on_failure!r}"
        return f"EnsembleVerifier({list(self.verifiers)}{weights}, combine={self.combine!r}{failing})"

    @property
    def skips_failures(self) -> bool:
        """As `on_failure` says."""
        return self.on_failure == "skip"

    def joined_score(self, scores: Sequence[float | None]) -> float:
        """As `combine` says, of the scores that there are."""
        weighed = zip(scores, self.weights or (1.0,) * len(scores), strict=True)
        known = [(score, weight) for score, weight in weighed if score is not None]
        return self._score([score for score, _ in known], [weight for _, weight in known])

    def _score(self, scores: list[float], weights: list[float]) -> float:
        if self.combine == "min":
            return min(scores)
        if self.combine == "product":
            return math.prod(scores)
        mean = math.fsum(w * s for w, s in zip(weights, scores, strict=True)) / math.fsum(weights)
        # Products of tiny scores underflow, and the mean must stay between its terms.
        mean = min(max(mean, min(scores)), max(scores))
        return mean if min(scores) == 1.0 else min(mean, math.nextafter(1.0, 0.0))


def _checked(weights: tuple[float, ...], count: int, combine: Combination) -> tuple[float, ...]:
    if combine != "mean":
        raise SettingsError(f"weights need combine='mean', got combine={combine!r}")
    if len(weights) != count:
        raise SettingsError(f"{len(weights)} weights were given for {count} verifiers")
    if not all(is_finite(weight) and weight > 0 for weight in weights):
        raise SettingsError(f"weights must be positive finite numbers, got {list(weights)}")
    try:
        math.fsum(weights)
    except OverflowError:
        raise SettingsError("the weights are too large to be added up; only their proportions matter") from None
    return tuple(float(weight) for weight in weights)
