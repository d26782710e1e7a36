"""When to stop, learned from explored searches: what candidates beyond the default's own end would have brought.

`ImprovedStopping` ends searches earlier than the default and never later, since that is all that the default's own
searches can show. A search that explored went on to the cap, so that a `FittedStopping` may be learned from it, which
may also go on for longer. It is compared with what is used otherwise by cross-fitting: every explored search is
replayed in its recorded order under a fit to the other folds. What counts is, per search, w - price T / N with w the
probability that the returned answer is right by all its candidates, T the candidates drawn and N the cap.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from langchain_optscale.answers.untrained import UntrainedPosterior
from langchain_optscale.errors import SettingsError
from langchain_optscale.stopping.base import History
from langchain_optscale.stopping.learned.fitted import FittedStopping
from langchain_optscale.stopping.learned.fitting import Fitting, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.learning.learn_stopping import Walked
    from langchain_optscale.stopping.learned.improved import ImprovedStopping
    from langchain_optscale.stopping.learned.walks import PastSearch, Trust, Walk

__all__ = ["FEWEST_EXPLORED", "learn_fitted"]

FEWEST_EXPLORED = 50
"""With fewer explored searches no `FittedStopping` is learned."""

_FOLDS = 3
_SELECT = "posterior"


class _Candidate(NamedTuple):
    """One candidate of an explored search, as `Fitting` reads it."""

    score: float
    answer: str | None
    worth: float
    correct: bool | None = None
    tokens: int | None = None


class _Question(NamedTuple):
    samples: tuple[_Candidate, ...]


def learn_fitted(
    known: Walked,
    trust: Trust,
    stopping: ImprovedStopping | None = None,
    former: FittedStopping | None = None,
    *,
    price: float,
) -> tuple[FittedStopping | None, dict[str, Any]]:
    """Learn a rule that may also go on for longer than the default, if explored searches show that it is better.

    It is taken into use where its mean gain over what is used otherwise exceeds one standard error. Once in use it
    stays unless it is worse than that by more than one standard error, and a new fit takes its place unless that one is
    worse than the former by more than one.

    Args:
        known: Of `walked`.
        trust: How far P(right) can be trusted.
        stopping: The improved default that is used otherwise; None for the default itself.
        former: The fitted rule that is in use.
        price: What the whole cap may cost, in units of worth.

    Returns:
        The rule, None where the other one should decide; and what was found, JSON-ready.
    """
    explored = known.explored
    report: dict[str, Any] = {"explored": len(explored)}
    if len(explored) < FEWEST_EXPLORED:
        reason = f"{len(explored)} explored searches that reached the cap are fewer than {FEWEST_EXPLORED}"
        return former, {**report, "reason": reason}
    searches, worths = [search for search, _ in explored], [search.worths(trust) for search, _ in explored]
    questions = [_question(search, worth) for search, worth in zip(searches, worths, strict=True)]
    fit = _Fit(known, price)
    try:
        rule = fit(questions)
        crossed = [_crossed(fit, questions, fold) for fold in range(_FOLDS)]
    except SettingsError as error:
        return None, {**report, "reason": str(error)}
    if rule.defers:
        return None, {**report, "reason": "a rule learned from the explored searches decides as the default does"}
    compared = _Compared(searches, worths, price)
    new = compared.net([_drawn(crossed[place % _FOLDS], search) for place, search in enumerate(searches)])
    other = compared.net([_otherwise(way, stopping) for _, way in explored])
    report |= _figures(new - other)
    if former is not None:
        old = compared.net([_drawn(former, search) for search in searches])
        if _is_below(new - old):
            rule, new = former, old
            report["reason"] = "the former rule is better on the explored searches"
    difference = new - other
    if _is_below(difference) or (former is None and not _is_below(-difference)):
        return None, {**report, "reason": "the rule learned from explored searches is not better on those left out"}
    return rule, report


class _Fit:
    """Fits a rule to explored searches, for the rounds that searches of this kind draw."""

    def __init__(self, known: Walked, price: float) -> None:
        cap = known.base.max_samples or 2
        size = min(max(1, round(known.per_round)), cap - 1)
        self._base, self._price = known.base, price / cap
        first = min(max(2, size), cap - 1)
        self._plan = Plan(labels="worth", select=_SELECT, max_samples=cap, first_round=first, round_size=size)

    def __call__(self, questions: Sequence[_Question]) -> FittedStopping:
        fitting = Fitting(tuple(questions), self._plan)
        return FittedStopping(**fitting.fields(self._price, None, self._base))


def _crossed(fit: _Fit, questions: Sequence[_Question], fold: int) -> FittedStopping:
    return fit([question for place, question in enumerate(questions) if place % _FOLDS != fold])


def _question(search: PastSearch, worths: dict[str, float]) -> _Question:
    pairs = zip(search.scores, search.answers, strict=True)
    return _Question(
        tuple(_Candidate(score, answer, 0.0 if answer is None else worths.get(answer, 0.0)) for score, answer in pairs)
    )


class _Compared:
    """What rules would have gained on the same searches."""

    def __init__(self, searches: Sequence[PastSearch], worths: Sequence[dict[str, float]], price: float) -> None:
        self._searches, self._worths, self._price = searches, worths, price

    def net(self, drawn: Sequence[int]) -> Any:
        """Worth less price of each search, shape (searches,), after so many candidates."""
        found = []
        for search, worths, count in zip(self._searches, self._worths, drawn, strict=True):
            place = UntrainedPosterior.of(search.answers[:count], search.scores[:count]).place
            answer = None if place is None else search.answers[place]
            worth = 0.0 if answer is None else worths.get(answer, 0.0)
            found.append((worth, count / search.cap))
        worth, share = np.array(found).T
        return worth - self._price * share


def _drawn(rule: FittedStopping, search: PastSearch) -> int:
    """How many candidates a rule draws in the recorded order."""
    for count in rule.points:
        history = History(scores=search.scores[:count], answers=search.answers[:count], max_samples=search.cap)
        if count >= search.cap or rule(history).stop:
            return count
    return search.cap


def _otherwise(way: Walk, stopping: ImprovedStopping | None) -> int:
    """How many candidates the default draws, or what was learned about it."""
    place = None if stopping is None else way.stopped_by(stopping)
    return way.end if place is None else way.counts[place]


def _figures(gains: Any) -> dict[str, float]:
    return {"gain": float(gains.mean()), "gain_error": _error(gains)}


def _is_below(differences: Any) -> bool:
    """Whether the mean is below zero by more than its standard error."""
    return bool(differences.mean() < -_error(differences))


def _error(values: Any) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))
