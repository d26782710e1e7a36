r"""The posterior over the law of a question's scores, and what it predicts.

Symbols: D = x_1 .. x_n the observed scores, f(x; mu, sigma) the truncated normal of `truncnorm`, p(mu, sigma) the
prior, F the CDF of the next scores' law, E[ | D] the posterior mean. The posterior is

    p(mu, sigma | D) ~ p(mu, sigma) prod_i P(x_i | mu, sigma)

where P is f on a continuous scale, and where a verifier answers in steps of r, the mass of all scores that round to
x_i: integral of f from x_i - r/2 to x_i + r/2, cut to [0, 1]. It is summed over a fixed grid (`_posterior_grid`).

A second component is mixed in: Dirichlet processes (`_dirichlet_mixture`), since scores of right and wrong candidates
have two peaks. Bayes' rule weights the two components by how well each predicted D.

A point estimate in the bound of the paper (OptScale, arXiv 2506.22376) ignores the uncertainty after a few scores. The
posterior predictive E[F(s)^k | D] does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import Estimate
from langchain_optscale.stats import _posterior_grid as grids
from langchain_optscale.stats._evidence import Evidence, steps_of
from langchain_optscale.stats._predictive import Predictive
from langchain_optscale.stats._weak_prior import BeliefPrior, at_nodes, believed, by_sums

if TYPE_CHECKING:
    from langchain_optscale.stats._masses import FloatArray
    from langchain_optscale.stats.estimation import ScorePrior, Scores

__all__ = ["BeliefPrior", "Posterior", "PosteriorEstimate"]

# Beyond exp(-13) of the peak lie 2e-6 of a normal posterior in two dimensions.
_NEGLIGIBLE = 13.0

_NO_PRIOR: tuple[None, float] = (None, 0.0)
_NOTHING: FloatArray = np.empty(0)
_LARGEST_LOG_ODDS = 600.0


class PosteriorEstimate(Estimate):
    """An estimate with its posterior predictive.

    `mu` and `sigma` are the posterior means under the truncated normal, for display; the methods use the whole
    posterior. It equals the plain `Estimate` with the same numbers, which is what a record keeps of it.

    Where scores come in steps, "reaches s" means the least step that is s or more. On a continuous scale scores are
    taken to be known to 0.01, so that a target above 0.995 is reached by what reaches 0.995.

    Example:
        >>> from langchain_optscale.stats import Posterior
        >>> estimate: PosteriorEstimate = Posterior()([0.62, 0.71, 0.55, 0.8])
        >>> round(estimate.prob_reach(0.9, 8), 2), round(estimate.expected_gain(0.8), 3)
        (0.37, 0.017)
    """

    __slots__ = ("_predictive",)

    _predictive: Predictive

    @classmethod
    def _of(cls, mu: float, sigma: float, n: int, predictive: Predictive) -> PosteriorEstimate:
        estimate = cls(mu, sigma, "posterior", n)
        object.__setattr__(estimate, "_predictive", predictive)
        return estimate

    def __eq__(self, other: object) -> bool:
        return self.summary() == (other.summary() if isinstance(other, PosteriorEstimate) else other)

    def __hash__(self) -> int:
        return hash(self.summary())

    def prob_next(self, score: float) -> float:
        """P(S >= score | D) of the next score S, in [0, 1]; arguments and errors as for `prob_reach`."""
        return self.prob_reach(score, 1)

    def prob_reach(self, score: float, k: int) -> float:
        """Probability that at least one of the next k scores reaches a score.

        P(max of the next k >= s | D) = 1 - E[F(s)^k | D]

        Args:
            score: s, in [0, 1].
            k: How many scores, at least 0.

        Returns:
            A probability, rising in k and falling in s.

        Raises:
            SettingsError: An argument is out of its range.

        Example:
            >>> estimate = Posterior()([0.7, 0.8, 0.75])
            >>> 0.0 < estimate.prob_reach(0.9, 4) < estimate.prob_reach(0.9, 16) < 1.0
            True
        """
        _check_score("score", score)
        _check_count("k", k, least=0)
        return 1.0 - self._predictive.miss(score, float(k))

    def least_k(self, score: float, confidence: float, max_k: int = 10**9) -> int | None:
        """How many more scores reach a score with the asked confidence: the paper's N* under the posterior.

        min { k >= 1 : 1 - E[F(s)^k | D] >= confidence }

        The confidence is that of the posterior: over questions whose laws follow the prior it is kept, also among
        those that have not reached the score. After three scores of laws unlike the weak prior, such as broad Beta laws
        in steps of 0.1, it was kept 0.77-0.85 times where 0.9 was asked for (`docs/honesty.md`, "A single analysis").

        Args:
            score: s, in [0, 1].
            confidence: In (0, 1).
            max_k: The largest k of interest, at least 0; a small one is found faster.

        Returns:
            The least k, None where it exceeds `max_k`.

        Raises:
            SettingsError: An argument is out of its range.

        Example:
            >>> Posterior()([0.7, 0.8, 0.75]).least_k(0.85, 0.5)
            4
            >>> Posterior()([0.7, 0.8, 0.75]).least_k(0.99, 0.95, max_k=64) is None
            True
        """
        _check_score("score", score)
        if not 0.0 < confidence < 1.0:
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {confidence!r}")
        _check_count("max_k", max_k, least=0)
        return self._predictive.least_count(score, 1.0 - confidence, max_k) if max_k else None

    def expected_gain(self, best: float) -> float:
        """By how much one more score is expected to raise the best one.

        E[(S - best)+ | D] = integral_best^1 P(S > x | D) dx

        Args:
            best: The best score so far, in [0, 1]; 0 where there is none.

        Returns:
            A gain in [0, 1].

        Raises:
            SettingsError: `best` is out of its range.

        Example:
            >>> estimate = Posterior()([0.7, 0.8, 0.75])
            >>> 0.0 < estimate.expected_gain(0.9) < estimate.expected_gain(0.8) < 0.1
            True
        """
        _check_score("best", best)
        return self._predictive.gain(best)

    def quantile_of_best(self, k: int, q: float) -> float:
        """The score that the best of the next k stays at or below with probability q.

        min { s : P(max of the next k <= s | D) >= q }

        Args:
            k: How many scores, at least 1.
            q: In (0, 1).

        Returns:
            A score in [0, 1]; one of the steps where scores come in steps.

        Raises:
            SettingsError: An argument is out of its range.

        Example:
            >>> estimate = Posterior()([0.7, 0.8, 0.75])
            >>> 0.7 < estimate.quantile_of_best(1, 0.5) < estimate.quantile_of_best(8, 0.5) < 1.0
            True
        """
        _check_count("k", k, least=1)
        if not 0.0 < q < 1.0:
            raise SettingsError(f"q must lie strictly between 0 and 1, got {q!r}")
        return self._predictive.quantile_of_best(k, q)


@dataclass(frozen=True)
class Posterior:
    """Bayesian estimator: averages over every truncated normal that the scores leave plausible.

    Its estimate is defined for every list of scores, the empty one included, and does not depend on their order or on
    jitter. Saturated, constant or single scores leave a wide posterior instead of sigma -> 0.

    Without a prior, mu ~ normal(0.75, 0.35) and log sigma ~ normal(log 0.15, 0.8). A prior with `mu`, `sigma`, `mu_std`
    and `sigma_std` makes both normal; an `EmpiricalPrior` brings its own density and
    its own Dirichlet-process component.

    Attributes:
        resolution: The steps in which the verifier answers: above 1/40 a whole part of 1, as 0.05 or 0.1, and scores
            are intervals; finer ones widen sigma alone. None infers it from the scores, see `infer_steps`.
        dirichlet_weight: Prior probability, in [0, 1), of the Dirichlet-process component, whose scores follow no
            truncated normal; an empirical prior brings its own. 0 leaves the truncated normal alone.

    Raises:
        SettingsError: A number is out of its range.

    Example:
        >>> estimate = Posterior()([0.62, 0.71, 0.55, 0.8])
        >>> round(estimate.prob_reach(0.9, 8), 2), estimate.least_k(0.8, 0.9)
        (0.37, 27)
        >>> round(Posterior()([1.0, 1.0]).prob_next(0.95), 2)
        0.68
    """

    reads_scores: ClassVar[bool] = True
    """Sums alone would hide steps and a second peak, so a history passes the scores themselves."""

    resolution: float | None = None
    dirichlet_weight: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 <= self.dirichlet_weight < 1.0:
            raise SettingsError(f"dirichlet_weight must be a probability below 1, got {self.dirichlet_weight!r}")
        if self.resolution is None:
            return
        if not 0.0 < self.resolution <= 0.5:
            raise SettingsError(f"resolution must lie in (0, 0.5], got {self.resolution!r}")
        if steps_of(self.resolution) and abs(self.resolution * steps_of(self.resolution) - 1.0) > 1e-6:
            raise SettingsError(f"a resolution above 1/40 must be a whole part of 1, got {self.resolution!r}")

    def __call__(self, scores: Scores, prior: ScorePrior | None = None) -> PosteriorEstimate:
        """The posterior after some scores.

        Args:
            scores: The scores, each in [0, 1]. Their sums alone suffice too, but show neither steps nor a second
                peak, so that only the truncated normal on a continuous scale is used.
            prior: The prior, None for the weak default.

        Returns:
            The estimate with its posterior predictive.

        Raises:
            InvalidScoreError: A score is nan or outside [0, 1].
            SettingsError: The prior's numbers are not finite or its deviations not positive.
        """
        key, worth = _NO_PRIOR if prior is None else believed(prior)
        evidence = Evidence.of(scores, self.resolution)
        level = evidence.level(worth)
        log_prior, mixture = at_nodes(key, level, self.dirichlet_weight)
        if evidence.steps or not evidence.n:
            log_weights = log_prior + evidence.log_likelihood(level)
        else:
            log_weights = evidence.sums @ by_sums(key, level, self.dirichlet_weight, evidence.resolution)
        peak = float(log_weights[log_weights.argmax()])
        nodes = (log_weights > peak - _NEGLIGIBLE).nonzero()[0]
        weights = log_weights.take(nodes)
        weights -= peak
        np.exp(weights, weights)
        total, mu, sigma = (grids.grid(level).averaged.take(nodes, axis=1) @ weights).tolist()

        odds: list[float] = []
        if mixture.weight and evidence.values is not None:
            # Bayes' factor of the two models: each one's probability of the scores.
            known = peak + math.log(total)
            logs = (evidence.log_dirichlet(mixture) + mixture.log_odds).tolist()
            odds = [math.exp(min(log - known, _LARGEST_LOG_ODDS)) for log in logs]
        whole = 1.0 + math.fsum(odds)
        weights /= total * whole
        of_processes = tuple([one / whole for one in odds])
        values = _NOTHING if evidence.values is None else evidence.values
        return PosteriorEstimate._of(  # noqa: SLF001 - made nowhere else
            mu / total,
            sigma / total,
            evidence.n,
            Predictive(level, nodes, weights, mixture, of_processes, values, evidence.steps),
        )


def _check_score(name: str, score: float) -> None:
    if not 0.0 <= score <= 1.0:
        raise SettingsError(f"{name} must lie in [0, 1], got {score!r}")


def _check_count(name: str, count: int, *, least: int) -> None:
    if not least <= count < math.inf:
        raise SettingsError(f"{name} must be a whole number of at least {least}, got {count!r}")
