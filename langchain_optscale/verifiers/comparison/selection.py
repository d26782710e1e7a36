"""`TournamentSelection`: the choice among the leaders of a search by comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from langchain_optscale.answers.selection import Selection, SelectionLike, as_selection
from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.comparison.adapters import as_comparison_judge
from langchain_optscale.verifiers.comparison.base import ComparisonJudge
from langchain_optscale.verifiers.comparison.judge import PairwiseJudge
from langchain_optscale.verifiers.comparison.standing import standing_of
from langchain_optscale.verifiers.comparison.tournament import Tournament
from langchain_optscale.verifiers.llm_judge.judge import LLMJudge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_optscale.records.candidates import Candidate, Verdict
    from langchain_optscale.verifiers.base import Verifier

__all__ = ["TOURNAMENT", "TournamentSelection", "judge_in", "tournament_base", "tournament_in"]

TOURNAMENT = "tournament"
"""The name of a tournament by the verifier's own judge, for `select=`."""

_comparing: WeakKeyDictionary[LLMJudge, PairwiseJudge] = WeakKeyDictionary()


@dataclass(frozen=True)
class TournamentSelection(Selection):
    """Chooses among the leading candidates by comparing them, where their scores cannot tell them apart.

    When the search has stopped, the candidates are ranked by `base`. Those whose scores are within their noise of the
    best, at most `k`, and of candidates with equal answers only the best, are compared by the judge, each pair or group
    in both orders. Scores and comparisons count together: the score gives each a strength before it is compared (see
    `standing`), and Bradley-Terry's model joins the two. The comparisons end when the leader is better than each other
    with `confidence`, when `budget` is spent, or at a deadline or a budget of the search; then the strongest is
    returned. Where nothing is within the noise, nothing is asked.

    `OptScaleResult.ranking` has the comparisons, the strengths with their uncertainty, and the judge's preference for a
    place; what they consumed is part of the verifier's usage. A comparison that fails is retried as a verification is;
    after that it is left out, and where all fail the choice of `base` is returned.

    Attributes:
        judge: A `PairwiseJudge`, a `GroupwiseJudge`, another `ComparisonJudge`, a chat model or its name, or a function
            `(prompt, first, second)`; None takes the verifier's own `LLMJudge`, as `select="tournament"` does.
        k: The most candidates that are compared, at least 2.
        budget: The most comparisons, at least 2.
        base: The selection that ranks the candidates; None takes what the search would select by.
        noise: The standard deviation of a score's noise, at least 0, in score units; 0 compares equal scores only. None
            takes what verdicts say: a judge's spread over votes, or its probabilities; where they say nothing, 0.1.
        confidence: In [0.5, 1).
        votes: How often each order of the same candidates may be asked, at least 1; above 1 the judge must not repeat
            itself, so set its temperature above 0 and `cache_size=0`.

    Raises:
        SettingsError: A setting is out of range.

    Example:
        ```python
        judge = PairwiseJudge(ChatOpenAI(model="gpt-4.1-mini", temperature=0))
        OptScale(policy=policy, verifier=verifier, select=TournamentSelection(judge, k=4, budget=12))
        ```

        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import OptScale
        >>> policy = FakeListChatModel(responses=["It is Paris, as everybody knows.", "Paris"])
        >>> select = TournamentSelection(lambda prompt, first, second: len(first.text) < len(second.text))
        >>> search = OptScale(policy=policy, verifier=lambda prompt, candidate: 0.8, select=select, max_samples=4)
        >>> search.invoke("The capital of France?").text
        'Paris'
    """

    judge: Any = None
    k: int = 4
    budget: int = 12
    base: SelectionLike | None = None
    noise: float | None = None
    confidence: float = 0.95
    votes: int = 1

    def __post_init__(self) -> None:
        if self.judge is not None:
            object.__setattr__(self, "judge", as_comparison_judge(self.judge))
        for name, least in (("k", 2), ("budget", 2), ("votes", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SettingsError(f"{name} of a tournament must be a whole number of at least {least}, got {value!r}")
        if self.noise is not None and not (is_finite(self.noise) and 0 <= self.noise < math.inf):
            raise SettingsError(f"noise must be a finite number of at least 0, or None, got {self.noise!r}")
        if not is_finite(self.confidence) or not 0.5 <= self.confidence < 1:
            raise SettingsError(f"confidence of a tournament must be in [0.5, 1), got {self.confidence!r}")
        if self.base is not None and isinstance(as_selection(self.base), TournamentSelection):
            raise SettingsError("base must be a selection by scores and answers, not another tournament")

    def position(self, answers: Sequence[str | None], scores: Sequence[float | None]) -> int:
        """Refused: a tournament compares texts, which recorded scores and answers do not have.

        Raises:
            SettingsError: Always.
        """
        raise SettingsError(
            "a tournament compares candidates by a judge, which recorded scores cannot replay: set select='best' or "
            "another selection for a replay"
        )

    def tournament(
        self, candidates: Sequence[Candidate], verdicts: Mapping[int, Verdict], base: SelectionLike
    ) -> Tournament:
        """The tournament of a finished search; over at once where there is nothing to compare.

        Args:
            candidates: The scored candidates, without copies, at least one.
            verdicts: Their verdicts.
            base: The selection that ranks them, where this one sets none.
        """
        if not isinstance(self.judge, ComparisonJudge):
            raise SettingsError("this tournament has no judge: give judge=, such as PairwiseJudge(model)")
        standing = standing_of(candidates, verdicts, self.base or base, self.k, self.noise)
        return Tournament(
            standing.indexes,
            standing.means,
            std=standing.std,
            group_size=self.judge.group_size,
            budget=self.budget,
            votes=self.votes,
            confidence=self.confidence,
        )


def judge_in(verifier: Verifier) -> LLMJudge | None:
    """The first `LLMJudge` that a verifier is, wraps or joins; None without one."""
    if isinstance(verifier, LLMJudge):
        return verifier
    inner = [getattr(verifier, "verifier", None), *(getattr(verifier, "verifiers", None) or ())]
    return next((found for one in inner if one is not None and (found := judge_in(one)) is not None), None)


def tournament_in(select: Any, verifier: Verifier) -> TournamentSelection | None:
    """The tournament that a selection is, with its judge; None where scores and answers alone choose.

    Args:
        select: A selection, or "tournament" for one by the verifier's own judge.
        verifier: Of the search.

    Raises:
        SettingsError: It has no judge, and neither has the verifier.
    """
    if isinstance(select, TournamentSelection):
        return select if select.judge is not None else replace(select, judge=_comparing_like(verifier))
    return TournamentSelection(_comparing_like(verifier)) if isinstance(select, str) and select == TOURNAMENT else None


def tournament_base(select: Any) -> tuple[SelectionLike | None] | None:
    """The base of a tournament, which may be None; None where the selection is no tournament.

    Example:
        >>> tournament_base("vote"), tournament_base("tournament"), tournament_base(TournamentSelection(base="vote"))
        (None, (None,), ('vote',))
    """
    if isinstance(select, TournamentSelection):
        return (select.base,)
    return (None,) if isinstance(select, str) and select == TOURNAMENT else None


def _comparing_like(verifier: Verifier) -> PairwiseJudge:
    """The judge that compares as the verifier's own judge grades; the same one every time, for what it has learnt."""
    judge = judge_in(verifier)
    if judge is None:
        raise SettingsError(
            f"select='tournament' compares by the verifier's own LLMJudge, and {verifier.name} has none: set "
            "select=TournamentSelection(PairwiseJudge(model))"
        )
    if judge not in _comparing:
        _comparing[judge] = PairwiseJudge.like(judge)
    return _comparing[judge]
