r"""Is a mean of bounded values still what it was? A test that may be looked at after every value.

Symbols: x_t in [0, 1] the values; m the expected mean; d the slack, what m itself is known by; lambda a bet. Under the
hypothesis that the mean is still at most m + d, whatever came before,

    E_t = prod_i (1 + lambda (x_i - m - d))

is a non-negative supermartingale for every lambda in [0, 1 / (m + d)], and so is any mixture of such bets (Waudby-Smith
and Ramdas 2024, "Estimating means of bounded random variables by betting"). By Ville's inequality it *ever* reaches
1 / alpha with probability alpha at most, so that it may be looked at after every value. A change that comes after a
thousand quiet values would find the product small; so the bets begin anew at every tenth value, the b-th time with the
weight w_b = 1 / (b (b + 1)); the weights sum to one (Shin, Ramdas and Rinaldo 2022), and with w_t = 0 in between,

    A_t = (A_(t-1) + w_t) (1 + lambda (x_t - m - d)),        M_t = A_t + what was not yet bet

is still such a martingale. Both directions and several bets share one unit of capital.
"""

from __future__ import annotations

import math

from langchain_optscale.errors import SettingsError

__all__ = ["MeanTest", "bets_against", "stake"]

_BETS = (0.1, 0.25, 0.5, 0.9)
_EVERY = 10


def bets_against(mean: float, slack: float) -> list[tuple[float, float]]:
    """The bets lambda of both directions, each with the bound m + d or m - d that it bets against.

    A direction in which no value can lie has none.
    """
    high, low = mean + slack, mean - slack
    above = [(bet / high, high) for bet in _BETS if high < 1.0]
    return above + [(-bet / (1.0 - low), low) for bet in _BETS if low > 0.0]


def stake(count: int) -> float:
    """The share of the capital that begins to bet after so many values: w_b at every tenth, else 0."""
    if count % _EVERY:
        return 0.0
    block = count // _EVERY + 1
    return 1.0 / (block * (block + 1))


class MeanTest:
    """A test of whether values in [0, 1] still have the expected mean, which may be looked at after every value.

    Args:
        mean: The expected mean, in [0, 1].
        slack: How far the true mean may be from it, at least 0.
        alpha: The probability, in (0, 1), that it ever rejects where the mean is within the slack.

    Attributes:
        count: Values so far.
        evidence: M_t: how many times an initial capital the bets against the expected mean have become.

    Raises:
        SettingsError: A number is out of range.

    Example:
        >>> test = MeanTest(0.5, 0.02, alpha=0.01)
        >>> any(test.observe(value) for value in [0.5, 0.6, 0.4] * 100)
        False
        >>> next(count for count in range(1, 100) if test.observe(0.9)) < 30
        True
    """

    def __init__(self, mean: float, slack: float = 0.0, alpha: float = 0.01) -> None:
        if not 0.0 <= mean <= 1.0 or not slack >= 0.0:
            raise SettingsError(f"mean must be in [0, 1] and slack at least 0, got {mean!r} and {slack!r}")
        if not 0.0 < alpha < 1.0:
            raise SettingsError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
        self.mean, self.slack, self.alpha = mean, slack, alpha
        self.count, self.evidence, self._reserve = 0, 1.0, 1.0
        self._bets = bets_against(mean, slack)
        self._active = [0.0] * len(self._bets)

    @property
    def rejected(self) -> bool:
        """Whether the evidence is, or has been, at least 1 / alpha."""
        return self.evidence >= 1.0 / self.alpha

    def observe(self, value: float) -> bool:
        """Take the next value, in [0, 1]; whether the expected mean is rejected, which stays so."""
        if self.rejected or not self._bets:
            return self.rejected
        begun = stake(self.count)
        self._reserve -= begun
        self.count += 1
        self._active = [
            (active + begun) * (1.0 + bet * (value - bound))
            for active, (bet, bound) in zip(self._active, self._bets, strict=True)
        ]
        self.evidence = math.fsum(self._active) / len(self._active) + self._reserve
        return self.rejected
