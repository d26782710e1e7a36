"""Every private name of a dependency that this package uses; there is no other place.

A private name may be renamed in any release of its library. Each one here has a test in
`tests/unit_tests/models/test_private_names.py` that says what breaks without it, so that a new release which
renames one fails by name and not in the middle of a search. Methods that the libraries ask subclasses to override,
such as `_generate` of a chat model, are their extension points and not listed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_core.tracers._streaming import _StreamingCallbackHandler, _V2StreamingCallbackHandler

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

__all__ = [
    "READ_KEY",
    "RUNTIME_KEY",
    "STREAMING_HANDLERS",
    "USER_STREAM_HANDLER",
    "make_loadable",
    "prepare_configured",
    "schema_at",
]

USER_STREAM_HANDLER = _StreamingCallbackHandler
"""langchain-core: a handler of this class makes an invoked model stream."""

STREAMING_HANDLERS = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)
"""langchain-core: handlers that pass tokens to a user, which candidates must not reach."""

READ_KEY = "__pregel_read"
"""LangGraph: the key in `configurable` of the function that reads channels, which its own ToolNode uses."""

RUNTIME_KEY = "__pregel_runtime"
"""LangGraph: the key of the runtime; `get_runtime` works in nodes, but not in the edges that follow them."""


def make_loadable(identifier: tuple[str, ...], path: tuple[str, ...]) -> None:
    """Let langchain-core's `load` make the class at `path` of this identifier; there is no public way."""
    # Not an import: the package `load` has a function of the same name.
    module: Any = import_module("langchain_core.load.load")
    module.ALL_SERIALIZABLE_MAPPINGS[identifier] = path
    # The allowed paths are computed from the table once; let them be computed again.
    module._default_class_paths_cache.pop("all", None)  # noqa: SLF001 - see the head of this module


def prepare_configured(fields: Any, config: RunnableConfig | None) -> tuple[Any, RunnableConfig]:
    """langchain-core: the model that `configurable_fields` makes for a call, and the call's config."""
    prepared: tuple[Any, RunnableConfig] = fields._prepare(config)  # noqa: SLF001 - see the head of this module
    return prepared


def schema_at(validator: Any, keyword: str, reference: Any) -> Any:
    """jsonschema: the validator of what `$ref`, `$dynamicRef` or `$recursiveRef` refers to, in its own scope."""
    if keyword == "$recursiveRef":
        from referencing.jsonschema import lookup_recursive_ref

        resolved: Any = lookup_recursive_ref(validator._resolver)  # noqa: SLF001 - see the head of this module
    else:
        resolved = validator._resolver.lookup(reference)  # noqa: SLF001 - see the head of this module
    return validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
