"""The figures of a report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_optscale.learning.changes import Change
    from langchain_optscale.learning.entries import Event
    from langchain_optscale.learning.promises import Foregone, Promise

__all__ = ["Outlier", "PairScores", "Report", "Saving", "Window"]


@dataclass(frozen=True)
class Saving:
    """What was spent, against best-of-N at the cap of every search.

    Each candidate that was not drawn is taken to have cost the mean of those that were drawn for the same question.

    Attributes:
        unit: "candidates", "tokens" or "money".
        spent: In that unit.
        best_of_n: What best-of-N would have spent.
        share: Saved of that, in [0, 1].
        low: Lower end of the 95 % interval of the share over searches like these.
        high: Its upper end.
        searches: How many it is known of.
    """

    unit: str
    spent: float
    best_of_n: float
    share: float
    low: float
    high: float
    searches: int


@dataclass(frozen=True)
class PairScores:
    """The scores of one pair of policy and verifier.

    Attributes:
        policy: The policy in a few words.
        verifier: The verifier likewise.
        searches: How many there were.
        candidates: Scored candidates.
        failed: The share of candidates without a score.
        mean: Mean score of all candidates.
        returned: Mean score of the returned ones; None where nothing was returned.
        histogram: Candidates by score, in 20 bins from 0 to 1.
    """

    policy: str
    verifier: str
    searches: int
    candidates: int
    failed: float
    mean: float
    returned: float | None
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Consecutive searches.

    Attributes:
        begin: When the first ended, in seconds since 1970 UTC.
        end: When the last ended.
        searches: How many.
        mean_score: Mean score of all their candidates; None without any.
        candidates: Mean number of candidates drawn.
        saved: The share of best-of-N's candidates that was not drawn.
    """

    begin: float
    end: float
    searches: int
    mean_score: float | None
    candidates: float
    saved: float


@dataclass(frozen=True)
class Outlier:
    """A search that took long or cost much.

    Attributes:
        id: Its id.
        seconds: How long it took.
        tokens: What it consumed.
        cost: What that cost; None where unknown.
        candidates: Candidates drawn.
        score: Of what was returned; None where nothing was.
        prompt: The beginning of the question, where it was kept.
    """

    id: str
    seconds: float
    tokens: int
    cost: float | None
    candidates: int
    score: float | None
    prompt: str | None


@dataclass(frozen=True)
class Report:
    """All that a report shows.

    Attributes:
        searches: How many there are.
        failed: Those that returned nothing.
        begin: When the first ended, in seconds since 1970 UTC.
        end: When the last ended.
        labelled: Those with a label.
        label_score: Mean score of the labels that have one; None without any.
        explored: Those that went on to the cap.
        exploration: Candidates that they drew beyond where they would have ended, as a share of all drawn.
        savings: In candidates, tokens and money, as far as known.
        promises: What was claimed, and what became of it.
        foregone: What stopping early gave up, by the searches that explored; None without any.
        pairs: Scores by pair, the most frequent first.
        reasons: Searches by the reason of their end, the most frequent first.
        windows: The course of time.
        changes: What is not any more as it was in the earlier half of a pair's searches.
        slowest: The slowest searches.
        dearest: Those that consumed the most money or, where no price is known, tokens.
        events: What was learned, and alarms of drift, in the order of time.
    """

    searches: int
    failed: int
    begin: float
    end: float
    labelled: int
    label_score: float | None
    explored: int
    exploration: float
    savings: tuple[Saving, ...]
    promises: tuple[Promise, ...]
    foregone: Foregone | None
    pairs: tuple[PairScores, ...]
    reasons: tuple[tuple[str, int], ...]
    windows: tuple[Window, ...]
    changes: tuple[Change, ...]
    slowest: tuple[Outlier, ...]
    dearest: tuple[Outlier, ...]
    events: tuple[Event, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        data = asdict(self)
        data["events"] = [event._asdict() for event in self.events]
        return data
