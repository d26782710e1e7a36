"""`create_optscale_tool`: adaptive best-of-N as a tool that an agent calls for hard questions."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import BaseTool, ToolException
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from langchain_optscale.engine.result import OptScaleResult
from langchain_optscale.errors import OptScaleError, SettingsError
from langchain_optscale.models.travel import reduced
from langchain_optscale.records.failures import AllCandidatesFailed
from langchain_optscale.runnables.optscale import OptScale
from langchain_optscale.stats.best_of_n import probability_of_reaching

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable

    from langchain_optscale.verifiers.adapters import VerifierLike

__all__ = ["Effort", "OptScaleTool", "create_optscale_tool"]

_DESCRIPTION = (
    "Answers one hard question with great care: several answers are drafted and checked, and the best is returned with "
    "a line that says how well it was rated and what is left of the budget. Use it where a mistake would be costly; it "
    "is slower and costs more than answering yourself. It knows nothing of this conversation: put everything that "
    "matters into the question and its context."
)
_LONGEST_ERROR = 500

Level = Literal["low", "medium", "high"]


@dataclass(frozen=True)
class Effort:
    """The search settings of one effort level.

    Attributes:
        target: The score in [0, 1] that is good enough; None looks for the best that is worth its price.
        confidence: The probability in (0, 1) of what the search claims.
        max_samples: The most candidates, at least 1.
        effort: How much quality the default rule may give up for fewer candidates.

    Example:
        >>> Effort(target=None, confidence=0.95, max_samples=4).effort
        'medium'
    """

    target: float | None
    confidence: float
    max_samples: int
    effort: Level = "medium"


class Question(BaseModel):
    """The tool's arguments."""

    question: str = Field(min_length=1, description="The question, complete in itself.")
    context: str | None = Field(default=None, description="Facts, texts or constraints that the answer depends on.")
    effort: Level = Field(
        default="medium", description="How hard to work on it: low is cheap and quick, high is for what must be right."
    )


class OptScaleTool(BaseTool):
    """A tool that answers a question by an adaptive search; `create_optscale_tool` makes one.

    Attributes:
        search: Draws, verifies and chooses.
        efforts: Settings of the search by the effort that the agent asks for; a search with a stopping rule of its own
            takes the cap alone.
        total_token_budget: Tokens that all calls of this tool may spend together.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_tool
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> has_a_4 = lambda prompt, candidate: "4" in candidate.text
        >>> tool: OptScaleTool = create_optscale_tool(policy=policy, verifier=has_a_4)
        >>> tool.invoke({"question": "What is 2 + 2?", "effort": "low"}).splitlines()[0]
        '3 + 1 is 4'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    search: OptScale
    efforts: Mapping[Level, Effort]
    total_token_budget: int | None = None
    _spent: int = PrivateAttr(default=0)
    _counting: Any = PrivateAttr(default_factory=threading.Lock)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """In another process it counts what it spends there."""
        return reduced(self)

    @property
    def spent_tokens(self) -> int:
        """Tokens of policy and verifier that the calls of this tool have spent."""
        with self._counting:
            return self._spent

    def _run(
        self,
        question: str,
        context: str | None = None,
        effort: Level = "medium",
        *,
        config: RunnableConfig,
        run_manager: CallbackManagerForToolRun | None = None,
    ) -> tuple[str, OptScaleResult]:
        try:
            result = self.search.invoke(_with_context(question, context), self._config(effort, config))
        except GraphBubbleUp:
            raise
        except Exception as error:
            raise self._tool_error(error) from error
        return self._content(result, effort), result

    async def _arun(
        self,
        question: str,
        context: str | None = None,
        effort: Level = "medium",
        *,
        config: RunnableConfig,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
    ) -> tuple[str, OptScaleResult]:
        try:
            result = await self.search.ainvoke(_with_context(question, context), self._config(effort, config))
        except GraphBubbleUp:
            raise
        except Exception as error:
            raise self._tool_error(error) from error
        return self._content(result, effort), result

    def changes(self, effort: Level) -> dict[str, Any]:
        """The settings of the search that an effort changes."""
        chosen = self.efforts[effort]
        changes: dict[str, Any] = {"max_samples": chosen.max_samples}
        if self.search.stopping is None:
            changes |= {"target": chosen.target, "confidence": chosen.confidence, "effort": chosen.effort}
        if "first_round" in self.search.model_fields_set:
            changes["first_round"] = min(self.search.first_round, chosen.max_samples)
        return changes

    def _config(self, effort: Level, config: RunnableConfig) -> RunnableConfig:
        changes = self.changes(effort)
        if self.total_token_budget is not None:
            left = self.total_token_budget - self.spent_tokens
            if left <= 0:
                raise SettingsError(
                    f"the budget of {self.total_token_budget:,} tokens is spent; answer without this tool"
                )
            changes["token_budget"] = min(left, self.search.token_budget or left)
        # Settings changed for the agent's run apply here too, except those of the effort.
        return merge_configs(config, {"configurable": changes})

    def _content(self, result: OptScaleResult, effort: Level) -> str:
        with self._counting:
            self._spent += result.total_usage.total_tokens
        return f"{result.text.strip()}\n\n{self._summary(result, effort)}"

    def _summary(self, result: OptScaleResult, effort: Level) -> str:
        chosen = self.efforts[effort]
        parts = [f"score {result.score:.2f}"]
        if self.search.stopping is None and chosen.target is not None:
            parts.append(f"target {chosen.target:.2f} {_confidence(result, chosen.target)}")
        if result.probability is not None:
            parts.append(f"claim: {result.claim} ({result.probability:.2f})")
        parts.append(f"{len(result.candidates)} of at most {chosen.max_samples} candidates")
        parts.append(result.stop_reason.value)
        spent = result.total_usage.total_tokens
        if self.total_token_budget is not None:
            left = max(0, self.total_token_budget - self.spent_tokens)
            parts.append(f"budget left: {left:,} of {self.total_token_budget:,} tokens")
        elif self.search.token_budget is not None:
            left = max(0, self.search.token_budget - spent)
            parts.append(f"budget left: {left:,} of {self.search.token_budget:,} tokens of this call")
        else:
            parts.append(f"budget left: {chosen.max_samples - len(result.candidates)} candidates")
        return f"[{self.name}: {'; '.join(parts)}]"

    def _tool_error(self, error: Exception) -> ToolException:
        if isinstance(error, AllCandidatesFailed):
            with self._counting:
                self._spent += error.total_usage.total_tokens
        text = str(error) if isinstance(error, OptScaleError) else f"{type(error).__name__}: {error}"
        cut = text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…"
        return ToolException(f"{self.name} has no answer: {cut}")


def create_optscale_tool(
    *,
    policy: Runnable[Any, Any],
    verifier: VerifierLike,
    name: str = "reason_carefully",
    description: str = _DESCRIPTION,
    efforts: Mapping[Level, Effort] | None = None,
    total_token_budget: int | None = None,
    **settings: Any,
) -> OptScaleTool:
    """A tool that answers a hard question with the best of adaptively many candidates.

    The agent passes a question and optionally a context and an effort. It gets the answer and one line with the score,
    the confidence and the remaining budget. The artifact of the tool message is the `OptScaleResult`, in a message from
    a checkpoint its JSON form, which `OptScaleResult.from_dict` reads. An error becomes a tool message with the status
    "error"; nothing is raised into the agent.

    Args:
        policy: Draws the candidates: a chat model, or a chain that answers a question.
        verifier: Scores them: anything that `OptScale` accepts.
        name: The tool's name.
        description: Tells the agent what the tool is for.
        efforts: Settings by effort. By default "medium" is as `target`, `confidence` and `max_samples` say; "low" takes
            0.9 of the target, a confidence of 0.8 at most and a quarter of the candidates; "high" halves the distance
            of target and confidence to 1 and takes twice the candidates.
        total_token_budget: Tokens of policy and verifier for all calls of this tool together, over all threads and
            runs; afterwards the tool answers with an error. Concurrent calls each get what is left when they begin.
            None sets no such budget.
        **settings: All other settings of `SearchSettings`; `token_budget` is for each call.

    Raises:
        SettingsError: A setting is unknown, out of range or contradicts another.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> policy = FakeListChatModel(responses=["four", "3 + 1 is 4"])
        >>> tool = create_optscale_tool(policy=policy, verifier=lambda prompt, candidate: "4" in candidate.text)
        >>> print(tool.invoke({"question": "What is 2 + 2?", "effort": "low"}).splitlines()[0])
        3 + 1 is 4
    """
    search = OptScale(policy=policy, verifier=verifier, **settings)
    if total_token_budget is not None and (type(total_token_budget) is not int or total_token_budget < 1):
        raise SettingsError(f"total_token_budget must be a whole number of at least 1, got {total_token_budget!r}")
    known = {**_efforts(search), **(efforts or {})}
    if unknown := sorted(known.keys() - {"low", "medium", "high"}):
        raise SettingsError(f"unknown effort {unknown[0]!r}; known are low, medium and high")
    # The efforts are the operator's, so an agent that asks for the highest stays within the ceiling.
    ceilings = {"max_samples": max(one.max_samples for one in known.values()), **(search.limits or {})}
    search = OptScale(policy=policy, verifier=verifier, **{**settings, "limits": ceilings})
    tool = OptScaleTool(
        name=name,
        description=description,
        args_schema=Question,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=_validation_message,
        search=search,
        efforts=known,
        total_token_budget=total_token_budget,
    )
    for level in known:
        search.for_call(tool.changes(level))
    return tool


def _efforts(search: OptScale) -> dict[Level, Effort]:
    cap = search.session().max_samples or search.max_samples
    most = int(min((search.limits or {}).get("max_samples", 2 * cap), 2 * cap))
    target, confidence = search.target, search.confidence
    return {
        "low": Effort(None if target is None else 0.9 * target, min(confidence, 0.8), ceil(cap / 4), "low"),
        "medium": Effort(target, confidence, cap, search.effort),
        "high": Effort(None if target is None else (1 + target) / 2, (1 + confidence) / 2, most, "high"),
    }


def _validation_message(error: Any) -> str:
    faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return f"the arguments do not fit: {'; '.join(faults)}"


def _with_context(question: str, context: str | None) -> LanguageModelInput:
    return question if not context or not context.strip() else f"{question}\n\nContext:\n{context}"


def _confidence(result: OptScaleResult, target: float) -> str:
    """Whether the target was reached, or the probability that as many candidates reach it."""
    if result.score >= target:
        return "reached (confidence 1.00)"
    estimate, n = result.estimate, len(result.verdicts)
    probability = probability_of_reaching(estimate.mu, estimate.sigma, target=target, n=n)
    return f"not reached (confidence {float(probability):.2f})"
