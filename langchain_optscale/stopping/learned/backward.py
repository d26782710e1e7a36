"""Backward regression over recorded prefixes: when is one more round worth its price?

As Longstaff and Schwartz (2001) price American options: from the last decision point back to the first, the advantage
of continuing is regressed on the features, and where it is not positive the path stops. Symbols: T trajectories,
P decision points, F features, E = F + F (F + 1) / 2 columns after the quadratic expansion.

    V_P = y_P,   A_j(x) = E[V_(j+1) - cost_j - y_j | x_j = x],   V_j = y_j where A_j <= 0, else V_(j+1) - cost_j

y_j is the value returned by stopping at point j, cost_j the price of continuing to the next point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Design", "Paths", "net_worths", "reached_at", "reservation", "solve", "stopped_at", "worths_at"]

FloatArray: TypeAlias = NDArray[np.float64]

_CLIP = 4.0
_TINY = 1e-9
_THRESHOLDS = 200


@dataclass(frozen=True, eq=False)
class Paths:
    """Recorded trajectories at the decision points.

    Attributes:
        features: Shape (T, P, F).
        values: What stopping there returns, shape (T, P), in [0, 1].
        groups: The question of each trajectory, shape (T,).
    """

    features: FloatArray
    values: FloatArray
    groups: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> Paths:
        """The chosen trajectories, a mask of shape (T,)."""
        return Paths(self.features[chosen], self.values[chosen], self.groups[chosen])


class Design:
    """The regressors of one decision point, decomposed once for every price and every ridge penalty.

    Args:
        features: Shape (T, F).
    """

    def __init__(self, features: FloatArray) -> None:
        self.centre = features.mean(axis=0)
        self.spread = features.std(axis=0) + _TINY
        self.low, self.high = features.min(axis=0), features.max(axis=0)
        columns = self._expanded(features)
        self.centre2 = columns.mean(axis=0)
        self.spread2 = columns.std(axis=0) + _TINY
        self.columns = (columns - self.centre2) / self.spread2
        self._eigenvalues, self._vectors = np.linalg.eigh(self.columns.T @ self.columns)

    def regress(self, outcome: FloatArray, ridge: float) -> FloatArray:
        """Coefficients of the standardised columns, shape (E,), for outcomes (T,) and a ridge penalty > 0."""
        right = self._vectors.T @ (self.columns.T @ (outcome - outcome.mean()))
        solved: FloatArray = self._vectors @ (right / (np.maximum(self._eigenvalues, 0.0) + ridge))
        return solved

    def expanded(self, features: FloatArray) -> FloatArray:
        """Standardised columns of other trajectories at this point, shape (T, E)."""
        columns: FloatArray = (self._expanded(features) - self.centre2) / self.spread2
        return columns

    def folded(self, coefficients: FloatArray, intercept: float) -> tuple[float, FloatArray, FloatArray]:
        """Intercept, linear (F,) and symmetric quadratic (F, F) of the regression on clipped (x - centre) / spread."""
        size = self.centre.size
        slopes = coefficients / self.spread2
        rows, columns = np.triu_indices(size)
        quadratic = np.zeros((size, size))
        quadratic[rows, columns] = slopes[size:]
        return float(intercept - slopes @ self.centre2), slopes[:size], (quadratic + quadratic.T) / 2.0

    def _expanded(self, features: FloatArray) -> FloatArray:
        z = np.clip((features - self.centre) / self.spread, -_CLIP, _CLIP)
        rows, columns = np.triu_indices(z.shape[1])
        return np.hstack([z, z[:, rows] * z[:, columns]])


def solve(designs: list[Design], paths: Paths, costs: FloatArray, ridge: float) -> list[tuple[FloatArray, float]]:
    """Coefficients and intercept of the advantage at every decision point but the last; costs (T, P - 1)."""
    value = paths.values[:, -1]
    solved: list[Any] = [None] * len(designs)
    for point in reversed(range(len(designs))):
        ahead = value - costs[:, point]
        outcome = ahead - paths.values[:, point]
        coefficients, intercept = designs[point].regress(outcome, ridge), float(outcome.mean())
        solved[point] = (coefficients, intercept)
        advantage = designs[point].columns @ coefficients + intercept
        value = np.where(advantage <= 0.0, paths.values[:, point], ahead)
    return solved


def stopped_at(columns: list[FloatArray], solved: list[tuple[FloatArray, float]]) -> NDArray[np.int64]:
    """The decision point at which each trajectory stops, shape (T,); columns are those of `Design.expanded`."""
    count = len(columns[0]) if columns else 0
    stop = np.full(count, len(columns), dtype=np.int64)
    for point in reversed(range(len(columns))):
        coefficients, intercept = solved[point]
        stop[columns[point] @ coefficients + intercept <= 0.0] = point
    return stop


def reservation(paths: Paths, costs: FloatArray) -> float:
    """The threshold on the first feature, the best score, whose worth less costs is highest on these trajectories.

    For a known law of scores, the same for every question, a constant threshold is optimal (McCall 1970).
    """
    best = paths.features[:, :, 0]
    thresholds = np.unique(np.quantile(best, np.linspace(0.0, 1.0, _THRESHOLDS), method="nearest"))
    net, rows = _net(paths, costs), np.arange(len(costs))
    nets = [float(net[rows, reached_at(paths, one)].mean()) for one in thresholds.tolist()]
    return float(thresholds[int(np.argmax(nets))])


def reached_at(paths: Paths, threshold: float) -> NDArray[np.int64]:
    """The decision point at which each trajectory's best score first has the threshold, else the last, shape (T,)."""
    reached = paths.features[:, :, 0] >= threshold
    reached[:, -1] = True
    first: NDArray[np.int64] = np.argmax(reached, axis=1)
    return first


def worths_at(paths: Paths, stop: NDArray[np.int64]) -> FloatArray:
    """The value that each trajectory returns, shape (T,)."""
    worths: FloatArray = np.take_along_axis(paths.values, stop[:, np.newaxis], axis=1)[:, 0]
    return worths


def net_worths(paths: Paths, costs: FloatArray, stop: NDArray[np.int64]) -> FloatArray:
    """The value that each trajectory returns, less its costs, shape (T,)."""
    net: FloatArray = _net(paths, costs)[np.arange(len(costs)), stop]
    return net


def _net(paths: Paths, costs: FloatArray) -> FloatArray:
    """What stopping at each decision point returns, less its costs, shape (T, P)."""
    net: FloatArray = paths.values.copy()
    net[:, 1:] -= np.cumsum(costs, axis=1)
    return net
