"""Who is right without labels: several weak verdicts on each item, and a latent class.

Dawid and Skene's model (Applied Statistics 28, 1979) for two classes, which weak supervision of verifiers uses too
(Weaver, arXiv 2506.18203): given whether a candidate is right, y in {0, 1}, the members' levels are independent,

    P(levels, y) = P(y) prod_j P_j(level_j | y).

EM maximises the likelihood with one pseudo-count a level. Which class is the right one is decided by the members: on
the whole they are better than chance. With fewer than three members the model is not identified.

Legend: levels [n, m], whole numbers from 0, -1 for a missing one; chances q = P(y = 1 | levels) [n].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["LatentClass", "fit_latent_class"]

_MOST_STEPS = 1000
_TOLERANCE = 1e-7
_LEAST_MEMBERS = 3


@dataclass(frozen=True, eq=False)
class LatentClass:
    """A fitted model, from `fit_latent_class`.

    Attributes:
        right: P(y = 1).
        tables: P_j(level | y) [m, 2, levels].
    """

    right: float
    tables: FloatArray

    def chances(self, levels: IntArray) -> FloatArray:
        """P(right) of each item [n]; a missing level says nothing."""
        logs = np.log([1.0 - self.right, self.right])
        return _posterior(levels, np.log(self.tables), logs)

    def accuracy(self) -> FloatArray:
        """Each member's balanced accuracy where its levels are cut where that is best, in [0.5, 1] [m]."""
        # P(level >= c | right) - P(level >= c | wrong), as Youden's index.
        above = np.cumsum(self.tables[:, :, ::-1], axis=2)
        return np.asarray(0.5 + 0.5 * np.max(above[:, 1] - above[:, 0], axis=1).clip(0.0, 1.0))


def fit_latent_class(levels: IntArray) -> LatentClass:
    """Fit the model by EM.

    Args:
        levels: Levels of at least three members, higher is better; -1 for a missing one [n, m].

    Raises:
        SettingsError: There are fewer than three members, or no items.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> right = rng.random(4000) < 0.3
        >>> levels = np.stack([np.where(rng.random(4000) < a, right, ~right) for a in (0.9, 0.8, 0.7)], axis=1)
        >>> fit_latent_class(levels.astype(int)).accuracy().round(1)
        array([0.9, 0.8, 0.7])
    """
    levels = np.asarray(levels, dtype=np.int64)
    if levels.ndim != 2 or levels.shape[1] < _LEAST_MEMBERS or not len(levels):
        raise SettingsError("a latent class needs at least three members and one item")
    count = int(levels.max()) + 1
    # Where the members stand on the whole is where EM begins.
    known = levels >= 0
    shares = np.where(known, levels / max(1, count - 1), 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    chances = 0.1 + 0.8 * shares
    at_level = np.stack([levels == level for level in range(count)], axis=2).astype(float)
    for _ in range(_MOST_STEPS):
        right, tables = _maximised(chances, at_level)
        found = _posterior(levels, np.log(tables), np.log([1.0 - right, right]))
        moved = float(np.max(np.abs(found - chances)))
        chances = found
        if moved < _TOLERANCE:
            break
    right, tables = _maximised(chances, at_level)
    # The class in which members stand higher is the right one.
    heights = (tables * np.arange(count)).sum(axis=2).sum(axis=0)
    return LatentClass(right, tables) if heights[1] >= heights[0] else LatentClass(1.0 - right, tables[:, ::-1])


def _maximised(chances: FloatArray, at_level: FloatArray) -> tuple[float, FloatArray]:
    right = float((chances.sum() + 1.0) / (len(chances) + 2.0))
    weights = np.stack([1.0 - chances, chances])
    counts = np.einsum("yn,nml->myl", weights, at_level) + 1.0
    return right, counts / counts.sum(axis=2, keepdims=True)


def _posterior(levels: IntArray, log_tables: FloatArray, log_classes: FloatArray) -> FloatArray:
    logs = np.tile(log_classes, (len(levels), 1))
    for member in range(levels.shape[1]):
        known = levels[:, member] >= 0
        logs[known] += log_tables[member][:, levels[known, member]].T
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(logs[:, 0] - logs[:, 1], -500.0, 500.0))))
