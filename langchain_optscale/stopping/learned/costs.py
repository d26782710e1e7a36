"""What a learned rule is fitted for: the kind of labels, prices of candidates, and the amounts that continuing uses."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from langchain_optscale.stopping.learned.backward import FloatArray

__all__ = ["Amounts", "CandidatePrice", "Labels"]

Labels: TypeAlias = Literal["gold", "none", "worth"]
"""What a fit learns from, see `FittedStopping.fit`."""


@dataclass(frozen=True)
class CandidatePrice:
    """Prices of candidates in units of the value: of accuracy, or of graded quality.

    `CandidatePrice(sample=0.01)` continues as long as one more candidate is expected to add one point of accuracy.

    Attributes:
        sample: Of one candidate, at least 0.
        token: Of one generated token, at least 0; the pool must have tokens.
        second: Of one second of waiting, at least 0: a round takes `seconds_per_token` times its longest candidate.
        seconds_per_token: For `second`, at least 0.

    Raises:
        SettingsError: A number is negative or not finite.

    Example:
        >>> CandidatePrice(sample=0.01, second=0.001)
        CandidatePrice(sample=0.01, token=0.0, second=0.001, seconds_per_token=0.02)
    """

    sample: float = 0.0
    token: float = 0.0
    second: float = 0.0
    seconds_per_token: float = 0.02

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, float | int) or not 0.0 <= value < math.inf:
                raise SettingsError(f"{name} of a price must be a finite number of at least 0, got {value!r}")


@dataclass(frozen=True, eq=False)
class Amounts:
    """The amounts used until the next decision point, each of shape (T, P - 1).

    Attributes:
        samples: Candidates.
        tokens: Their tokens, None where a sample has none.
        longest: Tokens of the longest of them, None likewise.
    """

    samples: FloatArray
    tokens: FloatArray | None
    longest: FloatArray | None

    def costs(self, price: CandidatePrice) -> FloatArray:
        """Their costs, shape (T, P - 1).

        Raises:
            SettingsError: The price is of tokens or seconds, and there are no tokens.
        """
        costs = price.sample * self.samples
        if not (price.token or price.second):
            return costs
        if self.tokens is None or self.longest is None:
            raise SettingsError("a price of tokens or seconds needs a pool whose samples have tokens")
        return costs + price.token * self.tokens + price.second * price.seconds_per_token * self.longest
