"""Structured answers: a field of a JSON object, tool calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.base import Extractor, Found
from langchain_optscale.answers.equivalence import ExactText
from langchain_optscale.answers.numerals import write_number
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import AIMessage

__all__ = ["JsonField", "ToolCallAnswer", "canonical_json"]

_JSON_START = re.compile(r'\{\s*+["}]|\[')
# An attempt to parse JSON at a brace may read to the end of the text: limits for failed attempts, and for the
# characters that they read as a multiple of the text's length.
_TRIES = 1000
_PASSES = 16
_MISSING = object()


@dataclass(frozen=True)
class JsonField(Extractor):
    """A field of the last JSON value in the text that has it, else of the last tool call's arguments that have it.

    JSON may be the whole text, in a code block or in prose. Strings are compared by `SameMath`, other values by
    `canonical_json`. A null field is no answer.

    Attributes:
        path: Keys and list indexes joined by points: "answer", "result.items.0"; or a sequence of them, for keys that
            contain points.

    Raises:
        SettingsError: The path is empty or has other items.

    Example:
        >>> JsonField("result.value")('Here: {"result": {"value": 42.0}}. Done.')
        '42'
    """

    path: str | Sequence[str | int]

    def __post_init__(self) -> None:
        given = self.path
        path = tuple(given.split(".")) if isinstance(given, str) else tuple(given or ())
        if not path or not all(isinstance(key, str | int) and not isinstance(key, bool) and key != "" for key in path):
            raise SettingsError(f"path must have keys such as 'answer' or 'result.items.0', got {given!r}")
        object.__setattr__(self, "path", path)

    def find(self, text: str, message: AIMessage | None = None) -> Found | str | None:
        """The field."""
        value = _MISSING
        for document in _json_values(text):
            if (one := self._at(document)) is not _MISSING:
                value = one
        if value is _MISSING:
            for call in reversed(message.tool_calls if message is not None else ()):
                if (value := self._at(call["args"])) is not _MISSING:
                    break
        if value is _MISSING or value is None:
            return None
        return value if isinstance(value, str) else Found(canonical_json(value), ExactText())

    def _at(self, value: Any) -> Any:
        for key in self.path:
            if isinstance(value, Mapping):
                value = value.get(str(key), _MISSING)
            elif isinstance(value, list) and str(key).removeprefix("-").isdecimal():
                place = int(key)
                value = value[place] if -len(value) <= place < len(value) else _MISSING
            else:
                return _MISSING
        return value


@dataclass(frozen=True)
class ToolCallAnswer(Extractor):
    """The candidate's tool calls in canonical form: names, and arguments as sorted JSON.

    The order of the calls and their ids do not matter. A message without tool calls, or with a call whose arguments are
    no JSON, has no answer.

    Attributes:
        ignore: Names of arguments that do not matter, such as a free-text reason; "tool.name" for those of one tool.

    Raises:
        SettingsError: An item is no name.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> call = {"name": "search", "args": {"query": "optimal N", "limit": 5.0, "why": "to learn"}, "id": "call_1"}
        >>> ToolCallAnswer(ignore=["why"])("", AIMessage("", tool_calls=[call]))
        'search({"limit":5,"query":"optimal N"})'
    """

    ignore: Iterable[str] = ()

    def __post_init__(self) -> None:
        given = self.ignore
        names = None if isinstance(given, str) else tuple(given)
        if names is None or not all(isinstance(name, str) and name for name in names):
            raise SettingsError(f"ignore must be a list of argument names, got {given!r}")
        object.__setattr__(self, "ignore", tuple(sorted(set(names))))

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The calls."""
        if message is None or not message.tool_calls or message.invalid_tool_calls:
            return None
        return Found("; ".join(sorted(map(self._form, message.tool_calls))), ExactText())

    def _form(self, call: Any) -> str:
        ignored = frozenset(self.ignore)
        name = call["name"]
        kept = {
            key: value for key, value in call["args"].items() if key not in ignored and f"{name}.{key}" not in ignored
        }
        return f"{name}({canonical_json(kept)})"


def canonical_json(value: Any) -> str:
    """The same string for equal JSON values: keys sorted, no spaces, numbers by value (1.0 is 1).

    Numbers outside JSON become strings, other objects their `repr`.

    Example:
        >>> canonical_json({"b": [1.0, 2.50], "a": None})
        '{"a":null,"b":[1,2.5]}'
    """
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        items = sorted((str(key), one) for key, one in value.items()) if value else []
        return (
            "{" + ",".join([f"{json.dumps(key, ensure_ascii=False)}:{canonical_json(one)}" for key, one in items]) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if isinstance(value, int | float | Decimal):
        # By the shortest digits of a float: 0.1 is one tenth.
        digits = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if digits.is_finite() and -400 < digits.adjusted() < 400:
            return write_number(Fraction(digits))
        return json.dumps(str(value))
    return json.dumps(repr(value), ensure_ascii=False)


def _json_values(text: str) -> Iterator[Any]:
    """The outermost JSON objects and lists in the text, in order."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    place, tries, budget = 0, _TRIES, _PASSES * (len(text) + 1)
    while tries and budget > 0 and (start := _JSON_START.search(text, place)):
        begin = start.start()
        try:
            value, place = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            place, tries, budget = begin + 1, tries - 1, budget - (error.pos - begin)
        except (ValueError, RecursionError):
            # Too many digits for int(), or too deep for the decoder.
            place, tries, budget = begin + 1, tries - 1, budget - len(text)
        else:
            yield value
