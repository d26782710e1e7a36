"""Rules that look at what was spent, not at what was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.records import StopReason
from langchain_optscale.stopping.base import Rule

if TYPE_CHECKING:
    from langchain_optscale.records import Decision
    from langchain_optscale.stopping.base import History

__all__ = ["Deadline", "MaxFailures", "MaxSamples", "MinSamples", "TokenBudget"]


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}")


@dataclass(frozen=True)
class MinSamples(Rule):
    """Be content once `limit` candidates were scored; joined by `&`, it keeps another rule from stopping earlier.

    Args:
        limit: At least 1. Candidates that failed do not count, since they are no evidence.
    """

    limit: int

    def __post_init__(self) -> None:
        _check_count("min_samples", self.limit)

    @property
    def min_samples(self) -> int | None:
        """The limit itself."""
        return self.limit

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.MIN_SAMPLES,
            {"n": history.n, "min_samples": self.limit},
            stop=history.n >= self.limit,
            draw=max(0, self.limit - history.n - history.pending),
        )


@dataclass(frozen=True)
class MaxSamples(Rule):
    """Stop when `limit` candidates were drawn; those that failed count, since they were paid for.

    Args:
        limit: At least 1.
    """

    limit: int

    def __post_init__(self) -> None:
        _check_count("max_samples", self.limit)

    @property
    def max_samples(self) -> int | None:
        """The limit itself."""
        return self.limit

    @property
    def min_samples(self) -> int | None:
        """A cap is a budget: it does not look at scores."""
        return None

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.MAX_SAMPLES,
            {"drawn": history.drawn, "max_samples": self.limit},
            stop=history.n + history.failures >= self.limit,
            draw=max(0, self.limit - history.drawn),
        )


@dataclass(frozen=True)
class TokenBudget(Rule):
    """Stop when `limit` tokens were spent by policy and verifier together.

    Wishes for no more candidates than the rest of the budget pays for at the mean price so far, so that a round does
    not overshoot; at least one, since only a spent budget stops.

    Args:
        limit: Tokens, at least 1.
    """

    limit: int

    def __post_init__(self) -> None:
        _check_count("token_budget", self.limit)

    @property
    def min_samples(self) -> int | None:
        """A budget does not look at scores."""
        return None

    def __call__(self, history: History) -> Decision:
        finished = history.n + history.failures
        wish = None
        if history.tokens and finished:
            affordable = (self.limit - history.tokens) / (history.tokens / finished) - history.pending
            wish = max(1, math.floor(affordable))
        return self._decision(
            StopReason.TOKEN_BUDGET,
            {"tokens": history.tokens, "token_budget": self.limit},
            stop=history.tokens >= self.limit,
            draw=wish,
        )


@dataclass(frozen=True)
class Deadline(Rule):
    """Stop when `seconds` have passed since the search began.

    Args:
        seconds: Finite and above 0.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < math.inf:
            raise SettingsError(f"a deadline must be a finite number of seconds above 0, got {self.seconds!r}")

    @property
    def min_samples(self) -> int | None:
        """A budget does not look at scores."""
        return None

    @property
    def deadlines(self) -> tuple[float, ...]:
        """The moment itself."""
        return (self.seconds,)

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.DEADLINE,
            {"elapsed_s": history.elapsed_s, "deadline_s": self.seconds},
            stop=history.elapsed_s >= self.seconds,
        )


@dataclass(frozen=True)
class MaxFailures(Rule):
    """Stop when `limit` candidates could not be drawn or not be verified.

    Args:
        limit: At least 1.
    """

    limit: int

    def __post_init__(self) -> None:
        _check_count("max_failures", self.limit)

    @property
    def min_samples(self) -> int | None:
        """A budget does not look at scores."""
        return None

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.FAILURES,
            {"failures": history.failures, "max_failures": self.limit},
            stop=history.failures >= self.limit,
        )
