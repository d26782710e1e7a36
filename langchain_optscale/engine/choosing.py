"""Which of a search's candidates is returned: by scores and answers, or after comparing the leading ones."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.engine.completion import independent
from langchain_optscale.engine.jobs import Compare, Done
from langchain_optscale.errors import printable
from langchain_optscale.records.comparisons import FailedComparison
from langchain_optscale.records.failures import Raised
from langchain_optscale.records.usage import Usage
from langchain_optscale.stopping import CostBudget, TokenBudget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.engine.jobs import Cancelled
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.records.candidates import Candidate, Verdict
    from langchain_optscale.records.comparisons import Ranking
    from langchain_optscale.stopping import History
    from langchain_optscale.stopping.session import Session
    from langchain_optscale.verifiers.comparison.tournament import Tournament

__all__ = ["Comparing", "failed_comparison", "tournament_of"]

_LONGEST_ERROR = 300


def tournament_of(
    settings: SearchSettings,
    candidates: Mapping[int, Candidate],
    verdicts: Mapping[int, Verdict],
    *,
    seeded: bool,
) -> Tournament | None:
    """The tournament of a search that has stopped; None where there is none, or nothing to compare."""
    chooses = settings.tournament()
    if chooses is None or len(verdicts) < 2:
        return None
    scores = {index: verdict.score for index, verdict in verdicts.items()}
    scored = independent([candidates[index] for index in verdicts], scores, seeded=seeded)
    return chooses.tournament(scored, verdicts, settings.prepared().selection)


class Comparing:
    """The comparisons of one search: jobs to start, and what came of them.

    Args:
        settings: What was searched with.
        history: Of the search that has stopped.
        deadlines: Moments, in elapsed seconds, at which the comparisons end.
        tournament: Says what to compare.
        candidates: Everything that was drawn, by index.
    """

    def __init__(
        self,
        settings: SearchSettings,
        history: History,
        deadlines: Sequence[float],
        tournament: Tournament,
        candidates: Mapping[int, Candidate],
    ) -> None:
        self._history = history
        self._deadlines = deadlines
        self._tournament = tournament
        self._candidates = candidates
        self._waiting: deque[Compare] = deque()
        self._number = 0
        self._budgets = [part for part in settings.rule().parts() if isinstance(part, TokenBudget | CostBudget)]
        self._spend(Usage(), history.elapsed_s)

    @classmethod
    def of(
        cls,
        settings: SearchSettings,
        session: Session,
        candidates: Mapping[int, Candidate],
        verdicts: Mapping[int, Verdict],
        *,
        seeded: bool,
    ) -> Comparing | None:
        """The comparisons of a search that has stopped; None where it has none."""
        tournament = tournament_of(settings, candidates, verdicts, seeded=seeded)
        if tournament is None:
            return None
        return cls(settings, session.history, session.deadlines, tournament, candidates)

    @property
    def over(self) -> bool:
        """Whether the choice is made."""
        return self._tournament.over

    @property
    def ranking(self) -> Ranking:
        """What is known so far."""
        return self._tournament.ranking()

    def take(self, room: int) -> list[Compare]:
        """At most `room` comparisons to start now."""
        for order in self._tournament.ask():
            self._waiting.append(Compare(self._number, tuple(self._candidates[index] for index in order)))
            self._number += 1
        return [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]

    def record(self, job: Compare, outcome: Done | Raised | Cancelled, elapsed_s: float) -> dict[str, Any] | None:
        """Record what came of a comparison.

        Returns:
            What is to be reported of it; None for one that was cancelled.
        """
        unreported = outcome.unreported_usage or Usage()
        if not isinstance(outcome, Done | Raised):
            self._tournament.add_usage(unreported)
            return None
        made = outcome.value if isinstance(outcome, Done) else failed_comparison(job.order, outcome.error)
        self._tournament.tell(job.order, made, unreported)
        spent = (getattr(made, "usage", None) or Usage()) + unreported
        self._spend(spent, elapsed_s)
        return {key: value for key, value in made.to_dict().items() if key != "usage"}

    def tick(self, elapsed_s: float) -> None:
        """Let a deadline that has passed end the comparisons."""
        if any(moment <= elapsed_s for moment in self._deadlines):
            self._tournament.end()

    def _spend(self, usage: Usage, elapsed_s: float) -> None:
        past = self._history
        role = past.usage.get("verifier", Usage()) + usage
        self._history = replace(
            past, tokens=past.tokens + usage.total_tokens, usage={**past.usage, "verifier": role}, elapsed_s=elapsed_s
        )
        if any(budget(self._history).stop for budget in self._budgets):
            self._tournament.end()
        self.tick(elapsed_s)


def failed_comparison(order: Sequence[int], error: BaseException) -> FailedComparison:
    """The record of a comparison that failed."""
    said = printable(str(error))
    text = f"{type(error).__name__}: {said}"
    return FailedComparison(tuple(order), text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…")
