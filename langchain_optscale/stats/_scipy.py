"""SciPy's special functions and optimisers, imported at first use, since the import is slow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scipy import optimize, special

__all__ = ["optimize", "special"]


class _OnFirstUse:
    """A module that is imported at the first attribute access."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


if not TYPE_CHECKING:
    optimize, special = _OnFirstUse("scipy.optimize"), _OnFirstUse("scipy.special")
