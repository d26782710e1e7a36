"""What a function says about itself: its name, its parameters, whether it is async, and where its class comes from."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["accepted", "derives", "function_name", "is_async", "package_of", "parameters_of", "unwrapped"]


def derives(value: object, package: str, *names: str) -> bool:
    """Whether an object's class is one of a package's classes or derives from one; the package is not imported."""
    return any(base.__name__ in names and base.__module__.partition(".")[0] == package for base in type(value).__mro__)


def package_of(value: object) -> str:
    """The package that defines an object's class, or the object itself where it is a function."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).partition(".")[0]


def unwrapped(function: Any) -> Any:
    """What functools.partial was given."""
    while isinstance(function, partial):
        function = function.func
    return function


def function_name(function: Any) -> str:
    """The name of a function, of its class where it is an object."""
    function = unwrapped(function)
    return str(getattr(function, "__name__", type(function).__name__))


def is_async(function: Any) -> bool:
    """Whether calling it returns a coroutine."""
    function = unwrapped(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters by name; empty where they are not known, as of some functions written in C."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def accepted(function: Any, **arguments: Any) -> dict[str, Any]:
    """Those of the keyword arguments that the function names; versions of a package differ in them."""
    known = parameters_of(function)
    return {name: value for name, value in arguments.items() if name in known}
