"""What verifiers have in common that are made of several others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.adapters import VerifierLike, as_verifier
from langchain_optscale.verifiers.coercion import kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.verifiers.base import Verifier

__all__ = ["config_for", "members_of", "numbered_names", "united_kwargs"]


def members_of(owner: str, verifiers: Iterable[VerifierLike]) -> tuple[Verifier, ...]:
    """The verifiers that `owner` is made of, at least one.

    Raises:
        SettingsError: There is none, or one that is none.
    """
    if isinstance(verifiers, str) or not isinstance(verifiers, Iterable):
        raise SettingsError(f"{owner} needs a list of verifiers, not {kind(verifiers)}")
    members = tuple(as_verifier(verifier) for verifier in verifiers)
    if not members:
        raise SettingsError(f"{owner} needs at least one verifier")
    return members


def united_kwargs(verifiers: Iterable[Verifier]) -> dict[str, Any]:
    """Everything that one of the verifiers needs the policy to be called with.

    Raises:
        SettingsError: Two of them contradict each other.
    """
    union: dict[str, Any] = {}
    for verifier in verifiers:
        for key, value in verifier.policy_kwargs.items():
            if union.setdefault(key, value) != value:
                raise SettingsError(
                    f"{verifier.name} needs the policy to be called with {key}={value!r}, "
                    f"another verifier with {key}={union[key]!r}"
                )
    return union


def numbered_names(verifiers: Sequence[Verifier]) -> list[str]:
    """The verifiers' names, numbered where one occurs twice."""
    names = [verifier.name for verifier in verifiers]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if name in repeated else name)
    return numbered


def config_for(verifier: Verifier, config: RunnableConfig | None) -> RunnableConfig | None:
    """The config for one of several: its own name in the trace, and no run id, which must not occur twice."""
    if config is None:
        return None
    own: RunnableConfig = {**config, "run_name": verifier.name}
    own.pop("run_id", None)
    return own
