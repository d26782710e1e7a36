"""Functions and chat models as judges that compare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_optscale.answers.base import accepts
from langchain_optscale.errors import InvalidRecordError, InvalidScoreError, SettingsError
from langchain_optscale.models.daemon_threads import run_in_thread
from langchain_optscale.models.travel import Parcel, content_of
from langchain_optscale.records.comparisons import Comparison
from langchain_optscale.verifiers.adapters import is_chat_model
from langchain_optscale.verifiers.coercion import is_finite, kind
from langchain_optscale.verifiers.comparison.base import ComparisonJudge
from langchain_optscale.verifiers.comparison.judge import PairwiseJudge

if TYPE_CHECKING:
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.candidates import Candidate

__all__ = ["CallableComparison", "ComparisonLike", "as_comparison_judge"]


class CallableComparison(ComparisonJudge):
    """A function as a judge of pairs.

    Args:
        function: `(prompt, first, second)`, sync or async; returns how much better the first is: a number in [0, 1],
            1 where it is better, 0 where the second is, 0.5 for a tie, or a bool. A sync function runs in a thread on
            the async path.

    Raises:
        SettingsError: It does not take three arguments.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> shorter = CallableComparison(lambda prompt, first, second: len(first.text) < len(second.text))
        >>> candidates = [make_candidate("a long answer", 0), make_candidate("short", 1)]
        >>> shorter.rank(StringPromptValue(text="2 + 2?"), candidates).best
        1
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not accepts(function, 3):
            raise SettingsError(
                "a function that compares must take three arguments, the prompt and two candidates, and "
                f"{_named(function)} does not"
            )
        self.function = function

    @property
    def name(self) -> str:
        """The function's name, where it has one."""
        name = _named(self.function)
        return name if name.isidentifier() else super().name

    def __reduce__(self) -> Any:
        return _adapted, (Parcel(self.function),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_named(self.function)})"

    def check_sync(self) -> None:
        """Check that the function is not async.

        Raises:
            SettingsError: It is.
        """
        if inspect.iscoroutinefunction(self.function):
            raise SettingsError(
                f"the comparing function {_named(self.function)} is async: use ainvoke or another async method, or "
                "pass a sync function"
            )

    def compare(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> Comparison:
        """Call the function.

        Raises:
            SettingsError: The function is async.
            InvalidScoreError: Its result is no number in [0, 1].
        """
        self.check_sync()
        first, second = candidates
        return _comparison(first, second, self.function(prompt, first, second))

    async def acompare(
        self, prompt: PromptValue, candidates: Sequence[Candidate], config: RunnableConfig | None = None
    ) -> Comparison:
        """Await an async function, or call a sync one in a thread."""
        first, second = candidates
        if inspect.iscoroutinefunction(self.function):
            return _comparison(first, second, await self.function(prompt, first, second))
        return _comparison(first, second, await run_in_thread(self.function, prompt, first, second))


ComparisonLike: TypeAlias = ComparisonJudge | Callable[..., Any]
"""What `as_comparison_judge` accepts."""


def as_comparison_judge(value: Any) -> ComparisonJudge:
    """A judge as it is, a chat model or its name as a `PairwiseJudge`, a function as a `CallableComparison`.

    Raises:
        SettingsError: It is none of them.
    """
    if isinstance(value, ComparisonJudge):
        return value
    if isinstance(value, str) or is_chat_model(value):
        return PairwiseJudge(value)
    if not isinstance(value, type) and callable(value):
        return CallableComparison(value)
    raise SettingsError(
        f"a judge that compares must be a PairwiseJudge, a chat model or a function (prompt, first, second), not "
        f"{kind(value)}"
    )


def _comparison(first: Candidate, second: Candidate, answer: Any) -> Comparison:
    share = float(answer) if isinstance(answer, bool) or is_finite(answer) else None
    if share is None:
        raise InvalidScoreError(f"a comparison must be a number in [0, 1], not {kind(answer)}")
    try:
        return Comparison((first.index, second.index), (share, 1.0 - share))
    except InvalidRecordError:
        raise InvalidScoreError(f"a comparison must be a number in [0, 1], got {share:g}") from None


def _adapted(function: Any) -> CallableComparison:
    """A judge as another process makes it anew."""
    return CallableComparison(content_of(function))


def _named(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))
