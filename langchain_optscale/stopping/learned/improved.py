r"""`ImprovedStopping`: a stopping rule, improved by one step from what its own past searches show.

Symbols: x what is known after n candidates, at which the base rule would go on; T > n where the base rule would stop;
N the cap; y_n the worth of the answer that would be returned after n candidates (1 if it is right, 0 if not). Two
quantities can be learned from a search that ran until its base rule stopped it, since all that came before is in it:

    A(x) = E[ y_T - y_n | x ]            what going on as before would gain
    R(x) = E[ (T - n) / N | x ]          what it would cost, in shares of the cap

The improved rule stops at x where going on is not worth its price, and does what its base does elsewhere:

    stop  if  A(x) < price * R(x)

This is one step of policy iteration (Howard 1960; "rollout" in Bertsekas, Tsitsiklis and Wu 1997): whatever the price,
what the new rule gives up against its base is less than the price of what it saves, as far as A and R are right. It
never draws more than its base, so that it can be judged on the very searches that the base ended.

A and R are linear in the features of `FEATURES`. They are ridge regressions towards the regression on many kinds of
tasks (`stopping.learned.improving`), so that a few dozen searches are enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.support import Support
from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.overtaking import Race

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.stopping.base import History

__all__ = ["FEATURES", "ImprovedStopping", "State", "state_of"]

FEATURES = (
    "one",
    "unanimous",
    "race",
    "race, unanimous",
    "left",
    "race, left",
    "leader right",
    "rival right",
    "likely right",
    "race, rival right",
    "race, either right",
    "answers",
)
"""The features of a state, in order; see `state_of`."""

_VERSION = 1
# Where a single further candidate gains more than this many times its price, going on is never in doubt.
_CLEAR = 12.0
_MOST_RACE = math.exp(1.5)
_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_VARIATION = 0.1


@dataclass(frozen=True, slots=True)
class State:
    """What is known after n candidates, at which the base rule goes on.

    Attributes:
        features: In the order of `FEATURES`.
        place: Which candidate would be returned.
        left: The share of the cap that is still allowed, in (0, 1].
        least: Half a candidate as a share of the cap: so much is left at least where the base goes on.
    """

    features: tuple[float, ...]
    place: int
    left: float
    least: float


@dataclass(frozen=True, repr=False)
class ImprovedStopping(Rule):
    """Stops earlier than its base rule where past searches show that going on is not worth its price.

    Make one with `learning.learn`, or `stopping.learned.improving.improve`. It returns what its base returns, and makes
    the claims of its base: an earlier stop claims nothing ("not sure").

    Attributes:
        base: The rule that it improves, such as `optscale()`.
        advantage: Coefficients of A, one for each of `FEATURES`.
        remaining: Coefficients of R.
        price: What the whole cap may cost, in units of worth, at least 0: with 0.06 a search that has half its cap
            before it is ended where that would raise the chance of a right answer by less than three points.
        searches: How many past searches of this task it was fitted to.
        labels: How many of them had labels.

    Raises:
        SettingsError: The coefficients do not fit the features, or the price is out of range.
    """

    base: Rule
    advantage: tuple[float, ...]
    remaining: tuple[float, ...]
    price: float = 0.06
    searches: int = 0
    labels: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.base, Rule):
            raise SettingsError(f"base must be a stopping rule, got {self.base!r}")
        if isinstance(self.price, bool) or not 0.0 <= self.price < math.inf:
            raise SettingsError(f"price must be a finite number of at least 0, got {self.price!r}")
        for name in ("advantage", "remaining"):
            values = tuple(getattr(self, name))
            if len(values) != len(FEATURES) or not all(math.isfinite(value) for value in values):
                raise SettingsError(f"{name} must be {len(FEATURES)} finite numbers, one for each feature")
            object.__setattr__(self, name, values)

    def __repr__(self) -> str:
        return f"ImprovedStopping(<{self.searches} searches, {self.labels} with labels>, {self.base!r})"

    def __call__(self, history: History) -> Decision:
        decision = self.base(history)
        state = None if decision.stop else state_of(history, decision)
        if state is None:
            return decision
        gain, cost = self.values(state)
        if gain >= self.price * cost:
            return decision
        figures = {**decision.figures, "advantage": gain, "remaining": cost}
        return Decision(True, StopReason.ANSWER_SETTLED, 0, history.n, type(self).__name__, figures)

    def values(self, state: State) -> tuple[float, float]:
        """A and R at a state: the expected gain of going on, and its cost as a share of the cap."""
        gain = math.fsum(map(_product, self.advantage, state.features))
        cost = math.fsum(map(_product, self.remaining, state.features))
        return gain, min(max(cost, state.least), state.left)

    def stops(self, state: State) -> bool:
        """Whether it stops at a state at which its base goes on."""
        gain, cost = self.values(state)
        return gain < self.price * cost

    @property
    def max_samples(self) -> int | None:
        """The base's."""
        return self.base.max_samples

    @property
    def min_samples(self) -> int | None:
        """The base's."""
        return self.base.min_samples

    @property
    def deadlines(self) -> tuple[float, ...]:
        """The base's."""
        return self.base.deadlines

    def first_draw(self, history: History) -> int | None:
        """The base's."""
        return self.base.first_draw(history)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, which `Rule.from_dict` reads."""
        return {**super().to_dict(), "version": _VERSION, "features": list(FEATURES)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ImprovedStopping:
        """The rule of what `to_dict` wrote."""
        given = dict(settings)
        if given.pop("version", None) != _VERSION or tuple(given.pop("features", ())) != FEATURES:
            raise InvalidRecordError("the improved rule was written by another version of this package; learn it again")
        fields = Fields(given, "an improved rule")
        fields.whole("searches")
        fields.whole("labels")
        with reading("the improved rule is damaged: it"):
            for name in ("advantage", "remaining"):
                given[name] = tuple(map(float, fields.items(name, most=len(FEATURES))))
            return cls(**given)


def state_of(history: History, decision: Decision) -> State | None:
    """The state after these candidates; None where the improved rule has no say.

    That is before the second candidate, at the cap, where no candidate has an answer, where the base names no gain
    or price, and where the next candidates are worth many times their price.

    The features: whether all answers are the same; the race, the square root of how many times its price the best
    number of further candidates is worth (at most e^1.5), as `Objective` values it; the share of the cap that is left;
    the untrained probabilities that the most and the second most probable answer are right, and whether they exceed 1/2
    together; distinct answers per candidate; and products of these.

    Args:
        history: With answers.
        decision: The base's on it: to go on, with the figure "price".
    """
    price, cap = decision.figures.get("price"), history.max_samples
    known = [answer for answer in history.answers if answer is not None]
    if not price or cap is None or history.n < 2 or not known or history.best == 0.0:
        return None
    further = cap - history.n - history.failures
    if further < 1:
        return None
    support = Support.of(history.answers, history.scores)
    worth = _best_rate(support, (support.answered + 0.5) / (history.n + 0.5), further) / price
    if worth >= _CLEAR:
        return None
    # Imports NumPy, which a rule that is only constructed does not need.
    from langchain_optscale.answers.untrained import UntrainedPosterior

    posterior = UntrainedPosterior.of(history.answers, history.scores)
    if posterior.place is None:
        return None
    ranked = sorted(posterior.probabilities.values(), reverse=True)
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else 0.0
    race, left, same = min(math.sqrt(worth), _MOST_RACE), further / cap, float(len(ranked) == 1)
    features = (
        1.0,
        same,
        race,
        race * same,
        left,
        race * left,
        first,
        second,
        float(first + second > 0.5),
        race * second,
        race * (first + second),
        len(ranked) / history.n,
    )
    return State(features, posterior.place, left, 0.5 / cap)


def _best_rate(support: Support, answering: float, left: int) -> float:
    """The largest expected gain per further candidate, a share of the support: what `Objective` puts a price on."""
    leader, *rivals = support.answers
    own = (leader.votes, leader.expected)
    variation = 0.0 if support.votes_alone else _VARIATION
    others = [(rival.votes, rival.expected, leader.weight - rival.weight) for rival in rivals[:2]]
    if len(others) < 2:
        others.append((0, support.unseen, leader.weight))
    races = [
        Race.of(support.answered, own, (votes, weight), lead, variation=variation) for votes, weight, lead in others
    ]
    mean = support.total / support.answered
    rates = []
    for count in _COUNTS:
        k = min(count, left)
        gain = math.fsum(race.excess(k * answering) for race in races)
        rates.append(gain / ((support.total + k * answering * mean) * k))
        if count >= left:
            break
    return max(rates)


def _product(coefficient: float, feature: float) -> float:
    return coefficient * feature
