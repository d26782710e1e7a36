"""What a run may change of the settings that an operator has chosen, and how far.

A run's input (`config["configurable"]`, LangGraph's `context`, and through its server plain JSON) comes from the
caller. By default it changes numbers and words, none of them beyond what the operator has set, and nothing is built
from it. An object of this process, such as a verifier or a rule, may be given as well: who has one runs code here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, Protocol

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Container

    from pydantic.fields import FieldInfo

__all__ = ["CEILINGS", "Scope", "as_limits", "as_overridable", "permit", "within_limits"]

CEILINGS = (
    "max_samples",
    "token_budget",
    "cost_budget",
    "deadline_s",
    "candidate_timeout_s",
    "max_retries",
    "max_failures",
    "policy_limit",
    "verifier_limit",
)
"""The settings for which there may be a ceiling, in `limits`."""

# Budgets hold for every search once they have a ceiling.
_BUDGETS = ("token_budget", "cost_budget", "deadline_s", "candidate_timeout_s")

_PLAIN = frozenset(
    {
        *CEILINGS,
        "target",
        "confidence",
        "effort",
        "round_cost",
        "keep_reasoning",
        "reverify_equal",
        "select",
        "first_round",
        "round_size",
        "overlap",
        "hedge_after_s",
        "cancel",
        "seed",
        "fanout",
    }
)
# Who may change what is the operator's alone.
_NEVER = frozenset({"overridable", "limits", "store", "explore", "learn"})


class Scope(Flag):
    """Where a setting may be changed: for one call, in a graph's context, or for an agent's step."""

    CALL = auto()
    CONTEXT = auto()
    STEP = auto()


class Chosen(Protocol):
    """What an operator has chosen: `SearchSettings`."""

    overridable: tuple[str, ...] | None
    limits: dict[str, float] | None

    @property
    def model_fields_set(self) -> set[str]:
        """The settings that were given."""

    @property
    def cap(self) -> int:
        """The most candidates drawn for one question."""


def as_overridable(names: Any, known: Container[str]) -> tuple[str, ...] | None:
    """The names of the settings that a run may change, checked; None leaves it to the default.

    Raises:
        SettingsError: They are no names of settings.
    """
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise SettingsError(f"overridable must be a set of names of settings, such as {{'target'}}, got {names!r}")
    listed = tuple(sorted(set(names)))
    for name in listed:
        if name not in known or name in _NEVER:
            raise SettingsError(f"overridable names {name!r}, which is not a setting that a run could change")
    return listed


def as_limits(limits: Any) -> dict[str, float] | None:
    """The ceilings of settings, checked.

    Raises:
        SettingsError: A name has no ceiling, or a ceiling is no positive number.
    """
    if limits is None:
        return None
    if not isinstance(limits, Mapping):
        raise SettingsError(f"limits must map settings to their largest values, got {limits!r}")
    for name, value in limits.items():
        if name not in CEILINGS:
            raise SettingsError(f"limits has {name!r}; there are limits for {', '.join(CEILINGS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise SettingsError(f"limits: {name} must be a number of at least 0, got {value!r}")
    return dict(limits)


def within_limits(given: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The settings, those that are not given no larger than the `limits` among them.

    Args:
        given: Those that are given.
        fields: All settings with their defaults.

    Raises:
        SettingsError: One that is given is beyond its limit, or the limits are none.
    """
    settings = dict(given)
    for name, most in (as_limits(given.get("limits")) or {}).items():
        if name in given:
            _check(name, given[name], most)
        elif name in _BUDGETS or _exceeds(fields[name].default, most):
            settings[name] = most
    return settings


def permit(settings: Chosen, changes: Mapping[str, Any], reviewed: Container[str] = ()) -> None:
    """Check what a run wants to change.

    Args:
        settings: The operator's.
        changes: The run's, by name.
        reviewed: Those that a person has changed whom the operator has a graph ask: only `limits` binds these.

    Raises:
        SettingsError: It may not change something, or not so far.
    """
    for name, value in changes.items():
        allowed = settings.overridable
        if name in _NEVER or (allowed is not None and name not in allowed):
            raise SettingsError(
                f"a run may not change {name}; it may change {', '.join(allowed) if allowed else 'nothing'}"
                if allowed is not None
                else f"a run may not change {name}"
            )
        if (
            allowed is None
            and not _is_live(value)
            and (name not in _PLAIN or (isinstance(value, Mapping | Sequence) and not isinstance(value, str)))
        ):
            raise SettingsError(
                f"a run may not set {name} by plain data, since something would be built from it; to allow it, build "
                f"the search with overridable={{{name!r}, ...}}"
            )
        if name in CEILINGS and name not in reviewed and (most := _ceiling(settings, name)) is not None:
            _check(name, value, most)


def _ceiling(settings: Chosen, name: str) -> Any:
    """What the operator has set; of `max_samples` also what is so by default."""
    most = (settings.limits or {}).get(name)
    if most is not None:
        return most
    if name == "max_samples":
        return settings.cap
    value = getattr(settings, name) if name in settings.model_fields_set else None
    value = getattr(value, "n", value)
    return None if isinstance(value, str) else value


def _check(name: str, value: Any, most: Any) -> None:
    if _exceeds(getattr(value, "n", value), most):
        raise SettingsError(
            f"{name}={value!r} is above the limit of {most!r} for this search; to raise it, build the search with "
            f"limits={{{name!r}: ...}}"
        )


def _exceeds(value: Any, most: Any) -> bool:
    """Whether a value is beyond a limit, as is having none of one's own; what is no number is judged elsewhere."""
    if value is None or value == "auto":
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and not value <= most


def _is_live(value: Any) -> bool:
    """Whether it can only come from this process: an object, or a collection of nothing but objects."""
    if value is None or isinstance(value, str | int | float):
        return False
    if isinstance(value, Mapping):
        return bool(value) and all(map(_is_live, value.values()))
    if isinstance(value, Sequence):
        return bool(value) and all(map(_is_live, value))
    return True
