r"""The default's rule: one objective, computed after every candidate.

Symbols: D what is known, n candidates so far, N the cap, m = N - n those still allowed (less the failed ones), c the
price of a candidate.

    V(D) = max( value(D), max_(k <= m) E[V(D + k more) | D] - c k )

The search ends when no number of further candidates is worth its price:

    (E[value(D + k more) | D] - value(D)) / k < c     for every k looked at, up to m

E[V] is replaced by E[value], a lower bound: what is gained by stopping in between is left out.

**With answers** value is the share of the support (`answers.support`) that the returned answer has: how often a further
candidate would agree with it, counted by the odds of its score. k further answers are expected to raise it by

    sum_j E[(W_j' - W_1')+] / (W + k w)       j the two strongest rivals,

each expectation the closed form of `stopping.overtaking`. **With scores alone** value is the best score, and one more
candidate is expected to raise it by `stopping.record_values.record_gain`; the gain per candidate falls with k, so k = 1
decides. **With a target** value is whether it has been reached: the first score that reaches it ends the search.

The price is derived from the cap where none is given, c = lambda / N: what the whole cap may cost, in the unit of the
value. Votes alone take lambda 16 / N, between half of lambda and twice of it: on recorded pools agreement repays more
patience where the cap is large. lambda was chosen on the development pools of `benchmarks.decisions_held_out`, which
also reports each pool with the lambda that the others would have chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from langchain_optscale.answers.support import Support
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import Decision, StopReason
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.futility import chance_of_reaching
from langchain_optscale.stopping.overtaking import Race
from langchain_optscale.stopping.record_values import SECOND_MODE, record_gain, success_chance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_optscale.stopping.base import History

__all__ = ["EFFORTS", "Effort", "Objective", "stability"]

Effort = Literal["low", "medium", "high"]

EFFORTS: dict[str, tuple[float, float, float]] = {
    "low": (0.13, 0.16, 0.10),
    "medium": (0.075, 0.115, 0.062),
    "high": (0.04, 0.055, 0.03),
}
"""lambda by effort: votes alone, answers with scores, scores alone."""

_HORIZON = 64
"""The cap that is assumed where a search has none."""

_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_MOST_AT_ONCE = 16
# Squared coefficient of variation of the weights within an answer.
_VARIATION = 0.1
# A rival that is still to come may score better than all before it: its mean weight in what is promised.
_STRONG_RIVAL, _STRONG_COUNT = 3.0, 2.0
# The prior count of a rival in what is promised: votes alone have nothing else that would warn of one.
_RIVAL_ALONE, _RIVAL_SCORED = 1.75, 1.0


@dataclass(frozen=True)
class Objective(Rule):
    """Stop when no number of further candidates is worth its price: the rule of the default `optscale()`.

    It says what it claims. `Decision.claim` is "stable" where the whole cap would return the same answer with
    probability `confidence` at least, "target reached", "target out of reach", or "not sure"; `Decision.probability` is
    the probability of it. Stability is computed against a strong rival, see `stability`. Nothing is claimed about the
    answer being right: without labels nobody can know.

    A task has answers as soon as one candidate has one; until then `answers=True` waits for the first. Where all scores
    are 0 the search goes on: a check that has passed no candidate yet may pass the next one. With answers a high score
    alone never ends the search, and a target is reported when the returned candidate has it.

    Its `optimal_n` is the number of candidates after which the search can end at the earliest; n when it ends.

    Args:
        target: The score in [0, 1] that is good enough; None looks for the best.
        confidence: In (0, 1): of what is claimed. The search also ends once the answer is stable, or the target out of
            reach, with this probability.
        effort: "low", "medium" or "high": which lambda the price is derived from. Ignored where a price is given.
        price: c, what a candidate must be worth: a share of the support with answers, a difference of scores without.
        round_cost: What waiting for a round costs, in candidates, at least 0: 0 draws one by one where only the number
            of candidates counts, larger ones draw more at once.
        answers: Whether the task has answers, so that a search without one goes on.

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
    select: ClassVar[str] = "posterior"

    target: float | None = None
    confidence: float = 0.95
    effort: Effort = "medium"
    price: float | None = None
    round_cost: float = 2.0
    answers: bool = False

    def __post_init__(self) -> None:
        if self.target is not None and not 0.0 <= self.target <= 1.0:
            raise SettingsError(f"target must be a score in [0, 1] or None, got {self.target!r}")
        if not 0.0 < self.confidence < 1.0:
            raise SettingsError(f"confidence must lie strictly between 0 and 1, got {self.confidence!r}")
        if self.effort not in get_args(Effort):
            raise SettingsError(f'effort must be "low", "medium" or "high", got {self.effort!r}')
        for name, value in (("price", self.price), ("round_cost", self.round_cost)):
            if value is not None and (isinstance(value, bool) or not 0.0 <= value < math.inf):
                raise SettingsError(f"{name} must be a finite number of at least 0, got {value!r}")

    def __call__(self, history: History) -> Decision:
        cap = history.max_samples or history.n + _HORIZON
        left = max(0, cap - history.n - history.failures)
        if not history.scores:
            first = self.first_draw(history) or 1
            # The first round is the session's to size, by `first_draw` where its caller has not.
            wish = first if history.drawn else None
            return self._decision(StopReason.ANSWER_SETTLED, {}, stop=False, draw=wish, optimal_n=first)
        if any(answer is not None for answer in history.answers):
            return self._with_answers(history, cap, left)
        return self._with_scores(history, cap, left)

    # -- answers

    def _with_answers(self, history: History, cap: int, left: int) -> Decision:
        support = Support.of(history.answers, history.scores)
        leader = support.answers[0]
        figures = {
            "best": history.best,
            "support": leader.weight / support.total,
            "votes": leader.votes,
            "answers": len(support.answers),
            "leader": history.answers.index(leader.text),
        }
        answering = (support.answered + 0.5) / (history.n + 0.5)
        if not left:
            return self._go_on(history, figures, 1)
        if history.best == 0.0:  # a check that has passed none
            draw = self._by_record(history.n, min(left, _MOST_AT_ONCE))
            return self._go_on(history, figures, draw)
        price = self._price(cap, 0 if support.votes_alone else 1)
        figures["price"] = price
        runner = support.answers[1].votes if len(support.answers) > 1 else 0
        decided = support.votes_alone and leader.votes - runner > left
        worth, gain = (False, 0.0) if decided else _worth(support, answering, left, price)
        figures["gain"] = gain
        if worth or history.n == 1 < cap:
            stable = self._stable_enough(support, answering * left)
            if history.n == 1 or stable is None:
                draw = _least_repeats(support, history.n, left, price, self.round_cost)
                return self._go_on(history, figures, draw)
            return self._stable(StopReason.ANSWER_STABLE, history, figures, stable)
        stable = 1.0 if decided else stability(support, answering * left)
        reason = StopReason.ANSWER_STABLE if stable >= self.confidence else StopReason.ANSWER_SETTLED
        if stable < self.confidence and self.target is not None and _has(history, leader.text, self.target):
            figures |= {"stable": stable, "target": self.target}
            return self._end(reason, history, figures, "target reached", 1.0)
        return self._stable(reason, history, figures, stable)

    def _stable_enough(self, support: Support, further: float) -> float | None:
        """The stability where it is at least the confidence; the runner-up alone mostly shows that it is not."""
        stable = stability(support, further)
        return stable if stable >= self.confidence else None

    def _stable(self, reason: StopReason, history: History, figures: Mapping[str, float], stable: float) -> Decision:
        claim = "stable" if stable >= self.confidence else "not sure"
        return self._end(reason, history, {**figures, "stable": stable}, claim, stable)

    # -- scores alone

    def _with_scores(self, history: History, cap: int, left: int) -> Decision:
        best, n = history.best, history.n
        figures = {"best": best}
        if self.target is not None:
            aimed = {**figures, "target": self.target}
            if best >= self.target and not self.answers:
                return self._end(StopReason.TARGET_REACHED, history, aimed, "target reached", 1.0)
            chance = chance_of_reaching(history, self.target, left, 1.0 - self.confidence)
            if chance < 0.995:  # a bound that says no more than that is not worth a figure
                figures["chance"] = aimed["chance"] = chance
            if left and chance < 1.0 - self.confidence:
                return self._end(StopReason.FUTILITY, history, aimed, "target out of reach", 1.0 - chance)
        gain = record_gain(history.scores)
        price = self._price(cap, 2)
        figures |= {"gain": _shown(gain), "price": _shown(price)}
        if not left or self.answers or gain >= price:
            enough = math.ceil(gain * (n + 1) / price) - n - 1 if price else left
            most = max(1, min(left, enough, _MOST_AT_ONCE))
            if self.target is not None and hasattr(history.prior, "prob_reach"):
                return self._go_on(history, figures, self._by_target(history, self.target, most))
            return self._go_on(history, figures, self._by_record(n, most))
        if best >= 1.0:  # nothing can exceed it, and of equals the first is returned
            return self._end(StopReason.MARGINAL_GAIN, history, figures, "stable", 1.0)
        return self._end(StopReason.MARGINAL_GAIN, history, figures, "not sure", None)

    def _by_record(self, n: int, most: int) -> int:
        """How many to draw while nothing but a record ends the search: k* for P(record by k), at most `most`."""
        return cheapest_round(lambda k: success_chance(n, k, SECOND_MODE), self.round_cost, 1, most)

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
            return self._by_target(history, self.target, min(cap, _MOST_AT_ONCE))
        if not self.answers:
            return min(2, cap)
        first = Support.of(("",), (0.5,))
        return min(cap, 1 + _least_repeats(first, 1, cap - 1, self._price(cap, 0), 0.0))

    def _price(self, cap: int, kind: int) -> float:
        if self.price is not None:
            return self.price
        scale = 16.0 / min(max(cap, 8), 32) if kind == 0 else 1.0
        return EFFORTS[self.effort][kind] * scale / cap

    def _go_on(self, history: History, figures: Mapping[str, float], draw: int) -> Decision:
        wish = max(0, draw - history.pending)
        return self._decision(StopReason.ANSWER_SETTLED, figures, stop=False, draw=wish, optimal_n=history.n + draw)

    def _end(
        self, reason: StopReason, history: History, figures: Mapping[str, float], claim: str, probability: float | None
    ) -> Decision:
        return Decision(True, reason, 0, history.n, type(self).__name__, figures, claim, probability)


def cheapest_round(chance: Callable[[int], float], round_cost: float, least: int, most: int) -> int:
    """k* = argmin (k + lambda) / P(the search ends within k): the round with the least cost until the end.

    While rounds of k are drawn until one ends the search, their number is geometric with that chance, and each costs k
    candidates and the waiting, lambda of them.

    Args:
        chance: P(the search ends within k), for k from `least` to `most`.
        round_cost: lambda.
        least: At least 1.
        most: At least `least`.

    Example:
        >>> [cheapest_round(lambda k: 1 - 0.9**k, cost, 1, 16) for cost in (0.0, 2.0, 8.0)]
        [1, 6, 10]
    """
    return min(range(least, most + 1), key=lambda k: (k + round_cost) / max(chance(k), 1e-12))


def stability(support: Support, further: float) -> float:
    """P(the leader of the support is still the leader after `further` more answers), in [0, 1].

    One less the sum of the probabilities that a rival is ahead then: each answer so far, and one that is still to come.
    With scores a rival's further candidates are expected to score well, whatever its scores so far, since a right
    answer may still appear: the promise has to hold for verifiers that nobody has examined.

    Args:
        support: What is known.
        further: Answers still to come, at least 0.

    Example:
        >>> from langchain_optscale.answers.support import Support
        >>> round(stability(Support.of(["4"] * 4, [0.5] * 4), 10.0), 3)
        0.985
    """
    if further <= 0.0:
        return 1.0
    leader, *rivals = support.answers
    alone = support.votes_alone
    own = (leader.votes, leader.expected)
    variation, pseudo = (0.0, _RIVAL_ALONE) if alone else (_VARIATION, _RIVAL_SCORED)
    unseen = support.unseen if alone else max(support.unseen, _STRONG_RIVAL)
    race = Race.of(support.answered, own, (0, unseen), leader.weight, variation=variation, pseudo=pseudo)
    overtaken = race.probability(further)
    for place, rival in enumerate(rivals[:4]):
        strong = rival.expected
        if not alone:
            strong = (max(strong, _STRONG_RIVAL) * _STRONG_COUNT + rival.votes * strong) / (rival.votes + _STRONG_COUNT)
        lead = leader.weight - rival.weight
        race = Race.of(support.answered, own, (rival.votes, strong), lead, variation=variation, pseudo=pseudo)
        # Weaker rivals count as the fourth does.
        overtaken += race.probability(further) * (len(rivals) - 3 if place == 3 else 1)
    return max(0.0, 1.0 - overtaken)


def _worth(support: Support, answering: float, left: int, price: float) -> tuple[bool, float]:
    """Whether some number of further candidates is worth its price, and the gain per candidate that shows it."""
    leader, *rivals = support.answers
    own = (leader.votes, leader.expected)
    variation = 0.0 if support.votes_alone else _VARIATION
    races = [
        Race.of(support.answered, own, (rival.votes, rival.expected), leader.weight - rival.weight, variation=variation)
        for rival in rivals[:2]
    ]
    if len(races) < 2:
        races.append(Race.of(support.answered, own, (0, support.unseen), leader.weight, variation=variation))
    mean = support.total / support.answered
    most = 0.0
    for count in _COUNTS:
        k = min(count, left)
        further = k * answering
        gain = 0.0
        for race in races:
            gain += race.excess(further)
        rate = gain / ((support.total + further * mean) * k)
        if rate >= price:
            return True, rate
        most = max(most, rate)
        if count >= left:
            break
    return False, most


def _least_repeats(support: Support, n: int, left: int, price: float, round_cost: float) -> int:
    """The fewest further candidates after which, all repeating the leader, the search could end; or the cheapest round.

    Fewer cannot end it, so none of them is wasted. A round that must not cost much waiting takes some more, by the
    chance that the leader is as far ahead after k of them.
    """
    low, high = 1, max(1, min(left, _MOST_AT_ONCE))
    while low < high:
        middle = (low + high) // 2
        if _could_end(support, n, left, price, middle):
            high = middle
        else:
            low = middle + 1
    if round_cost <= 0.0 or low >= min(left, _MOST_AT_ONCE):
        return low
    share = (support.answers[0].votes + 1.0) / (support.answered + 2.5)
    return cheapest_round(lambda k: _at_least(k, share, (k + low + 1) // 2), round_cost, low, min(left, _MOST_AT_ONCE))


def _could_end(support: Support, n: int, left: int, price: float, more: int) -> bool:
    if more >= left:
        return True
    then = support.with_leader(more)
    runner = then.answers[1].votes if len(then.answers) > 1 else 0
    if then.votes_alone and then.answers[0].votes - runner > left - more:
        return True
    answering = (then.answered + 0.5) / (n + more + 0.5)
    return n + more > 1 and not _worth(then, answering, left - more, price)[0]


def _has(history: History, answer: str, target: float) -> bool:
    """Whether a candidate with this answer has reached the target."""
    return any(
        given == answer and score >= target for given, score in zip(history.answers, history.scores, strict=True)
    )


def _shown(value: float) -> float:
    """Six digits: figures are read by people, and stored after every candidate."""
    return float(f"{value:.6g}")


def _at_least(count: int, share: float, least: int) -> float:
    """P(at least `least` of `count` independent trials with this chance succeed)."""
    return math.fsum(math.comb(count, i) * share**i * (1.0 - share) ** (count - i) for i in range(least, count + 1))
