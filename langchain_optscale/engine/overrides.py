"""Which settings a run may change, and where it says so: the configuration of a call, and its keyword arguments."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_optscale.engine.keywords import split_call
from langchain_optscale.engine.permissions import Scope
from langchain_optscale.engine.settings import SearchSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.runnables import RunnableConfig

__all__ = ["changeable", "settings_in", "split_keywords"]


@cache
def changeable(scope: Scope) -> frozenset[str]:
    """The names of the settings that may be changed in a scope.

    Example:
        >>> {"target", "max_samples"} <= changeable(Scope.STEP), "store" in changeable(Scope.CALL)
        (True, False)
    """
    fields = SearchSettings.model_fields.items()
    return frozenset(
        name for name, field in fields if any(isinstance(mark, Scope) and scope in mark for mark in field.metadata)
    )


def settings_in(config: RunnableConfig) -> dict[str, Any]:
    """The settings that a call changes through `config["configurable"]`; its other keys are not ours.

    Example:
        >>> settings_in({"configurable": {"max_samples": 4, "thread_id": "7"}})
        {'max_samples': 4}
    """
    configurable = config.get("configurable") or {}
    names = changeable(Scope.CALL)
    return {name: configurable[name] for name in sorted(name for name in configurable if name in names)}


def split_keywords(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings among a call's keyword arguments, and the arguments of the policy; `seed` is the policy's.

    Raises:
        SettingsError: A setting cannot be changed for a call, or is misspelt.

    Example:
        >>> split_keywords({"target": 0.9, "temperature": 0.7})
        ({'target': 0.9}, {'temperature': 0.7})
    """
    free = changeable(Scope.CALL) - {"seed"}
    return split_call(kwargs, free, SearchSettings.model_fields.keys() - free - {"seed"}) if kwargs else ({}, {})
