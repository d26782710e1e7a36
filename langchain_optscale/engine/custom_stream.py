"""The events of a search for LangGraph's `stream_mode="custom"`, wherever in a graph it runs.

Callbacks get the same events by LangChain's own way. A search within a search, as that of a judge which searches
itself, writes none: its events would look like those of the outer one.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_optscale.engine.jobs import Event

__all__ = ["stream_writer", "write_event"]

_is_searching: ContextVar[bool] = ContextVar("optscale_is_searching", default=False)


@contextmanager
def stream_writer() -> Iterator[Callable[[Any], None] | None]:
    """LangGraph's stream writer for the search of the block; None outside of graphs, and within another search."""
    writer = None if _is_searching.get() else _writer_here()
    token = _is_searching.set(True)
    try:
        yield writer
    finally:
        _is_searching.reset(token)


def write_event(writer: Callable[[Any], None], event: Event) -> None:
    """Write one event: its name as `type`, beside its data."""
    writer({"type": event.name, **event.data})


def _writer_here() -> Callable[[Any], None] | None:
    # Importing LangGraph takes longer than this package, and where it is not loaded there is no graph.
    config = sys.modules.get("langgraph.config")
    if config is None:
        return None
    try:
        writer: Callable[[Any], None] = config.get_stream_writer()
    except (RuntimeError, KeyError):  # outside of a Runnable, or in one that no graph runs
        return None
    return writer
