"""Rules that look at the verifier's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.records import StopReason
from langchain_optscale.stopping.base import Rule

if TYPE_CHECKING:
    from langchain_optscale.records import Decision
    from langchain_optscale.stopping.base import History

__all__ = ["OptimalN", "TargetReached"]

# Beyond any number of candidates that somebody draws: an N* at or above it is reported as "no finite N".
_OUT_OF_REACH = 10**9


def _check_target(target: float) -> None:
    if not 0.0 <= target <= 1.0:
        raise SettingsError(f"target must be a score in [0, 1], got {target!r}")


@dataclass(frozen=True)
class TargetReached(Rule):
    """Stop when a score at or above the target has been seen: more candidates cannot meet the goal any better.

    Args:
        target: A score in [0, 1].
    """

    target: float

    def __post_init__(self) -> None:
        _check_target(self.target)

    def __call__(self, history: History) -> Decision:
        reached = bool(history.scores) and history.best >= self.target
        known = {"best": history.best} if history.scores else {}
        return self._decision(StopReason.TARGET_REACHED, {**known, "target": self.target}, stop=reached)


@dataclass(frozen=True)
class OptimalN(Rule):
    r"""Stop when as many candidates have been scored as the bound asks for, and draw up to that number.

    With F the estimated distribution of the scores, the best of N reaches the target with probability 1 - F(target)^N.
    The smallest N for which this is at least the confidence is

        N* = max(1, ceil(log(1 - confidence) / log F(target)))

    (OptScale, arXiv 2506.22376). The rule stops at n >= N*. Re-estimating F after every score and stopping the first
    time that n >= N* is a sequential procedure: its realised confidence is not exactly the one that a fixed N* has.

    Args:
        target: A score in [0, 1].
        confidence: The probability, in (0, 1), with which the best of N* should reach the target.
    """

    target: float
    confidence: float

    def __post_init__(self) -> None:
        _check_target(self.target)
        if not 0.0 < self.confidence < 1.0:
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {self.confidence!r}")

    def __call__(self, history: History) -> Decision:
        bound = self._bound(history)
        figures = {"n": history.n, "target": self.target, "confidence": self.confidence}
        if bound is None:
            return self._decision(StopReason.OPTIMAL_N, figures, stop=False)
        return self._decision(
            StopReason.OPTIMAL_N,
            figures,
            stop=history.n >= bound,
            draw=max(0, bound - history.n - history.pending),
            optimal_n=bound,
        )

    def _bound(self, history: History) -> int | None:
        """N*, None before the first score and where no finite number of candidates reaches the target."""
        if not history.scores:
            return None
        from langchain_optscale.stats.best_of_n import optimal_n

        estimate = history.estimate
        bound = optimal_n(
            estimate.mu, estimate.sigma, target=self.target, confidence=self.confidence, max_n=_OUT_OF_REACH
        )
        return bound if bound < _OUT_OF_REACH else None
