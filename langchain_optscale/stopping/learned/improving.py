r"""How an `ImprovedStopping` is fitted: ridge regression towards a population of many tasks.

Every trajectory weighs one, spread evenly over its states. With X the weighted features, a the gains and r the costs of
n trajectories, and Q = E[x x'], q_a = E[x a], q_r = E[x r] the means over the population, which count as kappa of them,

    beta_A = (X'X + kappa (Q + epsilon I))^-1 (X'a + kappa q_a)          and the same for R:

the posterior mean of a linear model whose prior is centred at the population's own regression.

A linear model is wrong somewhere, and a rule stops where it is lowest. So the price that it stops by is chosen by
two-fold cross-validation of what several shares of the asked one would have gained on the trajectories themselves: the
asked price of what was saved less what was lost. Not the share that gained most is taken but the lowest that gained no
less by more than one standard error of the difference (the one-standard-error rule: Breiman et al. 1984, 3.4.3), since
what a higher one gained beyond that may be chance.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stopping.learned.improved import FEATURES, ImprovedStopping
from langchain_optscale.stopping.learned.walks import Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.stopping.base import Rule
    from langchain_optscale.stopping.learned.walks import PastSearch, Trajectory, Walk

    FloatArray = NDArray[np.float64]

__all__ = ["KAPPA", "PRICES", "Moments", "cautious_mean", "improve", "learn_from", "mean_of", "untrained_population"]

KAPPA = 20.0
"""How many searches the population counts for."""

PRICES = {"low": 0.14, "medium": 0.06, "high": 0.04}
"""The price of the whole cap, by effort: docs/learning.md has what each saves and keeps."""

_EPSILON = 1e-4
# From the most careful on.
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
_FORMAT = "langchain-optscale/stopping-moments"
_VERSION = 1


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
                raise InvalidRecordError(
                    "the moments of past searches have another shape, or values that are not finite"
                )
            return cls(searches, *arrays)


def mean_of(parts: Sequence[Moments]) -> Moments:
    """A population: the mean of several tasks, each with the same weight, counting as one search."""
    known = [part.scaled(1.0) for part in parts if part.searches]
    return sum(known, Moments.zero()).scaled(1.0)


def cautious_mean(parts: Sequence[Moments]) -> Moments:
    """The mean of several tasks, with gains one standard error above it: what a task not among them may well show.

    To each gain the standard error, over the tasks, of the mean gain is added: with x_0 = 1 the first feature, E[x a]
    grows by that much of E[x x_0].

    Args:
        parts: Of two tasks or more; one alone stays as it is.
    """
    mean = mean_of(parts)
    levels = [part.gains[0] / part.searches for part in parts if part.searches]
    if len(levels) < 2:
        return mean
    error = float(np.std(levels, ddof=1) / math.sqrt(len(levels)))
    return replace(mean, gains=mean.gains + error * mean.products[:, 0])


@cache
def untrained_population() -> Moments:
    """The cautious mean over the development pools, as `benchmarks.streaming_replay --write-population` writes it."""
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


def learn_from(
    past: Sequence[tuple[PastSearch, Walk]],
    base: Rule,
    population: Moments | None = None,
    *,
    price: float = PRICES["medium"],
    former: ImprovedStopping | None = None,
) -> ImprovedStopping:
    """The rule that improves `base` by these searches of the past.

    Args:
        past: Each with the walk of `base` through it.
        base: The rule to improve.
        population: As in `improve`.
        price: The same.
        former: The improved rule that some of the searches were stopped by; without one these are left out.
    """
    trust = Trust.fit(search for search, _ in past)
    made = (way.trajectory(search.worths(trust), former) for search, way in past)
    found = [one for one in made if one is not None and one.states]
    halves = [Moments.of(found[::2]), Moments.of(found[1::2])]
    trials = [improve(base, halves[1 - half], population, price=price) for half in (0, 1)]

    def nets(share: float) -> list[float]:
        """What a rule with this share of the price would have gained on each, each half by the other's fit."""
        rules = [replace(trial, price=share * price) for trial in trials]
        return [_net(one, rules[place % 2], price) for place, one in enumerate(found)]

    share = _SHARES[_careful_choice(np.array([nets(share) for share in _SHARES]))] if found else 1.0
    labels = sum(search.correct is not None for search, _ in past)
    return improve(base, halves[0] + halves[1], population, price=share * price, labels=labels)


def _careful_choice(nets: FloatArray) -> int:
    """The first of several choices whose mean is below the best by at most one standard error of the difference.

    Args:
        nets: What each choice gained on each trajectory, shape (choices, n) with n at least 1.
    """
    count = nets.shape[1]
    short = nets[int(nets.mean(axis=1).argmax())] - nets
    # One trajectory tells nothing about the spread.
    error = short.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else np.full(len(nets), math.inf)
    return int((short.mean(axis=1) <= error).argmax())


def _net(one: Trajectory, rule: ImprovedStopping, price: float) -> float:
    """What a rule gains on a trajectory: the price of what it saves less what it loses."""
    for state, gain, cost in zip(one.states, one.gains, one.costs, strict=True):
        if rule.stops(state):
            return price * cost - gain
    return 0.0
