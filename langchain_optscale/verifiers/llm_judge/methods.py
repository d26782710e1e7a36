"""Which method of reporting a grade works with a model, as far as it is known, and the form of a structured grade."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelPermissionDeniedError,
    ModelRefusalError,
)
from langchain_core.language_models import BaseChatModel

from langchain_optscale.errors import InvalidReplyError, OptScaleError
from langchain_optscale.models.clients import endpoint_of
from langchain_optscale.models.error_status import status_of
from langchain_optscale.models.retry import is_transient
from langchain_optscale.verifiers._memory import Memory

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from langchain_optscale.verifiers.llm_judge.prompt import Method, Sheet

__all__ = ["MethodChoice", "UnsupportedMethodError", "grading_schema", "methods_of"]

_logger = logging.getLogger(__name__)
_ORDER: tuple[Method, ...] = ("logprobs", "structured", "text")
# What has nothing to do with the method.
_SAME_FOR_ALL = (
    OptScaleError,
    ContextOverflowError,
    ModelAuthenticationError,
    ModelPermissionDeniedError,
    ModelRefusalError,
)
_LASTING_STATUS = frozenset({401, 402, 403, 404})

# What works, by model; and by endpoint for the models that say theirs.
_METHODS: dict[int, dict[str, Method]] = {}
_METHODS_AT: Memory[dict[str, Method]] = Memory(1024)


class UnsupportedMethodError(InvalidReplyError):
    """The model does not support the method."""


class MethodChoice:
    """The method by which a model reports its grades: set, or found by trying.

    Args:
        model: The judge's model; what works with it is known to all judges at the same endpoint.
        method: The one that is set; None to try.
        variant: What else it depends on: the bound arguments.
        offers_logprobs: Whether a call of the model can ask for log-probabilities.
    """

    def __init__(
        self, model: Runnable[Any, Any], method: Method | None, *, variant: str, offers_logprobs: bool
    ) -> None:
        self._order = _ORDER if offers_logprobs else _ORDER[1:]
        self._known = methods_of(model)
        self._variant = variant
        self._set = method
        self._is_silent = False

    @property
    def in_use(self) -> Method | None:
        """The method that is set or was found to work; None before the first reply."""
        return self._set or self._known.get(self._variant)

    @in_use.setter
    def in_use(self, method: Method) -> None:
        self._known[self._variant] = method

    @property
    def known(self) -> Method:
        """As `in_use`, after one was found."""
        assert self.in_use is not None  # noqa: S101 - the last method is adopted or raises
        return self.in_use

    @property
    def untried(self) -> tuple[Method, ...]:
        """The methods to try: a server that once gave no log-probabilities is not paid to give none again."""
        if self.in_use is not None:
            return ()
        return tuple(method for method in self._order if not (method == "logprobs" and self._is_silent))

    def adopt(self, tried: Method, found: Method, model_name: str) -> None:
        """Take what a reply shows to work, which need not be what was tried."""
        self.in_use = found
        if unsupported := self._order[: self._order.index(tried) + (tried != found)]:
            _logger.warning(
                "the judge %s does not support method %s: using method=%r from now on",
                model_name,
                " or ".join(unsupported),
                found,
            )

    def discard(self, method: Method) -> None:
        """Forget that an endpoint gives log-probabilities, which it does not any more.

        A form that a judge did not fill in may be the candidate's doing, and changes nothing.
        """
        if method == "logprobs" and self._set is None:
            self._is_silent = True
            self._known.pop(self._variant, None)

    def step_down(self, method: Method, error: Exception) -> None:
        """Raise the error, unless another method should be tried.

        Clients and servers say in many ways that they cannot do what a method asks for: a rejected request, an unknown
        argument, a reply that the client cannot parse. What may pass, what another method would meet as well, and what
        the last method meets is raised. Where every method fails none is adopted.
        """
        if isinstance(error, UnsupportedMethodError):
            self._is_silent |= method == "logprobs"
            return
        # A reply that the candidate may have talked the judge into must not change the method.
        lasting = method == _ORDER[-1] or isinstance(error, _SAME_FOR_ALL) or status_of(error) in _LASTING_STATUS
        if lasting or is_transient(error):
            raise error


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
