"""Conversion of what users write: questions and answers as plain text, and results as verdicts."""

from __future__ import annotations

import json
import math
import numbers
import reprlib
from collections.abc import Mapping
from decimal import Decimal
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeGuard

from langchain_core.messages import AIMessage, BaseMessage

from langchain_optscale.errors import InvalidScoreError
from langchain_optscale.models.prompts import to_prompt
from langchain_optscale.records.candidates import Candidate, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.prompt_values import PromptValue

__all__ = ["REASONS", "is_finite", "kind", "number_of", "takes_plain_text", "to_candidate", "to_question", "to_verdict"]

REASONS = ("explanation", "comment", "reasoning", "reason")
"""The names under which evaluators give the reason of a score."""


def to_verdict(value: Any) -> Verdict:
    """Convert a verifier's result.

    Args:
        value: A `Verdict`; a real number, a bool, or a NumPy or Torch scalar; or a mapping or an object with such a
            `score` and an optional `explanation` (or `comment`, `reasoning`, `reason`, as evaluators write it).

    Returns:
        The verdict; its `raw` is the whole result where that is a JSON-ready mapping or a pydantic model.

    Raises:
        InvalidScoreError: It is anything else (text is never parsed), or the score is not in [0, 1].

    Example:
        >>> to_verdict({"score": 0.5, "explanation": "half of it"}).score
        0.5
        >>> to_verdict(True).score
        1.0
    """
    if isinstance(value, Verdict):
        return value
    number = number_of(value)
    if number is not None:
        return Verdict(number)
    if isinstance(value, BaseMessage):
        raise InvalidScoreError(
            f"the verifier answered with an {type(value).__name__} instead of a score: end the chain with a "
            "parser, such as | StrOutputParser() | (lambda text: float(text))"
        )
    parts = value if isinstance(value, Mapping) else {name: getattr(value, name, None) for name in ("score", *REASONS)}
    score = parts.get("score")
    explanation = next((parts[name] for name in REASONS if parts.get(name) is not None), None)
    number = number_of(score)
    if number is not None:
        return Verdict(number, None if explanation is None else str(explanation), raw=_json_ready(value))
    text = value if score is None else score
    if isinstance(text, str):
        raise InvalidScoreError(
            f"the verifier answered with the text {reprlib.repr(text)} instead of a score: parse it in the "
            "chain, such as | (lambda text: float(text))"
        )
    raise InvalidScoreError(f"a verifier must return a score in [0, 1], not {kind(text)}")


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether `value` is a real number, finite as a float, and no bool."""
    number = None if isinstance(value, bool) else number_of(value)
    return number is not None and math.isfinite(number)


def number_of(value: Any) -> float | None:
    """The value as a float where it is a real number, a bool, or a NumPy or Torch scalar; None for anything else."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return math.nan  # too large for a float, or a signalling NaN


def _json_ready(value: Any) -> Any:
    if callable(dump := getattr(value, "model_dump", None)):
        value = dump(mode="json")
    if not isinstance(value, Mapping):
        return None
    try:
        return json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError):
        return None


def kind(value: Any) -> str:
    """The type of `value` for an error message; its content may be long or private."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def to_question(value: Any) -> PromptValue:
    """A string or a list of messages as a prompt; anything else as it is."""
    return to_prompt(value) if isinstance(value, str | list) else value


def to_candidate(value: Any) -> Candidate:
    """A string or a message as the first candidate of a search; anything else as it is."""
    if isinstance(value, str):
        value = AIMessage(value)
    return Candidate(0, value, round=0) if isinstance(value, AIMessage) else value


def takes_plain_text(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method `(self, prompt, candidate, config)`, `verify` or `averify`, that takes plain text for either."""
    if getattr(method, "takes_plain_text", False):
        return method
    wrapped = _in_async(method) if iscoroutinefunction(method) else _in_sync(method)
    wrapped.takes_plain_text = True  # type: ignore[attr-defined]
    return wrapped


def _in_sync(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def verify(self: Any, prompt: Any, candidate: Any, *rest: Any, **named: Any) -> Any:
        return method(self, to_question(prompt), to_candidate(candidate), *rest, **named)

    return verify


def _in_async(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def averify(self: Any, prompt: Any, candidate: Any, *rest: Any, **named: Any) -> Any:
        return await method(self, to_question(prompt), to_candidate(candidate), *rest, **named)

    return averify
