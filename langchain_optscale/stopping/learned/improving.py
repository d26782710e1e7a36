r"""How an `ImprovedStopping` is fitted: past searches as trajectories, and ridge regression towards a population.

A search of the past is a `Walk` of its base rule, the states at which the base went on, and a `Trajectory`: what going
on until T gained and cost from there. A search that an improved rule has cut short, at its last state, teaches about
the earlier ones: beyond the last, A and R of that rule stand for what was not observed, as in fitted policy evaluation
(Bertsekas and Tsitsiklis 1996), so that no kind of search is missing. The worth of an answer is known where the search has a label, and
is P(right | all its candidates) of `UntrainedPosterior` where it has none:

    w(a) = 1 or 0                              where it is known which answer is right
         = [a returned]                        where the returned answer is known to be right
         = P(a) / (1 - P(returned)), 0 for a returned     where it is known to be wrong
         = P(a)                                without a label

Every trajectory weighs one, spread evenly over its states. With X the weighted features, a the gains and r the costs of
n trajectories, and Q = E[x x'], q_a = E[x a], q_r = E[x r] the means over the population, which count as kappa of them,

    beta_A = (X'X + kappa (Q + epsilon I))^-1 (X'a + kappa q_a)          and the same for R:

the posterior mean of a linear model whose prior is centred at the population's own regression.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stopping.base import History
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping, State, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.stopping.base import Rule

    FloatArray = NDArray[np.float64]

__all__ = ["KAPPA", "PRICES", "Moments", "PastSearch", "Trajectory", "Walk", "improve", "mean_of", "untrained_population", "walk"]

KAPPA = 20.0
"""How many searches the population counts for."""

PRICES = {"low": 0.1, "medium": 0.06, "high": 0.03}
"""The price of the whole cap, by effort."""

_EPSILON = 1e-4
_FORMAT = "langchain-optscale/stopping-moments"
_VERSION = 1


@dataclass(frozen=True)
class PastSearch:
    """What is known of a search of the past.

    Attributes:
        scores: In the order of arrival.
        answers: As many: equal strings for equal answers, None for none.
        cap: The most candidates that it might have drawn.
        right: The right answer, where it is known and not only whether the returned one is right; "" where no candidate
            has it. None where it is unknown.
        returned: The answer that was returned.
        correct: Whether that is right; None where it is unknown.
    """

    scores: tuple[float, ...]
    answers: tuple[str | None, ...]
    cap: int
    right: str | None = None
    returned: str | None = None
    correct: bool | None = None

    @property
    def labelled(self) -> bool:
        """Whether anything is known about right and wrong."""
        return self.right is not None or self.correct is not None

    def worths(self) -> dict[str, float]:
        """P(right) of each of its answers, by all that is known."""
        posterior = UntrainedPosterior.of(self.answers, self.scores).probabilities
        right = self.returned if self.correct else self.right
        if right is not None:
            return {answer: float(answer == right) for answer in posterior}
        if self.correct is None or self.returned not in posterior:
            return dict(posterior)
        rest = max(1.0 - posterior[self.returned], 0.05)
        return {answer: 0.0 if answer == self.returned else min(1.0, p / rest) for answer, p in posterior.items()}


@dataclass(frozen=True)
class Walk:
    """A search as its base rule goes through it, whatever is known about right and wrong.

    Attributes:
        states: Where the base goes on and an improved rule has a say, in order.
        counts: Candidates at these states.
        picks: The answer that would be returned at each of them.
        end: T, how many candidates the base takes; fewer where the search was stopped before that.
        last: The answer returned at the end.
        cap: N.
        complete: Whether the base stops at the end; otherwise an improved rule did, at the last state.
    """

    states: tuple[State, ...]
    counts: tuple[int, ...]
    picks: tuple[str | None, ...]
    end: int
    last: str | None
    cap: int
    complete: bool = True

    def trajectory(self, search: PastSearch, rule: ImprovedStopping | None = None) -> Trajectory | None:
        """What going on gained and cost at each state, by what is known about the search.

        Args:
            search: Says what its answers are worth.
            rule: What the base would have gained after an improved rule stopped the search is taken from this rule.

        Returns:
            The trajectory; None where the search was stopped early and no rule is given.
        """
        worths = search.worths()
        final, cost, states = _worth(worths, self.last), 0.0, self.states
        if not self.complete:
            if rule is None or not states:
                return None
            # Nothing was observed beyond the last state, so that it teaches nothing itself.
            gain, cost = rule.values(states[-1])
            final += gain
            states = states[:-1]
        used = range(len(states))
        return Trajectory(
            states,
            tuple(final - _worth(worths, self.picks[place]) for place in used),
            tuple((self.end - self.counts[place]) / self.cap + cost for place in used),
            search.labelled,
        )

    def stopped_by(self, rule: ImprovedStopping) -> int | None:
        """At which of the states an improved rule with the same base stops; None where it stops with its base."""
        for place, state in enumerate(self.states):
            gain, cost = rule.values(state)
            if gain < rule.price * cost:
                return place
        return None


@dataclass(frozen=True)
class Trajectory:
    """What going on gained and cost at the states of one search.

    Attributes:
        states: Where the base went on and the improved rule has a say.
        gains: y_T - y_n at each of them.
        costs: (T - n) / N at each of them.
        labelled: Whether the gains rest on a label.
    """

    states: tuple[State, ...]
    gains: tuple[float, ...]
    costs: tuple[float, ...]
    labelled: bool = False


def walk(search: PastSearch, base: Rule) -> Walk:
    """The search as `base` goes through it, up to where `base` stops or the search ended.

    Args:
        search: With a score and an answer, or None, for each candidate, and at least one.
        base: The rule to improve.
    """
    states, counts, picks = [], [], []
    complete, n = False, 0
    for n in range(1, len(search.scores) + 1):
        history = History(scores=search.scores[:n], answers=search.answers[:n], max_samples=search.cap)
        decision = base(history)
        if complete := decision.stop or n >= search.cap:
            break
        if (state := state_of(history, decision)) is not None:
            states.append(state)
            counts.append(n)
            picks.append(search.answers[state.place])
    place = UntrainedPosterior.of(search.answers[:n], search.scores[:n]).place
    last = None if place is None else search.answers[place]
    return Walk(tuple(states), tuple(counts), tuple(picks), n, last, search.cap, complete)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over trajectories: all that the regressions need.

    Attributes:
        searches: How many trajectories with a state.
        products: X'X, shape (F, F).
        gains: X'a, shape (F,).
        costs: X'r, shape (F,).
    """

    searches: float
    products: FloatArray
    gains: FloatArray
    costs: FloatArray

    @classmethod
    def zero(cls) -> Moments:
        """Of no trajectory."""
        size = len(FEATURES)
        return cls(0.0, np.zeros((size, size)), np.zeros(size), np.zeros(size))

    @classmethod
    def of(cls, trajectories: Iterable[Trajectory]) -> Moments:
        """Of these trajectories, each with the weight one."""
        total = cls.zero()
        for one in trajectories:
            if one.states:
                total = total + cls._of_one(one)
        return total

    @classmethod
    def _of_one(cls, one: Trajectory) -> Moments:
        x = np.array([state.features for state in one.states])
        share = len(one.states)
        return cls(1.0, x.T @ x / share, x.T @ np.array(one.gains) / share, x.T @ np.array(one.costs) / share)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.searches + other.searches,
            self.products + other.products,
            self.gains + other.gains,
            self.costs + other.costs,
        )

    def scaled(self, searches: float) -> Moments:
        """The same means, counting as so many trajectories; itself where there are none."""
        if not self.searches:
            return self
        factor = searches / self.searches
        return Moments(searches, factor * self.products, factor * self.gains, factor * self.costs)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "features": list(FEATURES),
            "searches": self.searches,
            "products": self.products.tolist(),
            "gains": self.gains.tolist(),
            "costs": self.costs.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Moments:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is something else, of another version, or damaged.
        """
        fields = Fields(data, "moments of past searches")
        with reading("the moments of past searches"):
            if (fields.text("format"), fields.whole("version")) != (_FORMAT, _VERSION) or tuple(
                fields.items("features", most=len(FEATURES))
            ) != FEATURES:
                raise InvalidRecordError("the moments were written by another version of this package; learn again")
            size = len(FEATURES)
            arrays = [np.array(data[name], dtype=np.float64) for name in ("products", "gains", "costs")]
            searches = fields.seconds("searches")
            if [array.shape for array in arrays] != [(size, size), (size,), (size,)] or not all(
                np.isfinite(array).all() for array in arrays
            ):
                raise InvalidRecordError("the moments of past searches have another shape, or numbers that are none")
            return cls(searches, *arrays)


def mean_of(parts: Sequence[Moments]) -> Moments:
    """A population: the mean of several tasks, each with the same weight, counting as one search."""
    known = [part.scaled(1.0) for part in parts if part.searches]
    return sum(known, Moments.zero()).scaled(1.0)


@cache
def untrained_population() -> Moments:
    """The mean over the development pools, written by `python -m benchmarks.streaming_replay --write-population`."""
    text = resources.files(__package__).joinpath("population.json").read_text(encoding="utf-8")
    return Moments.from_dict(json.loads(text))


def improve(
    base: Rule,
    own: Moments,
    population: Moments | None = None,
    *,
    price: float = PRICES["medium"],
    labels: int = 0,
    kappa: float = KAPPA,
) -> ImprovedStopping:
    """The rule that improves `base` by what past searches show.

    Args:
        base: The rule that the trajectories were made with.
        own: Of this task; `Moments.zero()` where there are none yet.
        population: Of many tasks; None takes that of the development pools.
        price: What the whole cap may cost, in units of worth.
        labels: How many of the trajectories had labels.
        kappa: How many searches the population counts for.
    """
    prior = (untrained_population() if population is None else population).scaled(kappa)
    matrix = own.products + prior.products + kappa * _EPSILON * np.eye(len(FEATURES))
    both = np.stack([own.gains + prior.gains, own.costs + prior.costs], axis=1)
    advantage, remaining = np.linalg.solve(matrix, both).T
    return ImprovedStopping(
        base, tuple(advantage.tolist()), tuple(remaining.tolist()), price, math.floor(own.searches), labels
    )


def _worth(worths: Mapping[str, float], answer: str | None) -> float:
    return 0.0 if answer is None else worths.get(answer, 0.0)
