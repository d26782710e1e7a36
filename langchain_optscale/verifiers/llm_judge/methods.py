"""Which method of reporting a grade works with a model, as far as it is known, and the form of a structured grade."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel

from langchain_optscale.models.clients import endpoint_of
from langchain_optscale.verifiers._memory import Memory

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from langchain_optscale.verifiers.llm_judge.prompt import Method, Sheet

__all__ = ["grading_schema", "methods_of"]

# What works, by model; and by endpoint for the models that say theirs.
_METHODS: dict[int, dict[str, Method]] = {}
_METHODS_AT: Memory[dict[str, Method]] = Memory(1024)


def methods_of(model: Runnable[Any, Any]) -> dict[str, Method]:
    """What works at this chat model's endpoint, or with this Runnable, by the names of the bound arguments."""
    endpoint = endpoint_of(model)
    if isinstance(model, BaseChatModel) and isinstance(endpoint, tuple) and endpoint[0] != "object":
        methods = _METHODS_AT.get(endpoint)
        if methods is None:
            _METHODS_AT.put(endpoint, methods := {})
        return methods
    number = id(model)  # kept as long as the model lives
    if number not in _METHODS:
        _METHODS[number] = {}
        weakref.finalize(model, _METHODS.pop, number, None)
    return _METHODS[number]


def grading_schema(sheet: Sheet) -> type[Any]:
    """The pydantic class of a structured grade on the sheet's scale."""
    from pydantic import BeforeValidator, Field, create_model

    by_word, values = sheet.scale.grades, sheet.scale.grades.values()
    one: Any = Literal[tuple(by_word if sheet.scale.words else values)]

    def normalised(reply: Any) -> Any:
        """The grade of "Yes" or "7" from a model without strict schemas; None for true, which equals 1."""
        if isinstance(reply, bool):
            return None
        word = reply.strip().casefold() if isinstance(reply, str) else None
        return (word if sheet.scale.words else by_word[word]) if word in by_word else reply

    made: type[Any] = create_model(
        "Grading",
        __doc__="The judgement.",
        explanation=(str, Field(description="The judgement in at most three sentences.")),
        code=(str, Field(description="The code from the end of the message.")),
        grade=(Annotated[one, BeforeValidator(normalised)], Field(description=f"The grade, {sheet.scale.spoken}.")),
    )
    return made
