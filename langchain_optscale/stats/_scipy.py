"""SciPy's special functions and optimisers, imported when the first of them is needed.

Importing them takes longer than everything else that a chat model needs, and many programs import a model that they
do not call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scipy import optimize, special

__all__ = ["optimize", "special"]


class _OnFirstUse:
    """Stands for a module and turns into it, name by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


if not TYPE_CHECKING:
    optimize, special = _OnFirstUse("scipy.optimize"), _OnFirstUse("scipy.special")
