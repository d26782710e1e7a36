"""When to stop, learned from rows: what the default's own searches say about stopping earlier than it does."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from langchain_optscale.learning.rows import FITTED
from langchain_optscale.records.stored import is_number
from langchain_optscale.stopping.learned.improving import PRICES, Moments, learn_from
from langchain_optscale.stopping.learned.walks import PastSearch, Trust, Walk, walk
from langchain_optscale.stopping.presets import optscale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.learning.rows import SearchRow
    from langchain_optscale.stopping.base import Rule
    from langchain_optscale.stopping.learned.improved import ImprovedStopping
    from langchain_optscale.stopping.objective import Effort

__all__ = ["FEWEST_SEARCHES", "Judged", "Walked", "judged", "learn_stopping", "past_search", "walked"]

FEWEST_SEARCHES = 25
"""With fewer searches nothing is learned about stopping."""

_MOST_ROWS, _MOST_EXPLORED = 2000, 400
_LEFT_OUT = 0.2
_LEAST_SAVING = 0.01


@dataclass(frozen=True)
class Walked:
    """The searches that the untrained default ended, or an improved rule before it, with the default's walks.

    Attributes:
        base: The default as these searches used it.
        past: The searches in the order of time, each with its walk.
        skipped: Searches that say nothing about it: with a target, a rule of their own or no answers.
        explored: Those of all such searches that went on to the cap for the sake of learning, and have a score for each
            candidate up to it.
        per_round: Candidates drawn in a round, on average, by the searches that did not explore.
    """

    base: Rule
    past: tuple[tuple[PastSearch, Walk], ...]
    skipped: int
    explored: tuple[tuple[PastSearch, Walk], ...] = ()
    per_round: float = 1.0


@dataclass(frozen=True)
class Judged:
    """A learned rule on searches that it was not fitted to.

    Attributes:
        searches: How many.
        saved: Candidates saved, as a share of what the default drew.
        lost: What is lost in worth on average: the chance that the returned answer is right, by the default's minus by
            the learned rule's.
        lost_error: Its standard error.
        changed: The share of searches that return another answer.
        net: Of each search, what is gained: the price of what is saved less what is lost.
    """

    searches: int
    saved: float
    lost: float
    lost_error: float
    changed: float
    net: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without the single searches."""
        names = ("searches", "saved", "lost", "lost_error", "changed")
        return {name: getattr(self, name) for name in names}


def past_search(row: SearchRow) -> PastSearch:
    """What a row says about its search; a label of 0 or 1 counts as wrong or right.

    Failed candidates are left out, with the cap lowered by as many.
    """
    answers = tuple(None if one is None else str(one) for one in row.scored_answers)
    returned = None if row.chosen is None else row.answers[row.chosen]
    label = row.label
    correct = label.correct if label is not None else None
    if correct is None and label is not None and label.score in (0.0, 1.0):
        correct = label.score == 1.0
    failed = len(row.scores) - len(row.scored)
    name = None if returned is None else str(returned)
    return PastSearch(row.scored, answers, max(1, row.cap - failed), name, correct if name is not None else None)


def walked(rows: Sequence[SearchRow], *, improved: bool = False) -> Walked | None:
    """The newest rows as searches of the default; None where no row is one.

    Searches with a target keep its promise, and searches with a rule of their own follow it: neither is changed.

    Args:
        rows: In the order of time.
        improved: Whether the rule is known that stopped some of them before the default. Without it these are left out,
            and with them those that it let go on, which are no fair sample.
    """
    usable = [row for row in rows if _by_default(row) and (row.explored or _is_known(row, improved))]
    if not usable:
        return None
    kinds = Counter(_decision(row) for row in usable)
    kind, _ = kinds.most_common(1)[0]
    alike = [row for row in usable if _decision(row) == kind]
    chosen = alike[-_MOST_ROWS:]
    confidence, named, round_cost, price, cap = kind
    effort = cast("Effort", named)
    base = optscale(None, confidence, cap, effort=effort, price=price, round_cost=round_cost, answers=True)
    complete = [row for row in alike if row.explored and len(row.scored) == row.cap][-_MOST_EXPLORED:]
    searches = {id(row): past_search(row) for row in [*chosen, *complete]}
    ways = {key: (search, walk(search, base)) for key, search in searches.items()}
    past, explored = (tuple(ways[id(row)] for row in part) for part in (chosen, complete))
    return Walked(base, past, len(rows) - len(chosen), explored, _per_round(alike))


def learn_stopping(
    known: Walked,
    population: Moments | None = None,
    former: ImprovedStopping | None = None,
    *,
    price: float = PRICES["medium"],
) -> tuple[ImprovedStopping | None, dict[str, Any]]:
    """Improve the default by these searches, if that is not worse on searches left out than the default or the former.

    Args:
        known: Of `walked`.
        population: As in `learn_from`.
        former: The rule that is in use; it stays where the new one is worse by more than a standard error.
        price: What the whole cap may cost, in units of worth.

    Returns:
        The rule, None where the untrained default should decide; and what was found on the searches left out, the last
        fifth, JSON-ready.
    """
    past = list(known.past)
    if len(past) < FEWEST_SEARCHES:
        return former, {"reason": f"{len(past)} searches are fewer than {FEWEST_SEARCHES}", "skipped": known.skipped}
    cut = len(past) - max(5, math.ceil(_LEFT_OUT * len(past)))
    settings: dict[str, Any] = {"price": price, "former": former}
    tried = learn_from(past[:cut], known.base, population, **settings)
    trust = Trust.fit(search for search, _ in past)
    new = judged(tried, past[cut:], trust, price, former)
    report = {"left_out": new.to_dict(), "trust": list(trust), "skipped": known.skipped}
    if former is not None:
        old = judged(former, past[cut:], trust, price, former)
        report["former"] = old.to_dict()
        if _worse(np.array(new.net) - np.array(old.net)):
            return former, {**report, "reason": "the former rule is better on the searches left out"}
    if new.searches and (_worse(np.array(new.net)) or new.saved < _LEAST_SAVING):
        return None, {**report, "reason": "the untrained default is as good on the searches left out"}
    return learn_from(past, known.base, population, **settings), report


def judged(
    rule: ImprovedStopping,
    past: Sequence[tuple[PastSearch, Walk]],
    trust: Trust,
    price: float,
    former: ImprovedStopping | None = None,
) -> Judged:
    """How a rule would have done on past searches, against the default.

    Beyond where a former rule stopped a search, that rule's own expectation stands for what the default would have
    gained and cost.
    """
    saved, total, lost, changed, net = [], [], [], [], []
    for search, way in past:
        found = way.trajectory(search.worths(trust), former)
        if found is None:
            continue
        rest = 0.0 if way.complete else former.values(way.states[-1])[1] if former is not None else 0.0
        total.append(way.end / way.cap + rest)
        place = way.stopped_by(rule)
        inside = place is not None and place < len(found.states)
        saved.append(found.costs[place] if inside and place is not None else 0.0)
        lost.append(found.gains[place] if inside and place is not None else 0.0)
        changed.append(inside and place is not None and way.picks[place] != way.last)
        net.append(price * saved[-1] - lost[-1])
    if not net:
        return Judged(0, 0.0, 0.0, 0.0, 0.0, ())
    error = float(np.std(lost) / math.sqrt(len(lost)))
    return Judged(len(net), sum(saved) / sum(total), float(np.mean(lost)), error, float(np.mean(changed)), tuple(net))


def _worse(differences: Any) -> bool:
    """Whether the mean is below zero by more than its standard error."""
    if len(differences) < 2:
        return False
    return bool(differences.mean() < -differences.std(ddof=1) / math.sqrt(len(differences)))


def _is_known(row: SearchRow, improved: bool) -> bool:
    """Whether the rule that ended a search is known: the default, or what is in use now where that improves it."""
    return row.learned is None or (improved and row.settings.get("learned_rule") != FITTED)


def _per_round(rows: Sequence[SearchRow]) -> float:
    drawn = [(row.drawn, max(1, row.rounds)) for row in rows if not row.explored]
    return sum(one for one, _ in drawn) / sum(rounds for _, rounds in drawn) if drawn else 1.0


def _by_default(row: SearchRow) -> bool:
    settings = row.settings
    return (
        "stopping" not in settings
        and settings.get("target") is None
        and len(row.scored) >= 1
        and row.cap > 2
        and any(answer is not None for answer in row.scored_answers)
    )


def _decision(row: SearchRow) -> tuple[float, str, float, float | None, int]:
    """The settings that the default's decisions depend on."""
    settings = row.settings
    price = settings.get("price")
    return (
        float(settings.get("confidence", 0.95)),
        str(settings.get("effort", "medium")),
        float(settings.get("round_cost", 2.0)),
        None if price is None or not is_number(price) else float(price),
        row.cap,
    )
