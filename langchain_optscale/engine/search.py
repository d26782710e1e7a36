"""One search as a state machine that never waits.

`Search` hands out jobs (draw these, verify that) and is told what came of each. Its `work` knows how to do a job in
either manner, but not when: that is for the pumps in `sampling`, one with threads and one with tasks.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers import AnswerBook
from langchain_optscale.engine.jobs import Done, Draw, Event, Job, Verify
from langchain_optscale.engine.result import build_result
from langchain_optscale.engine.worker import Worker
from langchain_optscale.errors import EmptyCandidateError
from langchain_optscale.models.retry import is_rejection
from langchain_optscale.records.failures import Raised, failure_of
from langchain_optscale.records.tool_calls import call_key
from langchain_optscale.records.types import Candidate, Failure, StopReason, Usage, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.engine.jobs import Choice
    from langchain_optscale.engine.result import OptScaleResult
    from langchain_optscale.engine.settings import SearchSettings

__all__ = ["Search"]


# These forbid further draws; what has been drawn and paid for may still be verified where that costs nothing.
_BUDGETS = frozenset({StopReason.TOKEN_BUDGET, StopReason.COST_BUDGET})


class Search:
    """The state of one search for one question.

    Args:
        settings: What to search with.
        prompt: The conversation to answer.
        call_kwargs: The caller's own arguments for the policy, such as `stop`.
        heard: Whether anybody wants to hear of its events; else there are none.

    Attributes:
        work: Does the jobs.
    """

    def __init__(
        self,
        settings: SearchSettings,
        prompt: PromptValue,
        call_kwargs: Mapping[str, Any] | None = None,
        *,
        heard: bool = True,
    ) -> None:
        self.settings = settings
        self.session = settings.session()
        self._sampler = settings.sampler(call_kwargs)
        self.work = Worker(settings, prompt, self._sampler, AnswerBook(settings.extract))
        self._candidates: dict[int, Candidate] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._failures: dict[int, Failure] = {}
        self._verifying = 0
        self._verifier_pays = False
        # What verifications consumed without a verdict that says so.
        self._unsaid = Usage()
        # Candidates that call the same tools with the same arguments share a verdict: the first of them is verified.
        self._first_of: dict[str, int] = {}
        self._same_as: dict[int, list[int]] = {}
        self._heard = heard
        self._events: list[Event] = []
        self._draws: deque[Draw] = deque()
        self._verifications: deque[Verify] = deque()
        self._began = time.perf_counter()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do and nothing left to wait for.

        So it is as soon as the session has decided to stop; only where a budget of tokens or money ended it are the
        candidates that are there already verified first, by a verifier that has cost nothing so far.
        """
        return self.session.decision.stop and not self._finishes

    @property
    def _finishes(self) -> bool:
        if self.session.decision.reason not in _BUDGETS or self._verifier_pays:
            return False
        if not self._verifications and not self._verifying:
            return False
        deadline = self.session.next_deadline
        return deadline is None or self.elapsed_s < deadline

    def wants(self, job: Job) -> bool:
        """Whether it still matters what comes of a job that is under way; else it is to be cancelled."""
        return not self.session.decision.stop or (isinstance(job, Verify) and not self.over)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the search began."""
        return time.perf_counter() - self._began

    @property
    def patience_s(self) -> float | None:
        """Seconds until the session wants to hear of the time; None where it does not."""
        deadline = self.session.next_deadline
        return None if deadline is None else max(0.0, deadline - self.elapsed_s)

    def tick(self) -> None:
        """Tell the session the time."""
        self.session.tick(self.elapsed_s)

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def take(self, room: int) -> list[Job]:
        """At most `room` jobs to start now: verifications before draws, since a verdict may save the draws.

        Begins the next round when nothing is pending. Once the search is over there is nothing left to take.
        """
        if self.over:
            return []
        if self.session.ask() or self._ask_ahead():
            indexes = self.session.asked
            self._happened("round", number=self.session.round_of(indexes[0]), indexes=list(indexes))
            self._draws.extend(Draw(request) for request in self._sampler.requests(indexes))
        jobs: list[Job] = []
        if self.session.decision.stop:
            self._draws.clear()
        while len(jobs) < room and self._verifications:
            self._verifying += 1
            jobs.append(self._verifications.popleft())
        while len(jobs) < room and self._draws and not self._spent:
            jobs.append(self._draws.popleft())
        return jobs

    @property
    def _spent(self) -> bool:
        """Whether a budget is spent and the first news of what has been drawn will say so: nothing more is drawn."""
        if self.session.history.n or not (self._verifications or self._verifying):
            return False
        decision = self.session.stopping(self.session.history)
        return decision.stop and decision.reason in _BUDGETS

    def _ask_ahead(self) -> int:
        """Where rounds overlap: the next candidates, while the last of a round are still under way."""
        if not self.settings.overlap or self._draws:
            return 0
        # One request for several choices is worth waiting for.
        free = self.session.round_size - len(self.session.pending)
        if self._sampler.max_choices > 1 and 2 * free < self.session.round_size:
            return 0
        return self.session.ask(ahead=True)

    def settle(self, job: Job, outcome: Done | Raised) -> None:
        """Take note of what came of a job; what follows from it can then be taken."""
        if isinstance(job, Draw):
            self._settle_draw(job.indexes, outcome)
            return
        self._verifying -= 1
        index = job.candidate.index
        # A verdict counts from the moment it was reached, whatever befell the task that brought it.
        seen = self.work.seen.pop(index, None)
        verdict: Verdict | None = outcome.value if isinstance(outcome, Done) else seen
        unsaid = self.work.unsaid(index, verdict)
        if isinstance(outcome, Raised):
            self._tell(index, verdict or failure_of("verify", outcome), unsaid)
        else:
            self._tell(index, outcome.value, unsaid)
        for twin in self._same_as.pop(index, []):
            self._tell_the_same(twin, index)

    def forget(self, job: Job) -> None:
        """A job was cancelled and brought nothing; what a verification has consumed by then counts all the same."""
        if isinstance(job, Verify):
            self._verifying -= 1
            if unsaid := self.work.unsaid(job.candidate.index, None):
                self._unsaid += unsaid
                self.session.spend({"verifier": unsaid}, self.elapsed_s)

    def saw(self, job: Job) -> bool:
        """Whether a verdict was reached in a job that was cancelled before it could bring it."""
        return isinstance(job, Verify) and job.candidate.index in self.work.seen

    def result(self) -> OptScaleResult:
        """The record of the search.

        Raises:
            AllCandidatesFailed: No candidate has a score.
        """
        result = build_result(
            self.settings,
            self.session,
            self._candidates,
            self._verdicts,
            self._failures,
            self.elapsed_s,
            unreported_usage=self._unsaid,
        )
        self._happened("answer", **result.summary())
        return result

    def _settle_draw(self, indexes: Sequence[int], outcome: Done | Raised) -> None:
        if isinstance(outcome, Raised):
            if len(indexes) > 1 and self._sampler.may_fall_back and is_rejection(outcome.error):
                # It may be that the server takes fewer at once; what else it may be, a single call will show.
                self._draw_in_smaller(indexes, len(indexes) // 2)
                return
            for index in indexes:
                self._tell(index, failure_of("draw", outcome))
            return
        drawn: list[Choice] = outcome.value[: len(indexes)]
        spent = reduce(add, (choice.usage for choice in drawn), Usage())
        self.session.spend({"policy": spent}, self.elapsed_s)
        for index, choice in zip(indexes, drawn, strict=False):
            self._receive(index, choice, outcome.seconds)
        missing = indexes[len(drawn) :]
        if missing and len(indexes) > 1:
            self._draw_in_smaller(missing, 1)
        else:
            self._sampler.record_success(len(indexes))
            for index in missing:
                self._tell(index, failure_of("draw", Raised(EmptyCandidateError("the policy gave no choice"), 1)))

    def _draw_in_smaller(self, indexes: Sequence[int], choices: int) -> None:
        """The server does not give so many choices in one request: ask for fewer at once."""
        self._sampler.fall_back(choices)
        queued = [index for draw in self._draws for index in draw.indexes]
        self._draws = deque(Draw(request) for request in self._sampler.requests([*indexes, *queued]))

    def _receive(self, index: int, choice: Choice, seconds: float) -> None:
        number = self.session.round_of(index)
        candidate, failed = self.work.receive(index, choice, round_number=number, seconds=seconds)
        self._candidates[index] = candidate
        if failed is not None:
            self._tell(index, failed)
            return
        self._happened("candidate", index=index, round=number, text=candidate.text, latency_s=seconds)
        self._verify_once(candidate)

    def _verify_once(self, candidate: Candidate) -> None:
        # A verifier that looks at the other candidates, too, gives equal ones different scores.
        key = call_key(candidate.message) if self.work.shares_verdicts else None
        first = candidate.index if key is None else self._first_of.setdefault(key, candidate.index)
        if first == candidate.index:
            self._verifications.append(Verify(candidate))
        elif first in self._verdicts or first in self._failures:
            self._tell_the_same(candidate.index, first)
        else:
            self._same_as.setdefault(first, []).append(candidate.index)

    def _tell_the_same(self, index: int, first: int) -> None:
        known = self._verdicts.get(first) or self._failures[first]
        # Its cost is that of the first one, and was counted there.
        self._tell(index, replace(known, usage=None) if isinstance(known, Verdict) else known)

    def _tell(self, index: int, outcome: Verdict | Failure, unsaid: Usage | None = None) -> None:
        candidate = self._candidates.get(index)
        said = None
        if isinstance(outcome, Verdict):
            self._verdicts[index] = outcome
            said = outcome.usage
        else:
            self._failures[index] = outcome
        usage = {}
        if said or unsaid:
            self._verifier_pays = True
            self._unsaid += unsaid or Usage()
            usage = {"verifier": (said or Usage()) + (unsaid or Usage())}
        answer = candidate.answer if candidate else None
        decision = self.session.tell(index, outcome, answer=answer, usage=usage, elapsed_s=self.elapsed_s)
        if not self._heard:
            return  # the estimate that is reported takes longer than everything else here
        estimate = self.session.estimate if self.session.history.n else None
        about = {"index": index, "estimate": estimate and asdict(estimate), "decision": decision.to_dict()}
        if isinstance(outcome, Verdict):
            self._happened("verdict", score=outcome.score, explanation=outcome.explanation, **about)
        else:
            self._happened("failure", **asdict(outcome), **about)

    def _happened(self, what: str, **data: Any) -> None:
        if self._heard:
            self._events.append(Event(f"optscale:{what}", data))
