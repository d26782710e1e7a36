"""Runs the jobs of one search, sync or async, and reads the answers of what was drawn.

`OptScale` and the graph run their jobs here; when, in which order and how often is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_optscale.engine.failing import failure_in, record_work
from langchain_optscale.engine.jobs import Compare, Draw
from langchain_optscale.engine.tracing import child_config, has_callbacks
from langchain_optscale.errors import SettingsError
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.prompts import encodable_message, encodable_prompt
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.records.failures import Raised
from langchain_optscale.records.forks import cached_property
from langchain_optscale.records.identical import content_key, fingerprint
from langchain_optscale.records.shortcomings import shortcoming_of
from langchain_optscale.records.tool_calls import call_key
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.coercion import to_verdict
from langchain_optscale.verifiers.offered_tools import with_tools
from langchain_optscale.verifiers.usage import UsageCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.prompt_values import PromptValue
    from langchain_core.rate_limiters import BaseRateLimiter

    from langchain_optscale.answers import AnswerBook
    from langchain_optscale.engine.jobs import Choice, Job, Verify
    from langchain_optscale.engine.sampler import Sampler
    from langchain_optscale.engine.settings import SearchSettings
    from langchain_optscale.records.comparisons import Comparison
    from langchain_optscale.verifiers import Verifier
    from langchain_optscale.verifiers.comparison.base import ComparisonJudge

__all__ = ["Worker", "candidate_of"]


class Worker:
    """Draws and verifies for one search.

    Args:
        settings: What to search with.
        prompt: The conversation to answer.
        sampler: Draws the candidates.
        answers: Of the candidates that have arrived; those that are drawn here are added.
        config: For the runs of the jobs.
    """

    def __init__(
        self,
        settings: SearchSettings,
        prompt: PromptValue,
        sampler: Sampler,
        answers: AnswerBook,
        config: RunnableConfig,
    ) -> None:
        self.settings = settings
        self._sampler = sampler
        self._answers = answers
        self._config = config
        self._is_traced = has_callbacks(config)
        self._prompt = encodable_prompt(prompt)
        self._prompt_with_tools = with_tools(self._prompt, sampler.tools) if sampler.tools else self._prompt
        self._verifier: Verifier = settings.verifier.for_search(answers)
        self._verifier_name = settings.verifier.name
        prepared = settings.prepared()
        self._has_usage_budget = prepared.has_usage_budget
        self._untried = prepared.untried
        # Of the verifications under way, by candidate: the verdict once it is reached, and the usage of all attempts.
        self._verdicts: dict[int | str, Verdict | Comparison] = {}
        self._counters: dict[int | str, UsageCounter] = {}

    @cached_property
    def _traced(self) -> RunnableLambda[Candidate, Verdict]:
        """Gives each verification a run of its own in the trace, under the verifier's name."""
        return RunnableLambda(self._verify, self._averify, name=self._verifier_name)

    @cached_property
    def _compared(self) -> RunnableLambda[Compare, Comparison]:
        """Gives each comparison a run of its own in the trace, under the judge's name."""
        return RunnableLambda(self._compare, self._acompare, name=self._judge.name)

    @cached_property
    def _judge(self) -> ComparisonJudge:
        tournament = self.settings.tournament()
        if tournament is None:
            raise SettingsError("the search has no tournament, so nothing is compared")
        judge: ComparisonJudge = tournament.judge
        return judge

    def equality_key(self, candidate: Candidate) -> str | None:
        """Equal for candidates that share a verdict; None for one that is verified whatever the others are.

        Equal tool calls share one, and with a deterministic verifier, or under `reverify_equal=False`, equal texts too.
        None do where the verifier compares a search's candidates with each other, and no two runs of an agent do.
        """
        again = self.settings.reverify_equal
        if again or self._verifier is not self.settings.verifier or candidate.state is not None:
            return None
        if candidate.message.tool_calls:
            return call_key(candidate.message)
        return content_key(candidate) if again is False or self._verifier.deterministic else None

    @property
    def rate_limiter(self) -> BaseRateLimiter | None:
        """The policy's own rate limiter, to be asked before each draw."""
        return self._sampler.rate_limiter

    def run(self, job: Job) -> Any:
        """Run a job and wait for it.

        Returns:
            A list of `Choice`, each with its answer, a `Verdict` or a `Comparison`.
        """
        if isinstance(job, Compare):
            child = self._comparison_config(job)
            return self._compared.invoke(job, child) if self._is_traced else self._compare(job, child)
        if isinstance(job, Draw):
            return self._read(job.indexes, self._sampler.draw(self._prompt, job.indexes, self._config))
        child = self._verify_config(job)
        if self._is_traced:
            return self._traced.invoke(job.candidate, child)
        return self._verify(job.candidate, child)

    async def arun(self, job: Job) -> Any:
        """As `run`, without blocking the event loop."""
        if isinstance(job, Compare):
            child = self._comparison_config(job)
            return await (self._compared.ainvoke(job, child) if self._is_traced else self._acompare(job, child))
        if isinstance(job, Draw):
            drawn = await self._sampler.adraw(self._prompt, job.indexes, self._config)
            if self._answers.extract is None:
                return self._read(job.indexes, drawn)
            return await run_in_thread(self._read, job.indexes, drawn)  # comparing answers may take seconds
        child = self._verify_config(job)
        if self._is_traced:
            return await self._traced.ainvoke(job.candidate, child)
        return await self._averify(job.candidate, child)

    def close(self) -> None:
        """The search has ended: what is still compared for it is withdrawn."""
        self._answers.close()

    def collect(self, job: Verify | Compare) -> tuple[Verdict | Comparison | None, Usage | None]:
        """The verdict or comparison that a job reached, and what it consumed beyond what that reports.

        Both are kept for a job that fails or is cancelled as well. To be called once, at its end.
        """
        index = job.key if isinstance(job, Compare) else job.candidate.index
        verdict = self._verdicts.pop(index, None)
        counter = self._counters.pop(index, None)
        counted = counter.usage if counter is not None else None
        if counted is None:
            return verdict, None
        reported = (verdict and verdict.usage) or Usage()
        rest = Usage(
            max(0, counted.input_tokens - reported.input_tokens),
            max(0, counted.output_tokens - reported.output_tokens),
            max(0, counted.requests - reported.requests),
        )
        return verdict, rest if rest != Usage() else None

    def _read(self, indexes: Sequence[int], choices: list[Choice]) -> list[Choice]:
        return [self._read_one(index, choice) for index, choice in zip(indexes, choices, strict=False)]

    def _read_one(self, index: int, choice: Choice) -> Choice:
        settings = self.settings
        self.record_work("policy")  # it answered, with whatever: the next answer may be a better one
        drawn = Candidate(index, choice.message, 0, reasoning_tags=settings.reasoning_tags, state=choice.state)
        plain = choice.message
        if drawn.reasoning is not None:
            plain = drawn.answer_message
            kept = {"reasoning_tags": drawn.reasoning_tags} if settings.keep_reasoning else {"message": plain}
            choice = replace(choice, reasoning=drawn.reasoning, **kept)
        needs_whole = settings.verifier.needs_whole_answers
        error = shortcoming_of(drawn, accept_truncated=settings.accept_truncated, needs_whole=needs_whole)
        if error is not None:
            return replace(choice, failure=failure_in(settings, "draw", Raised(error, 1)))
        if self._answers.extract is None:
            return choice
        mark = fingerprint(drawn, seeded=self._sampler.seeded)
        try:
            answer = self._answers.read(index, drawn.answer_text, plain, mark, choice.state)
            self.record_work("extract")
            return replace(choice, answer=answer)
        except Exception as raised:  # noqa: BLE001 - the user's function; its error is kept as the failure
            return replace(choice, failure=failure_in(settings, "verify", Raised(raised, 1), settings.extract))

    def record_work(self, role: str) -> None:
        """Policy, verifier or extractor has done its work: what fails from now on may be an accident."""
        if role in self._untried:
            self._untried.discard(role)
            record_work(getattr(self.settings, role))

    def _verify_config(self, job: Verify) -> RunnableConfig:
        index = job.candidate.index
        name = f"optscale:verdict:{index}"
        child = child_config(self._config, name, [name], {"verifier": self._verifier_name})
        if index not in self._counters:
            self._counters[index] = UsageCounter(self.settings.verifier, fills_gaps=self._has_usage_budget)
        return self._counters[index].attach(child)

    def _comparison_config(self, job: Compare) -> RunnableConfig:
        name = f"optscale:comparison:{job.number}"
        child = child_config(self._config, name, [name], {"judge": self._judge.name})
        if job.key not in self._counters:
            self._counters[job.key] = UsageCounter(self._judge, fills_gaps=self._has_usage_budget)
        return self._counters[job.key].attach(child)

    def _compare(self, job: Compare, config: RunnableConfig) -> Comparison:
        shown = [_encodable(candidate) for candidate in job.candidates]
        return self._keep_comparison(job, self._judge.compare(self._prompt_with_tools, shown, config))

    async def _acompare(self, job: Compare, config: RunnableConfig) -> Comparison:
        shown = [_encodable(candidate) for candidate in job.candidates]
        return self._keep_comparison(job, await self._judge.acompare(self._prompt_with_tools, shown, config))

    def _keep_comparison(self, job: Compare, made: Comparison) -> Comparison:
        self._verdicts[job.key] = made
        return made

    def _verify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        shown = _encodable(candidate)
        return self._keep(candidate, self._verifier.verify(self._prompt_with_tools, shown, config))

    async def _averify(self, candidate: Candidate, config: RunnableConfig) -> Verdict:
        shown = _encodable(candidate)
        return self._keep(candidate, await self._verifier.averify(self._prompt_with_tools, shown, config))

    def _keep(self, candidate: Candidate, value: Any) -> Verdict:
        verdict = value if isinstance(value, Verdict) else to_verdict(value)
        self._verdicts[candidate.index] = verdict
        self.record_work("verifier")
        return verdict


def candidate_of(index: int, choice: Choice, round_number: int, seconds: float) -> Candidate:
    """The candidate of a choice that the worker has read.

    Args:
        index: Its number within the search.
        choice: The policy's choice.
        round_number: The round in which it was asked for.
        seconds: How long the request took.
    """
    return Candidate(
        index,
        choice.message,
        round_number,
        choice.usage,
        seconds,
        choice.answer,
        choice.reasoning,
        choice.reasoning_tags,
        choice.parsed,
        choice.state,
    )


def _encodable(candidate: Candidate) -> Candidate:
    """What a verifier is shown: a candidate that can be sent to another model."""
    message = encodable_message(candidate.message)
    return candidate if message is candidate.message else replace(candidate, message=message)
