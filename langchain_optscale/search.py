"""One search as a state machine that never waits.

`Search` hands out jobs (draw these, verify that) and is told what came of each. It knows how to do a job in either
manner, but not when: that is for the pumps in `sampling`, one with threads and one with tasks.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import merge_configs

from langchain_optscale.errors import AllCandidatesFailed, EmptyCandidateError, SettingsError
from langchain_optscale.records import Candidate, Failure, StopReason, Usage, Verdict
from langchain_optscale.results import OptScaleResult
from langchain_optscale.retry import is_rejection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.rate_limiters import BaseRateLimiter

    from langchain_optscale.policy import Drawn
    from langchain_optscale.settings import SearchSettings

__all__ = ["Done", "Draw", "Event", "Job", "Raised", "Search", "Verify", "watched"]


@dataclass(frozen=True, slots=True)
class Draw:
    """A job: draw one candidate for each index, in one request."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verify:
    """A job: verify one candidate."""

    candidate: Candidate


Job: TypeAlias = Draw | Verify

# These forbid further draws; what has been drawn and paid for may still be verified where that costs nothing.
_BUDGETS = frozenset({StopReason.TOKEN_BUDGET, StopReason.COST_BUDGET})
_LONGEST_ERROR = 500


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
        heard: Whether anybody wants to hear of its events; else there are none.
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
        self.prompt = prompt
        self.session = settings.session()
        self._drawer = settings.drawer(call_kwargs)
        # A RunnableLambda gives each verification a run of its own in the trace, under the verifier's name.
        self._verifier = RunnableLambda(self._verify, self._averify, name=settings.verifier.name)
        self._candidates: dict[int, Candidate] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._failures: dict[int, Failure] = {}
        self._seen: dict[int, Verdict] = {}
        self._verifying = 0
        self._verifier_pays = False
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
    def rate_limiter(self) -> BaseRateLimiter | None:
        """The policy's own rate limiter, to be asked before each draw."""
        return self._drawer.rate_limiter

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
            self._draws.extend(Draw(request) for request in self._drawer.requests(indexes))
        jobs: list[Job] = []
        if self.session.decision.stop:
            self._draws.clear()
        while len(jobs) < room and self._verifications:
            self._verifying += 1
            jobs.append(self._verifications.popleft())
        while len(jobs) < room and self._draws:
            jobs.append(self._draws.popleft())
        return jobs

    def _ask_ahead(self) -> int:
        """Where rounds overlap: the next candidates, while the last of a round are still under way."""
        if not self.settings.overlap or self._draws:
            return 0
        # One request for several choices is worth waiting for.
        free = self.session.round_size - len(self.session.pending)
        if self._drawer.max_choices > 1 and 2 * free < self.session.round_size:
            return 0
        return self.session.ask(ahead=True)

    def run(self, job: Job, config: RunnableConfig) -> Any:
        """Do a job and wait for it."""
        if isinstance(job, Draw):
            return self._drawer.draw(self.prompt, job.indexes, config)
        config = self._verify_config(job, config)
        return self._verifier.invoke(job.candidate, config) if watched(config) else self._verify(job.candidate, config)

    async def arun(self, job: Job, config: RunnableConfig) -> Any:
        """Do a job without blocking the event loop."""
        if isinstance(job, Draw):
            return await self._drawer.adraw(self.prompt, job.indexes, config)
        config = self._verify_config(job, config)
        if watched(config):
            return await self._verifier.ainvoke(job.candidate, config)
        return await self._averify(job.candidate, config)

    def settle(self, job: Job, outcome: Done | Raised) -> None:
        """Take note of what came of a job; what follows from it can then be taken."""
        if isinstance(job, Draw):
            self._settle_draw(job.indexes, outcome)
            return
        self._verifying -= 1
        # A verdict counts from the moment it was reached, whatever befell the task that brought it.
        verdict = self._seen.pop(job.candidate.index, None)
        if isinstance(outcome, Done):
            self._tell(job.candidate.index, outcome.value)
        else:
            self._tell(job.candidate.index, verdict or _failure("verify", outcome))

    def forget(self, job: Job) -> None:
        """A job was cancelled and brought nothing."""
        self._verifying -= isinstance(job, Verify)

    def saw(self, job: Job) -> bool:
        """Whether a verdict was reached in a job that was cancelled before it could bring it."""
        return isinstance(job, Verify) and job.candidate.index in self._seen

    def result(self) -> OptScaleResult:
        """The record of the search.

        Raises:
            AllCandidatesFailed: No candidate has a score.
        """
        decision = self.session.decision
        if not self._verdicts:
            raise AllCandidatesFailed(self._failures, decision.reason)
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
        select = self.settings.select
        if select == "best":
            best = self.session.best
            assert best is not None  # noqa: S101 - there is a verdict
            return best
        scored = [self._candidates[index] for index in sorted(self._verdicts)]
        chosen = select(scored, {index: verdict.score for index, verdict in self._verdicts.items()})
        if chosen not in self._verdicts:
            raise SettingsError(f"select must return the index of a scored candidate, got {chosen!r}")
        return chosen

    def _settle_draw(self, indexes: Sequence[int], outcome: Done | Raised) -> None:
        if isinstance(outcome, Raised):
            if len(indexes) > 1 and self._drawer.may_fall_back and is_rejection(outcome.error):
                # It may be that the server takes fewer at once; what else it may be, a single call will show.
                self._draw_in_smaller(indexes, len(indexes) // 2)
                return
            for index in indexes:
                self._tell(index, _failure("draw", outcome))
            return
        drawn: list[Drawn] = outcome.value[: len(indexes)]
        spent = reduce(add, (choice.usage for choice in drawn), Usage())
        self.session.spend({"policy": spent}, self.elapsed_s)
        for index, choice in zip(indexes, drawn, strict=False):
            self._receive(index, choice, outcome.seconds)
        missing = indexes[len(drawn) :]
        if missing and len(indexes) > 1:
            self._draw_in_smaller(missing, 1)
        else:
            self._drawer.went_well(len(indexes))
            for index in missing:
                self._tell(index, _failure("draw", Raised(EmptyCandidateError("the policy gave no choice"), 1)))

    def _draw_in_smaller(self, indexes: Sequence[int], choices: int) -> None:
        """The server does not give so many choices in one request: ask for fewer at once."""
        self._drawer.fall_back(choices)
        queued = [index for draw in self._draws for index in draw.indexes]
        self._draws = deque(Draw(request) for request in self._drawer.requests([*indexes, *queued]))

    def _receive(self, index: int, choice: Drawn, seconds: float) -> None:
        message = choice.message
        candidate = Candidate(index, message, self.session.round_of(index), choice.usage, seconds)
        self._candidates[index] = candidate
        if not candidate.text.strip() and not message.tool_calls:
            empty = EmptyCandidateError("the policy answered with neither text nor a tool call")
            self._tell(index, _failure("draw", Raised(empty, 1)))
            return
        if self.settings.extract is not None:
            try:
                answer = self.settings.extract(candidate.text)
            except Exception as error:  # noqa: BLE001 - the user's function; its error is kept as the failure
                self._tell(index, _failure("verify", Raised(error, 1)))
                return
            candidate = self._candidates[index] = Candidate(
                index, message, candidate.round, choice.usage, seconds, answer
            )
        self._happened("candidate", index=index, round=candidate.round, text=candidate.text, latency_s=seconds)
        self._verifications.append(Verify(candidate))

    def _tell(self, index: int, outcome: Verdict | Failure) -> None:
        candidate = self._candidates.get(index)
        usage = {}
        if isinstance(outcome, Verdict):
            self._verdicts[index] = outcome
            if outcome.usage:
                usage = {"verifier": outcome.usage}
                self._verifier_pays = True
        else:
            self._failures[index] = outcome
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

    def _verify_config(self, job: Verify, config: RunnableConfig) -> RunnableConfig:
        return merge_configs(config, {"tags": [f"optscale:verdict:{job.candidate.index}", "nostream"]})

    def _verify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        verdict: Verdict = self.settings.verifier.verify(self.prompt, candidate, config)
        self._seen[candidate.index] = verdict
        return verdict

    async def _averify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        verdict: Verdict = await self.settings.verifier.averify(self.prompt, candidate, config)
        self._seen[candidate.index] = verdict
        return verdict


def watched(config: RunnableConfig) -> bool:
    """Whether anybody listens to what is reported under this config; where nobody does, a run of its own is idle."""
    manager = config.get("callbacks")
    return bool(manager.handlers if isinstance(manager, BaseCallbackManager) else manager)


def _failure(stage: Any, raised: Raised) -> Failure:
    error, cause = raised.error, raised.error.__cause__
    text = f"{type(error).__name__}: {error}"
    # "Connection error." alone tells nobody what to do.
    if cause is not None and str(cause) and str(cause) not in text:
        text += f" (because of {type(cause).__name__}: {cause})"
    return Failure(stage, text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…", raised.attempts)
