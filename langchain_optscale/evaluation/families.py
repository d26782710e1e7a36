"""Methods with the grid of settings from which each may choose, for comparisons at equal accuracy.

A comparison at one setting each says little: the one that happened to be set well wins. Here every method brings its
settings, and `samples_at_parity` lets each choose on one half of the questions.
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

__all__ = ["Family", "families"]

_QUANTILES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0)
# Of our default: how sure it is, among other things, before it gives a target up.
_SURENESS = (0.8, 0.95, 0.99, 0.999)
_CONFIDENCES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


@dataclass(frozen=True)
class Family:
    """A method and the settings from which it may choose.

    Attributes:
        name: What it is called in tables.
        make: Makes a method of one entry of the grid, given as keyword arguments.
        grid: The settings.
    """

    name: str
    make: Callable[..., Method]
    grid: Sequence[Mapping[str, Any]]


def families(pool: Pool) -> list[Family]:
    """The families that a pool has data for, ours first; oracles are left out, since they know the truth.

    Targets stand at quantiles of the pool's own scores, so that no family suffers from a scale that is not its own.

    Args:
        pool: With scores; methods that read answers are left out where it has none.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> pool = Pool((Question("a", "?", (Sample(score=0.5), Sample(score=0.9))),))
        >>> [family.name for family in families(pool)]
        ['optscale', 'best-of-n', 'threshold', 'paper']
    """
    cap = pool.cap
    targets = _targets(pool)
    sizes = [{"n": n} for n in _sizes(cap)]
    adaptive = [{"confidence": confidence} for confidence in _CONFIDENCES]
    known = [
        Family(
            "optscale",
            lambda target, confidence: SessionMethod(
                optscale(target, confidence, cap, min(2, cap)), "optscale", round_size=1, select="posterior"
            ),
            [{"target": target, "confidence": confidence} for target in targets for confidence in _SURENESS],
        ),
        Family("best-of-n", BestOfN, sizes),
        Family("threshold", ThresholdStopping, [{"threshold": target} for target in targets]),
        Family(
            "paper",
            optscale_0,
            [
                {"target": target, "confidence": confidence, "first_round": first}
                for target in targets
                for confidence in (0.9, 0.95, 0.99)
                for first in sorted({min(first, cap) for first in (2, 5)})
            ],
        ),
        Family("self-consistency", SelfConsistency, sizes),
        Family("adaptive-beta", AdaptiveConsistency, adaptive),
        Family("adaptive-dirichlet", lambda confidence: AdaptiveConsistency(confidence, "dirichlet"), adaptive),
        Family(
            "early-stopping", EarlyStoppingConsistency, [{"window": n} for n in _sizes(cap) if 2 <= n <= max(2, cap)]
        ),
    ]
    return [family for family in known if fits(family.make(**family.grid[0]), pool)]


def _targets(pool: Pool) -> list[float]:
    scores = sorted(sample.score for sample in pool.samples if sample.score is not None)
    return sorted({scores[round(q * (len(scores) - 1))] for q in _QUANTILES})


def _sizes(cap: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, ... up to the cap, the cap with them."""
    powers = [2**k for k in range(cap.bit_length())]
    return sorted({n for power in powers for n in (power, 3 * power // 2) if n <= cap} | {cap})
