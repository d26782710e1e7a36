"""How single settings are read: names, dictionaries and plain functions become the objects that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable

from langchain_optscale.answers import as_extractor, as_selection
from langchain_optscale.engine.serialisation import from_spec
from langchain_optscale.errors import SettingsError
from langchain_optscale.learning.store import ScoreStore, as_store
from langchain_optscale.models.graph_runs import check_graph
from langchain_optscale.models.limits import SharedLimit
from langchain_optscale.models.named import named_model
from langchain_optscale.stopping.certificate import Certificate, as_certificate
from langchain_optscale.verifiers import ComparisonJudge, TournamentSelection, as_verifier
from langchain_optscale.verifiers.comparison.selection import TOURNAMENT

if TYPE_CHECKING:
    from pydantic import ValidationInfo

    from langchain_optscale.verifiers import Verifier

__all__ = [
    "read_certificate",
    "read_extractor",
    "read_limit",
    "read_number",
    "read_policy",
    "read_selection",
    "read_store",
    "read_verifier",
]


def read_policy(value: object) -> object:
    """The policy, a Runnable or the name of a chat model.

    Raises:
        SettingsError: It is neither, or a graph that takes no conversation.
    """
    value = named_model(value, "policy") if isinstance(value, str) else value
    if not isinstance(value, Runnable):
        raise SettingsError(f"policy must be a chat model or another Runnable, got {type(value).__name__}")
    check_graph(value)
    return value


def read_verifier(value: Any) -> Verifier:
    """Whatever can be a verifier, as one."""
    return as_verifier(from_spec(value))


def read_selection(value: Any) -> Any:
    """A selection, its name, or a function, checked and kept as it was given; a judge that compares as a tournament."""
    chosen = from_spec(value)
    if isinstance(chosen, ComparisonJudge):
        return TournamentSelection(chosen)
    if chosen != TOURNAMENT:
        as_selection(chosen)
    return chosen


def read_extractor(value: Any) -> Any:
    """An extractor, its name, or a function, as an extractor; None for None."""
    return as_extractor(from_spec(value))


def read_number(value: object, info: ValidationInfo) -> object:
    """A number as it is; a text or a truth value in its place is a mistake, although it could be converted.

    Raises:
        SettingsError: It is one of these.
    """
    if isinstance(value, bool | str | bytes):
        raise SettingsError(f"{info.field_name} must be a number, got {value!r}")
    return value


def read_limit(value: object) -> object:
    """A limit of requests: checked, and kept as it was given."""
    if value is not None and not isinstance(value, SharedLimit):
        SharedLimit(value)  # type: ignore[arg-type]  # says what is wrong with it
    return value


def read_certificate(value: Any) -> Certificate | None:
    """A certificate, the path of its file, or its dictionary."""
    return as_certificate(value if isinstance(value, str) else from_spec(value))


def read_store(value: Any) -> ScoreStore | None:
    """A store, its address, or what `to_spec` wrote of it; no other setting makes a store of plain data.

    Raises:
        SettingsError: It is none of these, or cannot be used.
    """
    if isinstance(value, Mapping) and value.get("optscale") == ScoreStore.__name__:
        fields = {name: given for name, given in value.items() if name != "optscale"}
        try:
            return ScoreStore(**fields)
        except TypeError as error:
            raise SettingsError(f"store cannot be read: {error}") from error
    return as_store(value)
