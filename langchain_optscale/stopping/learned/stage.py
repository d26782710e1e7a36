"""One decision point of a learned rule: a quadratic in a few numbers, with the range in which it was fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.forks import cached_property
from langchain_optscale.records.stored import is_number, reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.stopping.learned.backward import Design, FloatArray

__all__ = ["Stage"]

_CLIP = 4.0
_SLACK = 0.25
_LEAST_SLACK = 0.05
_ROUNDING = 1e-12
# A coefficient of a fit is far smaller; a larger one would overflow.
_MOST = 1e15
_ARRAYS = ("centre", "spread", "low", "high", "linear")


@dataclass(frozen=True)
class Stage:
    """The advantage of continuing at one decision point: intercept + linear . z + z' quadratic z.

    Here z = (x - centre) / spread, clipped to +-4. All tuples have one entry for each of F features.

    Attributes:
        intercept: In units of the value.
        linear: Length F.
        quadratic: F rows of length F, symmetric.
        centre: Means of the features in the fit.
        spread: Their standard deviations, > 0.
        low: Their smallest values in the fit.
        high: Their largest.

    Raises:
        InvalidRecordError: Lengths differ, or a number is not finite, or beyond 1e15.
    """

    intercept: float
    linear: tuple[float, ...]
    quadratic: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        size = len(self.linear)
        rows = [getattr(self, name) for name in _ARRAYS] + list(self.quadratic)
        numbers = [self.intercept, *(number for row in rows for number in row)]
        if (
            len(self.quadratic) != size
            or any(len(row) != size for row in rows)
            or not all(is_number(number) and abs(number) <= _MOST for number in numbers)
            or min(self.spread, default=1.0) <= 0.0
        ):
            raise InvalidRecordError("a stage of a fitted rule has numbers that do not fit together")

    @classmethod
    def of(cls, design: Design, coefficients: FloatArray, intercept: float) -> Stage:
        """The stage of a solved regression."""
        constant, linear, quadratic = design.folded(coefficients, intercept)
        return cls(
            constant,
            tuple(linear.tolist()),
            tuple(tuple(row) for row in quadratic.tolist()),
            tuple(design.centre.tolist()),
            tuple(design.spread.tolist()),
            tuple(design.low.tolist()),
            tuple(design.high.tolist()),
        )

    @classmethod
    def reserved(cls, design: Design, threshold: float) -> Stage:
        """The stage that stops at a threshold on the best score, the first feature; its advantage is the difference."""
        size = design.centre.size
        zeros = (0.0,) * size
        return cls(
            threshold - _ROUNDING,
            (-1.0, *zeros[1:]),
            (zeros,) * size,
            zeros,
            (1.0,) * size,
            tuple(design.low.tolist()),
            tuple(design.high.tolist()),
        )

    def advantage(self, features: Sequence[float]) -> float:
        """The expected gain of continuing over stopping now, less its price."""
        import numpy as np  # loaded only where a learned rule is used

        linear, quadratic, centre, spread = self._arrays
        z = (np.asarray(features) - centre) / spread
        np.clip(z, -_CLIP, _CLIP, out=z)
        return float(self.intercept + (linear + quadratic @ z) @ z)

    def outside(self, features: Sequence[float]) -> int | None:
        """The place of a feature beyond the fitted range by a quarter of it and at least 0.05; None without one."""
        for place, (value, low, high) in enumerate(zip(features, self.low, self.high, strict=True)):
            slack = max(_LEAST_SLACK, _SLACK * (high - low))
            if not low - slack <= value <= high + slack:
                return place
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        plain = {name: list(getattr(self, name)) for name in _ARRAYS}
        return {"intercept": self.intercept, **plain, "quadratic": [list(row) for row in self.quadratic]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Stage:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: It is damaged.
        """
        with reading("a stage of a fitted rule"):
            plain = {name: tuple(data[name]) for name in _ARRAYS}
            quadratic = tuple(tuple(row) for row in data["quadratic"])
            return cls(intercept=data["intercept"], quadratic=quadratic, **plain)

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        import numpy as np

        return np.array(self.linear), np.array(self.quadratic), np.array(self.centre), np.array(self.spread)
