"""What `help` and notebooks show first of a class of settings: a short signature, and each setting with its default."""

from __future__ import annotations

import re
from inspect import Parameter, Signature, cleandoc
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

__all__ = ["describe_settings", "shorten_signature"]

_Class = TypeVar("_Class", bound="type[BaseModel]")

_FIRST = ("policy", "verifier")


def shorten_signature(owner: _Class) -> _Class:
    """Let `inspect.signature` of a pydantic class show names and defaults alone, policy and verifier first.

    Pydantic's own has all of every annotation, validators included: 5,000 characters for the settings of a search.
    Type checkers and editors read the fields, which stay as they are.

    Args:
        owner: The class.

    Returns:
        The same class.
    """
    whole: Any = vars(owner).get("__signature__")
    if whole is not None:
        owner.__signature__ = _Short(whole)  # type: ignore[assignment]
    return owner


def describe_settings(settings: type[BaseModel]) -> Callable[[_Class], _Class]:
    """Append to the docstring of a class every setting that it inherits, with its default.

    `help` shows a class's own docstring first and what it inherits after pages of pydantic's and LangChain's methods.
    The words are those of the class that has the settings, so there is one text to keep.

    Args:
        settings: The class whose docstring describes its fields under `Attributes:`.

    Returns:
        The decorator of a class below it.
    """

    def describe(owner: _Class) -> _Class:
        if owner.__doc__ and settings.__doc__:  # python -OO has none
            listed = _with_defaults(cleandoc(settings.__doc__), settings)
            owner.__doc__ = f"{cleandoc(owner.__doc__)}\n\nSettings:\n{listed}\n"
        return owner

    return describe


def _with_defaults(described: str, settings: type[BaseModel]) -> str:
    section = described.partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.split(r"\n(?= {4}\w+: )", section)
    return "\n".join(f"{entry}\n        {_default(entry.split(':', 1)[0].strip(), settings)}" for entry in entries)


def _default(name: str, settings: type[BaseModel]) -> str:
    field = settings.model_fields[name]
    return "Required." if field.is_required() else f"Default: {field.get_default(call_default_factory=True)!r}."


class _Short:
    """The short form of a class's signature, made when it is asked for, as pydantic makes the whole one."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __get__(self, instance: object, owner: type) -> Signature:
        # A caller of an instance, if it is callable, is not told how to make one.
        if instance is not None:
            raise AttributeError("only the class has a __signature__")
        whole: Signature = self._whole.__get__(None, owner)
        named = [one for one in whole.parameters.values() if one.kind is not Parameter.VAR_POSITIONAL]
        named.sort(key=lambda one: (one.kind, _FIRST.index(one.name) if one.name in _FIRST else len(_FIRST)))
        return Signature([one.replace(annotation=Parameter.empty) for one in named])
