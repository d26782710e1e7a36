"""Whether anything has changed in the course of a store: of each pair the later searches against the earlier ones.

The test is that of `drift`: it may be looked at after every search, so that a report may be made as often as one likes.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.learning.drift import ALPHA, NAMES, DriftMonitor, expectations, figures_of

if TYPE_CHECKING:
    from langchain_optscale.learning.rows import SearchRow

__all__ = ["Change", "ChangeFinder"]

# Searches of a pair that are compared, the newest ones, and the fewest that are worth it.
_MOST, _FEWEST = 20_000, 60


@dataclass(frozen=True)
class Change:
    """A figure of one pair that is not what it was.

    Attributes:
        policy: The policy in a few words.
        verifier: The verifier likewise.
        figure: What has changed, in words.
        before: Its mean in the earlier half of the searches.
        after: Its mean in the later ones, up to where it showed.
        searches: How many later searches it took to show.
        time: When it showed, in seconds since 1970 UTC.
        alpha: The probability of such a finding for a pair of which nothing has changed.
    """

    policy: str
    verifier: str
    figure: str
    before: float
    after: float
    searches: int
    time: float
    alpha: float


class ChangeFinder:
    """Takes the searches of a store in the order of time, and finds what has changed."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._figures: dict[tuple[str, str], deque[tuple[float, dict[str, float]]]] = defaultdict(
            lambda: deque(maxlen=_MOST)
        )

    def add(self, row: SearchRow) -> None:
        """Take the next search."""
        self._names[row.pair] = (str(row.policy), str(row.verifier))
        self._figures[row.pair].append((row.time, figures_of(row)))

    def changes(self) -> tuple[Change, ...]:
        """The first change of each pair that has one."""
        found = [self._change(pair, list(figures)) for pair, figures in self._figures.items()]
        return tuple(change for change in found if change is not None)

    def _change(self, pair: tuple[str, str], figures: list[tuple[float, dict[str, float]]]) -> Change | None:
        if len(figures) < _FEWEST:
            return None
        middle = len(figures) // 2
        monitor = DriftMonitor(expectations(known for _, known in figures[:middle]))
        for time, known in figures[middle:]:
            if (alarm := monitor.observe(known)) is not None:
                words = NAMES[alarm.figure]
                return Change(*self._names[pair], words, alarm.expected, alarm.observed, alarm.searches, time, ALPHA)
        return None
