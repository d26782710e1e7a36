"""What is expected of one question's scores before the first of them: the prior of OptScale^t.

Two readings of one prediction. `MaximumAPosteriori` takes the paper's: independent normal priors of mu and sigma around
the predicted mean and standard deviation of the scores, each with a deviation of 0.1 (OptScale, arXiv 2506.22376).
`Posterior` takes the density that the scores of past questions with a similar prediction had, so that it is as sure of
the prediction as the past allows.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.stored import Fields, reading
from langchain_optscale.stats.empirical_prior import EmpiricalPrior

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.stats._dirichlet_mixture import DirichletMixture
    from langchain_optscale.stats._masses import FloatArray

__all__ = ["QUESTION_LAW", "QuestionLaw"]

QUESTION_LAW = "langchain-optscale/question-law"
"""The format of the JSON form."""

_VERSION = 1
_NUMBERS = ("mean", "std", "mean_std", "std_std")


@dataclass(frozen=True)
class QuestionLaw:
    """The predicted law of one question's scores; `QuestionPrior` makes it.

    Attributes:
        mean: Predicted mean of the question's scores, in [0, 1].
        std: Predicted standard deviation of them, in (0, 0.5].
        mean_std: Standard deviation of the error of `mean`, > 0.
        std_std: The same of `std`.
        belief: What the scores of past questions with a similar prediction were like.
        doubtful: Whether the question is unlike those that were learned from, or nothing could be learned from their
            text: all of this is then that of the population.

    Raises:
        SettingsError: A number is out of its range.

    Example:
        >>> law = QuestionLaw(0.9, 0.08, 0.04, 0.03, EmpiricalPrior.fit([[0.9, 0.8, 0.95], [0.85, 0.97, 0.9]] * 5))
        >>> law.mu, law.sigma, law.mu_std, law.sigma_std
        (0.9, 0.08, 0.1, 0.1)
        >>> QuestionLaw.from_dict(law.to_dict()) == law
        True
    """

    mean: float
    std: float
    mean_std: float
    std_std: float
    belief: EmpiricalPrior
    doubtful: bool = False

    mu_std: ClassVar[float] = 0.1
    """The deviation of the prior of mu, as in the paper."""
    sigma_std: ClassVar[float] = 0.1
    """The deviation of the prior of sigma, as in the paper."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.mean <= 1.0:
            raise SettingsError(f"the mean of a question's scores must lie in [0, 1], got {self.mean!r}")
        for name, most in (("std", 0.5), ("mean_std", math.inf), ("std_std", math.inf)):
            value = getattr(self, name)
            if not (0.0 < value <= most and math.isfinite(value)):
                raise SettingsError(f"{name} of a question's law must be a finite number above 0, got {value!r}")

    @property
    def mu(self) -> float:
        """The centre of the prior of mu: the predicted mean, as in the paper."""
        return self.mean

    @property
    def sigma(self) -> float:
        """The centre of the prior of sigma: the predicted standard deviation, as in the paper."""
        return self.std

    @property
    def dirichlet(self) -> DirichletMixture:
        """The Dirichlet-process component of `belief`."""
        return self.belief.dirichlet

    @property
    def reach(self) -> tuple[tuple[float, float, float], ...]:
        """(target, a, b) of `belief`: the law of the chance that a candidate reaches a target."""
        return self.belief.reach

    def prob_reach(self, target: float, k: int, missed: int = 0) -> float | None:
        """P(one of the next k candidates reaches the target), of `belief`; None where it does not know it."""
        return self.belief.prob_reach(target, k, missed)

    def log_density(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """Log density of `belief` in d mu d log(sigma), up to a constant, elementwise."""
        return self.belief.log_density(mu, sigma)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal law back."""
        numbers = {name: value for name, value in asdict(self).items() if name != "belief"}
        return {"format": QUESTION_LAW, "version": _VERSION, **numbers, "belief": self.belief.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QuestionLaw:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: The data is no such law, of a later version, or damaged.
        """
        fields = Fields(data, "the prior of a question")
        if fields.get("format", None) != QUESTION_LAW or fields.get("version", None) != _VERSION:
            raise InvalidRecordError(f"not the prior of a question of format {QUESTION_LAW!r}, version {_VERSION}")
        with reading("the prior of a question"):
            numbers = {name: float(fields.real(name)) for name in _NUMBERS}
            belief = EmpiricalPrior.from_dict(fields.mapping("belief"))
            return cls(**numbers, belief=belief, doubtful=fields.flag("doubtful"))
