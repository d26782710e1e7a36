"""The methods that are compared by default, by their names on the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.evaluation.baselines import (
    AdaptiveConsistency,
    BestOfN,
    EarlyStoppingConsistency,
    SelfConsistency,
    ThresholdStopping,
    WeightedVote,
    optscale_0,
    optscale_t,
)
from langchain_optscale.evaluation.index_policies import Beacon, PandoraBox
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.oracles import CorrectnessOracle, TailOracle
from langchain_optscale.evaluation.replay import fits
from langchain_optscale.evaluation.vote_baselines import (
    BestOfMajority,
    ConfidenceFilteredVote,
    ConfidenceGuided,
    ModeCertificate,
)
from langchain_optscale.stopping import AnswerConfidence, optscale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_optscale.evaluation.methods import Method, Prior
    from langchain_optscale.evaluation.pools import Pool

__all__ = ["METHODS", "WITH_PRIOR", "catalogue"]

# Of early stopping; at most half of the cap, since a window that is all of it could never end a search early.
_WINDOW = 5
# What a candidate must raise the probability of the answer by; the same on every pool.
_PRICE = 0.01

_USUAL_TARGET = 0.9


def _or_usual(target: float | None) -> float:
    return _USUAL_TARGET if target is None else target


METHODS: dict[str, Callable[[float | None, float, int], Method]] = {
    "optscale": lambda target, confidence, cap: SessionMethod(
        optscale(target, confidence, cap), "optscale", select="posterior"
    ),
    "best-of-n": lambda *_: BestOfN(),
    "threshold": lambda target, *_: ThresholdStopping(_or_usual(target)),
    "paper": lambda target, confidence, cap: optscale_0(_or_usual(target), confidence, min(5, cap)),
    "answers": lambda _target, confidence, _cap: SessionMethod(
        AnswerConfidence(confidence, min_gain=_PRICE), "answers", round_size=1, first_round=1, select="posterior"
    ),
    "self-consistency": lambda *_: SelfConsistency(),
    "adaptive-beta": lambda *_: AdaptiveConsistency(),
    "adaptive-dirichlet": lambda *_: AdaptiveConsistency(criterion="dirichlet"),
    "early-stopping": lambda _target, _confidence, cap: EarlyStoppingConsistency(max(2, min(_WINDOW, cap // 2))),
    "weighted-vote": lambda *_: WeightedVote(),
    "best-of-majority": lambda *_: BestOfMajority(),
    "cges": lambda _target, confidence, _cap: ConfidenceGuided(confidence),
    "cite": lambda *_: ModeCertificate(),
    "deepconf": lambda _target, _confidence, cap: ConfidenceFilteredVote(max(1, cap // 2)),
    "beacon": lambda *_: Beacon(),
    "pandora": lambda *_: PandoraBox(),
    "oracle-tail": lambda target, confidence, _: TailOracle(_or_usual(target), confidence),
    "oracle-correct": lambda *_: CorrectnessOracle(),
}
"""By name, a function of target, confidence and cap that makes the method."""

WITH_PRIOR: dict[str, Callable[[Prior, float | None, float, int], Method]] = {
    "optscale-prior": lambda prior, target, confidence, cap: SessionMethod(
        optscale(target, confidence, cap), "optscale-prior", prior=prior, select="posterior"
    ),
    "paper-trained": lambda prior, target, confidence, cap: optscale_t(
        prior, _or_usual(target), confidence, min(5, cap)
    ),
}
"""Those that need a prior, by name, a function of it, target, confidence and cap."""


def catalogue(
    pool: Pool,
    *,
    target: float | None = None,
    confidence: float = 0.95,
    names: Sequence[str] | None = None,
    max_samples: int | None = None,
    prior: Prior | None = None,
) -> list[Method]:
    """The methods to replay on a pool.

    Args:
        pool: Where it lacks answers or labels, methods that need them are left out, unless they are named.
        target: For the methods that aim at a score, in [0, 1]; None lets the default look for the best, and the others
            aim at 0.9.
        confidence: For those that promise one, in (0, 1).
        names: Which ones; None takes every method of `METHODS` that the pool has what it needs for.
        max_samples: The cap of the replay, for methods whose settings follow it; None takes the pool's.
        prior: Learned on other questions than the pool's; adds the methods of `WITH_PRIOR`.

    Returns:
        The methods, in the order of `METHODS` or of `names`.

    Raises:
        SettingsError: A name is unknown or needs a prior that is not given, a number is out of range, or the pool has
            what no method needs.

    Example:
        >>> from langchain_optscale.evaluation.pools import Pool, Question, Sample
        >>> pool = Pool((Question("a", "?", (Sample(score=0.5), Sample(score=0.9))),))
        >>> [method.name for method in catalogue(pool)]
        ['optscale', 'best-of-n', 'threshold', 'paper', 'beacon', 'pandora', 'oracle-tail']
    """
    if unknown := [name for name in names or () if name not in METHODS and name not in WITH_PRIOR]:
        raise SettingsError(f"unknown method {unknown[0]!r}; known are {', '.join([*METHODS, *WITH_PRIOR])}")
    if prior is None and (without := [name for name in names or () if name in WITH_PRIOR]):
        raise SettingsError(f"method {without[0]!r} needs a prior; give prior=, or --prior FILE on the command line")
    cap = pool.cap if max_samples is None else max_samples
    if cap < 1:
        raise SettingsError(f"max_samples must be at least 1, got {cap}")
    known = METHODS
    if prior is not None:
        known = METHODS | {name: partial(make, prior) for name, make in WITH_PRIOR.items()}
    made = [known[name](target, confidence, cap) for name in (known if names is None else names)]
    if names is not None:
        return made
    if not (fitting := [method for method in made if fits(method, pool)]):
        raise SettingsError(
            f"pool {pool.name!r} has no score, answer or correctness of every sample: there is nothing to replay"
        )
    return fitting
