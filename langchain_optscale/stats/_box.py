"""The bounds of mu and sigma, and their normal priors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from langchain_optscale.errors import SettingsError

__all__ = ["Box", "Peaks"]

# Closer to an edge than this, relative to the box, is on it.
_SNAP = 1e-9


@dataclass(frozen=True, slots=True)
class Box:
    """The bounds within which the likelihood is maximised.

    Attributes:
        mu_low: Least mu.
        mu_high: Largest mu.
        sigma_low: Least sigma, > 0.
        sigma_high: Largest sigma.

    Raises:
        SettingsError: Bounds are not finite, not in order, or not positive for sigma.
    """

    mu_low: float
    mu_high: float
    sigma_low: float
    sigma_high: float

    def __post_init__(self) -> None:
        if not (-math.inf < self.mu_low < self.mu_high < math.inf):
            raise SettingsError(f"mu_bounds must be finite and in order, got {self.mu_low} and {self.mu_high}")
        if not (0.0 < self.sigma_low < self.sigma_high < math.inf):
            bounds = f"{self.sigma_low} and {self.sigma_high}"
            raise SettingsError(f"sigma_bounds must be positive, finite and in order, got {bounds}")

    def nearest(self, mu: float, sigma: float) -> tuple[float, float]:
        """The point of the box nearest to the given one."""
        return (
            min(max(float(mu), self.mu_low), self.mu_high),
            min(max(float(sigma), self.sigma_low), self.sigma_high),
        )

    def snapped(self, mu: float, sigma: float) -> tuple[float, float]:
        """The nearest point of the box, on the edge where rounding alone keeps it from there."""
        return (
            _snapped(mu, self.mu_low, self.mu_high, _SNAP * (self.mu_high - self.mu_low)),
            _snapped(sigma, self.sigma_low, self.sigma_high, _SNAP * self.sigma_low),
        )

    def has_on_edge(self, mu: float, sigma: float) -> bool:
        """Whether a point of the box lies on its edge."""
        return mu in (self.mu_low, self.mu_high) or sigma in (self.sigma_low, self.sigma_high)


def _snapped(value: float, low: float, high: float, slack: float) -> float:
    return low if value - low < slack else high if high - value < slack else value


@dataclass(frozen=True, slots=True)
class Peaks:
    """A normal prior of mu and one of sigma.

    Raises:
        SettingsError: A number is not finite, or a deviation not positive.
    """

    mu: float
    sigma: float
    mu_std: float
    sigma_std: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mu) and math.isfinite(self.sigma)):
            raise SettingsError(f"a prior needs a finite centre, got mu={self.mu} and sigma={self.sigma}")
        if not (0.0 < self.mu_std < math.inf and 0.0 < self.sigma_std < math.inf):
            deviations = f"mu_std={self.mu_std} and sigma_std={self.sigma_std}"
            raise SettingsError(f"a prior's deviations must be positive and finite, got {deviations}")
