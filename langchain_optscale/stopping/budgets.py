"""Budgets: rules that read what was spent, not the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping.base import Rule

if TYPE_CHECKING:
    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.records.usage import Usage
    from langchain_optscale.stopping.base import History

__all__ = [
    "CostBudget",
    "Deadline",
    "MaxFailures",
    "MaxSamples",
    "MinSamples",
    "Price",
    "TokenBudget",
    "prices_by_role",
]

_ROLES = ("policy", "verifier")


class _Budget(Rule):
    @property
    def min_samples(self) -> int | None:
        """None: a budget does not read scores."""
        return None


@dataclass(frozen=True)
class _Limit(Rule):
    limit: int
    _setting: ClassVar[str]

    def __post_init__(self) -> None:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or self.limit < 1:
            raise SettingsError(f"{self._setting} must be a whole number of at least 1, got {self.limit!r}")


@dataclass(frozen=True)
class MinSamples(_Limit):
    """Stop once `limit` candidates were scored; joined by `&`, it keeps another rule from stopping earlier.

    Args:
        limit: At least 1. Failed candidates do not count, since they are no evidence.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> MinSamples(2)(History(scores=(0.5,))).stop, MinSamples(2)(History(scores=(0.5, 0.6))).stop
        (False, True)
    """

    _setting: ClassVar[str] = "min_samples"

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
class MaxSamples(_Limit, _Budget):
    """Stop when `limit` candidates were drawn; those that failed count, since they were paid for.

    Args:
        limit: At least 1.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> decision = MaxSamples(4)(History(scores=(0.5,), failures=1))
        >>> decision.stop, decision.draw
        (False, 2)
    """

    _setting: ClassVar[str] = "max_samples"

    @property
    def max_samples(self) -> int | None:
        """The limit itself."""
        return self.limit

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.MAX_SAMPLES,
            {"drawn": history.drawn, "max_samples": self.limit},
            stop=history.n + history.failures >= self.limit,
            draw=max(0, self.limit - history.drawn),
        )


@dataclass(frozen=True)
class TokenBudget(_Limit, _Budget):
    """Stop when `limit` tokens were spent by policy and verifier together.

    Requests no more candidates than the remaining budget pays for at the mean cost so far, so that a round does not
    overshoot; at least one, since only a spent budget stops.

    Args:
        limit: Tokens, at least 1.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> decision = TokenBudget(1000)(History(scores=(0.5, 0.6), tokens=400))
        >>> decision.stop, decision.draw
        (False, 3)
    """

    _setting: ClassVar[str] = "token_budget"

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.TOKEN_BUDGET,
            {"tokens": history.tokens, "token_budget": self.limit},
            stop=history.tokens >= self.limit,
            draw=_affordable(history, history.tokens, self.limit),
        )


@dataclass(frozen=True)
class Price:
    """What a model costs, in any one currency.

    Args:
        input: For a million prompt tokens, at least 0.
        output: For a million generated tokens, at least 0.
        request: For one request, at least 0.

    Raises:
        SettingsError: A price is negative or not finite.

    Example:
        >>> from langchain_optscale import Usage
        >>> Price(input=0.15, output=0.60).of(Usage(input_tokens=2_000, output_tokens=1_000, requests=1))
        0.0009
    """

    input: float = 0.0
    output: float = 0.0
    request: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
                raise SettingsError(f"the price for {name} must be a finite number of at least 0, got {value!r}")

    def of(self, usage: Usage) -> float:
        """What this usage costs."""
        tokens = self.input * usage.input_tokens + self.output * usage.output_tokens
        return tokens / 1e6 + self.request * usage.requests


def prices_by_role(price: Any) -> dict[str, Price]:
    """The prices that a setting gives, by role.

    Args:
        price: One `Price` for both roles, or a price (or its form as a mapping) by role.

    Raises:
        SettingsError: A role is unknown, or a price is no `Price`.

    Example:
        >>> from langchain_optscale import Price
        >>> prices_by_role(Price(input=0.15, output=0.60))["verifier"]
        Price(input=0.15, output=0.6, request=0.0)
    """
    if not isinstance(price, Price | Mapping | tuple):
        raise SettingsError(f"a price must be a Price(input=..., output=...), got {price!r}")
    given = dict.fromkeys(_ROLES, price) if isinstance(price, Price) else dict(price)
    if unknown := sorted(given.keys() - set(_ROLES)):
        raise SettingsError(f"there is no role {unknown[0]!r} to price; the roles are policy and verifier")
    prices = {role: Price(**one) if isinstance(one, Mapping) else one for role, one in given.items()}
    if wrong := [one for one in prices.values() if not isinstance(one, Price)]:
        raise SettingsError(f"a price must be a Price(input=..., output=...), got {wrong[0]!r}")
    return prices


@dataclass(frozen=True)
class CostBudget(_Budget):
    """Stop when policy and verifier have cost `amount` together.

    Requests no more candidates than the remaining budget pays for at the mean cost so far, as `TokenBudget` does.

    Args:
        amount: In the currency of the prices, above 0.
        price: One price for both roles, or a price by role, "policy" and "verifier"; a role that is left out costs
            nothing.

    Raises:
        SettingsError: The amount is not above 0, a role is unknown, or no price is above 0.

    Example:
        >>> from langchain_optscale import Price
        >>> CostBudget(0.05, {"policy": Price(0.15, 0.60), "verifier": Price(2.50, 10.0)}).amount
        0.05
    """

    amount: float
    price: Price | Mapping[str, Price] | tuple[tuple[str, Price], ...]

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not 0.0 < self.amount < math.inf:
            raise SettingsError(f"a cost budget must be a finite amount above 0, got {self.amount!r}")
        prices = prices_by_role(self.price)
        if not any((price.input, price.output, price.request) != (0.0, 0.0, 0.0) for price in prices.values()):
            raise SettingsError("a cost budget needs a price above 0")
        # In a form that can be compared and hashed, as every rule can.
        object.__setattr__(self, "price", tuple(sorted(prices.items())))

    @property
    def prices(self) -> dict[str, Price]:
        """The price by role."""
        assert isinstance(self.price, tuple)  # noqa: S101 - made so above
        return dict(self.price)

    def cost(self, usage: Mapping[str, Usage]) -> float:
        """What a usage by role costs, such as that of a result."""
        return math.fsum(price.of(usage[role]) for role, price in self.prices.items() if role in usage)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        price = {role: asdict(price) for role, price in self.prices.items()}
        return {"rule": type(self).__name__, "amount": self.amount, "price": price}

    def __call__(self, history: History) -> Decision:
        cost = self.cost(history.usage)
        return self._decision(
            StopReason.COST_BUDGET,
            {"cost": cost, "cost_budget": self.amount},
            stop=cost >= self.amount,
            draw=_affordable(history, cost, self.amount),
        )


def _affordable(history: History, spent: float, budget: float) -> int | None:
    """How many more candidates the remaining budget pays for at the mean cost so far; at least one."""
    finished = history.n + history.failures
    if not spent or not finished:
        return None
    return max(1, math.floor((budget - spent) / (spent / finished) - history.pending))


@dataclass(frozen=True)
class Deadline(_Budget):
    """Stop when `seconds` have passed since the search began.

    Args:
        seconds: Finite and above 0.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> Deadline(30)(History(elapsed_s=12.0)).stop, Deadline(30)(History(elapsed_s=30.5)).stop
        (False, True)
    """

    seconds: float

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < math.inf:
            raise SettingsError(f"a deadline must be a finite number of seconds above 0, got {self.seconds!r}")

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
class MaxFailures(_Limit, _Budget):
    """Stop when `limit` candidates could not be drawn or not be verified.

    Args:
        limit: At least 1.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> MaxFailures(3)(History(failures=3)).reason.name
        'FAILURES'
    """

    _setting: ClassVar[str] = "max_failures"

    def __call__(self, history: History) -> Decision:
        return self._decision(
            StopReason.FAILURES,
            {"failures": history.failures, "max_failures": self.limit},
            stop=history.failures >= self.limit,
        )
