"""How a fitted rule is fitted: trajectories of recorded questions, cross-validation, and the search for a price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_optscale.answers.selection import SELECTIONS
from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping._backward import (
    Design,
    Paths,
    net_worths,
    reached_at,
    reservation,
    solve,
    stopped_at,
    worths_at,
)
from langchain_optscale.stopping._costs import CandidatePrice
from langchain_optscale.stopping._stage import Stage
from langchain_optscale.stopping._trajectories import Recording, in_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.stopping._backward import FloatArray
    from langchain_optscale.stopping._costs import Amounts

__all__ = ["FEWEST_QUESTIONS", "Plan", "fit"]

FEWEST_QUESTIONS = 25
"""Below it a fit is refused: on fewer it was no better than a fixed number of candidates."""

_FOLDS = 5
_RIDGES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
_TRAJECTORIES, _FEWEST_ORDERS, _MOST_ORDERS = 4800, 4, 12
_PRICES = tuple(np.geomspace(0.0005, 0.2, 18).tolist())
_MIDDLE_PRICE = 0.01
_BISECTIONS = 12
_ROUNDS = 2
_ROUNDING = 1e-12
_LEAST_SIGNAL = 2.4
"""In standard errors over questions. The largest of three numbers that are standard normal without any signal passes it
with a probability of at most 2.5 %."""


@dataclass(frozen=True)
class Plan:
    """The arguments of `FittedStopping.fit`."""

    price: CandidatePrice | None
    samples: float | None
    labels: Literal["gold", "none"]
    max_samples: int | None
    select: str | None
    first_round: int
    round_size: int
    orders: int | None
    seed: int


def fit(questions: tuple[Any, ...], plan: Plan) -> dict[str, Any]:
    """The fields of the fitted rule, `fallback` excepted.

    Raises:
        SettingsError: As `FittedStopping.fit`.
    """
    cap = _checked_cap(questions, plan)
    recording = Recording(questions, plan.labels, plan.select)
    points = _points(plan, cap)
    orders = plan.orders or min(_MOST_ORDERS, max(_FEWEST_ORDERS, _TRAJECTORIES // len(questions)))
    paths, amounts = recording.paths(points, orders, plan.seed)
    folds = _Folds(paths)
    price, ridge = _chosen(plan, folds, amounts, points, recording.best_of(cap), with_answers=recording.with_answers)
    _refuse_without_signal(max(recording.signal(), folds.signal(ridge), folds.gain() if recording.labelled else 0.0))
    designs = [Design(paths.features[:, point]) for point in range(len(points) - 1)]
    costs = amounts.costs(price)
    if ridge is None:
        threshold = reservation(paths, costs)
        stages = [Stage.reserved(design, threshold) for design in designs]
    else:
        solved = solve(designs, paths, costs, ridge)
        stages = [Stage.of(design, *one) for design, one in zip(designs, solved, strict=True)]
    return {
        "points": points,
        "stages": tuple(stages),
        "calibration": recording.calibration,
        "select": recording.select,
        "with_answers": recording.with_answers,
        "price": price,
        "labels": plan.labels,
        "questions": len(questions),
    }


class _Folds:
    """Cross-validation over questions: the designs of every fold are decomposed once for all prices and penalties."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._parts = []
        stages = range(paths.features.shape[1] - 1)
        for fold in range(_FOLDS):
            test = paths.groups % _FOLDS == fold
            train = paths.of(~test)
            designs = [Design(train.features[:, point]) for point in stages]
            columns = [design.expanded(paths.features[test, point]) for point, design in enumerate(designs)]
            self._parts.append((test, train, designs, columns))

    def stops(self, costs: FloatArray, ridge: float | None) -> NDArray[np.int64]:
        """Where each trajectory stops under a fit to the other folds, shape (T,)."""
        stop = np.empty(len(self.paths.groups), dtype=np.int64)
        for test, train, designs, columns in self._parts:
            if ridge is None:
                stop[test] = reached_at(self.paths.of(test), reservation(train, costs[~test]))
                continue
            stop[test] = stopped_at(columns, solve(designs, train, costs[~test], ridge))
        return stop

    def signal(self, ridge: float | None) -> float:
        """How surely the numbers of a prefix tell what stopping there is worth, on questions left out.

        At every decision point the predicted and the realised value are centred and multiplied; the products are added
        up by question, and their mean over questions is given in its standard errors: about a standard normal number
        where nothing can be told.
        """
        products = np.zeros(len(self.paths.groups))
        for test, train, designs, columns in self._parts:
            for point, design in enumerate(designs):
                predicted = columns[point] @ design.regress(train.values[:, point], ridge or _RIDGES[-1])
                realised = self.paths.values[test, point]
                products[test] += (predicted - predicted.mean()) * (realised - realised.mean())
        return in_errors(np.bincount(self.paths.groups, weights=products).astype(np.float64))

    def gain(self) -> float:
        """How surely the cap returns more than the first decision point, in standard errors over questions."""
        gained = self.paths.values[:, -1] - self.paths.values[:, 0]
        return in_errors(np.bincount(self.paths.groups, weights=gained).astype(np.float64))


def _checked_cap(questions: Sequence[Any], plan: Plan) -> int:
    if len(questions) < FEWEST_QUESTIONS:
        raise SettingsError(
            f"{len(questions)} questions are too few to learn when to stop: record {FEWEST_QUESTIONS} at least, "
            "100 or more for a gain that is sure; until then leave `stopping` out"
        )
    fewest = min(len(question.samples) for question in questions)
    cap = fewest if plan.max_samples is None else plan.max_samples
    if not 2 <= cap <= fewest:
        raise SettingsError(f"max_samples must be from 2 to {fewest}, the fewest samples of a question, got {cap}")
    if plan.price is not None and plan.samples is not None:
        raise SettingsError("give a price or a mean number of samples, not both")
    if plan.samples is not None and not 1.0 <= plan.samples <= cap:
        raise SettingsError(f"samples must be from 1 to the cap of {cap}, got {plan.samples!r}")
    known = (*SELECTIONS, "evidence")
    if plan.select is not None and plan.select not in known:
        raise SettingsError(f"select must be one of {', '.join(known)}, got {plan.select!r}")
    if plan.labels not in ("gold", "none"):
        raise SettingsError(f"labels must be 'gold' or 'none', got {plan.labels!r}")
    for name in ("first_round", "round_size", "orders"):
        value = getattr(plan, name)
        if value is not None and value < 1:
            raise SettingsError(f"{name} must be at least 1, got {value!r}")
    if any(sample.score is None for question in questions for sample in question.samples):
        raise SettingsError("some samples have no score; where they have a logit, `Pool.scored` makes scores of it")
    return cap


def _points(plan: Plan, cap: int) -> tuple[int, ...]:
    points = [*range(plan.first_round, cap, plan.round_size), cap]
    if len(points) < 2:
        raise SettingsError(f"first_round ({plan.first_round}) leaves nothing to decide below the cap of {cap}")
    return tuple(points)


def _chosen(
    plan: Plan,
    folds: _Folds,
    amounts: Amounts,
    points: tuple[int, ...],
    reference: float | None,
    *,
    with_answers: bool,
) -> tuple[CandidatePrice, float | None]:
    """The price to fit for, and the ridge penalty whose cross-validated worth at it is highest.

    Where there are no answers, None is one more penalty: so large that a constant threshold on the best score is left.
    """
    ridges = (*_RIDGES,) if with_answers else (*_RIDGES, None)

    def costs_at(price: float) -> FloatArray:
        return amounts.costs(CandidatePrice(sample=price))

    def ridge_at(costs: FloatArray) -> float | None:
        nets = [float(net_worths(folds.paths, costs, folds.stops(costs, ridge)).mean()) for ridge in ridges]
        # Of equals the last, which is the plainest.
        return ridges[max(range(len(ridges)), key=lambda place: (nets[place], place))]

    if plan.price is not None:
        return plan.price, ridge_at(amounts.costs(plan.price))
    if plan.samples is None and reference is None:
        raise SettingsError(
            "without right and wrong or answers there is no accuracy to keep: give a price or a number of samples"
        )
    price = _MIDDLE_PRICE
    for _ in range(_ROUNDS):
        ridge = ridge_at(costs_at(price))

        def stopped(price: float, ridge: float | None = ridge) -> NDArray[np.int64]:
            return folds.stops(costs_at(price), ridge)

        if plan.samples is not None:
            price = _price_of(plan.samples, np.array(points), stopped)
        elif reference is not None:
            able = [one for one in _PRICES if worths_at(folds.paths, stopped(one)).mean() >= reference - _ROUNDING]
            price = max(able, default=_PRICES[0])
    return CandidatePrice(sample=price), ridge


def _price_of(samples: float, counts: NDArray[np.int64], stopped: Callable[[float], NDArray[np.int64]]) -> float:
    """The price at which about this many samples are spent: of the two that enclose it, the nearer one."""

    def spent(price: float) -> float:
        return float(counts[stopped(price)].mean())

    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0 if low else high / 4.0
        low, high = (middle, high) if spent(middle) > samples else (low, middle)
    return min((high, low), key=lambda price: abs(spent(price) - samples))


def _refuse_without_signal(signal: float) -> None:
    if signal < _LEAST_SIGNAL:
        raise SettingsError(
            "these candidates do not tell when to stop: neither their scores nor their answers show which of them are "
            f"right ({signal:.1f} standard errors, {_LEAST_SIGNAL:.1f} are asked for); leave `stopping` out, or record "
            "more questions or use a better verifier"
        )
