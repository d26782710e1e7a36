"""Which comparisons to ask for, and when the best is known: a state machine without input or output.

The caller asks for comparisons, makes them in any order, and tells what came of each. Every group of candidates is
asked for in an order and its reverse, so that a judge's preference for a place is measured and cancels. What is asked
next depends on what was told alone: a tournament that is told the same comparisons goes on in the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.comparisons import Comparison, FailedComparison, Ranking
from langchain_optscale.records.usage import Usage
from langchain_optscale.stats.bradley_terry import Contest, Strengths, fit_strengths

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Tournament"]


class Tournament:
    """One choice among a few candidates by comparison.

    Args:
        indexes: The candidates, by index, at least one; the first is chosen where nothing speaks for another.
        means: What is believed of their strengths beforehand, in logits; equal by default.
        std: How uncertain that is, above 0.
        group_size: The most candidates in one comparison, at least 2.
        budget: The most comparisons, at least 2, including those that fail; None sets no limit.
        votes: How often each order of the same candidates may be asked for, at least 1.
        confidence: Nothing more is asked once P(the leader is better) is so large against each other candidate.
        pointwise: The candidate that would be chosen without comparisons; the first by default.

    Raises:
        SettingsError: A number is out of range.

    Example:
        >>> tournament = Tournament([4, 7])
        >>> tournament.ask()
        [(4, 7), (7, 4)]
        >>> tournament.tell((4, 7), Comparison((4, 7), (0.0, 1.0)))
        >>> tournament.tell((7, 4), Comparison((7, 4), (1.0, 0.0)))
        >>> tournament.ask(), tournament.ranking().best
        ([], 7)
    """

    def __init__(
        self,
        indexes: Sequence[int],
        means: Sequence[float] | None = None,
        *,
        std: float = 2.0,
        group_size: int = 2,
        budget: int | None = None,
        votes: int = 1,
        confidence: float = 0.95,
        pointwise: int | None = None,
    ) -> None:
        for name, value, least in (("group_size", group_size, 2), ("budget", budget, 2), ("votes", votes, 1)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise SettingsError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if not 0.5 <= confidence < 1:
            raise SettingsError(f"confidence must be at least 0.5 and below 1, got {confidence!r}")
        self._indexes = tuple(indexes)
        self._means = np.zeros(len(indexes)) if means is None else np.asarray(means, dtype=float)
        self._std = std
        self._group_size = group_size
        self._budget = math.inf if budget is None else budget
        self._votes = votes
        self._confidence = confidence
        self._pointwise = indexes[0] if pointwise is None else pointwise
        self._asked: list[tuple[int, ...]] = []
        self._told: list[Comparison] = []
        self._failed: list[FailedComparison] = []
        self._extra = Usage()
        # How often each group was asked for, by its members' places.
        self._groups: Counter[tuple[int, ...]] = Counter()
        self._pending = 0
        self._ended = len(indexes) < 2
        self._strengths = self._fit()

    @property
    def over(self) -> bool:
        """Whether nothing more is asked for; True only while nothing is pending, unless it was ended."""
        return self._ended or (not self._pending and not self._next())

    def end(self) -> None:
        """Ask for nothing more, as at a deadline; what is told later still counts."""
        self._ended = True

    def ask(self) -> list[tuple[int, ...]]:
        """The comparisons to make now, each as the candidates' indexes in their order.

        Empty while some are pending, and at the end.
        """
        if self._ended or self._pending:
            return []
        groups = self._next()
        self._ended = not groups
        orders = []
        for group in groups:
            turn = self._groups[group] // self._votes % len(group)
            self._groups[group] += 1
            order = tuple(self._indexes[place] for place in (*group[turn:], *group[:turn]))
            orders += [order, order[::-1]]
        self._asked += orders
        self._pending = len(orders)
        return orders

    def tell(
        self, order: Sequence[int], outcome: Comparison | FailedComparison, unreported: Usage | None = None
    ) -> None:
        """Record what came of a comparison that was asked for.

        Args:
            order: As it was asked for.
            outcome: The comparison, or why there is none.
            unreported: What it consumed beyond what it reports.

        Raises:
            SettingsError: It was not asked for, or compares others.
        """
        if tuple(order) not in self._asked or tuple(outcome.order) != tuple(order):
            raise SettingsError(f"the comparison {list(outcome.order)} was not asked for")
        self._pending -= 1
        if isinstance(outcome, Comparison):
            self._told.append(outcome)
            self._extra += outcome.usage or Usage()
        else:
            self._failed.append(outcome)
        self._extra += unreported or Usage()
        if not self._pending:
            self._strengths = self._fit()
            # A judge that makes no comparison at all would not make the next one either.
            self._ended = self._ended or not self._told

    def add_usage(self, usage: Usage) -> None:
        """Count what a comparison consumed that was cancelled."""
        self._extra += usage

    def ranking(self) -> Ranking:
        """The candidates by what is known so far."""
        if not self._told:
            # Without a comparison the pointwise choice stands.
            places = sorted(range(len(self._indexes)), key=lambda place: self._indexes[place] != self._pointwise)
        else:
            places = sorted(range(len(self._indexes)), key=lambda place: -float(self._strengths.means[place]))
        best = self._strengths.best()
        return Ranking(
            tuple(self._indexes[place] for place in places),
            tuple(float(self._strengths.means[place]) for place in places),
            tuple(float(self._strengths.stds[place]) for place in places),
            tuple(float(best[place]) for place in places),
            self._strengths.place_bias,
            self._strengths.place_bias_std,
            self._pointwise,
            tuple(sorted(self._told, key=lambda one: self._asked.index(one.order))),
            tuple(sorted(self._failed, key=lambda one: self._asked.index(one.order))),
            self._extra,
        )

    def _fit(self) -> Strengths:
        place_of = {index: place for place, index in enumerate(self._indexes)}
        contests = [Contest(tuple(place_of[index] for index in one.order), one.shares) for one in self._told]
        # In the order of asking, so that the sums do not depend on the order of arrival.
        contests.sort(key=lambda contest: (contest.order, contest.shares))
        return fit_strengths(contests, len(self._indexes), means=[float(mean) for mean in self._means], std=self._std)

    def _next(self) -> list[tuple[int, ...]]:
        """The groups to compare next; each costs two comparisons."""
        left = int(min(self._budget - len(self._asked), 2 * len(self._indexes) ** 2)) // 2
        if left < 1 or len(self._indexes) < 2:
            return []
        means = self._strengths.means
        leader = int(np.argmax(means))
        rivals = [place for place in range(len(means)) if place != leader]
        beats = {rival: self._strengths.better(rival, leader) for rival in rivals}
        rivals = sorted(
            (rival for rival in rivals if beats[rival] > 1.0 - self._confidence),
            key=lambda rival: (-beats[rival], rival),
        )
        size = self._group_size - 1
        groups = [tuple(sorted((leader, *rivals[start : start + size]))) for start in range(0, len(rivals), size)]
        groups = [group for group in groups if self._groups[group] < self._most(group)]
        # At first each rival meets the leader; then those that matter most.
        return groups[:left] if not self._asked else groups[:1]

    def _most(self, group: tuple[int, ...]) -> int:
        """How often a group is asked for: each member comes to stand at each place."""
        return self._votes * (1 if len(group) == 2 else len(group))
