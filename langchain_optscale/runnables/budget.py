"""One budget for all questions of a batch: candidates go where they are expected to help most.

Questions are searched in windows. Every question of a window draws its first candidate; then they wait for each other,
and the window's share of the budget is given out in waves, see `stopping.allocation`. What a window consumes depends on
its own questions and on the windows before it alone, never on time: the same seeds give the same results.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.runnables.batch import DEFAULT_CONCURRENCY, Batch
from langchain_optscale.stopping.allocation import Offer, value_of_next, wave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from langchain_optscale.runnables.batch import Configs
    from langchain_optscale.stopping import Price
    from langchain_optscale.stopping.history import History
    from langchain_optscale.stopping.session import Session

__all__ = ["Budget", "BudgetedBatch"]


@dataclass(frozen=True)
class Budget:
    """What all questions of a batch may consume together: exactly one of `samples`, `tokens` and `cost`.

    Every question gets at least one candidate. All further ones go to the questions that they are expected to help
    most, until the budget is spent or the searches' own rule ends them: a small `price` lets the budget alone decide.
    Tokens and cost are known after a candidate only, so that a budget of these may be exceeded by what the first
    candidates take, and by the error of what one wave was expected to take.

    Args:
        samples: Candidates, at least as many as there are questions. Each counts once it has been requested.
        tokens: Tokens of policy and verifier, at least as many as there are questions.
        cost: In the currency of the prices, above 0; needs `price=` or models whose profile has prices.
        questions: How many questions there are, where they come from an iterator without a length.
        window: Questions that share a part of the budget and are kept in memory together, at least 1. Unspent parts
            go to later windows.

    Raises:
        SettingsError: Not exactly one amount is given, or a number is out of range.

    Example:
        >>> Budget(samples=4_000)
        Budget(samples=4000, tokens=None, cost=None, questions=None, window=256)
    """

    samples: int | None = None
    tokens: int | None = None
    cost: float | None = None
    questions: int | None = None
    window: int = 256

    def __post_init__(self) -> None:
        if sum(amount is not None for amount in (self.samples, self.tokens, self.cost)) != 1:
            raise SettingsError("a budget needs exactly one of samples, tokens and cost")
        for name in ("samples", "tokens", "questions", "window"):
            value = getattr(self, name)
            least = 0 if name == "questions" else 1
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise SettingsError(f"{name} of a budget must be a whole number of at least {least}, got {value!r}")
        cost = self.cost
        if cost is not None and (isinstance(cost, bool) or not 0.0 < cost < math.inf):
            raise SettingsError(f"cost of a budget must be a finite amount above 0, got {cost!r}")

    @property
    def amount(self) -> float:
        """The amount, in the unit that is given."""
        return float(next(one for one in (self.samples, self.tokens, self.cost) if one is not None))

    @property
    def unit(self) -> str:
        """The unit: "samples", "tokens" or "cost"."""
        return next(name for name in ("samples", "tokens", "cost") if getattr(self, name) is not None)

    def less(self, spent: float, questions: int) -> Budget:
        """What is left for `questions` questions after others have consumed `spent`, in the budget's unit.

        Raises:
            SettingsError: Nothing is left, or less than a candidate for each question.
        """
        left = self.amount - spent
        if questions and left < (math.ulp(0.0) if self.cost is not None else questions):
            raise SettingsError(_too_small(self, questions, spent))
        return self.share(max(left, math.ulp(0.0)), questions)

    def share(self, amount: float, questions: int) -> Budget:
        """A budget of another amount in the same unit for `questions` questions, of which each gets a candidate.

        Args:
            amount: Above 0; samples and tokens are rounded down, though not below the number of questions.
            questions: How many there are.
        """
        if self.cost is not None:
            return replace(self, cost=amount, questions=questions)
        whole = max(int(amount), questions, 1)
        if self.samples is not None:
            return replace(self, samples=whole, questions=questions)
        return replace(self, tokens=whole, questions=questions)

    def rule_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings under which a search counts what this budget limits.

        Args:
            given: The limits that the search has already, which stay.
        """
        name = {"tokens": "token_budget", "cost": "cost_budget"}.get(self.unit)
        return {} if name is None or given.get(name) is not None else {name: getattr(self, self.unit)}


def _too_small(budget: Budget, questions: int, spent: float = 0.0) -> str:
    amount = f"{budget.amount:,.10g} {budget.unit}"
    if spent <= 0.0:
        return f"a budget of {amount} is too small for {questions:,} questions: each gets at least one candidate"
    left = max(0.0, budget.amount - spent)
    return (
        f"earlier runs have spent {spent:,.10g} of the budget of {amount}, and the {left:,.10g} left are too few for "
        f"{questions:,} more questions: give a larger budget"
    )


class _Member:
    """One question of a window, as its search sees it; an `engine.drivers.BatchControl` and its `Allowance`."""

    def __init__(self, batch: BudgetedBatch, index: int) -> None:
        self._batch = batch
        self.index = index
        self.session: Session | None = None
        self.value = 0.0
        self.waits = False
        self.grant: int | None = None
        self.wake: Callable[[], None] = lambda: None

    @property
    def allowance(self) -> _Member:
        return self

    @property
    def limit(self) -> SharedLimit | None:
        return self._batch.limit

    @property
    def cancelled(self) -> threading.Event:
        return self._batch.cancelled

    @property
    def recurrent(self) -> Exception | None:
        return self._batch.recurrent

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        self.wake = callback
        return self._batch.on_cancel(callback)

    def begin(self, session: Session) -> None:
        """The session of this question, from which its consumption is read."""
        self.session = session

    def wait(self) -> None:
        """Wait for a candidate: `granted` will tell, after a wake-up."""
        self._batch.wait(self)

    def granted(self) -> int | None:
        """Candidates to draw now, 0 to end the search; None while others are waited for."""
        grant, self.grant = self.grant, None
        return grant


class BudgetedBatch(Batch):
    """A batch whose questions share a budget.

    Args:
        inputs: As for `Batch`; without a length `budget.questions` says how many there are.
        configs: As for `Batch`. The questions under way at once are those of a window; "max_concurrency" limits the
            requests, 16 where it is missing.
        is_tried: As for `Batch`.
        budget: What they may consume.
        prices: The price by role, for a budget of cost.

    Raises:
        SettingsError: The number of questions is not known, or the budget has less than a candidate or token for each.
    """

    def __init__(
        self,
        inputs: Iterable[Any],
        configs: Configs,
        is_tried: Callable[[], bool],
        budget: Budget,
        prices: Mapping[str, Price],
    ) -> None:
        super().__init__(inputs, configs, is_tried)
        total = budget.questions if self._total is None else self._total
        if total is None:
            raise SettingsError("a budget must know how many questions there are: give a list, or questions=")
        if budget.cost is None and budget.amount < total:
            raise SettingsError(_too_small(budget, total))
        self._total = total
        self._questions_at_once = budget.window
        self.limit = self.limit or SharedLimit(DEFAULT_CONCURRENCY)
        self._budget, self._prices = budget, prices
        self._windows: dict[int, _Window] = {}
        self._closed, self._spent = 0, 0.0
        self._sharing = threading.Lock()
        self._has_waited = False

    @property
    def _is_settled(self) -> bool:
        # A question that waits for others has drawn and scored: the models work.
        return self._has_waited or super()._is_settled

    def member(self, index: int) -> _Member:
        """The question's place in its window."""
        with self._sharing:
            member = _Member(self, index)
            self._window(index).enter(member)
            return member

    def wait(self, member: _Member) -> None:
        """Let a question wait for its next candidate."""
        with self._sharing:
            self._has_waited = True
            member.waits = True
            assert member.session is not None  # noqa: S101 - it waits, hence has begun
            member.value = value_of_next(member.session.history)
            woken = self._share()
        for other in woken:
            other.wake()

    def leave(self, member: Any) -> None:
        """Count what a question has consumed; it takes part no more."""
        with self._sharing:
            self._window(member.index).leave(member, self._consumption(member))
            woken = self._share()
        for other in woken:
            other.wake()

    def _window(self, index: int) -> _Window:
        number, size = divmod(index, self._budget.window)[0], self._budget.window
        if number not in self._windows:
            assert self._total is not None  # noqa: S101 - checked above
            # More questions than were announced form windows of their own size.
            planned = min(size, self._total - number * size)
            self._windows[number] = _Window(planned if planned > 0 else size)
        return self._windows[number]

    def _share(self) -> list[_Member]:
        """Give out the next wave of the oldest window if all of it waits; returns whom to wake."""
        while (window := self._windows.get(self._closed)) is not None and window.is_over:
            self._spent += window.spent
            del self._windows[self._closed]
            self._closed += 1
        if window is None or not window.is_waiting:
            return []
        assert self._total is not None  # noqa: S101 - checked above
        before = self._closed * self._budget.window
        share = (self._budget.amount - self._spent) * window.size / max(window.size, self._total - before)
        members = list(window.members.values())
        consumed = {member.index: self._consumption(member) for member in members}
        remaining = share - window.spent - sum(consumed.values())
        offers = [self._offer(member, consumed[member.index]) for member in members]
        chosen = set(wave(offers, remaining, window.size))
        # Where none can be paid for, the window ends; a question that nothing helps ends by itself.
        ending = {offer.index for offer in offers if not chosen or offer.value <= 0.0}
        woken = [member for member in members if member.index in chosen | ending]
        for member in woken:
            member.waits, member.grant = False, int(member.index in chosen)
        return woken

    def _offer(self, member: _Member, consumed: float) -> Offer:
        assert member.session is not None  # noqa: S101 - it waits, hence has begun
        history = member.session.history
        each = 1.0 if self._budget.samples is not None else consumed / max(1, history.drawn)
        return Offer(member.index, member.value, each)

    def _consumption(self, member: _Member) -> float:
        if member.session is None:
            return 0.0
        history: History = member.session.history
        if self._budget.samples is not None:
            return float(history.drawn)
        if self._budget.tokens is not None:
            return float(history.tokens)
        usage = history.usage
        return math.fsum(price.of(usage[role]) for role, price in self._prices.items() if role in usage)


class _Window:
    """Questions that share a part of the budget."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.members: dict[int, _Member] = {}
        self.spent = 0.0
        self._entered = 0

    @property
    def is_over(self) -> bool:
        return self._entered == self.size and not self.members

    @property
    def is_waiting(self) -> bool:
        return self._entered == self.size and all(member.waits for member in self.members.values())

    def enter(self, member: _Member) -> None:
        self.members[member.index] = member
        self._entered += 1

    def leave(self, member: _Member, consumed: float) -> None:
        del self.members[member.index]
        self.spent += consumed
