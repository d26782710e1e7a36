"""How a fitted rule is fitted: trajectories of recorded questions, cross-validation, and the search for a price."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from langchain_optscale.answers.selection import SELECTIONS
from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping.answer_rules import default_selection
from langchain_optscale.stopping.learned.backward import (
    Design,
    Paths,
    net_worths,
    reached_at,
    reservation,
    solve,
    stopped_at,
    worths_at,
)
from langchain_optscale.stopping.learned.costs import CandidatePrice, Labels
from langchain_optscale.stopping.learned.stage import Stage
from langchain_optscale.stopping.learned.trajectories import FOLDS, Recording, in_errors
from langchain_optscale.stopping.learned.untrained import Untrained
from langchain_optscale.stopping.presets import optscale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_optscale.stopping.base import Rule
    from langchain_optscale.stopping.learned.backward import FloatArray

__all__ = ["FEWEST_QUESTIONS", "Fitting", "Plan"]

FEWEST_QUESTIONS = 25
"""Fewer are refused. With as many labelled ones, fits gained as much as they lost against the untrained default at its
price: `benchmarks.learning_curve`."""

_RIDGES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
_TRAJECTORIES, _FEWEST_ORDERS, _MOST_ORDERS = 4800, 4, 12
_PRICES = tuple(np.geomspace(0.0005, 0.2, 18).tolist())
_MIDDLE_PRICE, _MIDDLE_RIDGE = 0.01, 300.0
_BISECTIONS = 12
_ROUNDS = 2
_ROUNDING = 1e-12
_LEAST_SIGNAL = 2.4
"""In standard errors over questions: the largest of three standard normal numbers exceeds it with probability 2.5 %."""


@dataclass(frozen=True)
class Plan:
    """The arguments of `FittedStopping.fit`."""

    price: CandidatePrice | float | None = None
    samples: float | None = None
    labels: Labels = "gold"
    max_samples: int | None = None
    select: str | None = None
    first_round: int = 1
    round_size: int = 1
    orders: int | None = None
    seed: int = 0


class Fitting:
    """A pool prepared for fits: its trajectories are decomposed once for all prices and budgets.

    `price` and `samples` of the plan are ignored; errors are those of `FittedStopping.fit`.
    """

    def __init__(self, questions: tuple[Any, ...], plan: Plan) -> None:
        self._cap = _checked_cap(questions, plan)
        self._recording = Recording(questions, plan.labels, plan.select)
        self._plan = plan
        self._points = _points(plan, self._cap)
        self._orders = plan.orders or min(_MOST_ORDERS, max(_FEWEST_ORDERS, _TRAJECTORIES // len(questions)))
        self._paths, self._amounts = self._recording.paths(self._points, self._orders, plan.seed)
        self._untrained: dict[Rule, Untrained] = {}
        self._folds = _Folds(self._paths)
        signals = [self._recording.signal(), self._folds.signal(_MIDDLE_RIDGE)]
        _refuse_without_signal(max(signals + [self._folds.gain()] * self._recording.labelled))
        self._designs = [Design(self._paths.features[:, point]) for point in range(len(self._points) - 1)]

    def fields(
        self, price: CandidatePrice | float | None, samples: float | None, fallback: Rule | None = None
    ) -> dict[str, Any]:
        """The fields of the rule for a price, a mean number of samples, or the accuracy of best-of-N at the cap.

        Arguments and errors are those of `FittedStopping.fit`. There are no stages if the fallback is as good and no
        selection was requested.
        """
        _check_goal(price, samples, self._cap)
        rule = optscale(max_samples=self._cap) if fallback is None else fallback
        found, ridge = self._chosen(CandidatePrice(price) if isinstance(price, float | int) else price, samples)
        costs = self._amounts.costs(found)
        select = self._recording.select
        if self._plan.select is None and self._serves(rule, self._folds.stops(costs, ridge)):
            stages, select = [], default_selection(rule) if self._recording.with_answers else "best"
        elif ridge is None:
            threshold = reservation(self._paths, costs)
            stages = [Stage.reserved(design, threshold) for design in self._designs]
        else:
            solved = solve(self._designs, self._paths, costs, ridge)
            stages = [Stage.of(design, *one) for design, one in zip(self._designs, solved, strict=True)]
        return {
            "points": self._points,
            "stages": tuple(stages),
            "calibration": self._recording.calibration,
            "select": select,
            "fallback": rule,
            "with_answers": self._recording.with_answers,
            "price": found,
            "labels": self._plan.labels,
            "questions": len(self._recording.questions),
        }

    def _serves(self, rule: Rule, stop: NDArray[np.int64]) -> bool:
        """Whether the untrained rule is as good as a learned one with these held-out stopping points."""
        if rule not in self._untrained:
            self._untrained[rule] = Untrained.of(rule, self._recording, self._points, self._orders, self._plan.seed)
        spent = np.array(self._points, dtype=np.float64)[stop]
        by_question = np.bincount(self._paths.groups)
        worths, counts = (
            np.bincount(self._paths.groups, weights=one) / by_question for one in (worths_at(self._paths, stop), spent)
        )
        return self._untrained[rule].serves(worths, counts)

    def _chosen(self, price: CandidatePrice | None, samples: float | None) -> tuple[CandidatePrice, float | None]:
        """The price to fit for, and the ridge penalty with the highest cross-validated worth at it.

        Without answers, None is one more penalty: infinite, which leaves a constant threshold on the best score.
        """
        if price is not None:
            return price, self._ridge_at(self._amounts.costs(price))
        reference = self._recording.best_of(self._cap)
        if samples is None and reference is None:
            raise SettingsError("without labels or answers there is no accuracy to keep: give price= or samples=")
        amount = _MIDDLE_PRICE
        for _ in range(_ROUNDS):
            ridge = self._ridge_at(self._costs_at(amount))
            stopped = partial(self._stopped, ridge)
            if samples is not None:
                amount = _price_of(samples, np.array(self._points), stopped)
            elif reference is not None:
                able = [one for one in _PRICES if worths_at(self._paths, stopped(one)).mean() >= reference - _ROUNDING]
                amount = max(able, default=_PRICES[0])
        return CandidatePrice(sample=amount), ridge

    def _ridge_at(self, costs: FloatArray) -> float | None:
        ridges = (*_RIDGES,) if self._recording.with_answers else (*_RIDGES, None)
        nets = [float(net_worths(self._paths, costs, self._folds.stops(costs, ridge)).mean()) for ridge in ridges]
        # Of equals the last, the simplest.
        return ridges[max(range(len(ridges)), key=lambda place: (nets[place], place))]

    def _costs_at(self, price: float) -> FloatArray:
        return self._amounts.costs(CandidatePrice(sample=price))

    def _stopped(self, ridge: float | None, price: float) -> NDArray[np.int64]:
        return self._folds.stops(self._costs_at(price), ridge)


class _Folds:
    """Cross-validation over questions: the designs of every fold are decomposed once for all prices and penalties."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._parts = []
        stages = range(paths.features.shape[1] - 1)
        for fold in range(FOLDS):
            test = paths.groups % FOLDS == fold
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

    def signal(self, ridge: float) -> float:
        """Held-out covariance of the predicted and the observed value of stopping, in standard errors over questions.

        About standard normal if the features carry no signal.
        """
        products = np.zeros(len(self.paths.groups))
        for test, train, designs, columns in self._parts:
            for point, design in enumerate(designs):
                predicted = columns[point] @ design.regress(train.values[:, point], ridge)
                observed = self.paths.values[test, point]
                products[test] += (predicted - predicted.mean()) * (observed - observed.mean())
        return in_errors(np.bincount(self.paths.groups, weights=products).astype(np.float64))

    def gain(self) -> float:
        """The gain of the cap over the first decision point, in standard errors over questions."""
        gained = self.paths.values[:, -1] - self.paths.values[:, 0]
        return in_errors(np.bincount(self.paths.groups, weights=gained).astype(np.float64))


def _checked_cap(questions: Sequence[Any], plan: Plan) -> int:
    if len(questions) < FEWEST_QUESTIONS:
        raise SettingsError(
            f"{len(questions)} questions are too few to learn when to stop: record {FEWEST_QUESTIONS} at least, "
            "100 or more for a gain to count on; until then leave `stopping` out"
        )
    fewest = min(len(question.samples) for question in questions)
    if fewest < 2:
        raise SettingsError(
            f"learning when to stop needs at least 2 samples of every question, and some question has {fewest}: record "
            "more for it, or leave it out"
        )
    cap = fewest if plan.max_samples is None else plan.max_samples
    if not 2 <= cap <= fewest:
        raise SettingsError(
            f"max_samples must be from 2 to {fewest}, the fewest samples that a question has, got {cap}"
        )
    _check_goal(plan.price, plan.samples, cap)
    known = (*SELECTIONS, "evidence")
    if plan.select is not None and plan.select not in known:
        raise SettingsError(f"select must be one of {', '.join(known)}, got {plan.select!r}")
    if plan.labels not in get_args(Labels):
        raise SettingsError(f"labels must be 'gold', 'none' or 'worth', got {plan.labels!r}")
    for name in ("first_round", "round_size", "orders"):
        value = getattr(plan, name)
        if value is not None and value < 1:
            raise SettingsError(f"{name} must be at least 1, got {value!r}")
    if any(sample.score is None for question in questions for sample in question.samples):
        raise SettingsError("some samples have no score; where they have a logit, `Pool.scored` makes scores of it")
    return cap


def _check_goal(price: CandidatePrice | float | None, samples: float | None, cap: int) -> None:
    if price is not None and samples is not None:
        raise SettingsError("give a price or a mean number of samples, not both")
    if samples is not None and not 1.0 <= samples <= cap:
        raise SettingsError(f"samples must be from 1 to the cap of {cap}, got {samples!r}")


def _points(plan: Plan, cap: int) -> tuple[int, ...]:
    points = [*range(plan.first_round, cap, plan.round_size), cap]
    if len(points) < 2:
        raise SettingsError(f"first_round ({plan.first_round}) leaves nothing to decide below the cap of {cap}")
    return tuple(points)


def _price_of(samples: float, counts: NDArray[np.int64], stopped: Callable[[float], NDArray[np.int64]]) -> float:
    """The price at which about this many samples are spent, by bisection."""

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
            "these candidates carry no signal of when to stop: neither scores nor answers show which of them are "
            f"right ({signal:.1f} standard errors, {_LEAST_SIGNAL:.1f} are asked for); leave `stopping` out, or record "
            "more questions or use a better verifier"
        )
