"""What a store of searches says: what was saved, what was promised and what became of it, scores, reasons, outliers.

Intervals are at 95 %. Shares of counts have Clopper and Pearson's exact interval; ratios of sums, such as the share of
candidates saved, have the linearised one of a ratio estimator (Cochran 1977, section 2.11) over searches.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.changes import ChangeFinder
from langchain_optscale.learning.promises import foregone_scores, kept_promises
from langchain_optscale.learning.report_figures import Outlier, PairScores, Report, Saving, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

    from langchain_optscale.learning.entries import Event
    from langchain_optscale.learning.rows import SearchRow

__all__ = ["report_of"]

_Z = 1.959964
_WINDOWS = 24
_BINS = 20
_MOST_OUTLIERS = 8
_MOST_PAIRS = 12
_LONGEST_PROMPT = 160


def report_of(rows: Iterable[SearchRow], events: Sequence[Event] = ()) -> Report:
    """The report of searches in the order of time.

    Args:
        rows: At least one; read once, and not kept.
        events: What happened to the store.

    Raises:
        SettingsError: There is no search.
    """
    sums = _Sums()
    for row in rows:
        sums.add(row)
    if not sums.times:
        raise SettingsError("the store has no searches yet: there is nothing to report")
    return sums.report(tuple(events))


class _Sums:
    """What is kept of the rows while they are read."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._drawn: list[int] = []
        self._caps: list[int] = []
        self._tokens: list[int] = []
        self._costs: list[float] = []
        self._score_sums: list[float] = []
        self._scored: list[int] = []
        self._label_scores: list[float] = []
        self._beyond = self._failed = self._labelled = self._explored = 0
        self._reasons: Counter[str] = Counter()
        self._pairs: dict[tuple[str, str], _PairSums] = defaultdict(_PairSums)
        self._slowest: list[Outlier] = []
        self._dearest: list[Outlier] = []
        self.evidence: list[SearchRow] = []
        self._finder = ChangeFinder()

    def add(self, row: SearchRow) -> None:
        """Count one search."""
        scored = row.scored
        self.times.append(row.time)
        self._drawn.append(row.drawn)
        self._caps.append(max(row.cap, row.drawn))
        self._tokens.append(row.tokens)
        self._costs.append(math.nan if row.cost is None else row.cost)
        self._score_sums.append(math.fsum(scored))
        self._scored.append(len(scored))
        self._failed += row.chosen is None
        self._labelled += row.label is not None
        self._explored += row.explored
        self._beyond += row.drawn - row.stopped_at if row.stopped_at is not None else 0
        self._reasons[row.reason] += 1
        self._pairs[row.pair].add(row, scored)
        self._finder.add(row)
        if row.label is not None and row.label.score is not None:
            self._label_scores.append(row.label.score)
        if row.label is not None or row.explored:
            self.evidence.append(row)
        outlier = _outlier(row)
        self._slowest = _largest([*self._slowest, outlier], _seconds)
        self._dearest = _largest([*self._dearest, outlier], _expense)

    def report(self, events: tuple[Event, ...]) -> Report:
        """The report of what was counted."""
        pairs = sorted(self._pairs.values(), key=lambda pair: -pair.searches)
        return Report(
            searches=len(self.times),
            failed=self._failed,
            begin=self.times[0],
            end=self.times[-1],
            labelled=self._labelled,
            label_score=math.fsum(self._label_scores) / len(self._label_scores) if self._label_scores else None,
            explored=self._explored,
            exploration=self._beyond / max(1, sum(self._drawn)),
            savings=self._savings(),
            promises=kept_promises(self.evidence),
            foregone=foregone_scores(self.evidence),
            pairs=tuple(pair.scores() for pair in pairs[:_MOST_PAIRS]),
            reasons=tuple(self._reasons.most_common()),
            windows=self._windows(),
            changes=self._finder.changes(),
            slowest=tuple(self._slowest),
            dearest=tuple(self._dearest),
            events=events,
        )

    def _savings(self) -> tuple[Saving, ...]:
        drawn, caps = np.array(self._drawn, float), np.array(self._caps, float)
        ratio = caps / np.maximum(drawn, 1.0)
        tokens, costs = np.array(self._tokens, float), np.array(self._costs, float)
        savings = [
            _saving("candidates", drawn, caps),
            _saving("tokens", tokens, tokens * ratio),
            _saving("money", costs, costs * ratio),
        ]
        return tuple(saving for saving in savings if saving is not None)

    def _windows(self) -> tuple[Window, ...]:
        count = len(self.times)
        edges = np.unique(np.linspace(0, count, min(_WINDOWS, count) + 1).round().astype(int))
        return tuple(self._window(slice(int(low), int(high))) for low, high in pairwise(edges))

    def _window(self, part: slice) -> Window:
        times, drawn, scored = self.times[part], self._drawn[part], sum(self._scored[part])
        return Window(
            begin=times[0],
            end=times[-1],
            searches=len(times),
            mean_score=math.fsum(self._score_sums[part]) / scored if scored else None,
            candidates=sum(drawn) / len(drawn),
            saved=1.0 - sum(drawn) / max(1, sum(self._caps[part])),
        )


class _PairSums:
    """What is kept of the searches of one pair."""

    def __init__(self) -> None:
        self.searches = self._outcomes = self._candidates = self._returned = 0
        self._sum = self._returned_sum = 0.0
        self._histogram = np.zeros(_BINS, dtype=np.int64)
        self._names = ("", "")

    def add(self, row: SearchRow, scored: tuple[float, ...]) -> None:
        """Count one search."""
        self._names = (str(row.policy), str(row.verifier))
        self.searches += 1
        self._outcomes += len(row.scores)
        self._candidates += len(scored)
        self._sum += math.fsum(scored)
        if row.score is not None:
            self._returned += 1
            self._returned_sum += row.score
        for score in scored:
            self._histogram[min(_BINS - 1, int(score * _BINS))] += 1

    def scores(self) -> PairScores:
        """The figures of what was counted."""
        return PairScores(
            *self._names,
            searches=self.searches,
            candidates=self._candidates,
            failed=1.0 - self._candidates / max(1, self._outcomes),
            mean=self._sum / max(1, self._candidates),
            returned=self._returned_sum / self._returned if self._returned else None,
            histogram=tuple(int(count) for count in self._histogram),
        )


def _saving(unit: str, spent: ArrayLike, best_of_n: ArrayLike) -> Saving | None:
    """The saving over the searches of which it is known; None where nothing was spent."""
    x, y = np.asarray(spent, float), np.asarray(best_of_n, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    whole = float(y.sum())
    if not whole > 0.0:
        return None
    ratio = float(x.sum()) / whole
    count = len(x)
    error = math.inf
    if count > 1:
        error = math.sqrt(float(((x - ratio * y) ** 2).sum()) * count / (count - 1)) / whole
    share = 1.0 - ratio
    low, high = max(0.0, share - _Z * error), min(1.0, share + _Z * error)
    return Saving(unit, float(x.sum()), whole, share, low, high, count)


def _outlier(row: SearchRow) -> Outlier:
    prompt = None if row.prompt is None else " ".join(row.prompt.split())[:_LONGEST_PROMPT]
    return Outlier(row.id, row.seconds, row.tokens, row.cost, row.drawn, row.score, prompt)


def _seconds(outlier: Outlier) -> tuple[float, ...]:
    return (outlier.seconds,)


def _expense(outlier: Outlier) -> tuple[float, ...]:
    return (outlier.cost or 0.0, outlier.tokens, outlier.candidates)


def _largest(outliers: list[Outlier], key: Any) -> list[Outlier]:
    return sorted(outliers, key=key, reverse=True)[:_MOST_OUTLIERS]
