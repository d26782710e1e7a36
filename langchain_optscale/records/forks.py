"""Locks and counts are made anew in a forked child.

A child that `os.fork` makes has one thread. Locks that other threads of the parent held stay locked in it for ever, and
counts of what those threads had under way never go down. Whoever holds a lock, a count or a connection registers here
how to begin anew.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["after_fork", "keep_open"]

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
