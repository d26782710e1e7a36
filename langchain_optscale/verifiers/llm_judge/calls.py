"""Asking a judge for one grade, in the way that it can say it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.runnables.config import merge_configs

from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.models.clients import endpoint_of, without_client_retries, without_client_retries_in
from langchain_optscale.models.retry import is_rejection
from langchain_optscale.verifiers._memory import Memory
from langchain_optscale.verifiers.coercion import is_finite, kind
from langchain_optscale.verifiers.llm_judge.prompt import Method
from langchain_optscale.verifiers.llm_judge.reply import (
    expected_grade,
    read_structured,
    read_text,
    refuse_cut_off,
    without_end_token,
)
from langchain_optscale.verifiers.logprobs import token_entries

if TYPE_CHECKING:
    from collections.abc import Hashable

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.verifiers.llm_judge.prompt import Material, Sheet

__all__ = ["Asker", "Grading", "JudgeMethod"]

JudgeMethod: TypeAlias = Literal["auto", "logprobs", "structured", "text"]
"""How a judge says its grade, or "auto" for the first of these that the model can do."""

_LOG = logging.getLogger(__name__)
_ORDER: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Grading:
    """One grade that a judge gave.

    Attributes:
        value: On the judge's scale.
        explanation: Why; empty where the judge does not say.
        method: How it was said.
        about: What else is known, JSON-ready; empty where nothing is.
    """

    value: float
    explanation: str
    method: str
    about: dict[str, Any] = field(default_factory=dict)


class CannotSayError(InvalidReplyError):
    """The model cannot say its grade in the way that it was asked to."""


class Asker:
    """Asks one model for grades.

    Args:
        model: A chat model, also bound, or another Runnable that answers messages with a message.
        wished: How the grade is to be said.
        sheet: What stays the same from one grading to the next.
        min_mass: See `LLMJudge`.
        top_logprobs: See `LLMJudge`.

    Raises:
        SettingsError: A setting is out of range, or the model is none.
    """

    def __init__(
        self, model: Runnable[Any, Any], wished: JudgeMethod, sheet: Sheet, *, min_mass: float, top_logprobs: int
    ) -> None:
        if not isinstance(model, Runnable):
            raise SettingsError(f"a judge must be a chat model, not {kind(model)}")
        if wished not in get_args(JudgeMethod):
            raise SettingsError(f"method must be 'auto', 'logprobs', 'structured' or 'text', got {wished!r}")
        if not is_finite(min_mass) or not 0 <= min_mass <= 1:
            raise SettingsError(f"min_mass must lie in [0, 1], got {min_mass!r}")
        if top_logprobs not in range(2, 21):
            raise SettingsError(f"top_logprobs must be a whole number from 2 to 20, got {top_logprobs!r}")
        self.wished = wished
        self._given = model  # what its endpoint is told from must outlive the judge
        self._sheet = sheet
        self._min_mass = min_mass
        self._top_logprobs = top_logprobs
        self._model, self._kwargs, self._configs = _unwrapped(model)
        self._order = _ORDER if "logprobs" in _fields(self._model) else _ORDER[1:]
        self.settled: Method | None = None if wished == "auto" else wished
        if self.settled is None and len(self._order) == 1:
            self.settled = self._order[0]
        self._turns: Memory[None] = Memory(0)
        self._structured: Runnable[Any, Any] | None = None
        if wished == "structured":
            try:
                self._structured = self._structured_model()
            except CannotSayError as error:
                raise SettingsError(str(error)) from error

    @property
    def model_name(self) -> str:
        """The name of the model, or what the Runnable calls itself."""
        for attribute in ("model_name", "model"):
            if isinstance(name := getattr(self._model, attribute, None), str) and name:
                return name
        return self._model.get_name()

    @property
    def endpoint(self) -> Hashable:
        """What the model calls, see `endpoint_of`."""
        return endpoint_of(self._given)

    @property
    def temperature(self) -> float | None:
        """The temperature that is set, None where none is known."""
        value: float | None = self._kwargs.get("temperature", getattr(self._model, "temperature", None))
        return value

    def ask(self, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        """Ask for one grade and wait for it.

        Raises:
            InvalidReplyError: The reply holds no grade.
            Exception: Whatever the model raises.
        """
        if self.settled is None:
            # One finds out what the model can do while the others wait.
            with self._turns.turn("method"):
                for method in self._order if self.settled is None else ():
                    try:
                        grading = self._ask_by(method, shown, criterion, config)
                    except Exception as error:  # noqa: BLE001 - looked at in _step_down, which raises it again
                        self._step_down(method, error)
                    else:
                        return self._settle(method, grading)
        return self._ask_by(self._known(), shown, criterion, config)

    async def aask(self, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        """As `ask`, without blocking the event loop."""
        if self.settled is None:
            async with self._turns.aturn("method"):
                for method in self._order if self.settled is None else ():
                    try:
                        grading = await self._aask_by(method, shown, criterion, config)
                    except Exception as error:  # noqa: BLE001 - looked at in _step_down, which raises it again
                        self._step_down(method, error)
                    else:
                        return self._settle(method, grading)
        return await self._aask_by(self._known(), shown, criterion, config)

    def _known(self) -> Method:
        assert self.settled is not None  # noqa: S101 - the last method settles or raises
        return self.settled

    def _settle(self, method: Method, grading: Grading) -> Grading:
        self.settled = method
        if method != self._order[0]:
            _LOG.warning(
                "the judge %s cannot say its grade by %s: taking method=%r from now on",
                self.model_name,
                " or ".join(self._order[: self._order.index(method)]),
                method,
            )
        return grading

    def _step_down(self, method: Method, error: Exception) -> None:
        """Return where another method should be tried, else raise the error.

        A rejected request may also be too long or otherwise wrong: then the other methods fail too, nothing is
        settled, and the last one's error is raised.
        """
        unable = isinstance(error, CannotSayError) or (method != "text" and is_rejection(error))
        if not unable:
            raise error

    def _ask_by(self, method: Method, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        model, kwargs = self._prepared(method)
        code = self._sheet.fresh_code(shown)
        messages = self._sheet.messages(criterion, method, shown, code)
        return self._read(method, model.invoke(messages, self._config(config), **kwargs), code)

    async def _aask_by(self, method: Method, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        model, kwargs = self._prepared(method)
        code = self._sheet.fresh_code(shown)
        messages = self._sheet.messages(criterion, method, shown, code)
        return self._read(method, await model.ainvoke(messages, self._config(config), **kwargs), code)

    def _config(self, config: RunnableConfig) -> RunnableConfig:
        # "nostream" keeps the judge's tokens out of LangGraph's stream_mode="messages".
        merged = merge_configs(*self._configs, config, {"tags": ["optscale:judge", "nostream"], "run_name": "judge"})
        merged.pop("run_id", None)  # a run id must not occur twice
        return merged

    def _prepared(self, method: Method) -> tuple[Runnable[Any, Any], dict[str, Any]]:
        if method == "structured":
            if self._structured is None:
                self._structured = self._structured_model()
            return self._structured, {}
        if method == "logprobs":
            return self._model, {**self._kwargs, "logprobs": True, "top_logprobs": self._top_logprobs}
        return self._model, self._kwargs

    def _structured_model(self) -> Runnable[Any, Any]:
        try:
            structure: Any = getattr(self._model, "with_structured_output")  # noqa: B009 - not every Runnable has it
            made: Runnable[Any, Any] = structure(_schema(self._sheet), include_raw=True, **self._kwargs)
        except Exception as error:
            raise CannotSayError(
                f"the judge {self.model_name} offers no structured output for these settings: take method='text'"
            ) from error
        return made

    def _read(self, method: Method, reply: Any, code: str) -> Grading:
        scale = self._sheet.scale
        if method == "structured":
            # Not every model heeds include_raw=True.
            whole = reply if isinstance(reply, Mapping) and "parsed" in reply else {"parsed": reply}
            if isinstance(raw := whole.get("raw"), BaseMessage):
                refuse_cut_off(raw)
            if (parsed := whole["parsed"]) is None:
                raise CannotSayError(f"the judge's reply does not follow the schema: {whole.get('parsing_error')}")
            said = parsed.model_dump() if callable(getattr(parsed, "model_dump", None)) else parsed
            return Grading(*read_structured(said, scale, code), method)
        if not isinstance(reply, BaseMessage):
            raise InvalidReplyError(
                f"a judge must answer with a message, not with {kind(reply)}: give the model itself"
            )
        refuse_cut_off(reply)
        if method == "text":
            return Grading(*read_text(str(reply.text), scale, code), method)
        entries = token_entries(reply)
        if not entries:
            raise CannotSayError("the judge's reply has no token log-probabilities: take another method")
        expected = expected_grade(without_end_token(entries, str(reply.text)), scale, code, self._min_mass)
        about = {"mass": expected.mass, "probabilities": expected.probabilities}
        return Grading(expected.value, f"expected grade {expected.value:.2f} on the scale {scale}", method, about)


def _schema(sheet: Sheet) -> type[Any]:
    from pydantic import BeforeValidator, Field, create_model

    by_word, values = sheet.scale.grades, sheet.scale.grades.values()
    one: Any = Literal[tuple(by_word if sheet.scale.words else values)]

    def plain(said: Any) -> Any:
        """The grade where a model without strict schemas said "Yes" or "7"; none where it said true, which equals 1."""
        if isinstance(said, bool):
            return None
        word = said.strip().casefold() if isinstance(said, str) else None
        return (word if sheet.scale.words else by_word[word]) if word in by_word else said

    made: type[Any] = create_model(
        "Grading",
        __doc__="How good the answer is.",
        explanation=(str, Field(description="The judgement in at most three sentences.")),
        code=(str, Field(description="The code from the end of the message.")),
        grade=(Annotated[one, BeforeValidator(plain)], Field(description=f"The grade, {sheet.scale.spoken}.")),
    )
    return made


def _unwrapped(model: Runnable[Any, Any]) -> tuple[Runnable[Any, Any], dict[str, Any], list[RunnableConfig]]:
    """The chat model under `bind` and `with_config`, with what was bound; anything else as it is."""
    kwargs: dict[str, Any] = {}
    configs: list[RunnableConfig] = []
    inner = model
    while isinstance(inner, RunnableBinding) and not inner.config_factories:
        kwargs = {**inner.kwargs, **kwargs}
        configs.insert(0, inner.config)
        inner = inner.bound
    if not isinstance(inner, BaseChatModel):
        return without_client_retries_in(model), {}, []
    # A copy that shares the model's connections. No retries: the search retries. No cache: each grading has a code of
    # its own. No streaming, since nobody may hear it.
    changes: dict[str, Any] = {"cache": False, "disable_streaming": True}
    if "streaming" in _fields(inner):
        changes["streaming"] = False
    return without_client_retries(inner).model_copy(update=changes), kwargs, configs


def _fields(model: Runnable[Any, Any]) -> Any:
    return getattr(type(model), "model_fields", {})
