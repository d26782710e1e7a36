"""Methods with the grid of settings from which each may choose, for comparisons at equal accuracy.

At one setting each, the method with the luckier setting wins. Here every method has a grid, and `samples_at_parity`
lets each choose on one half of the questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.baselines import (
    AdaptiveConsistency,
    BestOfN,
    EarlyStoppingConsistency,
    SelfConsistency,
    ThresholdStopping,
    optscale_0,
)
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.replay import fits
from langchain_optscale.stopping import optscale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_optscale.evaluation.methods import Method
    from langchain_optscale.evaluation.pools import Pool

__all__ = ["MethodGrid", "method_grids"]

_QUANTILES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0)
# Of our default, whose confidence also decides when it stops for futility.
_DEFAULT_CONFIDENCES = (0.8, 0.95, 0.99, 0.999)
_CONFIDENCES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


@dataclass(frozen=True)
class MethodGrid:
    """A method and the settings from which it may choose.

    Attributes:
        name: What it is called in tables.
        make: Makes a method of one entry of the grid, given as keyword arguments.
        grid: The settings.
    """

    name: str
    make: Callable[..., Method]
    grid: Sequence[Mapping[str, Any]]


def method_grids(pool: Pool) -> list[MethodGrid]:
    """The methods that a pool has data for, ours first, without oracles.

    Targets stand at quantiles of the pool's own scores, so that they fit the scale of every verifier.

    Args:
        pool: With scores; methods that read answers are left out where it has none.

    """
    cap = pool.cap
    targets = _targets(pool)
    sizes = [{"n": n} for n in _sizes(cap)]
    adaptive = [{"confidence": confidence} for confidence in _CONFIDENCES]
    known = [
        MethodGrid(
            "optscale",
            lambda target, confidence: SessionMethod(
                optscale(target, confidence, cap, min(2, cap)), "optscale", round_size=1, select="posterior"
            ),
            [{"target": target, "confidence": confidence} for target in targets for confidence in _DEFAULT_CONFIDENCES],
        ),
        MethodGrid("best-of-n", BestOfN, sizes),
        MethodGrid("threshold", ThresholdStopping, [{"threshold": target} for target in targets]),
        MethodGrid(
            "paper",
            optscale_0,
            [
                {"target": target, "confidence": confidence, "first_round": first}
                for target in targets
                for confidence in (0.9, 0.95, 0.99)
                for first in sorted({min(first, cap) for first in (2, 5)})
            ],
        ),
        MethodGrid("self-consistency", SelfConsistency, sizes),
        MethodGrid("adaptive-beta", AdaptiveConsistency, adaptive),
        MethodGrid("adaptive-dirichlet", lambda confidence: AdaptiveConsistency(confidence, "dirichlet"), adaptive),
        MethodGrid(
            "early-stopping", EarlyStoppingConsistency, [{"window": n} for n in _sizes(cap) if 2 <= n <= max(2, cap)]
        ),
    ]
    return [one for one in known if fits(one.make(**one.grid[0]), pool)]


def _targets(pool: Pool) -> list[float]:
    scores = sorted(sample.score for sample in pool.samples if sample.score is not None)
    return sorted({scores[round(q * (len(scores) - 1))] for q in _QUANTILES})


def _sizes(cap: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, ... up to the cap, the cap with them."""
    powers = [2**k for k in range(cap.bit_length())]
    return sorted({n for power in powers for n in (power, 3 * power // 2) if n <= cap} | {cap})
