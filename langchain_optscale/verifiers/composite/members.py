"""Shared parts of the verifiers that are made of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.clients import endpoint_of
from langchain_optscale.verifiers.adapters import VerifierLike, as_verifier
from langchain_optscale.verifiers.base import Verifier
from langchain_optscale.verifiers.coercion import kind

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import Self

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.answers import AnswerBook

__all__ = ["Composite", "Wrapper", "config_for", "members_of", "numbered_names"]


class Composite(Verifier):
    """Base of the verifiers made of several others."""

    def __init__(self, verifiers: tuple[Verifier, ...]) -> None:
        self.verifiers = verifiers
        self._policy_kwargs = _united_kwargs(verifiers)

    @property
    def content(self) -> Any:
        """The members', and how they are joined."""
        own = {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "verifiers"}
        return [type(self).__name__, own, [_content_of(verifier) for verifier in self.verifiers]]

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """The arguments that all members need."""
        return dict(self._policy_kwargs)

    def check_sync(self) -> None:
        """Check every member."""
        for verifier in self.verifiers:
            verifier.check_sync()

    @property
    def deterministic(self) -> bool:
        """Whether all members are."""
        return all(verifier.deterministic for verifier in self.verifiers)

    def for_search(self, answers: AnswerBook) -> Self:
        """A copy with the members as this search uses them."""
        inner = tuple(verifier.for_search(answers) for verifier in self.verifiers)
        if all(one is other for one, other in zip(inner, self.verifiers, strict=True)):
            return self
        own = copy(self)
        own.verifiers = inner
        return own


class Wrapper(Verifier):
    """Base of the verifiers around one other."""

    def __init__(self, verifier: VerifierLike) -> None:
        self.verifier = as_verifier(verifier)

    @property
    def endpoint(self) -> Hashable:
        """The verifier's endpoint, for `verifier_limit`."""
        return endpoint_of(self.verifier)

    @property
    def content(self) -> Any:
        """The verifier's, and what is around it."""
        own = {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "verifier"}
        return [type(self).__name__, own, _content_of(self.verifier)]

    @property
    def policy_kwargs(self) -> Mapping[str, Any]:
        """The arguments that the verifier needs."""
        return self.verifier.policy_kwargs

    def check_sync(self) -> None:
        """Check the verifier."""
        self.verifier.check_sync()

    @property
    def deterministic(self) -> bool:
        """Whether the verifier is."""
        return self.verifier.deterministic


def members_of(owner: str, verifiers: Iterable[VerifierLike]) -> tuple[Verifier, ...]:
    """The members of `owner` as verifiers.

    Raises:
        SettingsError: There is none, or one is no verifier.
    """
    if isinstance(verifiers, str) or not isinstance(verifiers, Iterable):
        raise SettingsError(f"{owner} needs a list of verifiers, not {kind(verifiers)}")
    members = tuple(as_verifier(verifier) for verifier in verifiers)
    if not members:
        raise SettingsError(f"{owner} needs at least one verifier")
    return members


def _content_of(verifier: Verifier) -> Any:
    return verifier.name if verifier.content is None else verifier.content


def _united_kwargs(verifiers: Iterable[Verifier]) -> dict[str, Any]:
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
    count: Counter[str] = Counter()
    numbered = []
    for name in names:
        count[name] += 1
        numbered.append(f"{name} {count[name]}" if name in repeated else name)
    return numbered


def config_for(verifier: Verifier, config: RunnableConfig | None) -> RunnableConfig | None:
    """The config of one member: its own run name, and no run id, which must be unique."""
    if config is None:
        return None
    own: RunnableConfig = {**config, "run_name": verifier.name}
    own.pop("run_id", None)
    return own
