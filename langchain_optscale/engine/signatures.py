"""The signature that `help` and notebooks show of a class of settings: names and defaults."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["shorten_signature"]

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
