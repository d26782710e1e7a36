"""What a value is made of, as a digest: equal for equal content, in every process.

`repr` and `str` say neither: the repr of a class is its name, whatever its fields are, and an object's may hold an
address. Plain values, mappings, sequences and sets, dataclasses, pydantic models and their classes, enumerations and
functions have a content; a function's is its code with its constants, defaults and captured variables.
"""

from __future__ import annotations

import enum
import hashlib
import inspect
import json
import types
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

__all__ = ["NoContentError", "content_of", "digest"]

_DEEPEST = 40


class NoContentError(TypeError):
    """A value has no content that could be compared."""


def digest(value: Any) -> str:
    """The SHA-256 of a value's content, in hexadecimal.

    Raises:
        NoContentError: A part has no content.
    """
    written = json.dumps(content_of(value), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()


def content_of(value: Any, *, strict: bool = True, depth: int = 0) -> Any:
    """A value's content as plain data in which every kind is marked, so that 1, True, 1.0 and "1" differ.

    Args:
        value: Any value.
        strict: Whether what has no content is an error; otherwise it stands as its class and its repr.
        depth: How deep within another value it stands.

    Raises:
        NoContentError: It, or a part of it, has no content, or it is nested too deeply.
    """
    if depth > _DEEPEST:
        raise NoContentError("the value is nested too deeply to be compared")

    def inner(part: Any) -> Any:
        return content_of(part, strict=strict, depth=depth + 1)

    if value is None or (isinstance(value, str) and type(value) is str):
        return value
    if isinstance(value, enum.Enum):
        return {"enum": _name(type(value)), "value": inner(value.value)}
    if isinstance(value, bool | int | float | complex | str):
        return {type(value).__name__: str.__str__(value) if isinstance(value, str) else repr(value)}
    if isinstance(value, bytes | bytearray):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        pairs = [[inner(key), inner(one)] for key, one in value.items()]
        return {"mapping": sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))}
    if isinstance(value, Set):
        return {"set": sorted((inner(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))}
    if isinstance(value, Sequence):
        return [inner(one) for one in value]
    special = _special(value, inner)
    if special is not None:
        return special
    if strict:
        raise NoContentError(f"a {_name(type(value))} has no content that could be compared")
    return {"object": _name(type(value)), "repr": repr(value)}


def _special(value: Any, inner: Any) -> Any:
    """The content of functions, classes of pydantic, and objects with fields; None for all else."""
    if isinstance(value, partial):
        return {"partial": inner(value.func), "args": inner(value.args), "kwargs": inner(value.keywords)}
    if isinstance(value, types.MethodType):
        return {"method": inner(value.__func__), "of": inner(value.__self__)}
    if isinstance(value, types.FunctionType):
        return _function(value, inner)
    if isinstance(value, types.BuiltinFunctionType):
        return {"builtin": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, type):
        return _class(value, inner)
    if is_dataclass(value):
        held = {f.name: inner(getattr(value, f.name)) for f in fields(value)}
        return {"object": _class(type(value), inner), "fields": held}
    if hasattr(type(value), "model_fields") and hasattr(value, "__dict__"):
        return {"object": _name(type(value)), "fields": {name: inner(one) for name, one in vars(value).items()}}
    return None


def _function(function: types.FunctionType, inner: Any) -> Any:
    captured = map(_captured, function.__closure__ or ())
    return {
        "function": f"{function.__module__}.{function.__qualname__}",
        "code": _code(function.__code__),
        "defaults": inner([function.__defaults__, function.__kwdefaults__]),
        # A function may capture itself.
        "captured": [inner(one) for one in captured if one is not function],
    }


class _Unassigned:
    """Stands for a variable that has no value yet, and so no content."""

    def __repr__(self) -> str:
        return "unassigned"


def _captured(cell: types.CellType) -> Any:
    """The value of a captured variable, which may be assigned after the function is made."""
    try:
        return cell.cell_contents
    except ValueError:
        return _Unassigned()


def _code(code: types.CodeType) -> Any:
    constants = [
        _code(one)
        if isinstance(one, types.CodeType)
        else sorted(map(repr, one))
        if isinstance(one, frozenset)
        else repr(one)
        for one in code.co_consts
    ]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]


def _class(kind: type, inner: Any) -> Any:
    known: dict[str, Any] = {"class": _name(kind)}
    if callable(schema := getattr(kind, "model_json_schema", None)):
        known["schema"] = inner(schema())
    # Validators say what a schema cannot.
    own = [function for home in kind.__mro__ for function in vars(home).values() if _is_own(home)]
    functions = [inspect.unwrap(getattr(one, "__func__", getattr(one, "wrapped", one))) for one in own]
    known["code"] = [
        [one.__qualname__, _code(one.__code__)] for one in functions if isinstance(one, types.FunctionType)
    ]
    return known


def _is_own(home: type) -> bool:
    return home.__module__.partition(".")[0] not in ("builtins", "pydantic", "typing", "abc", "enum")


def _name(kind: type) -> str:
    home = kind.__module__
    # Without the module of a class of this package, which may change.
    home = home.partition(".")[0] if home.startswith("langchain_optscale.") else home
    return f"{home}.{kind.__qualname__}"
