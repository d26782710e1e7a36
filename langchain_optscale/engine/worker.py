"""Doing the jobs of one search, in either manner, and reading what the policy gave.

`OptScale` and the graph do their jobs here; when, in which order and how often is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_optscale.engine.jobs import Draw
from langchain_optscale.engine.tracing import child_config, has_callbacks
from langchain_optscale.errors import EmptyCandidateError
from langchain_optscale.records.failures import Raised, failure_of
from langchain_optscale.records.types import Candidate, Failure, Usage, Verdict
from langchain_optscale.verifiers.coercion import to_verdict
from langchain_optscale.verifiers.offered_tools import with_tools
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.rate_limiters import BaseRateLimiter

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.engine.jobs import Choice, Job, Verify
    from langchain_optscale.engine.sampler import Sampler
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.verifiers import Verifier

__all__ = ["Worker"]


class Worker:
    """Draws and verifies for one search.

    Args:
        settings: What to search with.
        prompt: The conversation to answer.
        sampler: Draws the candidates.
        answers: Of the candidates that have arrived; those that are drawn here are added.

    Attributes:
        seen: The verdicts that were reached, by candidate; also where the job was cancelled before it could bring it.
        heard: What models answered below each candidate's verification, over all its tries.
    """

    def __init__(self, settings: SearchSettings, prompt: PromptValue, sampler: Sampler, answers: AnswerBook) -> None:
        self.settings = settings
        self.sampler = sampler
        self.answers = answers
        self.seen: dict[int, Verdict] = {}
        self.heard: dict[int, UsageCounter] = {}
        self._prompt = prompt
        self._shown = with_tools(prompt, sampler.tools)
        self._scorer: Verifier = settings.verifier.for_search(answers)

    @cached_property
    def _verifier(self) -> RunnableLambda[Candidate, Verdict]:
        """Gives each verification a run of its own in the trace, under the verifier's name."""
        return RunnableLambda(self._verify, self._averify, name=self.settings.verifier.name)

    @property
    def shares_verdicts(self) -> bool:
        """Whether equal candidates have equal scores: not where the verifier looks at the rest of the search."""
        return self._scorer is self.settings.verifier

    @property
    def rate_limiter(self) -> BaseRateLimiter | None:
        """The policy's own rate limiter, to be asked before each draw."""
        return self.sampler.rate_limiter

    def run(self, job: Job, config: RunnableConfig) -> Any:
        """Do a job and wait for it.

        Returns:
            A list of what was `Choice`, or a `Verdict`.
        """
        if isinstance(job, Draw):
            return self._read(job.indexes, self.sampler.draw(self._prompt, job.indexes, config))
        counted = self._verify_config(job, config)
        if has_callbacks(config):
            return self._verifier.invoke(job.candidate, counted)
        return self._verify(job.candidate, counted)

    async def arun(self, job: Job, config: RunnableConfig) -> Any:
        """As `run`, without blocking the event loop."""
        if isinstance(job, Draw):
            drawn = await self.sampler.adraw(self._prompt, job.indexes, config)
            # Comparing answers may take seconds.
            extracts = self.answers.extract is not None
            return await asyncio.to_thread(self._read, job.indexes, drawn) if extracts else drawn
        counted = self._verify_config(job, config)
        if has_callbacks(config):
            return await self._verifier.ainvoke(job.candidate, counted)
        return await self._averify(job.candidate, counted)

    def receive(
        self, index: int, drawn: Choice, *, round_number: int, seconds: float, attempts: int = 1
    ) -> tuple[Candidate, Failure | None]:
        """The candidate that was drawn, with its answer; and why it cannot be verified, if it cannot.

        Args:
            index: Its number within the search.
            drawn: What the policy gave.
            round_number: The round in which it was asked for.
            seconds: How long the request took.
            attempts: How often it was tried.
        """
        message = drawn.message
        candidate = Candidate(index, message, round_number, drawn.usage, seconds)
        if _is_empty(message):
            broken = f", only with what is no valid one: {candidate.text}" if message.invalid_tool_calls else ""
            empty = EmptyCandidateError(f"the policy answered with neither text nor a tool call{broken}")
            return candidate, failure_of("draw", Raised(empty, attempts))
        if self.answers.extract is None:
            return candidate, None
        try:
            answer = self.answers.read(index, candidate.text, message)
        except Exception as error:  # noqa: BLE001 - the user's function; its error is kept as the failure
            return candidate, failure_of("verify", Raised(error, 1))
        return Candidate(index, message, round_number, drawn.usage, seconds, answer), None

    def _read(self, indexes: Sequence[int], drawn: list[Choice]) -> list[Choice]:
        """Reads the answers of a request while it is still a job; `receive` then finds them read."""
        for index, choice in zip(indexes, drawn, strict=False):
            # What an extractor raises is kept in the book, and raised again where the candidate is received.
            with contextlib.suppress(Exception):
                if not _is_empty(choice.message):
                    self.answers.read(index, str(choice.message.text), choice.message)
        return drawn

    def _verify_config(self, job: Verify, config: RunnableConfig) -> RunnableConfig:
        index = job.candidate.index
        name = f"optscale:verdict:{index}"
        counter = self.heard.setdefault(index, UsageCounter())
        return counter.attach(child_config(config, name, [name], {"verifier": self.settings.verifier.name}))

    def unsaid(self, index: int, verdict: Verdict | None) -> Usage | None:
        """What a verification consumed beyond what its verdict says, as far as models were heard; None if nothing.

        So it is where there is no verdict, and where an earlier try failed half-way. To be asked once.
        """
        counter = self.heard.pop(index, None)
        heard = None if counter is None else counter.usage
        if heard is None:
            return None
        said = (verdict and verdict.usage) or Usage()
        rest = Usage(
            max(0, heard.input_tokens - said.input_tokens),
            max(0, heard.output_tokens - said.output_tokens),
            max(0, heard.requests - said.requests),
        )
        return rest if rest != Usage() else None

    def _verify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        verdict = to_verdict(self._scorer.verify(self._shown, candidate, config))
        self.seen[candidate.index] = verdict
        return verdict

    async def _averify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        verdict = to_verdict(await self._scorer.averify(self._shown, candidate, config))
        self.seen[candidate.index] = verdict
        return verdict


def _is_empty(message: AIMessage) -> bool:
    return not str(message.text).strip() and not message.tool_calls
