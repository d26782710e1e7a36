"""From a verifier's score to the probability of being right, learned from labelled scores.

Symbols: s a score, y in {0, 1} whether the candidate is right, c(s) = P(y = 1 | s). A calibration is fitted to pairs
(s, y) and travels as JSON. For calibration errors see `reliability`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.json_file import JSONFile
from langchain_optscale.records.stored import check_plain, reading
from langchain_optscale.stats._scipy import optimize, special
from langchain_optscale.stats.reliability import (
    ReliabilityBin,
    expected_calibration_error,
    labelled_predictions,
    reliability_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Calibration",
    "IsotonicCalibration",
    "LogisticCalibration",
    "ReliabilityBin",
    "expected_calibration_error",
    "reliability_table",
]

_FORMAT = "langchain-optscale/calibration"
_VERSION = 1


class Calibration(JSONFile):
    """A non-decreasing function from scores in [0, 1] to probabilities of being right in (0, 1).

    Example:
        >>> from langchain_optscale.stats import LogisticCalibration
        >>> calibration = LogisticCalibration.fit([0.2, 0.4, 0.6, 0.8] * 10, [False, False, True, True] * 10)
        >>> calibration(0.3) < 0.5 < calibration(0.7), Calibration.from_dict(calibration.to_dict()) == calibration
        (True, True)
    """

    @abstractmethod
    def __call__(self, score: float) -> float:
        """P(right | score)."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `Calibration.from_dict` gives an equal one back."""
        data: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # every calibration is a dataclass
        return {"format": _FORMAT, "version": _VERSION, "kind": type(self).__name__, **data}

    @classmethod
    def from_dict(cls, data: Any) -> Calibration:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is no calibration, of a later version, or damaged.
        """
        settings = dict(data) if isinstance(data, Mapping) else {}
        if (settings.pop("format", None), settings.pop("version", None)) != (_FORMAT, _VERSION):
            raise InvalidRecordError(f"not a calibration of format {_FORMAT!r}, version {_VERSION}")
        kinds: dict[str, Any] = {kind.__name__: kind for kind in (IsotonicCalibration, LogisticCalibration)}
        check_plain(settings, "a calibration")
        with reading("the calibration"):
            kind = kinds[settings.pop("kind")]
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
            calibration: Calibration = kind(**values)
        return calibration


@dataclass(frozen=True)
class IsotonicCalibration(Calibration):
    """The best non-decreasing function of the score, by pooling adjacent violators.

    The pairs are pooled into blocks whose shares of right candidates rise with the score. Each block counts one more
    candidate at the overall share, which shrinks small blocks and keeps probabilities off 0 and 1; between the blocks'
    mean scores the function is linear, beyond them constant (Zadrozny and Elkan 2002).

    Attributes:
        scores: Mean score of each block, ascending.
        probabilities: P(right) at it, non-decreasing, in (0, 1); as long as `scores`.

    Example:
        >>> calibration = IsotonicCalibration.fit([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
        >>> calibration(0.1), calibration(0.9)
        (0.16666666666666666, 0.8333333333333334)
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        sound = (
            0 < len(self.scores) == len(self.probabilities)
            and all(0.0 <= score <= 1.0 for score in self.scores)
            and all(low < high for low, high in pairwise(self.scores))
            and all(0.0 < p < 1.0 for p in self.probabilities)
            and all(low <= high for low, high in pairwise(self.probabilities))
        )
        if not sound:
            raise SettingsError("an isotonic calibration needs ascending scores and probabilities in (0, 1)")

    @classmethod
    def fit(cls, scores: Sequence[float], correct: Sequence[bool]) -> Self:
        """Fit it to labelled scores.

        Args:
            scores: Scores in [0, 1].
            correct: Whether each candidate was right; at least one was and one was not.

        Raises:
            SettingsError: The lengths differ, a score lies outside [0, 1], or the labels are all alike.
        """
        values, labels = _labelled(scores, correct)
        knots, where, counts = np.unique(values, return_inverse=True, return_counts=True)
        shares = np.bincount(where, weights=labels) / counts
        pooled = optimize.isotonic_regression(shares, weights=counts)
        starts, weights = pooled.blocks[:-1], np.add.reduceat(counts, pooled.blocks[:-1])
        means = np.add.reduceat(knots * counts, starts) / weights
        modest = (pooled.x[starts] * weights + labels.mean()) / (weights + 1.0)
        rising = optimize.isotonic_regression(modest, weights=weights + 1.0).x
        return cls(tuple(means.tolist()), tuple(rising.tolist()))

    def __call__(self, score: float) -> float:
        """P(right | score), in (0, 1)."""
        # For a single number ten times as fast as NumPy's.
        place = bisect_right(self.scores, score)
        if place in (0, len(self.scores)):
            return self.probabilities[0 if place == 0 else -1]
        (left, right), (low, high) = self.scores[place - 1 : place + 1], self.probabilities[place - 1 : place + 1]
        return low + (high - low) * (score - left) / (right - left)


@dataclass(frozen=True)
class LogisticCalibration(Calibration):
    """P(right | s) = 1 / (1 + exp(-(intercept + slope s))), with a slope of at least 0 (Platt 1999).

    Attributes:
        intercept: A finite number.
        slope: A finite number, >= 0.
        low: No probability is below it; a fit takes Platt's figure for a wrong candidate, 1 / (n0 + 2).
        high: No probability is above it; a fit takes that for a right one, (n1 + 1) / (n1 + 2).

    Example:
        >>> round(LogisticCalibration(intercept=-2.0, slope=4.0)(0.5), 6)
        0.5
    """

    intercept: float
    slope: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.intercept) and 0.0 <= self.slope < math.inf and 0.0 <= self.low < self.high <= 1.0):
            raise SettingsError(f"a logistic calibration needs a finite intercept and slope >= 0, got {self}")

    @classmethod
    def fit(cls, scores: Sequence[float], correct: Sequence[bool]) -> Self:
        """Fit it by maximum likelihood to smoothed labels, as Platt does.

        Right counts as (n1 + 1) / (n1 + 2) and wrong as 1 / (n0 + 2), so that separable labels give a finite slope.

        Args:
            scores: Scores in [0, 1].
            correct: Whether each candidate was right; at least one was and one was not.

        Raises:
            SettingsError: As `IsotonicCalibration.fit`.
        """
        values, labels = _labelled(scores, correct)
        right, wrong = labels.sum(), (1.0 - labels).sum()
        low, high = float(1.0 / (wrong + 2.0)), float((right + 1.0) / (right + 2.0))
        soft = np.where(labels > 0, high, low)

        def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logits = parameters[0] + parameters[1] * values
            residual = special.expit(logits) - soft
            value = float(np.sum(np.logaddexp(0.0, logits) - soft * logits))
            return value, np.array([residual.sum(), (residual * values).sum()])

        start = np.array([special.logit(soft.mean()), 0.0])
        fit = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=((None, None), (0.0, None)))
        return cls(float(fit.x[0]), float(fit.x[1]), low, high)

    def __call__(self, score: float) -> float:
        """P(right | score), in (0, 1)."""
        return min(max(float(special.expit(self.intercept + self.slope * score)), self.low), self.high)


def _labelled(scores: Sequence[float], correct: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, labels = labelled_predictions(scores, correct)
    if labels.min() == labels.max():
        raise SettingsError("a calibration needs at least one right and one wrong candidate")
    return values, labels
