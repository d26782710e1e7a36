"""Going on to the cap where a search would end, so that it becomes known what further candidates would have brought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping.base import Either, History, Rule
from langchain_optscale.stopping.budgets import CostBudget, Deadline, MaxFailures, MaxSamples, TokenBudget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_optscale.records.decisions import Decision, Round

__all__ = ["Exploration", "explored_stop"]

_LIMITS = (MaxSamples, TokenBudget, CostBudget, Deadline, MaxFailures)


@dataclass(frozen=True)
class Exploration(Rule):
    """Stops where a limit in `inner` does, and at its cap; where `inner` stops for any other reason, goes on.

    The decision to go on has the reason, the claim and the probability of the decision that it takes the place of, see
    `explored_stop`. So it stands around a rule that has the cap: nothing is joined to its decisions.
    """

    inner: Rule

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Rule):
            raise SettingsError(f"Exploration needs a rule, got {self.inner!r}")

    def __call__(self, history: History) -> Decision:
        decision = self.inner(history)
        cap = self.inner.max_samples
        if not decision.stop or (cap is not None and history.n + history.failures >= cap):
            return decision
        limits = (limit(history) for limit in _limits_in(self.inner))
        reached = next((limit for limit in limits if limit.stop), None)
        return replace(decision, stop=False, draw=None) if reached is None else reached

    def first_draw(self, history: History) -> int | None:
        """The inner rule's."""
        return self.inner.first_draw(history)

    @property
    def max_samples(self) -> int | None:
        """The inner rule's."""
        return self.inner.max_samples

    @property
    def min_samples(self) -> int | None:
        """The inner rule's."""
        return self.inner.min_samples

    @property
    def deadlines(self) -> tuple[float, ...]:
        """The inner rule's."""
        return self.inner.deadlines


def _limits_in(rule: Rule) -> Iterator[Rule]:
    """The limits that end a search by themselves: the rule, or one that is joined to it by `|`."""
    if isinstance(rule, Either):
        yield from _limits_in(rule.left)
        yield from _limits_in(rule.right)
    elif isinstance(rule, _LIMITS):
        yield rule


def explored_stop(rounds: Sequence[Round]) -> tuple[int, Decision] | None:
    """Where a search that explored would have ended.

    Returns:
        After how many outcomes, and the decision as it would have been; None where it did not go on beyond that.
    """
    observations = [observation for one in rounds for observation in one.observations]
    for place, observation in enumerate(observations, 1):
        decision = observation.decision
        if decision.reason is not None and not decision.stop:
            return place, replace(decision, stop=True, draw=0)
    return None
