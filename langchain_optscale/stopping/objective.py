r"""The default's rule: one objective, computed after every candidate.

Symbols: D what is known, n candidates so far, N the cap, m = N - n those still allowed (less the failed ones), c the
price of a candidate.

    V(D) = max( value(D), max_(k <= m) E[V(D + k more) | D] - c k )

The search ends when no number of further candidates is worth its price:

    (E[value(D + k more) | D] - value(D)) / k < c     for every k looked at, up to m

E[V] is replaced by E[value], a lower bound: what is gained by stopping in between is left out.

**With answers** value is the share of the support (`answers.support`) that the returned answer has: how often a further
candidate would agree with it, counted by the odds of its score. `stopping.answer_gains` has what k further answers are
expected to add to it. **With scores alone** value is the best score, and one more candidate is expected to raise it by
`stopping.record_values.record_gain`; the gain per candidate falls with k, so k = 1 decides. **With a target** value is
whether it has been reached: where there are no answers the first score that reaches it ends the search, and no price
does while the target is neither reached nor out of reach.

The price is derived from the cap where none is given, c = lambda / N: what the whole cap may cost, in the unit of the
value. Votes alone take lambda 16 / N, between half of lambda and twice of it: on recorded pools agreement repays more
patience where the cap is large; so do answers whose candidates all weigh the same, which only their votes tell apart.

**A check**, whose scores are all 0 or 1, may err: a wrong answer that it passed would be returned, however few of the
votes it has. With P the untrained probability that the returned answer is right (`answers.untrained`, which learns from
the scores how well they tell answers apart), one more candidate is taken to be worth a (1 - P) / (n + 1) at least, as a
second mode is in `stopping.record_values`.

lambda was chosen on the development pools of `benchmarks.decisions_held_out`, which also reports each pool with the
lambda that the others would have chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from langchain_optscale.answers.support import Support
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.stopping.answer_gains import is_worth, stability
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.futility import chance_of_reaching
from langchain_optscale.stopping.record_values import record_gain
from langchain_optscale.stopping.rounds import MOST_AT_ONCE, by_record, cheapest_round, least_repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_optscale.stopping.base import History

__all__ = ["EFFORTS", "Effort", "Objective", "default_price", "derived_price"]

Effort = Literal["low", "medium", "high"]

EFFORTS: dict[str, tuple[float, float, float]] = {
    "low": (0.13, 0.45, 0.10),
    "medium": (0.075, 0.27, 0.065),
    "high": (0.04, 0.11, 0.03),
}
"""lambda by effort: votes alone, answers with scores, scores alone."""

_DOUBT = 0.25
"""The parameter a of what one more candidate is worth while a check's answer may be wrong."""

_HORIZON = 64
"""The cap that is assumed where a search has none."""


def _is_within(value: object, lower: float, upper: float) -> bool:
    """Whether it is a number, and no truth value, in [lower, upper]."""
    return isinstance(value, Real) and not isinstance(value, bool) and lower <= float(value) <= upper


@dataclass(frozen=True)
class Objective(Rule):
    """Stop when no number of further candidates is worth its price: the rule of the default `optscale()`.

    It says what it claims. `Decision.claim` is "stable" where the whole cap would return the same answer with
    probability `confidence` at least, "target reached", "target out of reach", or "not sure"; `Decision.probability` is
    the probability of it. Stability is computed against a strong rival, see `answer_gains.stability`. Nothing is
    claimed about the answer being right: without labels nobody can know.

    A task has answers as soon as one candidate has one; until then `answers=True` waits for the first. Where all scores
    are 0 the search goes on: a check that has passed no candidate yet may pass the next one. With answers a high score
    alone never ends the search, and a target is reported when the returned candidate has it. Copies of a candidate, see
    `records.identical`, are no further votes.

    Its `optimal_n` is the number of candidates after which the search can end at the earliest; n when it ends.

    Args:
        target: The score in [0, 1] that is good enough; None looks for the best. Where there are no answers, the price
            does not end a search whose target is neither reached nor out of reach. With answers it is reported only.
        confidence: In (0, 1): of what is claimed. The search also ends once the answer is stable, or the target out of
            reach, with this probability.
        effort: "low", "medium" or "high": which lambda the price is derived from. Ignored where a price is given.
        price: c, what a candidate must be worth: a share of the support with answers, a difference of scores without.
        round_cost: What waiting for a round costs, in candidates, at least 0: 0 draws one by one where only the number
            of candidates counts, larger ones draw more at once.
        answers: Whether the task has answers, so that a search without one goes on.
        least: Scores before which the price and what can be claimed do not end the search, at least 1; a reached target
            does.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> rule = Objective()
        >>> rule(History(scores=(0.5, 0.5), answers=("12", "7"), max_samples=16)).stop
        False
        >>> decision = rule(History(scores=(0.5,) * 6, answers=("12",) * 6, max_samples=16))
        >>> decision.stop, decision.claim, decision.probability > 0.95
        (True, 'stable', True)
    """

    looks_ahead: ClassVar[bool] = True
    reads_support: ClassVar[bool] = True
    select: ClassVar[str] = "posterior"

    target: float | None = None
    confidence: float = 0.95
    effort: Effort = "medium"
    price: float | None = None
    round_cost: float = 2.0
    answers: bool = False
    least: int = 1

    def __post_init__(self) -> None:
        if self.target is not None and not _is_within(self.target, 0.0, 1.0):
            raise SettingsError(f"target must be a score in [0, 1] or None, got {self.target!r}")
        if not _is_within(self.confidence, 0.0, 1.0) or self.confidence in (0.0, 1.0):
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {self.confidence!r}")
        if self.effort not in get_args(Effort):
            raise SettingsError(f'effort must be "low", "medium" or "high", got {self.effort!r}')
        if isinstance(self.least, bool) or not isinstance(self.least, int) or self.least < 1:
            raise SettingsError(f"least must be a whole number of at least 1, got {self.least!r}")
        for name, value in (("price", self.price), ("round_cost", self.round_cost)):
            if value is not None and not (_is_within(value, 0.0, math.inf) and value < math.inf):
                raise SettingsError(f"{name} must be a finite number of at least 0, got {value!r}")

    def __call__(self, history: History) -> Decision:
        cap = history.max_samples or history.n + _HORIZON
        left = max(0, cap - history.n - history.failures)
        if not history.scores:
            first = self.first_draw(history) or 1
            # The first round is the session's to size, by `first_draw` where its caller has not.
            wish = first if history.drawn else None
            return self._decision(StopReason.ANSWER_SETTLED, {}, stop=False, draw=wish, optimal_n=first)
        answered = any(answer is not None for answer in history.answers)
        decision = self._with_answers(history, cap, left) if answered else self._with_scores(history, cap, left)
        missing = min(self.least - history.n, left)
        if missing > 0 and decision.stop and decision.reason is not StopReason.TARGET_REACHED:
            return self._go_on(history, decision.figures, lambda: missing)
        return decision

    # -- answers

    def _with_answers(self, history: History, cap: int, left: int) -> Decision:
        support, n = history.support, history.n
        leader = support.answers[0]
        figures = {
            "best": history.best,
            "support": leader.weight / support.total,
            "votes": leader.votes,
            "answers": support.kinds,
            "leader": history.answers.index(leader.text),
        }
        if not left:
            return self._go_on(history, figures, lambda: 1)
        if history.best == 0.0:  # a check that has passed none
            return self._go_on(history, figures, lambda: by_record(n, left, left, self.round_cost))
        answering = (support.answered + 0.5) / (n + 0.5)
        is_check = _is_check(history)
        price = self._price(cap, _kind(history))
        figures["price"] = price
        runner = support.answers[1].votes if len(support.answers) > 1 else 0
        if support.votes_alone and leader.votes - runner > left:
            return self._stable(StopReason.ANSWER_STABLE, history, figures, 1.0)
        worth, figures["gain"] = is_worth(support, answering, left, price)
        if is_check and not worth and (doubt := _doubt(history)) >= price:
            worth, figures["gain"] = True, doubt
        if worth or n == 1 < cap:
            stable = stability(support, answering * left, self.confidence)
            if n == 1 or stable < self.confidence:
                return self._go_on(history, figures, lambda: least_repeats(support, n, left, price, self.round_cost))
            return self._stable(StopReason.ANSWER_STABLE, history, figures, stable)
        stable = stability(support, answering * left)
        reason = StopReason.ANSWER_STABLE if stable >= self.confidence else StopReason.ANSWER_SETTLED
        if stable < self.confidence and self.target is not None and _has(history, leader.text, self.target):
            figures |= {"stable": stable, "target": self.target}
            return self._end(reason, history, figures, "target reached", 1.0)
        return self._stable(reason, history, figures, stable)

    def _stable(self, reason: StopReason, history: History, figures: Mapping[str, float], stable: float) -> Decision:
        claim = "stable" if stable >= self.confidence else "not sure"
        return self._end(reason, history, {**figures, "stable": stable}, claim, stable)

    # -- scores alone

    def _with_scores(self, history: History, cap: int, left: int) -> Decision:
        best, n, target = history.best, history.n, self.target
        figures = {"best": best}
        if target is not None:
            aimed = {**figures, "target": target}
            if best >= target and not self.answers:
                return self._end(StopReason.TARGET_REACHED, history, aimed, "target reached", 1.0)
            chance = chance_of_reaching(history, target, left, 1.0 - self.confidence)
            if chance < 0.995:  # a bound that says no more than that is not worth a figure
                figures["chance"] = aimed["chance"] = chance
            if left and chance < 1.0 - self.confidence:
                return self._end(StopReason.FUTILITY, history, aimed, "target out of reach", 1.0 - chance)
        gain = record_gain(history.scores)
        price = self._price(cap, 2)
        figures |= {"gain": _shown(gain), "price": _shown(price)}
        # Whoever sets a target wants it reached: the price does not end a search that still may.
        if not left or self.answers or target is not None or gain >= price:
            by_price = target is None and price > 0.0
            enough = max(1, math.ceil(gain * (n + 1) / price) - n - 1) if by_price else left
            if target is not None and hasattr(history.prior, "prob_reach"):
                most = max(1, min(left, MOST_AT_ONCE))
                return self._go_on(history, figures, lambda: self._by_target(history, target, most))
            return self._go_on(history, figures, lambda: by_record(n, left, enough, self.round_cost))
        if best >= 1.0:  # nothing can exceed it, and of equals the first is returned
            return self._end(StopReason.MARGINAL_GAIN, history, figures, "stable", 1.0)
        return self._end(StopReason.MARGINAL_GAIN, history, figures, "not sure", None)

    def _by_target(self, history: History, target: float, most: int) -> int:
        """The cheapest round until the target is reached, by the prior and the candidates that missed it."""
        from langchain_optscale.stats.chances import chance_ahead

        assert history.prior is not None  # noqa: S101 - by the caller
        return cheapest_round(chance_ahead(history.prior, target, history.n), self.round_cost, 1, most)

    # -- rounds and prices

    def first_draw(self, history: History) -> int | None:
        """How many candidates to draw before anything is known, None where the first round is the caller's choice."""
        cap = history.max_samples or _HORIZON
        if self.target is not None and history.prior is not None and not self.answers:
            return self._by_target(history, self.target, min(cap, MOST_AT_ONCE))
        if not self.answers:
            return min(2, cap)
        first = Support.of(("",), (0.5,))
        return min(cap, 1 + least_repeats(first, 1, cap - 1, self._price(cap, 0), 0.0))

    def _price(self, cap: int, kind: int) -> float:
        return derived_price(self.effort, cap, kind) if self.price is None else self.price

    def _go_on(self, history: History, figures: Mapping[str, float], size: Callable[[], int]) -> Decision:
        if history.interim:  # nobody will draw on this decision
            return self._decision(StopReason.ANSWER_SETTLED, figures, stop=False)
        draw = size()
        wish = max(0, draw - history.pending)
        return self._decision(StopReason.ANSWER_SETTLED, figures, stop=False, draw=wish, optimal_n=history.n + draw)

    def _end(
        self, reason: StopReason, history: History, figures: Mapping[str, float], claim: str, probability: float | None
    ) -> Decision:
        return Decision(True, reason, 0, history.n, type(self).__name__, figures, claim, probability)


def derived_price(effort: str, cap: int, kind: int) -> float:
    """What a candidate must be worth where no price is given, lambda / N; `kind` is lambda's place in `EFFORTS`."""
    scale = 16.0 / min(max(cap, 8), 32) if kind == 0 else 1.0
    return EFFORTS[effort][kind] * scale / cap


def default_price(history: History) -> float:
    """What the default at medium effort asks a candidate to be worth after this history.

    Returns:
        A share of the support where a candidate has an answer, else a difference of scores; larger than 0.

    Example:
        >>> from langchain_optscale.stopping import History
        >>> votes = History(scores=(0.5, 0.5), answers=("12", "7"), max_samples=16)
        >>> default_price(votes) < default_price(History(scores=(0.5, 0.9), answers=("12", "7"), max_samples=16))
        True
    """
    return derived_price("medium", history.max_samples or history.n + _HORIZON, _kind(history))


def _kind(history: History) -> int:
    """The place of its lambda in `EFFORTS`: of candidates that only votes tell apart, of others with answers, or 2."""
    if all(answer is None for answer in history.answers):
        return 2
    return 0 if history.support.equal and not _is_check(history) else 1


def _is_check(history: History) -> bool:
    return history.best == 1.0 and all(score in (0.0, 1.0) for score in history.scores)


def _has(history: History, answer: str, target: float) -> bool:
    """Whether a candidate with this answer has reached the target."""
    return any(
        given == answer and score >= target for given, score in zip(history.answers, history.scores, strict=True)
    )


def _doubt(history: History) -> float:
    """What one more candidate is worth while the answer that a check passed may be wrong: a (1 - P) / (n + 1)."""
    from langchain_optscale.answers.untrained import UntrainedPosterior  # needs NumPy

    right = UntrainedPosterior.of(history.answers, history.scores).probability
    return _DOUBT * (1.0 - right) / (history.n + 1)


def _shown(value: float) -> float:
    """Six digits: figures are read by people, and stored after every candidate."""
    return float(f"{value:.6g}")
