r"""A prior learned from the score lists of past questions.

Each past question q has its own (mu, sigma), drawn from a density p that all questions share. The density is a mixture
of many normal bumps in (mu, log sigma) with fixed centres; their weights maximise the marginal likelihood

    sum_q log( (1 - w) sum_j w_j P(D_q | bump j) + w sum_a v_a P(D_q | Dirichlet process a) )

plus a little of the default prior, by expectation-maximisation: a smooth form of the nonparametric maximum likelihood
of Laird, Journal of the American Statistical Association 73 (1978).
Questions that follow no truncated normal fall into a few kinds, each with its own histogram (`_dirichlet_fit`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.forks import cached_property
from langchain_optscale.records.json_file import JSONFile
from langchain_optscale.records.stored import Fields, check_plain, reading
from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats._dirichlet_fit import improved_mixture, starting_mixture
from langchain_optscale.stats._dirichlet_mixture import DirichletMixture
from langchain_optscale.stats._evidence import Evidence, infer_steps
from langchain_optscale.stats._scipy import special
from langchain_optscale.stats._weak_prior import weak_log_density
from langchain_optscale.stats.chances import PLACES, fit_chances, prob_reach, reached_counts
from langchain_optscale.stats.reaching import reach_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from langchain_optscale.stats._masses import FloatArray
    from langchain_optscale.stats.chances import Chances

__all__ = ["EmpiricalPrior"]

_FORMAT = "langchain-optscale/empirical-prior"
_VERSION = 1

# Bumps overlap: each is about as wide as the distance to the next.
_MU_CENTRES: FloatArray = np.linspace(-0.4, 1.4, 16)
_MU_STD = 0.1
_LOG_SIGMA_CENTRES: FloatArray = np.linspace(math.log(grids.SIGMA_LOW), math.log(grids.SIGMA_HIGH), 10)
_LOG_SIGMA_STD = 0.35
# Of a bump further out than this no part of any use lies in the region.
_LEAST_INSIDE = 0.3

# How many questions the default prior counts for.
_PSEUDO_QUESTIONS = 2.0
_DIRICHLET_WEIGHT = 0.2
_STEPS = 60
# Of a stored prior no number is larger; a fit stays far below both.
_MOST_STORED = 1e4
_MOST_LOG_SIGMA = 20.0
# Where no score of many reached a target, b of its law grows with their number.
_MOST_REACH = 1e9
_LEAST_STRENGTH = 1e-6
# Bumps with less weight are left out: they lengthen the JSON and change nothing.
_LEAST_WEIGHT = 1e-4


@dataclass(frozen=True)
class EmpiricalPrior(JSONFile):
    """A prior of the next question's scores learned from past questions; make it by `fit`.

    `Posterior` uses all of it, `MaximumAPosteriori` its moments `mu`, `sigma`, `mu_std` and `sigma_std`.

    Attributes:
        bumps: (mu, log sigma, weight) of each bump; the weights sum to one.
        dirichlet: The Dirichlet-process component: how often, and how, past scores followed no truncated normal.
        reach: (target, a, b): the law Beta(a, b) of the chance that a candidate reaches the target, see `reaching`:
            the careful one, by which a search may stop for futility.
        chances: (target, weights): the law of that chance without any shape, see `chances`: by which the first round
            is sized. Empty in files of version 0.1.0.

    Raises:
        SettingsError: There is no bump, or a number is out of its range.

    Example:
        >>> past = [[0.91, 0.93, 0.92], [0.31, 0.35, 0.33], [0.95, 0.94, 0.97], [0.42, 0.4, 0.39]] * 5
        >>> prior = EmpiricalPrior.fit(past)
        >>> from langchain_optscale.stats.posterior import Posterior
        >>> Posterior()([0.92], prior).prob_next(0.85) > 0.9 > Posterior()([0.92]).prob_next(0.85)
        True
        >>> EmpiricalPrior.from_dict(prior.to_dict()) == prior
        True
    """

    bumps: tuple[tuple[float, float, float], ...]
    dirichlet: DirichletMixture
    reach: tuple[tuple[float, float, float], ...] = ()
    chances: Chances = ()

    def __post_init__(self) -> None:
        numbers = np.array(self.bumps, dtype=np.float64).reshape(len(self.bumps), -1)
        if numbers.shape[1:] != (3,) or not np.isfinite(numbers).all() or not (numbers[:, 2] > 0.0).all():
            raise SettingsError("an empirical prior needs bumps of three finite numbers, the third one positive")

    @cached_property
    def _hash(self) -> int:
        return hash((self.bumps, self.dirichlet, self.reach, self.chances))

    def __hash__(self) -> int:
        # Cached grid values are looked up by it at every score.
        return self._hash

    @classmethod
    def fit(cls, score_lists: Sequence[Sequence[float]]) -> Self:
        """Learn from the scores of past questions.

        Args:
            score_lists: The scores of each question, in [0, 1]; lists may differ in length, and 50 questions with 3
                scores each are a good start.

        Returns:
            The prior.

        Raises:
            SettingsError: There is no score at all.
            InvalidScoreError: A score is nan or outside [0, 1].
        """
        known = [scores for scores in score_lists if len(scores)]
        if not known:
            raise SettingsError("an empirical prior needs at least one list with a score in it")
        # The verifier's steps are inferred from all lists together.
        steps = infer_steps([score for scores in known for score in scores])
        evidence = [Evidence.of(scores, 1.0 / steps if steps else 1e-6) for scores in known]
        lists = [np.array(scores, dtype=np.float64) for scores in known]
        mixture = starting_mixture(lists, steps, _DIRICHLET_WEIGHT)
        counts = np.array([mixture.counts(scores) for scores in lists], dtype=np.float64)
        level = max(each.level() for each in evidence)
        centres, log_bumps, weak = _bumps(level)
        logs = np.empty((len(known), len(centres)))
        for row, each in enumerate(evidence):
            likelihood = np.asarray(each.log_likelihood(level))
            peak = float(likelihood.max())
            logs[row] = np.log(np.exp(log_bumps) @ np.exp(likelihood - peak) + 1e-300) + peak

        start = np.concatenate([(1.0 - _DIRICHLET_WEIGHT) * weak, _DIRICHLET_WEIGHT * np.array(mixture.shares)])
        weights = start
        for _ in range(_STEPS):
            of_processes = np.array([each.log_dirichlet(mixture) for each in evidence])
            joint = np.concatenate([logs, of_processes], axis=1)
            shares = np.exp(joint - joint.max(axis=1, keepdims=True)) * weights
            shares /= shares.sum(axis=1, keepdims=True)
            weights = (shares.sum(axis=0) + _PSEUDO_QUESTIONS * start) / (len(known) + _PSEUDO_QUESTIONS)
            mixture = improved_mixture(mixture, counts, shares[:, len(centres) :], weights[len(centres) :])

        of_bumps = weights[: len(centres)]
        is_kept = of_bumps > _LEAST_WEIGHT * of_bumps.sum()
        bumps = np.column_stack([centres[is_kept], of_bumps[is_kept] / of_bumps[is_kept].sum()])
        kept = tuple((mu, log_sigma, weight) for mu, log_sigma, weight in bumps.tolist())
        plain = [scores.tolist() for scores in lists]
        return cls(kept, mixture, reach_table(plain), fit_chances(*reached_counts(plain)))

    def prob_reach(self, target: float, k: int, missed: int = 0) -> float | None:
        """P(one of the next k candidates of a question reaches the target), in [0, 1].

        Args:
            target: In [0, 1].
            k: At least 0.
            missed: How many candidates have missed it, at least 0; nothing else is known of their scores.

        Returns:
            The probability; None in a prior of version 0.1.0, which does not know it.

        Example:
            >>> prior = EmpiricalPrior.fit([[0.2, 0.97], [0.3, 0.1]] * 20)
            >>> round(prior.prob_reach(0.95, 2), 2)
            0.44
        """
        return prob_reach(self.chances, target, k, missed) if self.chances else None

    def log_density(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """Log density in d mu d log(sigma), up to a constant, elementwise over flat arrays."""
        centres, weights = self._numbers[:, :2], self._numbers[:, 2]
        level = [_log_bump(mu, np.log(sigma), centre) + math.log(w) for centre, w in zip(centres, weights, strict=True)]
        total: FloatArray = special.logsumexp(np.array(level), axis=0)
        return total

    @cached_property
    def _numbers(self) -> FloatArray:
        return np.array(self.bumps)

    def _mean(self, values: FloatArray) -> float:
        return float(values @ self._numbers[:, 2] / self._numbers[:, 2].sum())

    @property
    def mu(self) -> float:
        """Mean of mu."""
        return self._mean(self._numbers[:, 0])

    @property
    def mu_std(self) -> float:
        """Standard deviation of mu."""
        return math.sqrt(self._mean((self._numbers[:, 0] - self.mu) ** 2) + _MU_STD**2)

    @property
    def sigma(self) -> float:
        """Mean of sigma."""
        return self._mean(np.exp(self._numbers[:, 1] + 0.5 * _LOG_SIGMA_STD**2))

    @property
    def sigma_std(self) -> float:
        """Standard deviation of sigma."""
        squares = self._mean(np.exp(2.0 * self._numbers[:, 1] + 2.0 * _LOG_SIGMA_STD**2))
        return math.sqrt(squares - self.sigma**2)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` gives an equal prior back."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "bumps": [list(bump) for bump in self.bumps],
            "dirichlet": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self.dirichlet).items()
            },
            **({"reach": [list(row) for row in self.reach]} if self.reach else {}),
            **({"chances": [[target, list(weights)] for target, weights in self.chances]} if self.chances else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: The data is not an empirical prior, of a later version, or damaged.
        """
        given = data if isinstance(data, Mapping) else {}
        if given.get("format") != _FORMAT or given.get("version") != _VERSION:
            raise InvalidRecordError(f"not an empirical prior of format {_FORMAT!r}, version {_VERSION}")
        check_plain(data, "an empirical prior")
        with reading("the empirical prior"):
            # "any_shape" is the key of version 0.1.0.
            mixture = data["dirichlet"] if "dirichlet" in data else data["any_shape"]
            parts = {name: tuple(map(_number, mixture[name])) for name in ("strengths", "shares", "edges")}
            bases = tuple(tuple(map(_number, base)) for base in mixture["bases"])
            bumps = tuple((_number(mu), _number(log_sigma), _number(weight)) for mu, log_sigma, weight in data["bumps"])
            reach = tuple((_number(at), _number(a), _number(b)) for at, a, b in data.get("reach", ()))
            chances = tuple((_number(at), tuple(map(_number, weights))) for at, weights in data.get("chances", ()))
            known = DirichletMixture(weight=_number(mixture["weight"]), bases=bases, **parts)
            prior = cls(bumps, known, reach, chances)
            _check_stored(prior)
            return prior


def _number(value: object) -> float:
    """A number as stored; text that spells one, such as "nan", is none."""
    return float(Fields({"number": value}, "an empirical prior").real("number"))


def _check_stored(prior: EmpiricalPrior) -> None:
    """Refuse numbers that no fit gives, before they overflow in an estimate.

    Raises:
        InvalidRecordError: There are such numbers.
    """
    mixture, numbers = prior.dirichlet, np.array(prior.bumps)
    edges, bases = np.array(mixture.edges), np.array(mixture.bases)
    strengths, shares = np.array(mixture.strengths), np.array(mixture.shares)
    kinds = len(strengths)
    sound = (
        np.abs(numbers).max() <= _MOST_STORED
        and np.abs(numbers[:, 1]).max() <= _MOST_LOG_SIGMA
        and 0.0 <= mixture.weight < 1.0
        and 0 < kinds == len(shares)
        and bases.shape == (kinds, len(edges) - 1)
        and edges[0] == 0.0
        and edges[-1] == 1.0
        and bool((np.diff(edges) > 0.0).all())
        and strengths.min() >= _LEAST_STRENGTH
        and strengths.max() <= _MOST_STORED
        and bool((shares >= 0.0).all())
        and bool((bases > 0.0).all())
        and bool(np.isclose(shares.sum(), 1.0))
        and all(0.0 <= at <= 1.0 and min(a, b) > 0.0 and max(a, b) <= _MOST_REACH for at, a, b in prior.reach)
        and bool(np.isclose(bases.sum(axis=1), 1.0).all())
        and all(0.0 <= at <= 1.0 and _is_law(weights) for at, weights in prior.chances)
        and sorted(at for at, _ in prior.chances) == [at for at, _ in prior.chances]
    )
    if not sound:
        raise InvalidRecordError("an empirical prior has numbers that do not fit together")


def _is_law(weights: tuple[float, ...]) -> bool:
    return len(weights) == len(PLACES) and min(weights) >= 0.0 and math.isclose(math.fsum(weights), 1.0, abs_tol=1e-6)


def _log_bump(mu: FloatArray, log_sigma: FloatArray, centre: FloatArray) -> FloatArray:
    off_mu, off_sigma = (mu - centre[0]) / _MU_STD, (log_sigma - centre[1]) / _LOG_SIGMA_STD
    logs: FloatArray = -0.5 * (off_mu * off_mu + off_sigma * off_sigma)
    return logs - math.log(2.0 * math.pi * _MU_STD * _LOG_SIGMA_STD)


def _bumps(level: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centres (bumps, 2), log probability of each node (bumps, nodes), and each bump's weight in the weak prior."""
    at = grids.grid(level)
    log_sigma = np.log(at.sigma)
    centres = np.array([(mu, log) for mu in _MU_CENTRES for log in _LOG_SIGMA_CENTRES])
    logs = np.array([_log_bump(at.mu, log_sigma, centre) for centre in centres]) + at.log_area
    inside = np.exp(logs).sum(axis=1)
    is_inside = inside > _LEAST_INSIDE
    centres = centres[is_inside]
    weak = np.exp(weak_log_density(centres[:, 0], centres[:, 1]))
    return centres, logs[is_inside], weak / weak.sum()
