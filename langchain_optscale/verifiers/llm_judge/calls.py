"""Requests for one grade, by the method that the judge's model supports."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.config import merge_configs

from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.models.call_options import CallOptions, call_options, callable_as
from langchain_optscale.models.clients import (
    endpoint_of,
    without_client_retries,
    without_client_retries_in,
    without_streaming,
)
from langchain_optscale.models.isolation import isolated
from langchain_optscale.models.policy import policy_name, unwrap
from langchain_optscale.models.travel import Parcel, content_of
from langchain_optscale.verifiers._memory import Memory
from langchain_optscale.verifiers.coercion import is_finite, kind
from langchain_optscale.verifiers.llm_judge.forms import form_in_message
from langchain_optscale.verifiers.llm_judge.labels import LabelReader, LabelReading
from langchain_optscale.verifiers.llm_judge.methods import MethodChoice, UnsupportedMethodError, grading_schema
from langchain_optscale.verifiers.llm_judge.reply import (
    expected_grade,
    read_structured,
    read_text,
    refuse_incomplete,
    without_end_token,
)
from langchain_optscale.verifiers.logprobs import token_entries

if TYPE_CHECKING:
    from collections.abc import Hashable

    from langchain_core.runnables import RunnableConfig

    from langchain_optscale.records.usage import Usage
    from langchain_optscale.verifiers.llm_judge.prompt import Material, Method, Sheet

__all__ = ["AskedJudge", "Asker", "Grading", "JudgeMethod"]

JudgeMethod: TypeAlias = Literal["auto", "logprobs", "structured", "text", "labels"]
"""How a judge reports its grade; "auto" takes the first method that the model supports."""


@dataclass(frozen=True)
class Grading:
    """One grade from a judge.

    Attributes:
        value: The grade on the judge's scale.
        explanation: The judge's reasons; may be empty.
        method: The method that reported it.
        details: Further JSON-ready data of the method; may be empty.
        usage: What it consumed where no chat model was called; else the callbacks count it.
    """

    value: float
    explanation: str
    method: Method
    details: dict[str, Any] = field(default_factory=dict)
    usage: Usage | None = None


class AskedJudge:
    """What every judge tells of the model that it asks: a base of judges, which set `_asker`."""

    _asker: Asker

    @property
    def model(self) -> Runnable[Any, Any]:
        """The judge's model, as it was given."""
        return self._asker.given

    @property
    def endpoint(self) -> Hashable:
        """The judge's endpoint: judges with the same model and address share their `verifier_limit`."""
        return self._asker.endpoint

    @property
    def method_in_use(self) -> str | None:
        """How the judge reports its grade; None while "auto" has not detected it."""
        return self._asker.method_in_use


class Asker:
    """Asks one model for grades.

    Args:
        model: A chat model, also bound, or another Runnable that answers messages with a message.
        method: How the grade is reported.
        sheet: The parts of the prompt that all gradings share.
        min_mass: See `LLMJudge`.
        top_logprobs: See `LLMJudge`.

    Attributes:
        given: The model as it was given.

    Raises:
        SettingsError: A setting is out of range, or `model` is no Runnable.
    """

    def __init__(
        self, model: Runnable[Any, Any], method: JudgeMethod, sheet: Sheet, *, min_mass: float, top_logprobs: int
    ) -> None:
        if not isinstance(model, Runnable):
            raise SettingsError(f"a judge must be a chat model, not {kind(model)}")
        if method not in get_args(JudgeMethod):
            raise SettingsError(f"method must be 'auto', 'logprobs', 'structured', 'text' or 'labels', got {method!r}")
        if not is_finite(min_mass) or not 0 <= min_mass <= 1:
            raise SettingsError(f"min_mass must lie in [0, 1], got {min_mass!r}")
        if top_logprobs not in range(2, 21):
            raise SettingsError(f"top_logprobs must be a whole number from 2 to 20, got {top_logprobs!r}")
        self.method = method
        self.given = model  # kept, since `endpoint` may be its identity
        self._sheet = sheet
        self._min_mass = min_mass
        self._top_logprobs = top_logprobs
        chat_model, self._kwargs, self._configs = unwrap(model)
        # A copy: the search retries, every grading has a new code, and the reply is not streamed to the user.
        self._model: Runnable[Any, Any] = (
            without_client_retries_in(model)
            if chat_model is None
            else without_streaming(without_client_retries(chat_model))
        )
        options = CallOptions() if chat_model is None else call_options(chat_model, self._kwargs)
        if isinstance(self._model, BaseChatModel):
            self._model = callable_as(self._model, options)
        offers = chat_model is not None and options.logprobs
        if chat_model is not None and method == "logprobs" and not offers:
            raise SettingsError(
                f"the judge {policy_name(model)} answers by an API without log-probabilities: set method='structured'"
            )
        self._choice = MethodChoice(
            model if chat_model is None else chat_model,
            None if method == "auto" else method,
            variant=repr(sorted(self._kwargs)),
            offers_logprobs=offers and "logprobs" in getattr(type(chat_model), "model_fields", {}),
        )
        self._turns: Memory[None] = Memory(0)
        self._structured: Runnable[Any, Any] | None = None
        self._labels = LabelReader(self._model, sheet.scale, min_mass) if method == "labels" else None
        if method == "structured":
            try:
                self._structured = self._structured_model()
            except UnsupportedMethodError as error:
                raise SettingsError(str(error)) from error

    def __reduce__(self) -> Any:
        settings = (self.method, self._sheet, self._min_mass, self._top_logprobs)
        return _asker, (Parcel(self.given), *settings, self.method_in_use)

    @property
    def method_in_use(self) -> Method | None:
        """The method that is set or was found to work, also by another judge with this model; None before the first."""
        return self._choice.in_use

    @property
    def model_name(self) -> str:
        """The name of the model, or of the Runnable."""
        return policy_name(self.given)

    @property
    def content(self) -> list[Any]:
        """What a grading depends on besides the criterion and the material."""
        return [self.model_name, self.method, self._sheet, self._min_mass, self._top_logprobs, self._kwargs]

    @property
    def endpoint(self) -> Hashable:
        """The model's endpoint, see `endpoint_of`."""
        return endpoint_of(self.given)

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
        if self.method_in_use is None:
            # One caller detects the method while the others wait.
            with self._turns.turn("method"):
                for method in self._choice.untried:
                    try:
                        grading = self._ask_by(method, shown, criterion, config)
                    except Exception as error:  # noqa: BLE001 - it is raised, or the next method follows
                        self._choice.step_down(method, error)
                    else:
                        self._choice.adopt(method, grading.method, self.model_name)
                        return grading
        known = self._choice.known
        try:
            return self._ask_by(known, shown, criterion, config)
        except UnsupportedMethodError:
            self._choice.discard(known)
            raise

    async def aask(self, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        """As `ask`, without blocking the event loop."""
        if self.method_in_use is None:
            async with self._turns.aturn("method"):
                for method in self._choice.untried:
                    try:
                        grading = await self._aask_by(method, shown, criterion, config)
                    except Exception as error:  # noqa: BLE001 - it is raised, or the next method follows
                        self._choice.step_down(method, error)
                    else:
                        self._choice.adopt(method, grading.method, self.model_name)
                        return grading
        known = self._choice.known
        try:
            return await self._aask_by(known, shown, criterion, config)
        except UnsupportedMethodError:
            self._choice.discard(known)
            raise

    def assume(self, method: Method) -> None:
        """Take a method as found to work, as it was in the process that sent this."""
        self._choice.in_use = method

    def _ask_by(self, method: Method, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        model, kwargs = self._prepared(method)
        code = self._sheet.fresh_code(shown)
        messages = self._sheet.messages(criterion, method, shown, code, is_trial=self.method_in_use is None)
        if self._labels is not None:
            return self._read_labels(self._traced_labels().invoke(messages, self._config(config)))
        return self._read(method, model.invoke(messages, self._config(config), **kwargs), code)

    async def _aask_by(self, method: Method, shown: Material, criterion: str, config: RunnableConfig) -> Grading:
        model, kwargs = self._prepared(method)
        code = self._sheet.fresh_code(shown)
        messages = self._sheet.messages(criterion, method, shown, code, is_trial=self.method_in_use is None)
        if self._labels is not None:
            return self._read_labels(await self._traced_labels().ainvoke(messages, self._config(config)))
        return self._read(method, await isolated(model).ainvoke(messages, self._config(config), **kwargs), code)

    def _traced_labels(self) -> Runnable[Any, LabelReading]:
        assert self._labels is not None  # noqa: S101 - called with this method alone
        return RunnableLambda(self._labels.read, self._labels.aread)

    def _read_labels(self, reading: LabelReading) -> Grading:
        said = f"expected grade {reading.value:.2f} on the scale {self._sheet.scale}"
        details = {"mass": reading.mass, "probabilities": reading.probabilities, "route": reading.route}
        return Grading(reading.value, said, "labels", details, reading.usage)

    def _config(self, config: RunnableConfig) -> RunnableConfig:
        # "nostream" excludes the judge's tokens from LangGraph's stream_mode="messages".
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
            made: Runnable[Any, Any] = structure(grading_schema(self._sheet), include_raw=True, **self._kwargs)
        except Exception as error:
            raise UnsupportedMethodError(
                f"the judge {self.model_name} offers no structured output for these settings: set method='text'"
            ) from error
        return made

    def _read(self, method: Method, reply: Any, code: str) -> Grading:
        scale = self._sheet.scale
        if method == "structured":
            # Not every model heeds include_raw=True.
            whole = reply if isinstance(reply, Mapping) and "parsed" in reply else {"parsed": reply}
            raw = whole.get("raw")
            if isinstance(raw, BaseMessage):
                refuse_incomplete(raw)
            parsed = whole["parsed"]
            if parsed is None and isinstance(raw, BaseMessage):
                parsed = form_in_message(raw, code)
            if parsed is None:
                text = str(raw.text) if isinstance(raw, BaseMessage) else ""
                return self._read_anyway(
                    text, code, f"the judge's reply does not follow the schema: {whole.get('parsing_error')}"
                )
            content = parsed.model_dump() if callable(getattr(parsed, "model_dump", None)) else parsed
            return Grading(*read_structured(content, scale, code), method)
        if not isinstance(reply, BaseMessage):
            raise InvalidReplyError(
                f"a judge must answer with a message, not with {kind(reply)}: give the model itself"
            )
        refuse_incomplete(reply)
        if method == "text":
            return Grading(*read_text(str(reply.text), scale, code), method)
        entries = token_entries(reply)
        if not entries:
            return self._read_anyway(
                str(reply.text), code, "the judge's reply has no token log-probabilities: set another method"
            )
        expected = expected_grade(without_end_token(entries, str(reply.text)), scale, code, self._min_mass)
        details = {"mass": expected.mass, "probabilities": expected.probabilities}
        return Grading(expected.value, f"expected grade {expected.value:.2f} on the scale {scale}", method, details)

    def _read_anyway(self, text: str, code: str, objection: str) -> Grading:
        """The grade in the text of a reply that does not do what the method asks for, while methods are tried.

        The reply has been paid for, and shows that the model can report its grade in a text.

        Raises:
            UnsupportedMethodError: The method is known or set, or the text has no grade.
        """
        if self.method_in_use is None:
            with contextlib.suppress(InvalidReplyError):
                return Grading(*read_text(text, self._sheet.scale, code), "text")
        raise UnsupportedMethodError(objection)


def _asker(
    model: Any, method: JudgeMethod, sheet: Sheet, min_mass: float, top_logprobs: int, found: Method | None
) -> Asker:
    asker = Asker(content_of(model), method, sheet, min_mass=min_mass, top_logprobs=top_logprobs)
    if found is not None:
        asker.assume(found)
    return asker
