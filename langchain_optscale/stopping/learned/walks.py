r"""Searches of the past, as an `ImprovedStopping` learns from them.

A search of the past is a `Walk` of its base rule, the states at which the base went on, and a `Trajectory`: what going
on until T gained and cost from there. The worth of an answer is P(right | all candidates of the search),

    w(a) = P'(a),      logit P'(returned) = shift + slope logit P(returned),

with P of `UntrainedPosterior`; the other answers share what is left in the same proportions. `Trust` is (shift, slope):
(0, 1) without labels, and where it is known of past searches whether the returned answer was right, a logistic
regression of that with a normal prior around (0, 1). Worths as probabilities, and not the labels themselves, keep the
variance of the gains small: most labels say little about what one more candidate is worth.

A search that an improved rule has cut short, at its last state, teaches about the earlier ones: beyond the last, A and
R of that rule stand for what was not observed, as in fitted policy evaluation (Bertsekas and Tsitsiklis 1996), so that
no kind of search is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.stopping.base import History
from langchain_optscale.stopping.learned.improved import State, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from langchain_optscale.stopping.base import Rule
    from langchain_optscale.stopping.learned.improved import ImprovedStopping

    FloatArray = NDArray[np.float64]

__all__ = ["PastSearch", "Trajectory", "Trust", "Walk", "walk"]

_LEAST = 1e-3
_TRUST_STD = np.array([1.0, 0.5])
_TRUST_BOUNDS = ((-4.0, 4.0), (0.1, 4.0))


class Trust(NamedTuple):
    """How far P(right) of the untrained posterior can be trusted: logit P' = shift + slope logit P.

    Attributes:
        shift: 0 where it is right on average; below 0 where returned answers are right less often than it says.
        slope: 1 where it is as sure as it should be; below 1 where it is too sure.
    """

    shift: float = 0.0
    slope: float = 1.0

    @classmethod
    def fit(cls, searches: Iterable[PastSearch]) -> Trust:
        """Fit it to the searches of which it is known whether the returned answer is right; (0, 1) without any."""
        pairs = [(search.returned_probability, search.correct) for search in searches if search.correct is not None]
        if not pairs:
            return cls()
        logits = np.array([_logit(probability) for probability, _ in pairs])
        signs = np.array([1.0 if correct else -1.0 for _, correct in pairs])

        def loss(values: FloatArray) -> float:
            away = (values - (0.0, 1.0)) / _TRUST_STD
            return float(np.logaddexp(0.0, -signs * (values[0] + values[1] * logits)).sum() + 0.5 * away @ away)

        from scipy import optimize  # loaded where there are labels

        shift, slope = optimize.minimize(loss, np.array([0.0, 1.0]), method="L-BFGS-B", bounds=_TRUST_BOUNDS).x
        return cls(float(shift), float(slope))

    def __call__(self, probability: float) -> float:
        """P' for a P in [0, 1]."""
        return 1.0 / (1.0 + math.exp(-(self.shift + self.slope * _logit(probability))))


@dataclass(frozen=True)
class PastSearch:
    """What is known of a search of the past.

    Attributes:
        scores: In the order of arrival.
        answers: As many: equal strings for equal answers, None for none.
        cap: The most candidates that it might have drawn.
        returned: The answer that was returned, None for none.
        correct: Whether that is right; None where it is unknown.
    """

    scores: tuple[float, ...]
    answers: tuple[str | None, ...]
    cap: int
    returned: str | None = None
    correct: bool | None = None

    @cached_property
    def probabilities(self) -> Mapping[str, float]:
        """P(right) of each of its answers, without labels."""
        return UntrainedPosterior.of(self.answers, self.scores).probabilities

    @property
    def returned_probability(self) -> float:
        """P(right) of the returned answer, without labels; 0 where there is none."""
        return 0.0 if self.returned is None else self.probabilities.get(self.returned, 0.0)

    def worths(self, trust: Trust = Trust()) -> dict[str, float]:  # noqa: B008 - it is a constant
        """P(right) of each of its answers, as far as `trust` goes."""
        known = self.probabilities
        if trust == (0.0, 1.0) or self.returned is None or self.returned not in known:
            return dict(known)
        before = known[self.returned]
        after = trust(before)
        rest = (1.0 - after) / max(1.0 - before, _LEAST)
        return {answer: after if answer == self.returned else min(1.0, p * rest) for answer, p in known.items()}


@dataclass(frozen=True)
class Walk:
    """A search as its base rule goes through it, whatever is known about right and wrong.

    Attributes:
        states: Where the base goes on and an improved rule has a say, in order.
        counts: Candidates at these states.
        picks: The answer that would be returned at each of them.
        end: T, how many candidates the base takes; fewer where the search was stopped before that.
        last: The answer returned at the end.
        cap: N.
        complete: Whether the base stops at the end; otherwise an improved rule did, at the last state.
    """

    states: tuple[State, ...]
    counts: tuple[int, ...]
    picks: tuple[str | None, ...]
    end: int
    last: str | None
    cap: int
    complete: bool = True

    def trajectory(self, worths: Mapping[str, float], rule: ImprovedStopping | None = None) -> Trajectory | None:
        """What going on gained and cost at each state.

        Args:
            worths: What the answers of the search are worth, see `PastSearch.worths`.
            rule: What the base would have gained after an improved rule stopped the search is taken from this rule.

        Returns:
            The trajectory; None where the search was stopped early and no rule is given, or something else stopped it.
        """
        final, cost, states = _worth(worths, self.last), 0.0, self.states
        if not self.complete:
            if rule is None or not states or self.counts[-1] != self.end:
                return None
            # Nothing was observed beyond the last state, so that it teaches nothing itself.
            gain, cost = rule.values(states[-1])
            final += gain
            states = states[:-1]
        used = range(len(states))
        return Trajectory(
            states,
            tuple(final - _worth(worths, self.picks[place]) for place in used),
            tuple((self.end - self.counts[place]) / self.cap + cost for place in used),
        )

    def stopped_by(self, rule: ImprovedStopping) -> int | None:
        """At which of the states an improved rule with the same base stops; None where it stops with its base."""
        for place, state in enumerate(self.states):
            if rule.stops(state):
                return place
        return None


@dataclass(frozen=True)
class Trajectory:
    """What going on gained and cost at the states of one search.

    Attributes:
        states: Where the base went on and the improved rule has a say.
        gains: y_T - y_n at each of them.
        costs: (T - n) / N at each of them.
    """

    states: tuple[State, ...]
    gains: tuple[float, ...]
    costs: tuple[float, ...]


def walk(search: PastSearch, base: Rule) -> Walk:
    """The search as `base` goes through it, up to where `base` stops or the search ended.

    Args:
        search: With a score and an answer, or None, for each candidate, and at least one.
        base: The rule to improve.
    """
    states, counts, picks = [], [], []
    complete, n = False, 0
    for n in range(1, len(search.scores) + 1):
        history = History(scores=search.scores[:n], answers=search.answers[:n], max_samples=search.cap)
        decision = base(history)
        if complete := decision.stop or n >= search.cap:
            break
        if (state := state_of(history, decision)) is not None:
            states.append(state)
            counts.append(n)
            picks.append(search.answers[state.place])
    place = UntrainedPosterior.of(search.answers[:n], search.scores[:n]).place
    last = None if place is None else search.answers[place]
    return Walk(tuple(states), tuple(counts), tuple(picks), n, last, search.cap, complete)


def _worth(worths: Mapping[str, float], answer: str | None) -> float:
    return 0.0 if answer is None else worths.get(answer, 0.0)


def _logit(probability: float) -> float:
    bounded = min(max(probability, _LEAST), 1.0 - _LEAST)
    return math.log(bounded / (1.0 - bounded))
