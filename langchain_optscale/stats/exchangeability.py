r"""Do new values still come from the law of earlier ones? A test that may be looked at after every value.

Symbols: v_1, ..., v_(t-1) the values so far, reference included; v_t the next one; theta_t uniform on [0, 1]. Where all
values are exchangeable, as independent ones of one law are, whatever that law,

    p_t = (#{i < t: v_i < v_t} + theta_t (1 + #{i < t: v_i = v_t})) / t

are independent and uniform on [0, 1] (Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World",
proposition 2.8). So for every density f on [0, 1] the product of the f(p_t) is a martingale, and so is any mixture of
such products. Here f are the Beta densities with a, b in {0.6, 1, 2, 5}: values that rise or fall, come closer together
or go apart. By Ville's inequality a mixture *ever* reaches 1 / alpha with probability alpha at most. The law is learned
from the values themselves, so that nothing is lost to a margin for its estimate.

Values may be of several kinds, such as the scores of answers that agree and of those that do not: each is ranked among
its own kind, and the densities of the kinds are mixed jointly, so that opposite changes of two kinds add up. As in
`stats.mean_test`, bets begin anew at every tenth value.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right, insort
from itertools import product
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.stats.mean_test import stake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ExchangeabilityTest"]

_SHAPES = (0.6, 1.0, 2.0, 5.0)
_BETS = tuple((a, b) for a in _SHAPES for b in _SHAPES if (a, b) != (1.0, 1.0))
_SCALES = tuple(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) for a, b in _BETS)
_NEAREST = 1e-9
# Beyond so many values every second one is dropped: the ranks stay the same to within their reciprocal.
_MOST = 20_000


class ExchangeabilityTest:
    """A test of whether new values are like those of a reference, which may be looked at after every value.

    Args:
        reference: Past values of each kind; a kind may have none.
        alpha: The probability, in (0, 1), that it ever rejects where all values are exchangeable within their kind.
        seed: Of the order of equal values.

    Attributes:
        count: Values so far, without the reference.
        evidence: How many times an initial capital the bets against exchangeability have become.

    Raises:
        SettingsError: There is no kind, or alpha is out of range.

    Example:
        >>> past = [0.5, 0.6, 0.4, 0.55, 0.45] * 20
        >>> test = ExchangeabilityTest({"score": past}, alpha=0.01)
        >>> any(test.observe("score", value) for value in past)
        False
        >>> next(count for count in range(1, 100) if test.observe("score", 0.9)) < 30
        True
    """

    def __init__(self, reference: Mapping[str, Sequence[float]], alpha: float = 0.01, seed: int = 0) -> None:
        if not reference:
            raise SettingsError("an exchangeability test needs the past values of one kind at least")
        if not 0.0 < alpha < 1.0:
            raise SettingsError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
        self.alpha, self.count, self.evidence, self._reserve = alpha, 0, 1.0, 1.0
        self._known = {kind: sorted(values) for kind, values in reference.items()}
        self._random = random.Random(seed)  # noqa: S311 - it orders equal values
        # One bet on each kind: every combination has a capital of its own.
        combinations = list(product(range(len(_BETS)), repeat=len(self._known)))
        self._places = {kind: [one[place] for one in combinations] for place, kind in enumerate(self._known)}
        self._active = [0.0] * len(combinations)

    @property
    def rejected(self) -> bool:
        """Whether the evidence is, or has been, at least 1 / alpha."""
        return self.evidence >= 1.0 / self.alpha

    def observe(self, kind: str, value: float) -> bool:
        """Take the next value; whether exchangeability is rejected, which stays so.

        Args:
            kind: One of those of the reference.
            value: A finite number.
        """
        if self.rejected:
            return True
        begun = stake(self.count)
        self._reserve -= begun
        self.count += 1
        densities = _densities(self._rank(self._known[kind], value))
        places = self._places[kind]
        self._active = [(active + begun) * densities[place] for active, place in zip(self._active, places, strict=True)]
        self.evidence = math.fsum(self._active) / len(self._active) + self._reserve
        return self.rejected

    def _rank(self, known: list[float], value: float) -> float:
        """The p_t of a value, which is known afterwards."""
        below, equal = bisect_left(known, value), bisect_right(known, value)
        rank = (below + self._random.random() * (equal - below + 1)) / (len(known) + 1)
        insort(known, value)
        if len(known) > _MOST:
            del known[::2]
        return min(max(rank, _NEAREST), 1.0 - _NEAREST)


def _densities(rank: float) -> list[float]:
    """The Beta densities at a rank in (0, 1)."""
    low, high = math.log(rank), math.log1p(-rank)
    return [math.exp(scale + (a - 1.0) * low + (b - 1.0) * high) for (a, b), scale in zip(_BETS, _SCALES, strict=True)]
