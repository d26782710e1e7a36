"""Reading what was stored: every field has the type and the range that it must have, or it is no record.

A stored record may come from another version, a damaged disk or a stranger. So readers take nothing as given:

    >>> fields = Fields({"n": 3, "score": 0.5}, "a verdict")
    >>> fields.whole("n"), fields.real("score")
    (3, 0.5)
    >>> try:
    ...     fields.text("explanation")
    ... except InvalidRecordError as error:
    ...     print(error)
    a verdict has no 'explanation'
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from langchain_optscale.errors import InvalidRecordError, OptScaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    Record = TypeVar("Record")

__all__ = ["MOST_CANDIDATES", "Fields", "check_plain", "is_number", "read_pairs", "reading"]

MOST_CANDIDATES = 100_000
"""The most candidates of one search that a reader accepts."""

# The largest whole number that every reader of JSON knows exactly.
_MOST_WHOLE = 2**53
_DEEPEST = 64
_LONGEST = 200
_MISSING: Any = object()
# What code raises that is given something else than it expects.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OptScaleError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Everything that damaged data may raise in the block becomes an `InvalidRecordError` that names `what`.

    An `InvalidRecordError` goes on as it is.
    """
    try:
        yield
    except InvalidRecordError:
        raise
    except _DAMAGE as error:
        raise InvalidRecordError(f"{what} cannot be read: {_brief(f'{type(error).__name__}: {error}')}") from error


class Fields:
    """The fields of one stored object, each asked for with its type.

    Args:
        data: What was stored; it must be a mapping.
        what: What it should be, for messages: "a decision".

    Raises:
        InvalidRecordError: `data` is no mapping; every method raises it where the field is missing or of another type.
    """

    __slots__ = ("data", "what")

    def __init__(self, data: object, what: str) -> None:
        # An abstract class is asked last: most of what is read is plain.
        if type(data) is not dict and not isinstance(data, Mapping):
            raise InvalidRecordError(f"{what} must be an object, got {type(data).__name__}")
        self.data: Mapping[Any, Any] = data
        self.what = what

    def get(self, name: str | int, default: Any = _MISSING) -> Any:
        """The field, whatever it is."""
        value = self.data.get(name, default)
        if value is _MISSING:
            raise InvalidRecordError(f"{self.what} has no {name!r}")
        return value

    def whole(self, name: str | int, default: Any = _MISSING, *, least: int = 0, most: int = _MOST_WHOLE) -> int:
        """A whole number from `least` to `most`."""
        value: int = self.get(name, default)
        if not _is_whole(value, least, most):
            raise self._wrong(name, f"a whole number from {least} to {most}", value)
        return value

    def real(self, name: str | int, default: Any = _MISSING) -> float:
        """A number, which may be infinite; a whole one stays one."""
        value = self.get(name, default)
        if not is_number(value):
            raise self._wrong(name, "a number", value)
        number: float = value
        return number

    def seconds(self, name: str | int, default: Any = _MISSING) -> float:
        """A finite number of at least 0."""
        value = self.real(name, default)
        if not 0.0 <= value < math.inf:
            raise self._wrong(name, "a finite number of at least 0", value)
        return value

    def text(self, name: str | int, default: Any = _MISSING) -> str:
        """A string."""
        value = self.get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        return value

    def flag(self, name: str | int, default: Any = _MISSING) -> bool:
        """True or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def items(
        self, name: str | int, default: Any = _MISSING, *, most: int | None = None
    ) -> list[Any] | tuple[Any, ...]:
        """A list, of at most so many entries."""
        value = self.get(name, default)
        if not isinstance(value, list | tuple) or (most is not None and len(value) > most):
            raise self._wrong(name, "a list" if most is None else f"a list of at most {most:,} entries", value)
        return value

    def mapping(self, name: str | int, default: Any = _MISSING) -> Mapping[str, Any]:
        """An object whose keys are strings."""
        value = self.get(name, default)
        if not (type(value) is dict or isinstance(value, Mapping)) or not all(isinstance(key, str) for key in value):
            raise self._wrong(name, "an object", value)
        return value

    def optional_text(self, name: str | int) -> str | None:
        """A string, or None where the field is missing or null."""
        return None if self.data.get(name) is None else self.text(name)

    def wholes(self, name: str | int, *, most: int) -> tuple[int, ...]:
        """A list of at most `most` whole numbers of at least 0."""
        values = self.items(name, most=most)
        if not all(map(_is_whole, values)):
            inner = Fields(dict(enumerate(values)), f"{name} of {self.what}")
            return tuple(map(inner.whole, inner.data))  # says which one
        return tuple(values)

    def reals(self, name: str | int, *, most: int) -> tuple[float, ...]:
        """A list of finite numbers, of at most so many."""
        numbers = self.items(name, most=most)
        if not all(is_number(value) and math.isfinite(value) for value in numbers):
            raise self._wrong(name, "a list of finite numbers", numbers)
        return tuple(float(value) for value in numbers)

    def is_null(self, name: str | int) -> bool:
        """Whether the field is there and says that there is no value."""
        return self.get(name) is None

    def only(self, *names: str) -> None:
        """Refuse fields that this version does not know, whose meaning would be lost."""
        if unknown := [name for name in self.data if name not in names]:
            raise InvalidRecordError(f"{self.what} has the unknown field {_brief(repr(unknown[0]))}")

    def _wrong(self, name: object, wanted: str, value: object) -> InvalidRecordError:
        return InvalidRecordError(f"{name} of {self.what} must be {wanted}, got {_shown(value)}")


def read_pairs(fields: Fields, name: str, read: Callable[[Any], Record], default: Any = _MISSING) -> dict[int, Record]:
    """A list of pairs of a candidate's index and a record, as a dictionary in the same order.

    Raises:
        InvalidRecordError: It is no such list.
    """
    pairs: dict[int, Record] = {}
    for pair in fields.items(name, default):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise InvalidRecordError(f"{name} of {fields.what} must be pairs of an index and a record")
        if not _is_whole(pair[0]):
            Fields({"index": pair[0]}, f"{name} of {fields.what}").whole("index")  # says what is wrong
        pairs[pair[0]] = read(pair[1])
    return pairs


def _is_whole(value: object, least: int = 0, most: int = _MOST_WHOLE) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object) -> bool:
    """Whether a value is a number that arithmetic can take: no boolean, and no whole number beyond all floats."""
    if type(value) is float:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def check_plain(data: object, what: str) -> None:
    """Refuse nesting beyond 64 levels, whole numbers beyond 2^53 and numbers that are not finite, anywhere within.

    Raises:
        InvalidRecordError: There is such a part.
    """
    level = [data]
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                inner += value.values()
            elif isinstance(value, list | tuple):
                inner += value
            elif isinstance(value, float) and not math.isfinite(value):
                raise InvalidRecordError(f"{what} has a number that is not finite")
            elif isinstance(value, int) and abs(value) > _MOST_WHOLE:
                raise InvalidRecordError(f"{what} has a whole number beyond 2^53")
        if not inner:
            return
        level = inner
    raise InvalidRecordError(f"{what} is nested too deeply: at most {_DEEPEST} levels are read")


def _shown(value: object) -> str:
    """A value for a message: a large one by its type."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MOST_WHOLE:
        return "a larger one"
    if value is None or isinstance(value, str | bool | int | float):
        return _brief(repr(value))
    return type(value).__name__


def _brief(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
