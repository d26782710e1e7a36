"""Locks and counts are made anew in a forked child.

A child that `os.fork` makes has one thread. Locks that other threads of the parent held stay locked in it for ever, and
counts of what those threads had under way never go down. Whoever holds a lock, a count or a connection registers here
how to begin anew. `functools.cached_property` of Python 3.11 holds one lock for all instances of a class while it
computes, which could not be made anew: `cached_property` of this module has none, as in Python 3.12.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["after_fork", "cached_property", "keep_open"]

_T_co = TypeVar("_T_co", covariant=True)


class cached_property(functools.cached_property[_T_co]):  # noqa: N801 - named as what it stands for
    """A property that is computed once for each instance; two threads at the same moment may compute it twice."""

    def __init__(self, func: Callable[[Any], _T_co]) -> None:
        super().__init__(func)
        self.lock = contextlib.nullcontext()


_methods: list[tuple[weakref.ref[Any], str]] = []
_functions: list[Callable[[], None]] = []
_kept_open: list[Any] = []
_COMPACT_AT = 256


def after_fork(owner: object, method: str = "_after_fork") -> None:
    """Call a method of an object in every forked child, for as long as the object lives.

    Args:
        owner: An object that can be referred to weakly, or a module-level function, which is then called itself.
        method: The method's name; it takes no arguments and must not wait for a lock.
    """
    if callable(owner) and not hasattr(owner, method):
        _functions.append(owner)
        return
    # Appending is atomic: a lock here could itself be held while another thread forks.
    _methods.append((weakref.ref(owner), method))
    if len(_methods) > 2 * _registered[0] + _COMPACT_AT:
        _compact()


_registered = [0]
_compacting = threading.Lock()


def _compact() -> None:
    """Drop what no longer lives."""
    if not _compacting.acquire(blocking=False):
        return
    try:
        known = len(_methods)
        alive = [entry for entry in _methods[:known] if entry[0]() is not None]
        _methods[:known] = alive
        _registered[0] = len(alive)
    finally:
        _compacting.release()


def keep_open(thing: object) -> None:
    """Keep what the parent still uses, such as a connection, from being closed when the child drops it."""
    _kept_open.append(thing)


def _begin_anew() -> None:
    global _compacting
    _compacting = threading.Lock()
    for function in _functions:
        function()
    for reference, method in _methods:
        owner = reference()
        if owner is not None:
            getattr(owner, method)()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
