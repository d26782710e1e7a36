"""Adaptive best-of-N inside agents: as a tool that an agent calls, and as middleware around each of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.agents.tool import Effort, OptScaleTool, create_optscale_tool
from langchain_optscale.agents.when import When
from langchain_optscale.errors import MissingExtraError

if TYPE_CHECKING:
    from langchain_optscale.agents.middleware import OptScaleMiddleware

__all__ = ["Effort", "OptScaleMiddleware", "OptScaleTool", "When", "create_optscale_tool"]


def __getattr__(name: str) -> Any:
    # The middleware alone needs the package `langchain`.
    if name != "OptScaleMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from langchain_optscale.agents.middleware import OptScaleMiddleware
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "langchain":
            raise
        raise MissingExtraError("OptScaleMiddleware", 'pip install "langchain-optscale[agents]"') from None
    return OptScaleMiddleware
