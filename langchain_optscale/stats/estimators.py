"""The estimators that sessions use, by name; imported at first use, since they import SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.stats.estimation import Estimator, ScorePrior, ScoreSums

__all__ = ["default_estimator", "estimator_fields", "known_estimators", "no_scores"]


def default_estimator(prior: ScorePrior | None, *, looks_ahead: bool = False) -> Estimator:
    """The estimator where none is named.

    Args:
        prior: The prior, None for none.
        looks_ahead: Whether the rule predicts the next candidates, for which a point estimate is too uncertain.

    Returns:
        `Posterior` where the rule predicts, else the paper's: maximum a posteriori with a prior, maximum likelihood
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


def estimator_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An estimator's fields as they are named now, from a file that may be of version 0.1.0."""
    return {"dirichlet_weight" if name == "any_shape" else name: value for name, value in fields.items()}


def no_scores() -> ScoreSums:
    """The sums from which estimates are made, before the first score."""
    from langchain_optscale.stats.estimation import ScoreSums

    return ScoreSums()
