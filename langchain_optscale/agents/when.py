"""When a step of an agent is worth a search."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stopping import History, Rule
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from langchain_core.messages import AIMessage

    from langchain_optscale.records.decisions import Decision

__all__ = ["FirstIsGood", "Gate", "When", "WhenLike"]

WhenLike: TypeAlias = "Literal['always', 'final_answers', 'tool_calls'] | float | Callable[..., bool]"
"""What `OptScaleMiddleware(when=...)` accepts."""

_NAMED = ("always", "final_answers", "tool_calls")


@dataclass(frozen=True)
class FirstIsGood(Rule):
    """Stop after the first candidate where its score is at or above the threshold; later scores are ignored.

    Args:
        threshold: A score in [0, 1].
    """

    threshold: float

    def __call__(self, history: History) -> Decision:
        """Whether the first score reaches the threshold."""
        good = bool(history.scores) and history.scores[0] >= self.threshold
        known = {"first": history.scores[0]} if history.scores else {}
        return self._decision(StopReason.TARGET_REACHED, {**known, "threshold": self.threshold}, stop=good)


@dataclass(frozen=True)
class When:
    """Which steps of an agent are searched.

    Attributes:
        condition: "always"; "final_answers", steps whose first candidate calls no tool; "tool_calls", steps whose first
            candidate calls one; a number in (0, 1], steps whose first candidate scores below it; or a function of the
            `ModelRequest`, or of the request and the first candidate's message, that says whether to search.

    Raises:
        SettingsError: It is none of these.

    Example:
        >>> When("final_answers").threshold, When(0.8).threshold
        (None, 0.8)
    """

    condition: Any = "always"

    def __post_init__(self) -> None:
        condition = self.condition
        if callable(condition):
            if self._arguments() not in (1, 2) or inspect.iscoroutinefunction(condition):
                raise SettingsError("when must be a plain function of (request) or (request, first message)")
        elif condition not in _NAMED and not (is_finite(condition) and 0 < condition <= 1):
            raise SettingsError(
                f"when must be one of {', '.join(_NAMED)}, a score in (0, 1] or a function, got {condition!r}"
            )

    def _arguments(self) -> int:
        """How many arguments the function takes; 0 where its signature cannot be read."""
        try:
            parameters = inspect.signature(self.condition).parameters.values()
        except (TypeError, ValueError):
            return 0
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return sum(one.kind in kinds and one.default is one.empty for one in parameters)

    @property
    def threshold(self) -> float | None:
        """The score of the first candidate below which a step is searched; None for other conditions."""
        return None if isinstance(self.condition, str) or callable(self.condition) else float(self.condition)

    def gate(self, request: Any) -> Gate | bool:
        """Whether to search the step, or the gate that decides by its first candidate.

        Args:
            request: LangChain's `ModelRequest`.
        """
        when = self.condition
        if callable(when):
            return Gate(lambda first: bool(when(request, first))) if self._arguments() == 2 else bool(when(request))
        if when not in ("final_answers", "tool_calls"):
            return True
        known = {_name(tool) for tool in request.tools}
        structured = request.response_format is not None
        return Gate(lambda first: _is_final(first, known, structured=structured) == (when == "final_answers"))


@dataclass(frozen=True)
class Gate:
    """Decides from the first candidate whether to search.

    Attributes:
        opens: Whether to search, given the first candidate's message.
    """

    opens: Callable[[AIMessage], bool]


def _name(tool: Any) -> Any:
    return tool.get("function", tool).get("name") if isinstance(tool, dict) else tool.name


def _is_final(message: AIMessage, known: Collection[Any], *, structured: bool) -> bool:
    """Whether a step ends the agent's run: without a tool call, or with structured output sent as a tool call."""
    names = [call["name"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    return not names or (structured and not set(names) & set(known))
