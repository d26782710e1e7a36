"""Scorers of Inspect."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, ToolMessage

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.evaluators.case import Adapter, Case
from langchain_optscale.verifiers.evaluators.results import Metric, Told
from langchain_optscale.verifiers.evaluators.signatures import accepted, function_name, is_async, parameters_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["inspect_score", "inspect_scorer"]

# Inspect's own reading of its letters and words.
_VALUES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def inspect_scorer(scorer: Any) -> Adapter | None:
    """A scorer: an async function of `state` and `target`.

    Raises:
        SettingsError: It is the function that makes the scorer.
    """
    info = getattr(scorer, "__registry_info__", None)
    names = list(parameters_of(scorer))
    if names == ["state", "target"] and is_async(scorer):
        name = str(getattr(info, "name", None) or function_name(scorer)).rpartition("/")[2]

        async def acall(case: Case) -> Told:
            limit = import_module("inspect_ai.util").token_limit
            with limit(None) as total, limit(None, **accepted(limit, type="output")) as written:
                score = await scorer(_state(case), _target(case))
            return Told(inspect_score(score, name), _usage(int(total.usage), int(written.usage)))

        return Adapter(name, acall, acall)
    if getattr(info, "type", None) == "scorer":
        name = function_name(scorer)
        raise SettingsError(f"{name} is a factory of scorers: call it, as in verifier={name}()")
    return None


def inspect_score(score: Any, name: str) -> list[Metric]:
    """The metrics of Inspect's `Score`; its letters C, P, I and N are 1, 0.5, 0 and 0.

    Raises:
        InvalidScoreError: It is unscored, or its value is a list or another word.
    """
    if score is None:
        raise InvalidScoreError(f"the scorer {name} returned no score")
    value, why = score.value, score.explanation
    if isinstance(value, dict):
        return [Metric(str(key), _number(one, name, why), why) for key, one in value.items() if one is not None]
    return [Metric(name, _number(value, name, why), why)]


def _number(value: Any, name: str, why: str | None) -> float:
    number = _VALUES.get(value, _VALUES.get(value.lower())) if isinstance(value, str) else value
    if not isinstance(number, int | float) or math.isnan(number):
        what = "no score" if isinstance(number, float) else f"{value!r}, which is not a number"
        raise InvalidScoreError(f"the scorer {name} gave {what}: {why or 'it gave no reason'}")
    return float(number)


def _usage(total: int, written: int) -> Usage | None:
    """What a grader's models consumed; their requests are not counted, so they stand as one."""
    return Usage(total - written, written, 1) if total else None


def _state(case: Case) -> Any:
    model = import_module("inspect_ai.model")
    messages = [_message(one, model) for one in case.trajectory]
    state = import_module("inspect_ai.solver").TaskState
    return state(
        model=model.ModelName("optscale/policy"),
        sample_id=case.candidate.index,
        epoch=1,
        input=case.question,
        messages=messages,
        target=_target(case),
        output=model.ModelOutput.from_content("optscale/policy", case.answer),
        completed=True,
    )


def _target(case: Case) -> Any:
    reference = case.reference
    texts = [str(one) for one in reference] if isinstance(reference, list | tuple) else case.reference_text or ""
    return import_module("inspect_ai.scorer").Target(texts)


def _message(message: BaseMessage, model: Any) -> Any:
    text = str(message.text)
    if message.type == "system":
        return model.ChatMessageSystem(content=text)
    if isinstance(message, AIMessage):
        return model.ChatMessageAssistant(content=text, tool_calls=_calls(message) or None)
    if isinstance(message, ToolMessage):
        return model.ChatMessageTool(content=text, tool_call_id=message.tool_call_id, function=message.name)
    return model.ChatMessageUser(content=text)


def _calls(message: AIMessage) -> list[Any]:
    tool = import_module("inspect_ai.tool")
    return [
        tool.ToolCall(id=call["id"] or str(place), function=call["name"], arguments=call["args"])
        for place, call in enumerate(message.tool_calls)
    ]
