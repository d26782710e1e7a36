"""What searches promised about their answers, and what became of it.

Only some searches tell: those that explored, since their other candidates are known, and those with a label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.stats.binomial import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_optscale.learning.rows import SearchRow

__all__ = ["Foregone", "Promise", "foregone_scores", "kept_promises"]

_Z = 1.959964


@dataclass(frozen=True)
class Promise:
    """One kind of promise.

    Attributes:
        claim: What was promised, in words.
        evidence: "explored" or "labelled": what tells whether it was kept.
        searches: How many searches promised it and tell.
        kept: Of these, how many kept it.
        promised: The mean probability that was promised; None where none was.
        share: Kept of them, in [0, 1].
        low: Lower end of its exact 95 % interval.
        high: Its upper end.
    """

    claim: str
    evidence: str
    searches: int
    kept: int
    promised: float | None
    share: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the data are compatible with what was promised: the interval does not lie below it."""
        return self.promised is None or self.high >= self.promised


@dataclass(frozen=True)
class Foregone:
    """How much higher the verifier scores what the whole cap returns than what was returned when the search ended.

    Attributes:
        mean: Over the searches that explored; below 0 where a selection by answers returned a lower score at the cap.
        low: Lower end of its 95 % interval.
        high: Its upper end.
        searches: How many explored.
    """

    mean: float
    low: float
    high: float
    searches: int


def foregone_scores(rows: Iterable[SearchRow]) -> Foregone | None:
    """What stopping early gave up in score; None where no search explored.

    Args:
        rows: Among them those that explored.
    """
    differences = [
        row.score - (row.scores[row.stopped_choice] or 0.0)
        for row in rows
        if row.explored and row.score is not None and row.stopped_choice is not None
    ]
    if not differences:
        return None
    count = len(differences)
    mean = math.fsum(differences) / count
    error = math.inf
    if count > 1:
        error = math.sqrt(math.fsum((one - mean) ** 2 for one in differences) / (count - 1) / count)
    return Foregone(mean, max(-1.0, mean - _Z * error), min(1.0, mean + _Z * error), count)


def kept_promises(rows: Iterable[SearchRow]) -> tuple[Promise, ...]:
    """The promises of which something is known.

    Args:
        rows: Those with a label, and those that were explored.
    """
    known = list(rows)
    explored = [row for row in known if row.explored and row.chosen is not None and row.stopped_choice is not None]
    labelled = [row for row in known if row.label is not None and row.label.correct is not None]
    found = [
        _promise("the whole cap returns the same answer", "explored", explored, "stable", _same_answer),
        _promise("the target is out of reach", "explored", explored, "target out of reach", _stayed_below),
        _promise("the answer is certified as right", "labelled", labelled, "right", _is_right),
        _promise("any answer is right", "labelled", labelled, None, _is_right),
    ]
    return tuple(promise for promise in found if promise is not None)


def _promise(
    claim: str, evidence: str, rows: Sequence[SearchRow], name: str | None, kept: Callable[[SearchRow], bool]
) -> Promise | None:
    """The promise of a name, or of none, over the rows that made it; None where there is no such row."""
    made = [row for row in rows if name is None or row.claim == name]
    if not made:
        return None
    hits = sum(map(kept, made))
    stated = [row.probability for row in made if row.probability is not None] if name is not None else []
    low, high = clopper_pearson(hits, len(made))
    promised = math.fsum(stated) / len(stated) if stated else None
    return Promise(claim, evidence, len(made), hits, promised, hits / len(made), low, high)


def _same_answer(row: SearchRow) -> bool:
    """Whether the cap returned the answer, or without answers the candidate, that the search would have returned."""
    if row.chosen is None or row.stopped_choice is None:
        return False
    one, other = row.answers[row.stopped_choice], row.answers[row.chosen]
    return row.stopped_choice == row.chosen or (one is not None and one == other)


def _stayed_below(row: SearchRow) -> bool:
    target = row.figures.get("target", row.target)
    return target is None or max(row.scored, default=0.0) < target


def _is_right(row: SearchRow) -> bool:
    return row.label is not None and bool(row.label.correct)
