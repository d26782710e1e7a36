"""Parsing of a pooling server's replies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from langchain_optscale.errors import InvalidReplyError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.verifiers.reward_model.logistic import Logistic

__all__ = ["Aggregate", "aggregated", "only_row", "read_row", "read_steps", "read_usage"]

Aggregate = Literal["mean", "min", "last", "product"]
"""How the scores of the steps are aggregated."""

# Softmax in single precision may be slightly above 1.
_ROUNDING = 1e-6
# More than any context window holds.
_MOST_TOKENS = 20_000_000
_FIELDS = {"classify": "probs", "pooling": "data", "prm": "data", "score": "score"}


def only_row(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of the one candidate that was sent.

    Raises:
        InvalidReplyError: There is not exactly one row, or its index is not 0.
    """
    rows = reply.get("data")
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], Mapping):
        got = len(rows) if isinstance(rows, list) else "no"
        raise InvalidReplyError(f"the server answered with {got} rows for 1 candidate")
    if (index := rows[0].get("index", 0)) != 0:
        raise InvalidReplyError(f"the server answered with row {index!r} for 1 candidate, expected row 0")
    return rows[0]


def read_row(row: Mapping[str, Any], kind: str, positive: int, logistic: Logistic | None) -> tuple[float, float]:
    """The score of a row, and its raw value: the logit, or the score itself.

    Args:
        row: The server's row.
        kind: "classify", "pooling" or "score".
        positive: The index of the positive class.
        logistic: Maps the logit; None where the server has applied its activation.

    Raises:
        InvalidReplyError: The row has no valid value.
    """
    held = row.get(_FIELDS[kind])
    return _scored(held if isinstance(held, list) else [held], positive, logistic)


def read_steps(
    row: Mapping[str, Any], count: int, positive: int, logistic: Logistic | None
) -> list[tuple[float, float]]:
    """The score and the raw value of each step, see `read_row`.

    Raises:
        InvalidReplyError: There is not one value for each step.
    """
    steps = row.get("data")
    if not isinstance(steps, list) or len(steps) != count:
        got = len(steps) if isinstance(steps, list) else "no"
        raise InvalidReplyError(
            f"the reward model scored {got} steps of {count}: set the step_marker of the model and its pooler"
        )
    return [_scored(step if isinstance(step, list) else [step], positive, logistic) for step in steps]


def read_usage(reply: Mapping[str, Any]) -> Usage:
    """The usage of the request; 0 tokens where the server reports none."""
    usage = reply.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    return Usage(_count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens")), requests=1)


def aggregated(scores: Sequence[float], how: Aggregate) -> float:
    """Aggregate the scores of at least one step.

    Example:
        >>> aggregated([0.5, 1.0], "product")
        0.5
    """
    if how == "mean":
        return min(max(math.fsum(scores) / len(scores), min(scores)), max(scores))
    if how == "min":
        return min(scores)
    return scores[-1] if how == "last" else math.prod(scores)


def _scored(values: list[Any], positive: int, logistic: Logistic | None) -> tuple[float, float]:
    if not values or not all(is_finite(value) for value in values):
        raise InvalidReplyError(f"the server must answer with finite numbers, got {_shown(values)}")
    if len(values) == 1:
        value = float(values[0])
    elif not -len(values) <= positive < len(values):
        raise InvalidReplyError(f"the model has {len(values)} classes, so there is none of index {positive}")
    elif logistic is None:
        value = float(values[positive])
    else:
        others = [float(other) for place, other in enumerate(values) if place != positive % len(values)]
        # The log-odds of the positive class under softmax.
        highest = max(others)
        value = float(values[positive]) - highest - math.log(math.fsum(math.exp(one - highest) for one in others))
    if logistic is not None:
        return logistic(value), value
    if not -_ROUNDING <= value <= 1.0 + _ROUNDING:
        raise InvalidReplyError(
            f"the server answered with {value:g}, which is not in [0, 1]: for raw logits set from_logits=Logistic(...)"
        )
    value = min(max(value, 0.0), 1.0)
    return value, value


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_TOKENS else 0


def _shown(values: list[Any]) -> str:
    text = repr(values)
    return text if len(text) <= 60 else f"{text[:60]}…"
