"""What model calls consume: tokens, by kind where a server reports it, and requests.

>>> Usage(100, 20, 1) + Usage(100, 30, 1, output_token_details={"reasoning": 12})
Usage(input_tokens=200, output_tokens=50, requests=2, output_token_details={'reasoning': 12})
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_optscale.records.stored import Fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls consumed.

    Attributes:
        input_tokens: Prompt tokens, counted once per request even where a request returns several choices.
        output_tokens: Generated tokens, summed over all choices.
        requests: Model requests that were answered.
        input_token_details: Kinds of prompt tokens, such as "cache_read", where a server reports them; they need not
            add up to all of them.
        output_token_details: Kinds of generated tokens, such as "reasoning", likewise.

    Example:
        >>> (Usage(100, 20, requests=1) + Usage(50, 30, requests=1)).total_tokens
        200
    """

    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    input_token_details: Mapping[str, int] = field(default_factory=dict, hash=False)
    output_token_details: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        return f"Usage({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.requests + other.requests,
            _added(self.input_token_details, other.input_token_details),
            _added(self.output_token_details, other.output_token_details),
        )

    @classmethod
    def total(cls, usages: Iterable[Usage]) -> Usage:
        """The sum; nothing for no usage at all."""
        return reduce(add, usages, cls())

    @classmethod
    def from_dict(cls, data: object) -> Usage:
        """Read what `to_dict` wrote.

        Raises:
            InvalidRecordError: A number is missing, negative or no whole number.
        """
        fields = Fields(data, "a usage")
        fields.only("input_tokens", "output_tokens", "requests", "input_token_details", "output_token_details")
        return cls(
            fields.whole("input_tokens", 0),
            fields.whole("output_tokens", 0),
            fields.whole("requests", 0),
            _kinds(fields.mapping("input_token_details", {})),
            _kinds(fields.mapping("output_token_details", {})),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, with the details that there are; `from_dict` reads it."""
        details = {
            "input_token_details": dict(self.input_token_details),
            "output_token_details": dict(self.output_token_details),
        }
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "requests": self.requests,
            **{name: counts for name, counts in details.items() if counts},
        }


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}} if one or other else {}


def _kinds(counts: Mapping[str, Any]) -> dict[str, int]:
    if not counts:
        return {}
    kinds = Fields(counts, "kinds of tokens")
    return {name: kinds.whole(name) for name in counts}
