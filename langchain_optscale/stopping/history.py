"""The record of a search: its history, which is a rule's input, and the rounds that a session keeps beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.support import Support
from langchain_optscale.records.decisions import Round, StopReason
from langchain_optscale.records.forks import cached_property
from langchain_optscale.records.identical import copies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_optscale.answers.support import Tally
    from langchain_optscale.records.candidates import Failure
    from langchain_optscale.records.decisions import Decision, Estimate, Observation
    from langchain_optscale.records.usage import Usage
    from langchain_optscale.stats.estimation import Estimator, ScorePrior, ScoreSums

__all__ = ["BUDGETS", "History", "SessionRecord"]

BUDGETS = frozenset({StopReason.TOKEN_BUDGET, StopReason.COST_BUDGET})
"""Budgets that forbid further draws; what has been drawn may still be verified where that costs nothing."""


@dataclass(frozen=True)
class History:
    """All that a rule may use: no clock, no models, no random numbers.

    Attributes:
        scores: Scores in [0, 1], in order of arrival.
        answers: The canonical answer of each scored candidate, None where it has none; as long as `scores`, or empty.
        pending: Candidates that were requested and have no outcome yet.
        failures: Candidates that could not be drawn or not be verified.
        tokens: Tokens spent so far by policy and verifier.
        usage: The same by role, "policy" and "verifier", as far as the driver reports it.
        elapsed_s: Seconds since the search began, as reported by the driver.
        max_samples: The search's own cap on candidates, None where there is none.
        estimator: How the score distribution is estimated; None means maximum likelihood, and `Posterior` for a rule
            whose `looks_ahead` is true.
        prior: Passed to the estimator.
        sums: The sufficient statistics of `scores` if the caller maintains them; None computes them.
        fingerprints: What tells of each scored candidate whether it is a copy of another, see `records.identical`; as
            long as `scores`, or empty.
        tally: The sums by answer behind `support` if the caller maintains them; None computes them.
        interim: Whether no candidates will be requested on this decision, so that it need not say how many.

    Example:
        >>> from langchain_optscale.stopping import TargetReached
        >>> history = History(scores=(0.4, 0.95), pending=1)
        >>> len(history.scores), TargetReached(0.9)(history).stop
        (2, True)
    """

    scores: tuple[float, ...] = ()
    answers: tuple[str | None, ...] = ()
    pending: int = 0
    failures: int = 0
    tokens: int = 0
    usage: Mapping[str, Usage] = field(default_factory=dict)
    elapsed_s: float = 0.0
    max_samples: int | None = None
    estimator: Estimator | None = None
    prior: ScorePrior | None = None
    sums: ScoreSums | None = None
    fingerprints: tuple[str | None, ...] = ()
    tally: Tally | None = None
    interim: bool = False

    def changed(self, **changes: Any) -> History:
        """As `dataclasses.replace`, several times faster: a session makes one after every event."""
        other = object.__new__(History)
        own = self.__dict__
        other.__dict__.update({name: own[name] for name in _FIELDS})
        other.__dict__.update(changes)
        return other

    def consumed(self, tokens: int, usage: Mapping[str, Usage] | None, elapsed_s: float) -> dict[str, Any]:
        """What `changed` needs where so much more was spent, by number of tokens or by role."""
        total = dict(self.usage)
        for role, more in (usage or {}).items():
            total[role] = total[role] + more if role in total else more
            tokens += more.total_tokens
        return {"tokens": self.tokens + tokens, "usage": total, "elapsed_s": max(self.elapsed_s, elapsed_s)}

    @cached_property
    def support(self) -> Support:
        """The support of each answer, copies left out; at least one candidate has an answer."""
        if self.tally is not None and not any(self.fingerprints):
            return Support.of_tally(self.tally)
        places = self.independent
        return Support.of([self.answers[place] for place in places], [self.scores[place] for place in places])

    @cached_property
    def independent(self) -> tuple[int, ...]:
        """The places of the candidates that are no copies: copies agree with each other and prove nothing."""
        if not any(self.fingerprints):
            return tuple(range(self.n))
        return tuple(place for place, is_copy in enumerate(copies(self.fingerprints)) if not is_copy)

    @cached_property
    def n(self) -> int:
        """Number of scored candidates."""
        return len(self.scores)

    @cached_property
    def drawn(self) -> int:
        """Number of candidates requested: scored, failed and pending ones."""
        return len(self.scores) + self.failures + self.pending

    @cached_property
    def best(self) -> float:
        """The highest score so far, -inf before the first."""
        return max(self.scores, default=-math.inf)

    @cached_property
    def estimate(self) -> Estimate:
        """The estimated score distribution, computed at first use, since not every rule needs it."""
        from langchain_optscale.stats.estimation import MaximumLikelihood

        estimator = self.estimator or MaximumLikelihood()
        if self.sums is None or getattr(estimator, "reads_scores", False):
            return estimator(self.scores, self.prior)
        return estimator(self.sums, self.prior)


_FIELDS = tuple(item.name for item in fields(History))


class SessionRecord:
    """What a `Session` has recorded: its rounds, what became of their candidates, and what was decided."""

    history: History
    decision: Decision
    stopping: Callable[[History], Decision]
    deadlines: tuple[float, ...]

    def _clear(self) -> None:
        self._rounds: list[tuple[tuple[int, ...], list[Observation]]] = []
        self._round_of: dict[int, int] = {}
        self._pending: set[int] = set()
        self._scores: dict[int, float] = {}
        self._failed: dict[int, Failure] = {}

    @property
    def pending(self) -> tuple[int, ...]:
        """Indexes of the candidates that were asked for and not told yet, ascending."""
        return tuple(sorted(self._pending))

    @property
    def asked(self) -> tuple[int, ...]:
        """Indexes of the candidates that were asked for last, ascending."""
        return self._rounds[-1][0] if self._rounds else ()

    @property
    def scores(self) -> Mapping[int, float]:
        """Score by candidate index, in order of arrival."""
        return dict(self._scores)

    @property
    def best(self) -> int | None:
        """Index of the candidate with the highest score, the earliest of equals; None before the first score."""
        return max(self._scores, key=lambda index: (self._scores[index], -index), default=None)

    @property
    def estimate(self) -> Estimate:
        """The estimated distribution of all scores so far."""
        return self.history.estimate

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds so far, each with an observation for every candidate of it whose outcome is known."""
        return tuple(Round(number, indexes, tuple(seen)) for number, (indexes, seen) in enumerate(self._rounds))

    def round_of(self, index: int) -> int:
        """The number of the round in which a candidate was asked for, from 0."""
        return self._round_of[index]

    @property
    def final_decision(self) -> Decision:
        """The decision that ended the session, with the figures and the claim of all candidates that count.

        Candidates of the same round may be verified after the one that ended the search. They may be returned, so what
        is said about the result has to include them: where the rule would now go on, nothing is claimed. Why the search
        ended stays as it was.
        """
        decision = self.decision
        since = sum(one.decision.stop for each in self.rounds for one in each.observations)
        if since < 2:  # nothing came after the one that ended it
            return decision
        now = self.stopping(self.history)
        figures = {**decision.figures, **now.figures}
        if now.stop:
            return replace(decision, figures=figures, claim=now.claim, probability=now.probability)
        # What the rule looks at in order to go on is no reason of the end.
        figures = {name: figures[name] for name in decision.figures}
        return replace(decision, figures=figures, claim="not sure", probability=None)

    @property
    def over_budget(self) -> bool:
        """Whether a token or cost budget has ended the session."""
        return self.decision.stop and self.decision.reason in BUDGETS

    @property
    def next_deadline(self) -> float | None:
        """The next moment, in elapsed seconds, at which `tick` should be called; None where no rule waits for one."""
        return next((moment for moment in self.deadlines if moment > self.history.elapsed_s), None)
