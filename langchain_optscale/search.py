"""One search as a state machine that never waits.

`Search` hands out jobs (draw these, verify that) and is told what came of each. It knows how to do a job in either
manner, but not when: that is for the pumps in `sampling`, one with threads and one with tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_optscale.answers import AnswerBook, choose
from langchain_optscale.errors import AllCandidatesFailed, EmptyCandidateError
from langchain_optscale.offered_tools import with_tools
from langchain_optscale.records import Candidate, Failure, Usage, Verdict
from langchain_optscale.results import OptScaleResult
from langchain_optscale.retry import is_rejection
from langchain_optscale.tool_calls import call_key
from langchain_optscale.tracing import child_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import PromptValue

    from langchain_optscale.policy import Drawn
    from langchain_optscale.settings import SearchSettings
    from langchain_optscale.verifiers import Verifier

__all__ = ["Done", "Draw", "Event", "Job", "Raised", "Search", "Verify"]


@dataclass(frozen=True, slots=True)
class Draw:
    """A job: draw one candidate for each index, in one request."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verify:
    """A job: verify one candidate."""

    candidate: Candidate


Job: TypeAlias = Draw | Verify


@dataclass(frozen=True, slots=True)
class Done:
    """A job that went well: what it gave, and how many seconds it took."""

    value: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Raised:
    """A job that failed for good: its last error, and how often it was tried."""

    error: BaseException
    attempts: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for whoever watches the search; the data is JSON-ready."""

    name: str
    data: dict[str, Any]


class Search:
    """The state of one search for one question.

    Args:
        settings: What to search with.
        prompt: The conversation to answer.
        call_kwargs: The caller's own arguments for the policy, such as `stop`.
    """

    def __init__(
        self, settings: SearchSettings, prompt: PromptValue, call_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.settings = settings
        self.prompt = prompt
        self.session = settings.session()
        self._drawer = settings.drawer(call_kwargs)
        self._shown = with_tools(prompt, self._drawer.tools)
        self._answers = AnswerBook(settings.extract)
        self._scorer: Verifier = settings.verifier.for_search(self._answers)
        # A RunnableLambda gives each verification a run of its own in the trace, under the verifier's name.
        self._verifier = RunnableLambda(self._verify, self._averify, name=settings.verifier.name)
        self._candidates: dict[int, Candidate] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._failures: dict[int, Failure] = {}
        # Candidates that call the same tools with the same arguments share a verdict: the first of them is verified.
        self._first_of: dict[str, int] = {}
        self._same_as: dict[int, list[int]] = {}
        self._events: list[Event] = []
        self._draws: deque[Job] = deque()
        self._verifications: deque[Job] = deque()
        self._began = time.perf_counter()

    @property
    def over(self) -> bool:
        """Whether the session has decided to stop."""
        return self.session.decision.stop

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
        if self.session.ask():
            indexes = self.session.pending
            self._happened("round", number=self.session.round_of(indexes[0]), indexes=list(indexes))
            self._draws.extend(Draw(request) for request in self._drawer.requests(indexes))
        jobs: list[Job] = []
        while len(jobs) < room and (self._verifications or self._draws):
            jobs.append((self._verifications or self._draws).popleft())
        return jobs

    def run(self, job: Job, config: RunnableConfig) -> Any:
        """Do a job and wait for it."""
        if isinstance(job, Draw):
            return self._read(job.indexes, self._drawer.draw(self.prompt, job.indexes, config))
        return self._verifier.invoke(job.candidate, self._verify_config(job, config))

    async def arun(self, job: Job, config: RunnableConfig) -> Any:
        """Do a job without blocking the event loop."""
        if isinstance(job, Draw):
            drawn = await self._drawer.adraw(self.prompt, job.indexes, config)
            # Comparing answers may take seconds.
            return (
                await asyncio.to_thread(self._read, job.indexes, drawn) if self.settings.extract is not None else drawn
            )
        return await self._verifier.ainvoke(job.candidate, self._verify_config(job, config))

    def settle(self, job: Job, outcome: Done | Raised) -> None:
        """Take note of what came of a job; what follows from it can then be taken."""
        if isinstance(job, Draw):
            self._settle_draw(job.indexes, outcome)
        else:
            index = job.candidate.index
            self._tell(index, outcome.value if isinstance(outcome, Done) else _failure("verify", outcome))
            for twin in self._same_as.pop(index, []):
                self._tell_the_same(twin, index)

    def result(self) -> OptScaleResult:
        """The record of the search.

        Raises:
            AllCandidatesFailed: No candidate has a score.
        """
        decision = self.session.decision
        if not self._verdicts:
            drawn = [self._candidates[index] for index in sorted(self._candidates)]
            raise AllCandidatesFailed(self._failures, decision.reason, drawn)
        candidates = tuple(self._candidates[index] for index in sorted(self._candidates))
        result = OptScaleResult(
            best=self._candidates[self._select()],
            candidates=candidates,
            verdicts=self._verdicts,
            failures=self._failures,
            rounds=self.session.rounds,
            decision=decision,
            estimate=self.session.estimate,
            usage={
                "policy": reduce(add, (candidate.usage for candidate in candidates), Usage()),
                "verifier": reduce(add, (v.usage for v in self._verdicts.values() if v.usage), Usage()),
            },
            duration_s=self.elapsed_s,
        )
        self._happened("answer", **result.summary())
        return result

    def _select(self) -> int:
        scored = [self._candidates[index] for index in self._verdicts]
        scores = {index: verdict.score for index, verdict in self._verdicts.items()}
        return choose(self.settings.select, scored, scores)

    def _read(self, indexes: Sequence[int], drawn: list[Drawn]) -> list[Drawn]:
        """Reads the answers of a request while it is still a job, off the pump; `_receive` then finds them read."""
        for index, choice in zip(indexes, drawn, strict=False):
            # What an extractor raises is kept in the book, and raised again where the candidate is received.
            with contextlib.suppress(Exception):
                if not _is_empty(choice.message):
                    self._answers.read(index, str(choice.message.text), choice.message)
        return drawn

    def _settle_draw(self, indexes: Sequence[int], outcome: Done | Raised) -> None:
        if isinstance(outcome, Raised):
            if len(indexes) > 1 and self._drawer.may_fall_back and is_rejection(outcome.error):
                self._draw_by_calls(indexes)
                return
            for index in indexes:
                self._tell(index, _failure("draw", outcome))
            return
        drawn: list[Drawn] = outcome.value[: len(indexes)]
        for index, choice in zip(indexes, drawn, strict=False):
            self._receive(index, choice, outcome.seconds)
        missing = indexes[len(drawn) :]
        if missing and len(indexes) > 1:
            self._draw_by_calls(missing)
        else:
            for index in missing:
                self._tell(index, _failure("draw", Raised(EmptyCandidateError("the policy gave no choice"), 1)))

    def _draw_by_calls(self, indexes: Sequence[int]) -> None:
        """The server does not give several choices in one request: ask for them one by one."""
        self._drawer.fall_back()
        self._draws.extend(Draw((index,)) for index in indexes)

    def _receive(self, index: int, choice: Drawn, seconds: float) -> None:
        message = choice.message
        candidate = Candidate(index, message, self.session.round_of(index), choice.usage, seconds)
        self._candidates[index] = candidate
        if _is_empty(message):
            broken = f", only with what is no valid one: {candidate.text}" if message.invalid_tool_calls else ""
            empty = EmptyCandidateError(f"the policy answered with neither text nor a tool call{broken}")
            self._tell(index, _failure("draw", Raised(empty, 1)))
            return
        if self.settings.extract is not None:
            try:
                answer = self._answers.read(index, candidate.text, message)
            except Exception as error:  # noqa: BLE001 - the user's function; its error is kept as the failure
                self._tell(index, _failure("verify", Raised(error, 1)))
                return
            candidate = self._candidates[index] = Candidate(
                index, message, candidate.round, choice.usage, seconds, answer
            )
        self._happened("candidate", index=index, round=candidate.round, text=candidate.text, latency_s=seconds)
        self._verify_once(candidate)

    def _verify_once(self, candidate: Candidate) -> None:
        # A verifier that looks at the other candidates, too, gives equal ones different scores.
        key = call_key(candidate.message) if self._scorer is self.settings.verifier else None
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

    def _tell(self, index: int, outcome: Verdict | Failure) -> None:
        candidate = self._candidates.get(index)
        tokens = candidate.usage.total_tokens if candidate else 0
        if isinstance(outcome, Verdict):
            self._verdicts[index] = outcome
            tokens += outcome.usage.total_tokens if outcome.usage else 0
        else:
            self._failures[index] = outcome
        answer = candidate.answer if candidate else None
        decision = self.session.tell(index, outcome, answer=answer, tokens=tokens, elapsed_s=self.elapsed_s)
        estimate = self.session.estimate if self.session.history.n else None
        about = {"index": index, "estimate": estimate and asdict(estimate), "decision": decision.to_dict()}
        if isinstance(outcome, Verdict):
            self._happened("verdict", score=outcome.score, explanation=outcome.explanation, **about)
        else:
            self._happened("failure", **asdict(outcome), **about)

    def _happened(self, what: str, **data: Any) -> None:
        self._events.append(Event(f"optscale:{what}", data))

    def _verify_config(self, job: Verify, config: RunnableConfig) -> RunnableConfig:
        name = f"optscale:verdict:{job.candidate.index}"
        return child_config(config, name, [name], {"verifier": self.settings.verifier.name})

    def _verify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        return self._scorer.verify(self._shown, candidate, config)

    async def _averify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        return await self._scorer.averify(self._shown, candidate, config)


def _is_empty(message: AIMessage) -> bool:
    return not str(message.text).strip() and not message.tool_calls


def _failure(stage: Any, raised: Raised) -> Failure:
    return Failure(stage, f"{type(raised.error).__name__}: {raised.error}", raised.attempts)
