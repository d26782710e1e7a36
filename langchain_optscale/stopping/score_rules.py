"""Rules on the verifier's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping.base import Rule

if TYPE_CHECKING:
    from langchain_optscale.records.decisions import Decision
    from langchain_optscale.stats.posterior import PosteriorEstimate
    from langchain_optscale.stopping.base import History

__all__ = ["MarginalGain", "OptimalN", "TargetReached"]

# More than anyone draws: an N* at or above it is reported as "no finite N".
_OUT_OF_REACH = 10**9
# The cap that is assumed for the first round where a search has none.
_HORIZON = 64


def _check_target(target: float) -> None:
    if not 0.0 <= target <= 1.0:
        raise SettingsError(f"target must be a score in [0, 1], got {target!r}")


@dataclass(frozen=True)
class TargetReached(Rule):
    """Stop when a score is at or above the target: more candidates cannot meet the goal any better.

    Args:
        target: A score in [0, 1].

    Example:
        >>> from langchain_optscale.stopping import History
        >>> TargetReached(0.9)(History(scores=(0.4, 0.95))).reason.name
        'TARGET_REACHED'
    """

    target: float

    def __post_init__(self) -> None:
        _check_target(self.target)

    def __call__(self, history: History) -> Decision:
        reached = bool(history.scores) and history.best >= self.target
        known = {"best": history.best} if history.scores else {}
        return self._decision(StopReason.TARGET_REACHED, {**known, "target": self.target}, stop=reached)


@dataclass(frozen=True)
class OptimalN(Rule):
    r"""Stop when N* candidates have been scored, and draw up to that number.

    With F the estimated distribution of the scores, the best of N reaches the target with probability 1 - F(target)^N.
    The smallest N for which this is at least the confidence is

        N* = max(1, ceil(log(1 - confidence) / log F(target)))

    (OptScale, arXiv 2506.22376). The rule stops at n >= N*.

    Under the estimator `Posterior` nothing is plugged in: with E the posterior mean over F given the scores D,

        N* = n + min{k >= 0 : P(best of n + k >= target | D) >= confidence}

    where the probability is 1 once a score has reached the target, else 1 - E[F(target)^k | D]; None where N* exceeds
    the cap. As long as the target has not been reached k is at least 1, so the rule then sizes rounds and never stops
    by itself: join it with `Futility`, `MarginalGain` or a cap.

    Repeated interim analyses. With a point estimate, stopping the first time that n >= N* is a sequential procedure,
    whose confidence is that of no fixed N*: an optimistic early estimate may end the search too soon, a pessimistic one
    prolongs it. In simulations it reaches the target more often than promised where it can be reached, and draws 1 to
    1.4 times what an oracle draws that knows F. A single N* from a point estimate of three scores falls up to 0.11
    short of its confidence. Under the posterior an interim analysis can only request more draws, so the confidence is a
    lower bound: `OptimalN | TargetReached` takes 0.3 to 0.5 of the oracle's draws at a confidence of 0.95, and reached
    the target at least that often in every simulated family (docs/honesty.md).

    Args:
        target: A score in [0, 1].
        confidence: The probability, in (0, 1), with which the best of N* should reach the target.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> decision = OptimalN(target=0.9, confidence=0.95)(History(scores=(0.6, 0.85, 0.7, 0.8)))
        >>> decision.stop, decision.optimal_n
        (False, 65)
    """

    target: float
    confidence: float

    def __post_init__(self) -> None:
        _check_target(self.target)
        if not 0.0 < self.confidence < 1.0:
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {self.confidence!r}")

    def __call__(self, history: History) -> Decision:
        bound = self._bound(history)
        figures = {"n": history.n, "target": self.target, "confidence": self.confidence}
        if bound is None:
            return self._decision(StopReason.OPTIMAL_N, figures, stop=False)
        return self._decision(
            StopReason.OPTIMAL_N,
            figures,
            stop=history.n >= bound,
            draw=max(0, bound - history.n - history.pending),
            optimal_n=bound,
        )

    def first_draw(self, history: History) -> int | None:
        """N* before the first score, where `Posterior` is the estimator and a prior was learned from past scores."""
        learned = getattr(history.prior, "prob_reach", None) is not None
        if history.prior is None or not learned or not getattr(history.estimator, "reads_scores", False):
            return None
        from langchain_optscale.stats.chances import least_draws

        return least_draws(history.prior, self.target, self.confidence, history.max_samples or _HORIZON)

    def _bound(self, history: History) -> int | None:
        """N*, None before the first score and where no finite number of candidates reaches the target."""
        if not history.scores:
            return None
        posterior = _posterior(history)
        if posterior is not None:
            if history.best >= self.target:
                return history.n
            left = _OUT_OF_REACH if history.max_samples is None else max(0, history.max_samples - history.n)
            more = posterior.least_k(self.target, self.confidence, left)
            return None if more is None else history.n + more
        from langchain_optscale.stats.best_of_n import optimal_n

        estimate = history.estimate
        bound = optimal_n(
            estimate.mu, estimate.sigma, target=self.target, confidence=self.confidence, max_n=_OUT_OF_REACH
        )
        return bound if bound < _OUT_OF_REACH else None


@dataclass(frozen=True)
class MarginalGain(Rule):
    r"""Stop when one more candidate is expected to raise the best score b by less than `min_gain`.

        E[(S - b)+ | D] = integral_b^1 P(S > x | D) dx < min_gain

    Under `Posterior` by the posterior predictive, under a point estimate by the estimated distribution. It predicts
    one step: after few scores, several candidates may be worth more than one each. It guarantees only that every
    candidate was worth drawing when it was drawn, so repeated interim analyses break no guarantee; they do end some
    searches on a pessimistic early estimate. A prior learned from the verifier's own past scores (`EmpiricalPrior`)
    helps most here: the weak one expects gains that a verifier with a ceiling never gives.

    Args:
        min_gain: A difference of scores in [0, 1]; what a candidate must be worth. With calibrated scores it is a price
            in accuracy.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> decision = MarginalGain(0.02)(History(scores=(0.5, 0.6, 0.95)))
        >>> decision.stop, decision.reason.name
        (True, 'MARGINAL_GAIN')
    """

    looks_ahead: ClassVar[bool] = True

    min_gain: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_gain <= 1.0:
            raise SettingsError(f"min_gain must be a difference of scores in [0, 1], got {self.min_gain!r}")

    def __call__(self, history: History) -> Decision:
        if not history.scores:
            return self._decision(StopReason.MARGINAL_GAIN, {"min_gain": self.min_gain}, stop=False)
        gain = _expected_gain(history)
        figures = {"gain": gain, "best": history.best, "min_gain": self.min_gain}
        return self._decision(StopReason.MARGINAL_GAIN, figures, stop=gain < self.min_gain)


def _posterior(history: History) -> PosteriorEstimate | None:
    """The estimate if it is a whole posterior, None if it is a point."""
    estimate = history.estimate
    # Not by isinstance: importing the class would import SciPy before there is a score.
    return cast("PosteriorEstimate", estimate) if hasattr(estimate, "prob_reach") else None


def _looking_ahead(history: History) -> PosteriorEstimate | None:
    """As `_posterior`; where no estimator was named, as in a hand-made history, the posterior."""
    if history.estimator is not None:
        return _posterior(history)
    from langchain_optscale.stats.posterior import Posterior

    return Posterior()(history.scores, history.prior)


def _expected_gain(history: History) -> float:
    """By how much one more score is expected to raise the best."""
    posterior = _looking_ahead(history)
    if posterior is not None:
        return posterior.expected_gain(history.best)
    from langchain_optscale.stats.best_of_n import expected_gain

    estimate = history.estimate
    return float(expected_gain(estimate.mu, estimate.sigma, best=history.best))
