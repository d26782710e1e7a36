"""Ask and tell: the one place where scores become decisions.

A session does no input or output, reads no clock and holds no random generator. The caller owns drawing, verifying
and concurrency: it asks how many candidates to draw, and tells what came of each, in any order, one at a time.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.support import Tally
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Failure, Verdict
from langchain_optscale.records.decisions import Decision, Estimate, Observation, StopReason
from langchain_optscale.records.stored import reading
from langchain_optscale.stats.estimators import default_estimator, no_scores
from langchain_optscale.stopping.base import Rule
from langchain_optscale.stopping.budgets import MaxSamples
from langchain_optscale.stopping.history import BUDGETS, History, SessionRecord
from langchain_optscale.stopping.recurrence import is_recurrent
from langchain_optscale.stopping.session_json import read_form, replay_event, session_form
from langchain_optscale.stopping.trained import carried_prior, check_prior, is_prior

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_optscale.records.usage import Usage
    from langchain_optscale.stats.estimation import Estimator, ScorePrior

__all__ = ["Session"]


def _of_session(stopping: Rule, prior: Any) -> Any:
    """The session's prior; a value that is given takes the place of the function of the question in its rule."""
    return prior if is_prior(prior) else carried_prior(stopping, prior)


class Session(SessionRecord):
    """One search for one question.

    A round is asked for only when nothing is pending, unless it is asked ahead. `tell` may end the session while
    candidates are pending: the caller then cancels them. What still arrives after the end is kept, and may be the best,
    but changes no decision.

    Args:
        stopping: The rule that decides. The cap `max_samples` is enforced beside it.
        estimator: How the score distribution is estimated from scores. By default `Posterior` where a part of the rule
            looks ahead, as `Futility` and `MarginalGain` do; else maximum likelihood, or maximum a posteriori where a
            prior is given.
        prior: What is believed about this question's scores beforehand; handed to the estimator. None takes the one
            that the rule brings, as `paper(..., trained=...)` does.
        max_samples: The most candidates that are ever asked for, at least 1.
        first_round: Candidates in the first round, at least 1; raised to the rule's own `min_samples`. None takes the
            rule's `first_draw`, else 2.
        round_size: The most candidates in a later round, at least 1.
        interim_draws: Whether decisions taken while candidates are pending say how many to draw next. False saves time
            where nobody asks ahead or shows them, as in a replay.

    Raises:
        SettingsError: A number is out of range, or estimator and prior do not fit.

    Example:
        >>> from langchain_optscale import Verdict
        >>> from langchain_optscale.stopping import TargetReached
        >>> session = Session(TargetReached(0.9), max_samples=8)
        >>> session.ask()
        2
        >>> session.tell(0, Verdict(0.4)).stop, session.tell(1, Verdict(0.95)).stop
        (False, True)
        >>> session.ask(), session.best
        (0, 1)
    """

    stopping: Rule

    def __init__(
        self,
        stopping: Rule,
        *,
        estimator: Estimator | None = None,
        prior: ScorePrior | None = None,
        max_samples: int = 32,
        first_round: int | None = None,
        round_size: int = 8,
        interim_draws: bool = True,
    ) -> None:
        sizes = {"round_size": round_size} | ({} if first_round is None else {"first_round": first_round})
        for name, value in sizes.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not isinstance(stopping, Rule):
            raise SettingsError(f"stopping must be a rule from langchain_optscale.stopping, got {stopping!r}")
        prior = check_prior(_of_session(stopping, prior))
        self.stopping = stopping
        self.estimator = estimator or default_estimator(prior, looks_ahead=any(p.looks_ahead for p in stopping.parts()))
        self.max_samples = max_samples
        own = stopping.max_samples
        # A cap that the rule has itself is not asked twice.
        self._rule = stopping if own is not None and own <= max_samples else stopping | MaxSamples(max_samples)
        self.deadlines = self._rule.deadlines
        self.round_size = round_size
        self._interim_draws = interim_draws
        self._given_first_round = first_round
        if estimator is not None and prior is None:
            self.estimator((), None)  # an estimator that needs a prior raises here, not in mid-search
        self._expect(prior)
        self._begin()

    def _expect(self, prior: ScorePrior | None) -> None:
        """Begin with this prior: it may size the first round."""
        self.prior = prior
        if prior is not None:
            self.estimator((), prior)  # an estimator that does not fit the prior raises here, not in mid-search
        sums = None if getattr(self.estimator, "reads_scores", False) else no_scores()
        self._keeps_tally = any(part.reads_support for part in self.stopping.parts())
        self._start = self.history = History(
            max_samples=self.max_samples, estimator=self.estimator, prior=prior, sums=sums
        )
        wanted = self._rule.first_draw(self.history)
        first = self._given_first_round or (2 if wanted is None else min(wanted, max(2, self.round_size)))
        self.first_round = max(first, self._rule.min_samples or 1)
        self.decision = self._first_decision = self._evaluate()

    def _begin(self) -> None:
        self._events: list[list[Any]] = []
        self._clear()
        self.history, self.decision = self._start, self._first_decision

    def restarted(self, prior: ScorePrior | None = None) -> Session:
        """A session for another question under the same settings, which are not checked again.

        Args:
            prior: What is believed about that question's scores; None keeps the prior.

        Raises:
            SettingsError: The prior does not fit the estimator, or is none.
        """
        other = copy(self)
        if prior is not None:
            other._expect(check_prior(prior))  # noqa: SLF001 - of this class
        other._begin()  # noqa: SLF001 - of this class
        return other

    def ask(self, *, ahead: bool = False) -> int:
        """How many candidates to draw now; 0 while some are pending, and when the search has ended.

        The new candidates carry the next free indexes: see `pending` and `asked`.

        Args:
            ahead: Ask also while some are pending, up to a round's worth, so that drawing does not wait for the
                last of a round. More candidates may then be under way when the search ends.
        """
        early = bool(self._pending)
        if self.decision.stop or (early and not ahead):
            return 0
        # Candidates that the last decision asked for may have been asked for since.
        decision = self._evaluate() if early else self.decision
        wanted = math.inf if decision.draw is None else max(0 if early else 1, decision.draw)
        size = self.round_size if self._rounds else self.first_round
        if self._failed and not self._scores and self._failed[max(self._failed)].recurrence == "likely":
            size = 1  # it may be that none will ever be scored: find out at the price of one
        count = int(min(size - len(self._pending), wanted, self.max_samples - len(self._round_of)))
        if count < 1:
            return 0
        self._begin_round(count)
        self._events.append(["ask", count, "ahead"] if early else ["ask", count])
        return count

    def adopt(self, count: int) -> None:
        """Begin a round of `count` candidates that were drawn under other settings, whatever would be asked for now.

        So that a search can go on under a new target or budget with all that it has. The indexes are the next free
        ones, as in `ask`; the decision is taken when their outcomes are told.

        Raises:
            SettingsError: Candidates are pending, or the count is below 1.
        """
        if self._pending or count < 1:
            raise SettingsError(f"a round of {count} cannot be adopted while {sorted(self._pending)} are pending")
        self._begin_round(count)
        self._events.append(["adopt", count])

    def _begin_round(self, count: int) -> None:
        first = len(self._round_of)
        indexes = tuple(range(first, first + count))
        self._round_of.update(dict.fromkeys(indexes, len(self._rounds)))
        self._rounds.append((indexes, []))
        self._pending.update(indexes)
        self._advance(decide=False, pending=len(self._pending))

    def tell(
        self,
        index: int,
        outcome: Verdict | Failure,
        *,
        answer: str | None = None,
        tokens: int = 0,
        usage: Mapping[str, Usage] | None = None,
        elapsed_s: float = 0.0,
        fingerprint: str | None = None,
    ) -> Decision:
        """Record the outcome of one pending candidate.

        Args:
            index: One of `pending`.
            outcome: Its verdict, or why there is none.
            answer: Its canonical answer, where the task has one.
            tokens: What drawing and verifying it consumed, beyond what `spend` recorded.
            usage: What it consumed by role, "policy" and "verifier"; in place of `tokens`.
            elapsed_s: Seconds since the search began.
            fingerprint: What tells whether it is a copy of another candidate, see `records.identical`.

        Returns:
            The decision after it; once the session has ended, the decision that ended it.

        Raises:
            SettingsError: The index is not pending.
        """
        if index not in self._pending:
            state = "has been told already" if index in self._round_of else "was never asked for"
            raise SettingsError(f"candidate {index} {state}; report the outcome of one of {sorted(self._pending)}")
        self._pending.discard(index)
        past = self.history
        score = outcome.score if isinstance(outcome, Verdict) else None
        changes = past.consumed(tokens, usage, elapsed_s)
        if score is None:
            changes["failures"] = past.failures + 1
        else:
            self._scores[index] = score
            changes |= {"scores": (*past.scores, score), "answers": (*past.answers, answer)}
            changes["fingerprints"] = (*past.fingerprints, fingerprint)
            if past.sums is not None:
                changes["sums"] = past.sums.add(score)
            if past.tally is not None:
                changes["tally"] = past.tally.add(answer, score)
            elif answer is not None and self._keeps_tally:
                changes["tally"] = Tally.of(changes["answers"], changes["scores"])
        self._advance(**changes, pending=past.pending - 1)
        if isinstance(outcome, Failure):
            self._failed[index] = outcome
            self._stop_if_recurrent(index, outcome)
        estimate: Estimate | None = self.history.__dict__.get("estimate")  # where a rule asked for it
        observation = Observation(index, score, estimate and estimate.summary(), self.decision)
        self._rounds[self._round_of[index]][1].append(observation)
        failure = outcome if isinstance(outcome, Failure) else None
        event = ["tell", index, score, failure, answer, tokens, elapsed_s]
        if usage or fingerprint:
            event.append(dict(usage or {}))
        self._events.append([*event, fingerprint] if fingerprint else event)
        return self.decision

    def _stop_if_recurrent(self, index: int, failure: Failure) -> None:
        """Stop where further candidates would fail in the same way, see `Failure.recurrence`."""
        indexes = self._rounds[self._round_of[index]][0]
        if not self.decision.stop and is_recurrent(failure, self._failed, indexes):
            figures = {"failures": self.history.failures}
            self.decision = Decision(True, StopReason.FAILURES, 0, None, "Failure", figures)

    def spend(self, usage: Mapping[str, Usage], elapsed_s: float = 0.0) -> Decision:
        """Record usage before there is an outcome, such as of a candidate that is drawn but not verified yet.

        A budget may end the session by it, though not before the first score: what was drawn is then verified first.

        Args:
            usage: By role, "policy" and "verifier".
            elapsed_s: Seconds since the search began.
        """
        changes = self.history.consumed(0, usage, elapsed_s)
        self._advance(decide=bool(self._scores) or self._is_late(changes["elapsed_s"]), **changes)
        self._events.append(["spend", dict(usage), elapsed_s])
        return self.decision

    def tick(self, elapsed_s: float) -> Decision:
        """Let time pass without an outcome: a deadline may end the search.

        Args:
            elapsed_s: Seconds since the search began.
        """
        if not self.decision.stop and elapsed_s > self.history.elapsed_s:
            # Without a deadline a budget might end the session before the first score.
            self._advance(decide=self._is_late(elapsed_s), elapsed_s=elapsed_s)
            self._events.append(["tick", elapsed_s])
        return self.decision

    def end(self, reason: StopReason) -> Decision:
        """End the session, unless it has ended, for a reason outside of it, such as a budget that it shares.

        Args:
            reason: Why.
        """
        if not self.decision.stop:
            self.decision = Decision(True, reason, 0, None, "Session")
            self._events.append(["end", reason.name])
        return self.decision

    def budget_is_spent(self) -> bool:
        """Whether a token or cost budget would end the session now, were its rule asked before the next outcome."""
        decision = self._evaluate()
        return decision.stop and decision.reason in BUDGETS

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: settings and events. `from_dict` replays the events, hence reaches the same decisions.

        Raises:
            InvalidRecordError: The prior or the estimator is not one of this package, so that it has no JSON form.
        """
        names = ("stopping", "estimator", "prior", "max_samples", "first_round", "round_size")
        return session_form({name: getattr(self, name) for name in names}, self._events)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Session:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: The data is not a session, of a later version, or damaged.
        """
        settings, events = read_form(data)
        with reading("the session"):
            session = cls(**settings)
            for kind, *values in events:
                replay_event(session, kind, values)
        return session

    def _is_late(self, elapsed_s: float) -> bool:
        return any(moment <= elapsed_s for moment in self.deadlines)

    def _advance(self, *, decide: bool = True, **changes: Any) -> None:
        """Go on to the next history, and decide on it unless the session has ended."""
        if not self._interim_draws:
            changes["interim"] = changes.get("pending", self.history.pending) > 0
        self.history = self.history.changed(**changes)
        if decide and not self.decision.stop:
            self.decision = self._evaluate()

    def _evaluate(self) -> Decision:
        """The rule's decision on the history: where a search decides to stop."""
        return self._rule(self.history)
