"""Settings of one run: LangGraph's `context`, the config, what the thread stores, and what a reviewer changed.

Later ones win: the settings that the graph was built with, those that the thread began with, `config["configurable"]`,
`context`, and last the changes made in `review`. The thread stores numbers, strings and stopping rules, so that a
resumed run continues as it began; models, functions and priors never enter the state and must be given again (but see
`stored_prior` for what a function said of the question), and so must, in another process, a rule, unless `overridable`
allows stored ones: a client that may write to a thread is not the operator.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

from typing_extensions import TypedDict

from langchain_optscale.engine.overrides import changeable, settings_in
from langchain_optscale.engine.permissions import Scope
from langchain_optscale.engine.settings import SearchSettings
from langchain_optscale.errors import SettingsError
from langchain_optscale.graph.process_memory import Causes
from langchain_optscale.graph.state import Reader, record_in
from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.records.forks import after_fork
from langchain_optscale.stopping import Rule

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime

    from langchain_optscale.engine.sampler import Sampler

__all__ = ["OptScaleContext", "RunSettings", "SettingsCache", "changes_now", "storable"]

_CACHE_SIZE = 32
_MOST_READERS = 256


_PLAIN = {int, float, str, bool, type(None)}


def _shown(annotation: Any) -> Any:
    """The type as a schema can show it; models, rules and functions have none."""
    plain = get_origin(annotation) is Literal or set(get_args(annotation) or [annotation]) <= _PLAIN
    return annotation if plain else Any


_CHANGEABLE = {
    name: _shown(field.annotation)
    for name, field in SearchSettings.model_fields.items()
    if name in changeable(Scope.CONTEXT)
}

if TYPE_CHECKING:
    OptScaleContext: TypeAlias = Any  # its fields are known at run time only
else:
    OptScaleContext = TypedDict("OptScaleContext", _CHANGEABLE, total=False)
    OptScaleContext.__doc__ = """What one run may change: `graph.invoke(state, context={"target": 0.95})`.

    In a graph of your own, whose context has other fields, put these under the field `optscale`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_optscale import create_optscale_graph
        >>> policy = FakeListChatModel(responses=["4"])
        >>> graph = create_optscale_graph(policy=policy, verifier=lambda prompt, candidate: 0.5).compile()
        >>> context = OptScaleContext(max_samples=3)
        >>> len(graph.invoke({"messages": [("user", "2 + 2?")]}, context=context)["optscale"]["candidates"])
        3
    """


class RunSettings:
    """The checked settings of a run. Safe to share between tasks and threads."""

    def __init__(self, settings: SearchSettings, changes: Mapping[str, Any]) -> None:
        self.settings = settings
        if settings.overlap:
            raise SettingsError(
                "overlap cannot be used in a graph, where a round's superstep ends when all its tasks have ended; "
                "leave it out, or search with OptScale"
            )
        self._sampler = settings.sampler()  # raises now if a setting does not fit the policy
        self._prompt: tuple[Any, PromptValue] | None = None
        self._readers: dict[str, Reader] = {}
        # Kept alive, since the cache finds this object by the identity of these values.
        self.changes = dict(changes)

    @property
    def seeded(self) -> bool:
        """Whether each candidate is drawn with a seed of its own."""
        return self._sampler.seeded

    def sampler(self, record: Mapping[str, Any]) -> Sampler:
        """The sampler of a search, limited to as many choices a request as its policy's server accepted."""
        return self._sampler.renewed(record["search"].get("choices"))

    def reader(self, search: str) -> Reader:
        """Reads the record of a search, by its id, for all of its tasks and steps."""
        reader = self._readers.get(search)
        if reader is None:
            if len(self._readers) >= _MOST_READERS:
                self._readers.clear()  # what is still needed is read again
            reader = self._readers[search] = Reader()
        return reader

    def discard_reader(self, search: str) -> None:
        """The search has ended: what was read of its record is not needed any more."""
        self._readers.pop(search, None)

    def prompt(self, messages: Sequence[BaseMessage]) -> PromptValue:
        """The conversation as a prompt, made once for all tasks that read the same state."""
        known = self._prompt
        if known is None or known[0] is not messages:
            self._prompt = known = (messages, to_prompt(messages))
        return known[1]


class SettingsCache:
    """Checked settings by what runs change, so that a run does not check its settings again for every task.

    Args:
        settings: What the graph was built with.
        max_attempts: The most attempts that the graph's retry policy allows.
        reviewable: The settings that a reviewer may change in this graph; empty where it asks none.

    Attributes:
        causes: The exceptions of its searches.
    """

    def __init__(self, settings: SearchSettings, max_attempts: int, reviewable: Iterable[str] = ()) -> None:
        self.settings = settings
        self.causes = Causes()
        self._max_attempts = max_attempts
        self._reviewable = frozenset(reviewable)
        self._begin()
        after_fork(self, "_begin")
        self.get({})

    def _begin(self) -> None:
        self._known: OrderedDict[tuple[Any, ...], RunSettings] = OrderedDict()
        self._checked: tuple[object, dict[str, Any]] | None = None
        self._rules: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def record_in(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record of the search under way, checked once for all tasks that read the same state."""
        known, stored = self._checked, state.get("optscale")
        if known is None or known[0] is not stored:
            self._checked = known = (stored, record_in(state))
        return known[1]

    def get(self, changes: Mapping[str, Any], record: Mapping[str, Any] | None = None) -> RunSettings:
        """The settings with these changes.

        Args:
            changes: What the run changes, and a reviewer has changed.
            record: The search so far, which tells the two apart.

        Raises:
            SettingsError: A change is unknown, not allowed, out of range, or contradicts another setting.
        """
        # What a thread says of a review counts only where there is one.
        reviewed = self._reviewable & set((record or {}).get("search", {}).get("review", ()))
        key = (
            reviewed,
            *(
                (name, value if isinstance(value, str | int | float | None) else id(value))
                for name, value in sorted(changes.items())
            ),
        )
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        settings = self.settings.for_run(changes, reviewed)
        if "max_retries" in changes and settings.max_retries >= self._max_attempts:
            raise SettingsError(
                f"max_retries={settings.max_retries} is above the {self._max_attempts - 1} of the graph; a run can "
                "only lower it, so build the graph with the larger number"
            )
        if settings.tournament() is not None and self.settings.tournament() is None:
            raise SettingsError(
                "select can be a tournament only in a graph that was built with one: give select= to the graph, and "
                "let a run choose another selection"
            )
        checked = RunSettings(settings, changes)
        with self._lock:
            self._known[key] = checked
            while len(self._known) > _CACHE_SIZE:
                self._known.popitem(last=False)
        return checked

    def changes_of(
        self, record: Mapping[str, Any], config: RunnableConfig, runtime: Runtime[Any], *, new: bool = False
    ) -> dict[str, Any]:
        """The settings that a run changes.

        Args:
            record: The search so far.
            config: The run's config, whose "configurable" may change settings.
            runtime: LangGraph's runtime, whose context may change settings and models.
            new: Whether a new search begins, to which nothing stored applies.

        Raises:
            SettingsError: The context has an unknown setting, lacks a model that the search was begun with, or the
                thread stores a rule that neither this process nor the operator has given.
        """
        now = changes_now(config, runtime)
        for value in now.values():
            if isinstance(value, Rule):
                self._remember(value)
        if new:
            return now
        search = record.get("search", {})
        if missing := sorted(set(search.get("given", ())) - now.keys()):
            raise SettingsError(
                f"this search began with its own {' and '.join(missing)}, which no checkpoint stores; "
                "give the same again through context= (or the config) to resume it"
            )
        stored = {
            name: self._restored(name, value) if isinstance(value, dict) else value
            for name, value in search.get("settings", {}).items()
            if name not in now
        }
        return {**stored, **now, **search.get("review", {})}

    def _remember(self, rule: Rule) -> None:
        """Keep what a live rule is stored as, so that a thread can hand it back to this process."""
        with self._lock:
            self._rules[_canonical(rule.to_dict())] = None
            while len(self._rules) > _CACHE_SIZE:
                self._rules.popitem(last=False)

    def _restored(self, name: str, data: dict[str, Any]) -> Rule:
        """A rule that the thread stores. Who may write to a thread is no operator: it is plain data like a run's."""
        if _canonical(data) not in self._rules and name not in (self.settings.overridable or ()):
            raise SettingsError(
                f"the thread stores its own {name}, which this process has not been given: give the same again "
                f"through context= (or the config); to allow stored ones, build the search with "
                f"overridable={{{name!r}, ...}}"
            )
        return Rule.from_dict(data)


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, default=repr)


def changes_now(config: RunnableConfig, runtime: Runtime[Any]) -> dict[str, Any]:
    """The settings that this run itself changes.

    Raises:
        SettingsError: The context has an unknown setting.
    """
    return {**settings_in(config), **_of_context(runtime)}


def storable(changes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The changes that the thread stores, JSON-ready, and the names of those that must be given again."""
    plain: dict[str, Any] = {}
    given: list[str] = []
    for name, value in changes.items():
        if value is None or isinstance(value, str | int | float):
            plain[name] = value
        elif isinstance(value, Rule):
            plain[name] = value.to_dict()
        else:
            given.append(name)
    return plain, sorted(given)


def _of_context(runtime: Runtime[Any]) -> dict[str, Any]:
    context: Any = runtime.context
    if context is None:
        return {}
    own = context.get("optscale") if isinstance(context, Mapping) else getattr(context, "optscale", None)
    if own is not None:
        if not isinstance(own, Mapping):
            raise SettingsError(f"context field optscale must be a mapping of settings, got {type(own).__name__}")
        return _checked(own)
    if not isinstance(context, Mapping):
        return {}
    # A subgraph gets its parent's context, which may have other keys.
    info = runtime.execution_info
    if info is not None and "|" in info.checkpoint_ns:
        return {name: value for name, value in context.items() if name in SearchSettings.model_fields}
    return _checked(context)


def _checked(context: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(context.keys() - SearchSettings.model_fields.keys()):
        raise SettingsError(
            f"unknown setting {unknown[0]!r} in context; known are {', '.join(SearchSettings.model_fields)}"
        )
    return dict(context)
