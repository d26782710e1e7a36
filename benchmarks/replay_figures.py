"""What a streaming replay shows: shares, differences, and how often chance alone would make a pool look worse.

A pool is worse where its mean difference is below zero by more than one standard error over its questions. Of rules
that lose nothing some pools look so too, and `by_chance` says how many, in two ways:

- "signs": every question's difference keeps its size and gets a random sign, 4,000 times (a sign-flip test: Fisher
  1935). It asks what this rule's changes would show if they were as often for the better as for the worse.
- "default_against_itself": the default on other random orders of the same candidates, in place of the learned rule.

Each gives "expected", the mean number of such pools; "never", the probability of none; and "as_many", the probability
of as many as were observed, or more. Pools are independent of each other, so that their number is Poisson-binomial.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ENOUGH", "SLACK", "Measured", "Passed", "chosen", "is_worse", "measure", "rounded", "summary"]

SLACK, ENOUGH, SPLITS, FLIPS = -0.3, 0.8, 2000, 4000
_TOLERANCE = 1e-9
_DIGITS = 6


class Passed(NamedTuple):
    """A pass through the second half of a stream."""

    drawn: list[int]
    by_default: list[int]
    differences: dict[int, float]


class Measured(NamedTuple):
    """A pool by one mode at one price: means over its streams, the standard error over questions.

    `saved` is a share of the cap; a difference of -100 price `saved` points is what the price allows. `by_question` has
    the mean difference of each question.
    """

    share: float
    difference: float
    error: float
    default: float
    saved: float
    by_question: tuple[float, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether it is below zero by more than one standard error."""
        return self.difference < -self.error - _TOLERANCE


def measure(passes: Sequence[Passed], cap: int) -> Measured:
    """Means over the passes through the streams of one pool with this cap."""
    values: dict[int, list[float]] = {}
    for passed in passes:
        for question, difference in passed.differences.items():
            values.setdefault(question, []).append(difference)
    means = [float(np.mean(one)) for one in values.values()]
    drawn, default = (
        float(np.mean([np.mean(part) for part in parts])) for parts in zip(*(p[:2] for p in passes), strict=True)
    )
    difference = float(np.mean([np.mean(list(passed.differences.values())) for passed in passes]))
    return Measured(drawn / default, difference, _error(means), default, (default - drawn) / cap, tuple(means))


def is_worse(differences: Sequence[float]) -> bool:
    """Whether the mean of several differences is below zero by more than its standard error."""
    return bool(np.mean(differences) < -_error(differences) - _TOLERANCE)


def chosen(
    found: Mapping[str, Mapping[float, Measured]], still: int, itself: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Each pool at the price that the others choose, and means over all pools.

    Args:
        found: Of each pool with answers, by price.
        still: How many pools have no answers: they stay as they are, and count in "all pools".
        itself: Of each pool, how often the default looks worse than itself; None leaves that out.
    """
    prices = sorted(next(iter(found.values())))
    picked = {name: _price_of_others(found, prices, name) for name in found}
    rows = {name: found[name][price] for name, price in picked.items()}
    differences = [row.difference for row in rows.values()]
    net = {name: _net_points(picked[name], row) for name, row in rows.items()}
    document: dict[str, Any] = rounded(
        {
            **_means(rows, still),
            "difference_error": float(np.std(differences, ddof=1) / math.sqrt(len(rows))),
            "worse_by_more_than_one_error": [name for name, row in rows.items() if row.worse],
            "lost_more_than_its_price": [name for name, row in rows.items() if net[name] < -row.error - _TOLERANCE],
            "at_a_bound_of_the_grid": sum(price in (prices[0], prices[-1]) for price in picked.values()),
            "by_chance": _by_chance(rows, itself),
            "by_price": {str(price): _at_price(found, price, still, itself) for price in prices},
            "halves": _halves(found, prices),
            "by_pool": [_row(name, picked[name], row) for name, row in rows.items()],
        }
    )
    return document


def rounded(value: Any) -> Any:
    """Six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _price_of_others(found: Mapping[str, Mapping[float, Measured]], prices: Sequence[float], name: str) -> float:
    """The largest price at which the other pools lose no more than the slack."""
    others = [by_price for other, by_price in found.items() if other != name]
    able = [price for price in prices if np.mean([one[price].difference for one in others]) >= SLACK]
    return max(able, default=prices[0])


def _means(rows: Mapping[str, Measured], still: int) -> dict[str, Any]:
    """Geometric mean of the shares and mean of the differences, of the pools with answers and of all."""
    logs, count = [math.log(row.share) for row in rows.values()], len(rows)
    difference = float(np.mean([row.difference for row in rows.values()]))
    everywhere = {"share": math.exp(sum(logs) / (count + still)), "difference": difference * count / (count + still)}
    return {"share": math.exp(sum(logs) / count), "difference": difference, "all_pools": everywhere}


def summary(rows: Mapping[str, Measured], still: int, itself: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Means over pools and how many look worse; "joint_z" is the sum of all differences in their standard errors.

    Args:
        rows: Of each pool with answers.
        still: As in `chosen`.
        itself: The same.
    """
    away = [row.difference / row.error for row in rows.values() if row.error > 0.0]
    return {
        **_means(rows, still),
        "changed": len(away),
        "joint_z": float(sum(away) / math.sqrt(max(1, len(away)))),
        "worse_by_more_than_one_error": sum(row.worse for row in rows.values()),
        "by_chance": _by_chance(rows, itself),
    }


def _at_price(
    found: Mapping[str, Mapping[float, Measured]], price: float, still: int, itself: Mapping[str, float] | None
) -> dict[str, Any]:
    """All pools at the same price."""
    rows = {name: one[price] for name, one in found.items()}
    return {**summary(rows, still, itself), "by_pool": [_row(name, price, row) for name, row in rows.items()]}


def _by_chance(rows: Mapping[str, Measured], itself: Mapping[str, float] | None) -> dict[str, Any]:
    """How many pools would look worse though nothing is lost."""
    count = sum(row.worse for row in rows.values())
    found = {"signs": _numbers([_rate_of_signs(row.by_question) for row in rows.values()], count)}
    if itself is not None:
        found["default_against_itself"] = _numbers([itself[name] for name in rows], count)
    return found


def _numbers(rates: Sequence[float], observed: int) -> dict[str, float]:
    """The law of how many pools look worse, each with its own probability."""
    law = np.ones(1)
    for rate in rates:
        law = np.convolve(law, [1.0 - rate, rate])
    return {"expected": float(sum(rates)), "never": float(law[0]), "as_many": float(law[observed:].sum())}


def _rate_of_signs(differences: Sequence[float]) -> float:
    """How often these differences with random signs look worse.

    A mean m is below -s / sqrt(n) exactly where the sum is below -sqrt(sum of the squares), which no sign changes.
    """
    changed = np.array([one for one in differences if one])
    if not len(changed):
        return 0.0
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (FLIPS, len(changed)))
    return float((signs @ changed < -math.sqrt(changed @ changed) * (1.0 + _TOLERANCE)).mean())


def _halves(found: Mapping[str, Mapping[float, Measured]], prices: Sequence[float]) -> dict[str, Any]:
    """A price that saves enough on half of the pools, on the other half."""
    generator, names, seen = np.random.default_rng(0), sorted(found), []
    for _ in range(SPLITS):
        order = generator.permutation(len(names)).tolist()
        here, there = ([names[place] for place in part] for part in np.array_split(order, 2))
        able = (price for price in prices if _share(found, price, here) <= ENOUGH)
        price = next(able, prices[-1])
        seen.append((price, _share(found, price, there), np.mean([found[name][price].difference for name in there])))
    picked, shares, differences = np.array(seen).T
    return {
        "price": float(picked.mean()),
        "share": float(shares.mean()),
        "difference": float(differences.mean()),
        "kept": float((differences >= SLACK).mean()),
    }


def _share(found: Mapping[str, Mapping[float, Measured]], price: float, names: Sequence[str]) -> float:
    return math.exp(float(np.mean([math.log(found[name][price].share) for name in names])))


def _row(name: str, price: float, one: Measured) -> dict[str, Any]:
    """A pool at a price; "net_points" is its difference and what the price allows for what was saved."""
    figures = {key: value for key, value in one._asdict().items() if key != "by_question"}
    return {"pool": name, "price": price, "net_points": rounded(_net_points(price, one)), **rounded(figures)}


def _net_points(price: float, one: Measured) -> float:
    return one.difference + 100.0 * price * one.saved


def _error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))
