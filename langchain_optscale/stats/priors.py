"""Priors of a question's scores.

`FixedPrior` has four numbers, `EmpiricalPrior` is learned from the scores of past questions, and `QuestionLaw` is what
a predictor (`learning.QuestionPrior`) expects of one question:

    prior = EmpiricalPrior.fit([[0.91, 0.93, 0.92], [0.31, 0.35], [0.95, 0.94, 0.97]])
    OptScale(policy=policy, verifier=verifier, estimator=Posterior(), prior=prior)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.stored import Fields, reading

if TYPE_CHECKING:
    from langchain_optscale.stats.empirical_prior import EmpiricalPrior
    from langchain_optscale.stats.question_law import QuestionLaw

__all__ = ["EmpiricalPrior", "FixedPrior", "QuestionLaw", "prior_from_dict", "prior_to_dict"]

_QUESTION_LAW = "langchain-optscale/question-law"
_LEAST_STORED, _MOST_STORED = 1e-6, 1e6


def __getattr__(name: str) -> Any:
    # Imported on demand, since they import SciPy.
    if name == "EmpiricalPrior":
        return _empirical_prior()
    if name == "QuestionLaw":
        return _question_law()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _empirical_prior() -> type[EmpiricalPrior]:
    from langchain_optscale.stats.empirical_prior import EmpiricalPrior

    return EmpiricalPrior


def _question_law() -> type[QuestionLaw]:
    from langchain_optscale.stats.question_law import QuestionLaw

    return QuestionLaw


@dataclass(frozen=True)
class FixedPrior:
    """Independent normal priors of mu and sigma, the same for every question.

    The paper's OptScale^t uses a standard deviation of 0.1 for both (arXiv 2506.22376).

    Args:
        mu: Expected location of the score distribution; a finite number, it may lie outside [0, 1].
        sigma: Expected scale of the score distribution, > 0.
        mu_std: Standard deviation of the prior of mu, > 0.
        sigma_std: Standard deviation of the prior of sigma, > 0.

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


def prior_to_dict(prior: Any) -> dict[str, Any]:
    """JSON-ready form of a prior; `prior_from_dict` gives an equal one back.

    Args:
        prior: A `FixedPrior`, an `EmpiricalPrior` or a `QuestionLaw`.

    Raises:
        InvalidRecordError: It is none of these, so that it has no JSON form.

    Example:
        >>> prior_to_dict(FixedPrior(mu=0.85, sigma=0.15))
        {'mu': 0.85, 'sigma': 0.15, 'mu_std': 0.1, 'sigma_std': 0.1}
        >>> prior_from_dict(prior_to_dict(FixedPrior(mu=0.85, sigma=0.15)))
        FixedPrior(mu=0.85, sigma=0.15, mu_std=0.1, sigma_std=0.1)
    """
    if type(prior) is FixedPrior:
        return asdict(prior)
    if type(prior) in (_empirical_prior(), _question_law()):
        form: dict[str, Any] = prior.to_dict()
        return form
    raise InvalidRecordError(f"a {type(prior).__name__} has no JSON form; use a FixedPrior or an EmpiricalPrior")


def prior_from_dict(data: Mapping[str, Any]) -> FixedPrior | EmpiricalPrior | QuestionLaw:
    """Read what `prior_to_dict` wrote.

    Raises:
        InvalidRecordError: The data is no prior, of a later version, or damaged.
    """
    if not isinstance(data, Mapping):
        raise InvalidRecordError(f"a prior must be a JSON object, got {data!r}")
    if data.get("format") == _QUESTION_LAW:
        return _question_law().from_dict(data)
    if "format" in data:
        return _empirical_prior().from_dict(data)
    with reading("the prior"):
        fields = Fields(data, "a prior")
        for name in ("mu", "sigma", "mu_std", "sigma_std"):
            # What is beyond these overflows in an estimate, and says nothing of scores in [0, 1].
            size = abs(fields.real(name, 0.1))
            if size > _MOST_STORED or (name != "mu" and size < _LEAST_STORED):
                raise InvalidRecordError(f"{name} of a prior must lie in [{_LEAST_STORED:g}, {_MOST_STORED:g}]")
        return FixedPrior(**data)
