"""What is believed about a question's scores before any candidate was drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

from langchain_optscale.errors import SettingsError

__all__ = ["FixedPrior"]


@dataclass(frozen=True)
class FixedPrior:
    """Independent normal beliefs about mu and sigma, the same for every question.

    The paper's OptScale^t uses a standard deviation of 0.1 for both (arXiv 2506.22376).

    Args:
        mu: Expected location of the score distribution; a finite number, it may lie outside [0, 1].
        sigma: Expected scale of the score distribution, > 0.
        mu_std: How sure that is: standard deviation of the belief about mu, > 0.
        sigma_std: Standard deviation of the belief about sigma, > 0.

    Raises:
        SettingsError: A number is not finite, or a scale is not above 0.

    Example:
        >>> FixedPrior(mu=0.85, sigma=0.15)
        FixedPrior(mu=0.85, sigma=0.15, mu_std=0.1, sigma_std=0.1)
    """

    mu: float
    sigma: float
    mu_std: float = 0.1
    sigma_std: float = 0.1

    def __post_init__(self) -> None:
        if not math.isfinite(self.mu):
            raise SettingsError(f"a prior's mu must be a finite number, got {self.mu!r}")
        for name in ("sigma", "mu_std", "sigma_std"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise SettingsError(f"a prior's {name} must be a finite number above 0, got {value!r}")
