"""One search as a state machine: no input or output, no threads, no waiting.

`Search` hands out jobs (draw these, verify that) and records what came of each. The drivers execute the jobs, in
threads or in tasks.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from langchain_optscale.engine.allowance import Turns
from langchain_optscale.engine.choosing import Comparing
from langchain_optscale.engine.completion import build_result
from langchain_optscale.engine.equals import Equals, shared
from langchain_optscale.engine.failing import failure_in
from langchain_optscale.engine.jobs import Cancelled, Compare, Done, Draw, Event, Job, Verify
from langchain_optscale.engine.worker import candidate_of
from langchain_optscale.errors import EmptyCandidateError
from langchain_optscale.models.retry import is_rejection, may_be_the_number
from langchain_optscale.records.candidates import Candidate, Failure, Verdict
from langchain_optscale.records.failures import AllCandidatesFailed, Raised
from langchain_optscale.records.identical import fingerprint
from langchain_optscale.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_optscale.engine.allowance import Allowance
    from langchain_optscale.engine.jobs import Choice
    from langchain_optscale.engine.recording import Recording
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.sampler import Sampler
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.stats.estimation import ScorePrior

__all__ = ["Search"]


class Search:
    """The state of one search for one question.

    Args:
        settings: What to search with.
        sampler: Says how many candidates go into one request.
        equality_key: Verify one of the candidates with the same key, the others get its verdict; None for a key, or in
            its place, verifies each.
        emit_events: Whether `events` reports anything.
        recording: What the search leaves in a store; None without one.
        prior: The question's prior, None where all questions have the same.
        spent_s: Seconds that the search has taken already.
        allowance: What it may draw of a budget that it shares; None leaves that to its own rule.
        clock: Seconds from any origin; elapsed time is measured by it.

    Attributes:
        session: Takes the decisions.
        emit_events: As given.
    """

    def __init__(
        self,
        settings: SearchSettings,
        sampler: Sampler,
        *,
        equality_key: Callable[[Candidate], str | None] | None = None,
        emit_events: bool = False,
        recording: Recording | None = None,
        prior: ScorePrior | None = None,
        spent_s: float = 0.0,
        allowance: Allowance | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.session = settings.session(
            prior, explore=recording is not None and recording.explores and allowance is None
        )
        self._turns = None if allowance is None else Turns(allowance, self.session)
        self._recording = recording
        self._settings = settings
        self._sampler = sampler
        equal_texts = settings.reverify_equal is False or settings.verifier.deterministic
        self._equals = Equals(equality_key, all_texts=equal_texts)
        self.emit_events = emit_events
        self._clock = clock
        self._candidates: dict[int, Candidate] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._failures: dict[int, Failure] = {}
        self._verifying = 0
        self._verifier_costs = False
        # What verifications consumed beyond what their verdicts report.
        self._unreported_usage = Usage()
        self._events: list[Event] = []
        self._draws: deque[Draw] = deque()
        self._verifications: deque[Verify] = deque()
        self._comparing: tuple[Comparing | None] | None = None
        self._began = clock() - spent_s

    @property
    def over(self) -> bool:
        """Whether nothing is left to do or to wait for: the search has stopped, and its choice is made."""
        if not self._stopped:
            return False
        comparing = self.comparing
        return comparing is None or comparing.over

    @property
    def comparing(self) -> Comparing | None:
        """The comparisons among the leading candidates, once no verdict is waited for; None where there are none."""
        if not self._stopped:
            return None
        if self._comparing is None and self._settings.tournament() is None:
            self._comparing = (None,)
        elif self._comparing is None:
            drawn, verdicts, seeded = self._candidates, self._verdicts, self._sampler.seeded
            self._comparing = (Comparing.of(self._settings, self.session, drawn, verdicts, seeded=seeded),)
        return self._comparing[0]

    @property
    def _stopped(self) -> bool:
        """Whether no verdict is waited for.

        True once the session has decided to stop. Only where a token or cost budget ended it are the candidates that
        have been drawn verified first, as long as verifying costs nothing.
        """
        if self._comparing is not None:
            return True
        decision = self.session.decision
        if not decision.stop:
            return False
        if self._verifier_costs or not (self._verifications or self._verifying):
            return True
        deadline = self.session.next_deadline
        return not self.session.over_budget or (deadline is not None and self.elapsed_s >= deadline)

    def wants(self, job: Job) -> bool:
        """Whether the outcome of a job under way still matters; if not, the job is to be cancelled."""
        if isinstance(job, Compare):
            return not self.over
        return not self.session.decision.stop or (isinstance(job, Verify) and not self._stopped)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the search began."""
        return self._clock() - self._began

    @property
    def wait_s(self) -> float | None:
        """Seconds until `tick` must be called; None where no rule has a deadline."""
        if not self.session.deadlines:
            return None
        deadline = self.session.next_deadline
        return None if deadline is None else max(0.0, deadline - self.elapsed_s)

    def tick(self) -> None:
        """Let a deadline that has passed end the search."""
        if self.session.deadlines:
            self.session.tick(self.elapsed_s)
            if self._comparing is not None and self._comparing[0] is not None:
                self._comparing[0].tick(self.elapsed_s)

    def resume(self) -> None:
        """Take what a shared budget has granted meanwhile, which may end the search."""
        if self._turns is not None:
            self._turns.resume()

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def take(self, room: int) -> list[Job]:
        """At most `room` jobs to start now: verifications before draws, since a verdict may save draws.

        Begins the next round when nothing is pending. Once the search is over there are no jobs.
        """
        if self.over:
            return []
        if self.comparing is not None:
            return list(self.comparing.take(room))
        if self._ask():
            indexes = self.session.asked
            self._event("round", number=self.session.round_of(indexes[0]), indexes=list(indexes))
            self._draws.extend(Draw(request) for request in self._sampler.requests(indexes))
        if self.session.decision.stop:
            self._draws.clear()
        jobs: list[Job] = []
        while len(jobs) < room and self._verifications:
            self._verifying += 1
            jobs.append(self._verifications.popleft())
        while len(jobs) < room and self._draws and not self._next_verdict_stops:
            jobs.append(self._draws.popleft())
        return jobs

    @property
    def _next_verdict_stops(self) -> bool:
        """Whether a budget is spent and the first verdict or failure will say so: nothing more is drawn."""
        return bool(self._verifications or self._verifying) and not self._verdicts and self.session.budget_is_spent()

    def _ask(self) -> int:
        """Ask for a round; where rounds overlap, also while the last candidates of one are under way."""
        if self._turns is not None:
            return self._turns.ask()
        if asked := self.session.ask():
            return asked
        if not self._settings.overlap or self._draws:
            return 0
        # One request for several choices is worth waiting for.
        free = self.session.round_size - len(self.session.pending)
        if self._sampler.max_choices > 1 and 2 * free < self.session.round_size:
            return 0
        return self.session.ask(ahead=True)

    def record_outcome(self, job: Job, outcome: Done | Raised | Cancelled) -> None:
        """Record what came of a job; what follows from it can then be taken."""
        if isinstance(job, Draw):
            self._record_draw(job.indexes, outcome)
            return
        if isinstance(job, Compare):
            self._record_comparison(job, outcome)
            return
        self._verifying -= 1
        index, unreported = job.candidate.index, outcome.unreported_usage
        if isinstance(outcome, Cancelled):
            if unreported:
                self._unreported_usage += unreported
                self.session.spend({"verifier": unreported}, self.elapsed_s)
            return
        result = outcome.value if isinstance(outcome, Done) else failure_in(self._settings, "verify", outcome)
        self._tell(index, result, unreported)
        for twin in self._equals.waiting_for(index):
            self._tell_twin(twin, index)

    def _record_comparison(self, job: Compare, outcome: Done | Raised | Cancelled) -> None:
        if self.comparing is None:
            return
        made = self.comparing.record(job, outcome, self.elapsed_s)
        if made is not None:
            self._event("comparison", number=job.number, **made)

    def result(self) -> OptScaleResult:
        """The record of the search.

        Raises:
            AllCandidatesFailed: No candidate has a score.
        """
        try:
            result = build_result(
                self._settings,
                self.session,
                self._candidates,
                self._verdicts,
                self._failures,
                self.elapsed_s,
                unreported_usage=self._unreported_usage,
                seeded=self._sampler.seeded,
                search_id=None if self._recording is None else self._recording.search_id,
                ranking=None if self.comparing is None else self.comparing.ranking,
            )
        except AllCandidatesFailed as error:
            if self._recording is not None:
                self._recording.failed(self.session, error)
            raise
        if self._recording is not None:
            self._recording.finished(self.session, result)
        if self.emit_events:
            self._event("answer", **result.summary())
        return result

    def _record_draw(self, indexes: Sequence[int], outcome: Done | Raised | Cancelled) -> None:
        if isinstance(outcome, Cancelled):
            return
        if isinstance(outcome, Raised):
            if len(indexes) > 1 and self._sampler.may_fall_back and may_be_the_number(outcome.error):
                # A rejecting server may take fewer choices a request; any other cause shows with a single one.
                self._draw_in_smaller(indexes, len(indexes) // 2 if is_rejection(outcome.error) else 1)
                return
            failure = failure_in(self._settings, "draw", outcome)
            for index in indexes:
                self._tell(index, failure)
            return
        choices: list[Choice] = outcome.value[: len(indexes)]
        self.session.spend({"policy": Usage.total([choice.usage for choice in choices])}, self.elapsed_s)
        for index, choice in zip(indexes, choices, strict=False):
            self._receive(index, choice, outcome.seconds)
        missing = indexes[len(choices) :]
        if missing and len(indexes) > 1:
            self._draw_in_smaller(missing, 1)
            return
        self._sampler.record_success(len(indexes))
        for index in missing:
            empty = Raised(EmptyCandidateError("the policy's response contains no choices"), 1)
            self._tell(index, failure_in(self._settings, "draw", empty))

    def _draw_in_smaller(self, indexes: Sequence[int], choices: int) -> None:
        """The server gives fewer choices a request: ask for at most `choices` at once from now on."""
        self._sampler.fall_back(choices)
        queued = [index for draw in self._draws for index in draw.indexes]
        self._draws = deque(Draw(request) for request in self._sampler.requests([*indexes, *queued]))

    def _receive(self, index: int, choice: Choice, seconds: float) -> None:
        number = self.session.round_of(index)
        candidate = self._candidates[index] = candidate_of(index, choice, number, seconds)
        if choice.failure is not None:
            self._tell(index, choice.failure)
            return
        if self.emit_events:
            self._event("candidate", index=index, round=number, text=candidate.text, latency_s=seconds)
        first = self._equals.first_like(candidate)
        if first == index:
            self._verifications.append(Verify(candidate))
        elif first in self._verdicts or first in self._failures:
            self._tell_twin(index, first)
        else:
            self._equals.wait(index, first)

    def _tell_twin(self, index: int, first: int) -> None:
        self._tell(index, shared(self._verdicts.get(first) or self._failures[first]))

    def _tell(self, index: int, outcome: Verdict | Failure, unreported: Usage | None = None) -> None:
        reported = None
        if isinstance(outcome, Verdict):
            self._verdicts[index] = outcome
            reported = outcome.usage
        else:
            self._failures[index] = outcome
        usage = {}
        if reported or unreported:
            self._verifier_costs = True
            self._unreported_usage += unreported or Usage()
            usage = {"verifier": (reported or Usage()) + (unreported or Usage())}
        candidate = self._candidates.get(index)
        answer = candidate.answer if candidate else None
        mark = fingerprint(candidate, seeded=self._sampler.seeded) if answer is not None and candidate else None
        decision = self.session.tell(
            index, outcome, answer=answer, usage=usage, elapsed_s=self.elapsed_s, fingerprint=mark
        )
        if not self.emit_events:
            return  # the estimate that an event reports takes longer than everything else here
        estimate = self.session.estimate if self._verdicts else None
        about = {"index": index, "estimate": estimate and asdict(estimate), "decision": decision.to_dict()}
        if isinstance(outcome, Verdict):
            self._event("verdict", score=outcome.score, explanation=outcome.explanation, **about)
        else:
            self._event("failure", **outcome.to_dict(), **about)

    def _event(self, what: str, **data: Any) -> None:
        if self.emit_events:
            self._events.append(Event(f"optscale:{what}", data))
