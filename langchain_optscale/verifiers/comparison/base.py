"""The interface of judges that compare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.verifiers._concurrent import arun_together, run_together
from langchain_optscale.verifiers.comparison.tournament import Tournament

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate
    from langchain_optscale.records.comparisons import Comparison, Ranking

__all__ = ["ComparisonJudge"]


class ComparisonJudge(ABC):
    """Says which of several candidates is best. Implement `compare`, and `acompare` where that is natively async.

    A judge must be safe to call from several threads and tasks at once. It need not be fair to all places: it is asked
    in both orders, and its preference for a place is measured and taken out, see `stats.bradley_terry`.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.records.comparisons import Comparison
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> class Shorter(ComparisonJudge):
        ...     def compare(self, prompt, candidates, config=None):
        ...         order = tuple(candidate.index for candidate in candidates)
        ...         first, second = (len(candidate.text) for candidate in candidates)
        ...         return Comparison(order, (float(first <= second), float(first > second)))
        >>> candidates = [make_candidate("It is Paris.", 0), make_candidate("Paris", 1)]
        >>> Shorter().rank(StringPromptValue(text="The capital of France?"), candidates).best
        1
    """

    @property
    def name(self) -> str:
        """Name of this judge's runs in a trace."""
        return type(self).__name__

    @property
    def group_size(self) -> int:
        """The most candidates that one comparison takes, at least 2."""
        return 2

    def check_sync(self) -> None:  # noqa: B027 - most judges have nothing to check
        """Check before a search on the sync path that this judge works there; by default it does.

        Raises:
            SettingsError: It works on the async path alone.
        """

    @abstractmethod
    def compare(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> Comparison:
        """Compare candidates in the order in which they are given.

        Args:
            prompt: The user's conversation that they answer.
            candidates: Two to `group_size` of them.
            config: To be passed to every Runnable that the judge calls.

        Raises:
            Exception: Any error that prevents a comparison.
        """

    async def acompare(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> Comparison:
        """As `compare`, without blocking the event loop; by default `compare` in a thread."""
        return await run_in_thread(self.compare, prompt, candidates, config)

    def rank(
        self,
        prompt: PromptValue,
        candidates: Sequence[Candidate],
        config: RunnableConfig | None = None,
        *,
        budget: int | None = None,
        votes: int = 1,
    ) -> Ranking:
        """Rank candidates by comparing them, each pair or group in both orders.

        Args:
            prompt: The conversation that they answer.
            candidates: At least two, with different indexes.
            config: For the judge's runs; "max_concurrency" limits how many comparisons are made at once.
            budget: The most comparisons, at least 2; None compares until the strongest is known with a confidence of
                0.95, or everything has been asked.
            votes: How often each order of the same candidates may be asked.

        Raises:
            Exception: The error of the first comparison that failed.
        """
        self.check_sync()
        by_index, tournament = self._tournament(candidates, budget, votes)
        while orders := tournament.ask():
            shown = [[by_index[index] for index in order] for order in orders]
            for number, comparison in enumerate(
                run_together([partial(self.compare, prompt, row, config) for row in shown], config)
            ):
                tournament.tell(orders[number], comparison)
        return tournament.ranking()

    async def arank(
        self,
        prompt: PromptValue,
        candidates: Sequence[Candidate],
        config: RunnableConfig | None = None,
        *,
        budget: int | None = None,
        votes: int = 1,
    ) -> Ranking:
        """As `rank`, without blocking the event loop; where one comparison fails, the others are cancelled."""
        by_index, tournament = self._tournament(candidates, budget, votes)
        while orders := tournament.ask():
            shown = [[by_index[index] for index in order] for order in orders]
            calls = [partial(self.acompare, prompt, row, config) for row in shown]
            for number, comparison in enumerate(await arun_together(calls, config)):
                tournament.tell(orders[number], comparison)
        return tournament.ranking()

    def _tournament(
        self, candidates: Sequence[Candidate], budget: int | None, votes: int
    ) -> tuple[Mapping[int, Candidate], Tournament]:
        by_index = {candidate.index: candidate for candidate in candidates}
        if len(by_index) < max(2, len(candidates)):
            raise SettingsError(f"a ranking needs at least two candidates with different indexes, got {len(by_index)}")
        return by_index, Tournament(tuple(by_index), group_size=self.group_size, budget=budget, votes=votes)
