"""The estimators that sessions use, by name. SciPy stands behind them: they are imported when the first is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_optscale.stats.estimation import Estimator, ScorePrior, ScoreSums

__all__ = ["default_estimator", "known_estimators", "no_scores"]


def default_estimator(prior: ScorePrior | None, *, looks_ahead: bool = False) -> Estimator:
    """The estimator where none is named.

    Args:
        prior: What is believed beforehand, None for nothing.
        looks_ahead: Whether the rule asks what the next candidates will bring: a point estimate from a few scores knows
            too little of that.

    Returns:
        `Posterior` where the rule looks ahead, else the paper's: maximum a posteriori with a prior, maximum likelihood
        without.
    """
    if looks_ahead:
        from langchain_optscale.stats.posterior import Posterior

        return Posterior()
    from langchain_optscale.stats.estimation import MaximumAPosteriori, MaximumLikelihood

    return MaximumLikelihood() if prior is None else MaximumAPosteriori()


def known_estimators() -> dict[str, Any]:
    """The estimators that have a JSON form, by name."""
    from langchain_optscale.stats.estimation import MaximumAPosteriori, MaximumLikelihood
    from langchain_optscale.stats.posterior import Posterior

    return {estimator.__name__: estimator for estimator in (MaximumLikelihood, MaximumAPosteriori, Posterior)}


def no_scores() -> ScoreSums:
    """The sums from which estimates are made, before the first score."""
    from langchain_optscale.stats.estimation import ScoreSums

    return ScoreSums()
