"""Keyword arguments that are misspelt, out of range, belong to another setting, or come with a call."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic import BaseModel, ValidationError

__all__ = ["invalid_setting", "split_call", "unknown_setting"]

# What users of other packages write.
_OTHER_NAMES = {
    "budget": "token_budget",
    "chat_model": "policy",
    "evaluator": "verifier",
    "extractor": "extract",
    "generator": "policy",
    "grader": "verifier",
    "judge": "verifier",
    "llm": "policy",
    "max_candidates": "max_samples",
    "max_cost": "cost_budget",
    "max_n": "max_samples",
    "max_tokens": "token_budget",
    "model": "policy",
    "n": "max_samples",
    "num_samples": "max_samples",
    "reward_model": "verifier",
    "rule": "stopping",
    "samples": "max_samples",
    "scorer": "verifier",
    "selection": "select",
    "threshold": "target",
    "timeout": "deadline_s",
}
# What a model takes, not a search.
_OF_THE_MODEL = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "max_completion_tokens",
        "frequency_penalty",
        "presence_penalty",
        "reasoning",
    }
    | {"reasoning_effort", "logprobs", "tools", "tool_choice", "response_format"}
)
# A keyword of a call is the policy's own unless it is spelt almost like a setting.
_ALMOST = 0.88


def unknown_setting(name: str, known: Collection[str]) -> str:
    """The message about a setting that does not exist, with the one that was probably meant."""
    close = get_close_matches(name, known, n=1, cutoff=0.7)
    meant = _OTHER_NAMES.get(name) or (close[0] if close else None)
    if meant in known:
        return f"unknown setting {name!r}; did you mean {meant!r}?"
    if name in _OF_THE_MODEL:
        return (
            f"unknown setting {name!r}; it belongs to the model: give it to the policy, as in policy.bind({name}=...)"
        )
    return f"unknown setting {name!r}; known are {', '.join(known)}"


def split_call(
    kwargs: Mapping[str, Any], changeable: Collection[str], fixed: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that a call changes by keyword arguments, and the arguments that go to the policy.

    Args:
        kwargs: The call's keyword arguments.
        changeable: Settings that a call may change.
        fixed: Those that it may not.

    Raises:
        SettingsError: A setting cannot be changed for a call, or is misspelt.
    """
    for name in kwargs:
        if name in fixed:
            raise SettingsError(f"{name} cannot be changed for one call; make another object with it")
        if name not in changeable and (close := get_close_matches(name, changeable, n=1, cutoff=_ALMOST)):
            raise SettingsError(unknown_setting(name, close))
    changes = {name: value for name, value in kwargs.items() if name in changeable}
    return changes, {name: value for name, value in kwargs.items() if name not in changeable}


def invalid_setting(error: ValidationError, settings: type[BaseModel]) -> str:
    """The first complaint about keyword arguments, as one sentence that names the setting."""
    # A setting under a wrong name is missing under its own: the wrong name is the mistake.
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    name = str(first["loc"][0]) if first["loc"] else "settings"
    if first["type"] == "extra_forbidden":
        return unknown_setting(name, _own_fields(settings))
    if first["type"] == "missing":
        return f"{name} is missing"
    got = repr(first["input"])
    return f"{name}: {first['msg']}, got {got if len(got) <= 80 else got[:77] + '...'}"


def _own_fields(settings: type[BaseModel]) -> list[str]:
    """Our settings by name, without what LangChain's base classes add."""
    ours = {
        name
        for kind in settings.mro()
        if kind.__module__.startswith(__name__.partition(".")[0])
        for name in vars(kind).get("__annotations__", {})
    }
    return [name for name in settings.model_fields if name in ours]
