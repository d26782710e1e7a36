"""OptScale^t: the paper's rule with the prior that it was trained to use, and what a prior must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.stopping.score_rules import OptimalN

if TYPE_CHECKING:
    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.stats.estimation import ScorePrior
    from langchain_optscale.stopping.base import History, Rule

__all__ = ["NUMBERS", "TrainedOptimalN", "carried_prior", "check_prior", "is_prior", "prior_for"]

NUMBERS = ("mu", "sigma", "mu_std", "sigma_std")
"""What every prior has."""


def is_prior(value: object) -> bool:
    """Whether it is the prior of one question, or of all alike, and no function of the question."""
    return all(hasattr(value, name) for name in NUMBERS)


def check_prior(prior: Any) -> ScorePrior | None:
    """The prior of one question.

    Raises:
        SettingsError: It is none.
    """
    if prior is None or is_prior(prior):
        return cast("ScorePrior | None", prior)
    if callable(prior):
        raise SettingsError(f"prior is a function of the question: give its value, prior(question), got {prior!r}")
    raise SettingsError(f"prior must have mu, sigma, mu_std and sigma_std, as FixedPrior has, got {prior!r}")


def carried_prior(rule: Rule | None, prior: Any = None) -> Any:
    """The prior of a search: the one that is given, else the one that its rule brings, or None.

    Args:
        rule: The stopping rule; `paper(..., trained=...)` brings a prior, or a function of the question.
        prior: What is given beside it.

    Raises:
        SettingsError: Both are there, or the rule was stored without its prior and there is none beside it.
    """
    trained = [part for part in rule.parts() if isinstance(part, TrainedOptimalN)] if rule is not None else []
    brought = next((part.prior for part in trained if part.prior is not None), None)
    if brought is not None and prior is not None and prior is not brought:
        raise SettingsError("the rule brings a prior of its own: leave prior= out")
    found = prior if brought is None else brought
    if trained and found is None:
        raise SettingsError("the trained rule was stored without its prior, a function of the question: give prior=")
    return found


def prior_for(prior: Any, question: str) -> ScorePrior | None:
    """The prior of a question: the one for all, or what a function says of this question.

    Args:
        prior: A prior, a function of the question, or None.
        question: The question's text.

    Raises:
        SettingsError: It is none of these, or the function gives something else than a prior.
    """
    if prior is None or is_prior(prior) or not callable(prior):
        return check_prior(prior)
    given = prior(question)
    if is_prior(given):
        return cast("ScorePrior", given)
    raise SettingsError(
        f"prior must give a prior with mu, sigma, mu_std and sigma_std for a question, and {_name(prior)} gave "
        f"{type(given).__name__}"
    )


def _name(function: object) -> str:
    return getattr(function, "__name__", type(function).__name__)


@dataclass(frozen=True)
class TrainedOptimalN(OptimalN):
    """`OptimalN` under the prior that it brings: OptScale^t (arXiv 2506.22376).

    The session's estimator is then `MaximumAPosteriori`, where none is given.

    Args:
        target: As for `OptimalN`.
        confidence: As for `OptimalN`.
        prior: A prior, or a function that gives the prior of a question, such as a `QuestionPrior`. A search asks it
            for its question, and a `Session` must be given the answer. Such a function has no JSON form: a rule that
            is read again has None in its place, and takes the prior of its session.

    Raises:
        SettingsError: A number is out of its range, or the prior is neither.

    Example:
        >>> from langchain_optscale import FixedPrior, Session
        >>> rule = TrainedOptimalN(0.9, 0.95, FixedPrior(mu=0.85, sigma=0.15))
        >>> Session(rule).prior
        FixedPrior(mu=0.85, sigma=0.15, mu_std=0.1, sigma_std=0.1)
    """

    prior: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.prior is None or is_prior(self.prior) or callable(self.prior)):
            raise SettingsError(f"trained must be a prior or a function of the question, got {self.prior!r}")

    def __call__(self, history: History) -> Decision:
        if history.prior is None and self.prior is not None and history.scores:
            from langchain_optscale.stats.estimation import MaximumAPosteriori

            history = replace(
                history, prior=check_prior(self.prior), estimator=history.estimator or MaximumAPosteriori()
            )
        return super().__call__(history)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without a prior that is a function of the question."""
        form = {**super().to_dict(), "prior": None}
        if is_prior(self.prior):
            # Imports NumPy, which deciding by other rules does not need.
            from langchain_optscale.stats.priors import prior_to_dict

            form["prior"] = prior_to_dict(self.prior)
        return form

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Rule:
        """The rule with these settings, its prior read."""
        from langchain_optscale.stats.priors import prior_from_dict

        prior = settings.get("prior")
        if not (prior is None or isinstance(prior, Mapping)):
            raise InvalidRecordError(f"the prior of a rule must be an object, got {type(prior).__name__}")
        return cls(**{**settings, "prior": None if prior is None else prior_from_dict(prior)})
