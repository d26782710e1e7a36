"""Verifiers of tool calls: validity, correctness, agreement among candidates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers import AnswerBook, Extractor, Found, ToolCallAnswer
from langchain_optscale.answers.equivalence import ExactText
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Candidate, Verdict
from langchain_optscale.verifiers.agreement import AgreementVerifier
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.checks.json_check import _json_schema_faults, _json_schema_validator
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.llm_judge.criteria import OVERALL, Criterion
from langchain_optscale.verifiers.llm_judge.judge import LLMJudge
from langchain_optscale.verifiers.offered_tools import offered_tools, tool_schemas

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_optscale.verifiers.llm_judge.prompt import Material

__all__ = ["ToolCallAgreement", "ToolCallCheck", "ToolCallJudge"]

_RIGHT_STEP = (
    "the answer is the right next step: where it calls tools, these are the tools that the request now needs, every "
    "argument is complete and taken from the conversation or from what tools have answered, none is made up, and "
    "nothing is called that has been done already or was not asked for; where it calls no tool, it is a final answer "
    "that is correct and borne out by what the tools have answered, and no call is missing"
)


@dataclass(frozen=True)
class ToolCallCheck(Verifier):
    """1 where every tool call names a known tool and its arguments fulfil the tool's schema.

    A call scores 0 where no tool has its name or its arguments are no JSON; otherwise the fulfilled share of these
    requirements: being an object; each argument of the schema; everything else in the schema as one. For a tool with
    the arguments `city` and `days`, `{"city": "Rome", "days": "two"}` scores 3/4. The candidate's score is the mean
    over its calls. Needs the extra `checks`.

    A valid call may be the wrong one: combine this check with a judge, `EnsembleVerifier([ToolCallCheck(),
    ToolCallJudge(model)], combine="product")`.

    Attributes:
        tools: LangChain tools, functions or schemas. None takes those bound to the policy.
        without_calls: The score in [0, 1] of a candidate without tool calls; set 0.0 where a call is required.
        extra_arguments: Whether arguments outside the schema are allowed where it has no `additionalProperties`.

    Raises:
        SettingsError: A tool or a setting is invalid.
        MissingExtraError: `jsonschema` is not installed.

    Example:
        ```python
        OptScale(policy=model.bind_tools(tools), verifier=ToolCallCheck(), target=1.0)
        ```

        >>> from langchain_core.messages import AIMessage
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale import Candidate
        >>> def weather(city: str, days: int):
        ...     '''The forecast for a city.'''
        >>> call = {"name": "weather", "args": {"city": "Rome", "days": "two"}, "id": "1"}
        >>> candidate = Candidate(0, AIMessage("", tool_calls=[call]), round=0)
        >>> ToolCallCheck([weather]).verify(StringPromptValue(text="Weather in Rome?"), candidate).score
        0.75
    """

    tools: Sequence[Any] | None = field(default=None, hash=False)
    without_calls: float = 1.0
    extra_arguments: bool = False

    def __post_init__(self) -> None:
        if not is_finite(self.without_calls) or not 0 <= self.without_calls <= 1:
            raise SettingsError(f"without_calls must be a score in [0, 1], got {self.without_calls!r}")
        if self.tools is not None:
            if isinstance(self.tools, str | Mapping) or not isinstance(self.tools, Sequence) or not self.tools:
                raise SettingsError("tools must be a list of tools; leave it out to take those bound to the policy")
            for schema in tool_schemas(self.tools).values():
                _json_schema_validator(schema["parameters"])

    @property
    def deterministic(self) -> bool:
        """Equal candidates get equal scores."""
        return True

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score the calls of one candidate.

        Returns:
            A score in [0, 1]; `raw` lists the violations under "faults".

        Raises:
            SettingsError: No tools are known.
        """
        message = candidate.message
        if not message.tool_calls and not message.invalid_tool_calls:
            return Verdict(float(self.without_calls), "no tool is called", raw={"faults": []})
        schemas = _schemas(self.tools, prompt, "ToolCallCheck")
        scores: list[float] = []
        faults: list[str] = []
        for call in message.tool_calls:
            score, wrong = self._call(schemas, call["name"], call["args"])
            scores.append(score)
            faults += wrong
        for broken in message.invalid_tool_calls:
            scores.append(0.0)
            faults.append(f"{broken['name']}: the arguments are no JSON object")
        explanation = "; ".join(faults[:3]) or f"{len(scores)} valid tool call{'s' if len(scores) > 1 else ''}"
        return Verdict(sum(scores) / len(scores), explanation, raw={"faults": faults})

    def _call(self, schemas: Mapping[str, Any], name: str, arguments: Any) -> tuple[float, list[str]]:
        if name not in schemas:
            return 0.0, [f"there is no tool {name!r}, only {', '.join(sorted(schemas))}"]
        schema = dict(schemas[name]["parameters"])
        if not self.extra_arguments:
            schema.setdefault("additionalProperties", False)
        requirements = _json_schema_faults(schema, arguments)
        faults = [fault for fault in requirements if fault is not None]
        return 1 - len(faults) / (1 + len(requirements)), [f"{name}: {fault}" for fault in faults]


class ToolCallJudge(LLMJudge):
    """An `LLMJudge` of an agent's next step: it sees the conversation, the tools and the proposed calls.

    The names, descriptions and argument schemas of the tools precede the conversation, fenced like the rest.

    Args:
        model: As for `LLMJudge`.
        tools: LangChain tools, functions or schemas; None shows those bound to the policy, if any.
        criteria: As for `LLMJudge`; by default whether the step (tools, arguments, or final answer) is right.
        **settings: All other settings of `LLMJudge`.

    Raises:
        SettingsError: A tool or a setting is invalid.

    Example:
        ```python
        create_agent(policy, tools, middleware=[OptScaleMiddleware(verifier=ToolCallJudge(judge))])
        ```

        >>> import re
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_core.runnables import RunnableLambda
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> def reply(messages):  # stands in for a chat model, and repeats the code of the grading
        ...     return AIMessage(re.findall("GRADE-[0-9a-f]+:", messages[-1].text)[-1] + " 8")
        >>> judge = ToolCallJudge(RunnableLambda(reply), method="text")
        >>> judge.verify(StringPromptValue(text="Weather in Rome?"), make_candidate("I cannot know that.")).score
        0.8
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        *,
        tools: Sequence[Any] | None = None,
        criteria: Sequence[Criterion | str] | Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            model, criteria=[Criterion(OVERALL, _RIGHT_STEP)] if criteria is None else criteria, **settings
        )
        self._tools = None if tools is None else _shown(tool_schemas(tools))

    @property
    def content(self) -> Any:
        """What a judge's verdicts depend on, and the tools."""
        return [*super().content, self._tools]

    def _material(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None) -> Material:
        shown = super()._material(prompt, candidate, config)
        tools = _shown(tool_schemas(offered_tools(prompt))) if self._tools is None else self._tools
        # A label that begins with REQUEST, whose imitations `fenced` escapes.
        return replace(shown, request=(("REQUEST TOOLS ON OFFER", tools), *shown.request)) if tools else shown


@dataclass(frozen=True)
class ToolCallAgreement(AgreementVerifier):
    """How often other candidates call the same tools with the same arguments: agreement without a second model.

    The score is that of `AgreementVerifier` over the verified candidates; use it with `TargetReached(t) |
    MaxSamples(n)`, for the reasons given there. Calls are compared in the form of `answers.ToolCallAnswer`. Candidates
    without tool calls agree with one another; one with an invalid call agrees with no other. The search needs no
    `extract`; with `extract=ToolCallAnswer(...)` and `select="vote"` it returns the most frequent call.

    Attributes:
        agreeing: Prior pseudo-count of candidates that agree, above 0.
        differing: Prior pseudo-count of candidates that differ, above 0.
        ignore: Arguments that do not matter, such as a free-text reason; "tool.name" for that of one tool.

    Raises:
        SettingsError: A setting is out of range.

    Example:
        ```python
        OptScaleMiddleware(
            verifier=ToolCallAgreement(ignore=["reason"]), when="tool_calls",
            stopping=TargetReached(0.7) | MaxSamples(8),
        )
        ```

        >>> from langchain_core.language_models import FakeMessagesListChatModel
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_optscale import OptScale
        >>> from langchain_optscale.stopping import MaxSamples
        >>> call = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "1"}])
        >>> policy = FakeMessagesListChatModel(responses=[call])
        >>> search = OptScale(policy=policy, verifier=ToolCallAgreement(), stopping=MaxSamples(4))
        >>> search.invoke("Weather in Rome?").score  # the last of four candidates that agree
        0.8
    """

    ignore: Iterable[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ignore", ToolCallAnswer(self.ignore).ignore)

    def for_search(self, answers: AnswerBook) -> ToolCallAgreement:
        """A copy that counts this search's calls."""
        return replace(self, _answers=AnswerBook(_NextStep(ToolCallAnswer(self.ignore))))

    def verify(self, prompt: PromptValue, candidate: Candidate, config: RunnableConfig | None = None) -> Verdict:
        """Score one candidate by those verified before it; `raw` as in `AgreementVerifier`."""
        if self._answers is not None:
            self._answers.read(candidate.index, candidate.text, candidate.answer_message)
        verdict = super().verify(prompt, candidate, config)
        counted: Mapping[str, int] = verdict.raw
        calls = candidate.message.tool_calls or candidate.message.invalid_tool_calls
        what = "call the same" if calls else "call nothing either"
        return replace(verdict, explanation=f"{counted['same']} of {counted['others']} other candidates {what}")


@dataclass(frozen=True)
class _NextStep(Extractor):
    """The tool calls of a candidate, "no call" without any, None with an invalid one."""

    calls: ToolCallAnswer

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        if message is not None and (message.tool_calls or message.invalid_tool_calls):
            return self.calls.find(text, message)
        return Found("no call", ExactText())


def _schemas(tools: Sequence[Any] | None, prompt: PromptValue, who: str) -> dict[str, dict[str, Any]]:
    schemas = tool_schemas(offered_tools(prompt) if tools is None else tools)
    if not schemas:
        raise SettingsError(f"{who} knows no tools: bind them to the policy, or give {who}(tools=[...])")
    return schemas


def _shown(schemas: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [json.dumps({"name": name, **schema}, ensure_ascii=False) for name, schema in schemas.items()]
    return "\n".join(lines)
