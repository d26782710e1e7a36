"""From a reward model's raw logits to scores in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.calibration import LogisticCalibration
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Logistic"]


@dataclass(frozen=True)
class Logistic:
    """score = 1 / (1 + exp(-(logit - location) / scale)), strictly increasing in the logit.

    A location and a scale that fit the model spread the scores over [0, 1] instead of concentrating them at its ends,
    which distorts the score distribution although it keeps the ranking.

    Attributes:
        location: The logit that scores 0.5, a finite number.
        scale: A positive finite number; the score rises from 0.27 to 0.73 within one scale of the location.

    Raises:
        SettingsError: One of them is out of range.

    Example:
        >>> Logistic(location=2.0, scale=1.5)(2.0)
        0.5
    """

    location: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not is_finite(self.location) or not is_finite(self.scale) or self.scale <= 0:
            raise SettingsError(f"a logistic needs a finite location and a positive finite scale, got {self}")

    def __call__(self, logit: float) -> float:
        """The score of a logit, in [0, 1]."""
        x = (logit - self.location) / self.scale
        if x >= 0:
            return 1.0 / (1.0 + math.exp(-x))
        return math.exp(x) / (1.0 + math.exp(x))

    @classmethod
    def fit(cls, logits: Sequence[float], correct: Sequence[bool] | None = None) -> Self:
        """Fit it to recorded logits.

        With labels the score is the probability of being right, by Platt's logistic regression (1999). Without, the
        logistic distribution is fitted by maximum likelihood: the score is about the share of worse candidates.

        Args:
            logits: At least 2 finite numbers, not all equal.
            correct: Optional labels, with at least one right and one wrong candidate.

        Raises:
            SettingsError: The data are invalid, or right candidates have no higher logits than wrong ones.

        Example:
            >>> round(Logistic.fit([-4.0, -2.0, 0.0, 2.0, 4.0])(0.0), 6)
            0.5
        """
        values = [float(logit) for logit in logits]
        if len(values) < 2 or not all(map(math.isfinite, values)) or min(values) == max(values):
            raise SettingsError("a logistic is fitted to at least 2 finite logits that are not all equal")
        if correct is None:
            from scipy import stats

            location, scale = stats.logistic.fit(values)
            return cls(float(location), float(scale))
        # The regression is over u in [0, 1] with logit = low + width u.
        low, width = min(values), max(values) - min(values)
        platt = LogisticCalibration.fit([(value - low) / width for value in values], correct)
        if platt.slope <= 0:
            raise SettingsError("right candidates have no higher logits than wrong ones: check the labels or the model")
        return cls(low - width * platt.intercept / platt.slope, width / platt.slope)
