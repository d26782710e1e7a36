"""The probabilities of a judge's grades from one prefill, by routes of vLLM that generate no text.

`/v1/systemone` returns the probability of every label of a question in one request; where a server lacks it,
`/generative_scoring` returns that of one token in each. A judge that writes nothing cannot be made to write a grade.
"""

from __future__ import annotations

import math
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import openai

from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.reward_model.client import json_object

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_optscale.verifiers.llm_judge.scale import Scale

__all__ = ["LabelReader", "LabelReading"]

_SYSTEMONE, _SCORING, _TOKENIZE = "/v1/systemone", "/generative_scoring", "/tokenize"
_ID = "grade"
_ASK = "What is the grade of the answer?"
# A server without a route, or whose model has no such labels.
_ABSENT = frozenset({404, 405, 501})
_MOST_DIGITS = 10

Step = tuple[str, dict[str, Any]]
"""A route and the body of a request."""


@dataclass(frozen=True)
class LabelReading:
    """The grades' probabilities.

    Attributes:
        value: The expected grade.
        mass: The probability of all grades together among all tokens; None where the server does not say.
        probabilities: The normalised probability of each grade.
        route: The route that was asked.
        usage: What it consumed.
    """

    value: float
    mass: float | None
    probabilities: dict[str, float]
    route: str
    usage: Usage


class LabelReader:
    """Asks a vLLM server for the probabilities of the grades of one scale.

    Args:
        model: A chat model with the clients of the `openai` package, as `ChatOpenAI` has them.
        scale: The grades.
        min_mass: The least probability of all grades together, in [0, 1].

    Raises:
        SettingsError: The model has no such clients.
    """

    def __init__(self, model: Any, scale: Scale, min_mass: float) -> None:
        self._clients = getattr(model, "root_client", None), getattr(model, "root_async_client", None)
        if not (isinstance(self._clients[0], openai.OpenAI) and isinstance(self._clients[1], openai.AsyncOpenAI)):
            raise SettingsError(
                "method='labels' needs a ChatOpenAI at a vLLM server, such as vllm_policy(base_url) makes: set another "
                "method for this judge"
            )
        self._model_name = str(getattr(model, "model_name", ""))
        self._scale = scale
        self._min_mass = min_mass
        self._lock = threading.Lock()
        self._route: str | None = None
        self._label_ids: list[int] | None = None

    def read(self, messages: Sequence[BaseMessage]) -> LabelReading:
        """Ask for the grades' probabilities after these messages.

        Raises:
            SettingsError: The server has neither route, or the labels are not one token each.
            InvalidReplyError: The reply holds no probabilities, or the grades have too little of it.
            openai.APIError: Whatever the server answers, or that it does not.
        """
        steps = self._steps(messages)
        reply: Any = None
        while True:
            try:
                route, body = steps.send(reply)
            except StopIteration as ended:
                return self._checked(ended.value)
            try:
                reply = json_object(route, self._clients[0].post(self._url(route), cast_to=str, body=body))
            except openai.APIStatusError as error:
                reply = self._absent(route, error)

    async def aread(self, messages: Sequence[BaseMessage]) -> LabelReading:
        """As `read`, without blocking the event loop."""
        steps = self._steps(messages)
        reply: Any = None
        while True:
            try:
                route, body = steps.send(reply)
            except StopIteration as ended:
                return self._checked(ended.value)
            try:
                reply = json_object(route, await self._clients[1].post(self._url(route), cast_to=str, body=body))
            except openai.APIStatusError as error:
                reply = self._absent(route, error)

    def _url(self, route: str) -> str:
        """The address of a route: those of vLLM's own stand at the server's root."""
        return str(self._clients[0].base_url).rstrip("/").removesuffix("/v1") + route

    def _absent(self, route: str, error: openai.APIStatusError) -> None:
        if error.status_code not in _ABSENT or self._route is not None:
            raise error
        if route != _SYSTEMONE:
            raise SettingsError(
                "the server answers neither /v1/systemone nor /generative_scoring, which vLLM has since 0.32: set "
                "another method for this judge"
            ) from error

    def _steps(self, messages: Sequence[BaseMessage]) -> Generator[Step, Any, LabelReading]:
        """The requests of one reading, to be sent by the caller, which passes the reply, None for a missing route."""
        system, state = _flat(messages)
        if self._route != _SCORING:
            question = {_ID: {"type": _question_type(self._scale), "instructions": _ASK, **_criteria(self._scale)}}
            body = {"model": self._model_name, "state": state, "instructions": system, "questions": question}
            reply = yield _SYSTEMONE, body
            if reply is not None:
                self._route = _SYSTEMONE
                return _from_systemone(reply, self._scale)
        reading = yield from self._scored(system, state)
        self._route = _SCORING
        return reading

    def _scored(self, system: str, state: str) -> Generator[Step, Any, LabelReading]:
        labels = _labels(self._scale)
        turns = [{"role": "system", "content": system}, {"role": "user", "content": f"{state}\n\n{_options(labels)}"}]
        tokens = yield from self._tokens(turns)
        ids = self._label_ids
        if ids is None:
            ids = []
            for label in labels:
                with_label = yield from self._tokens([*turns, {"role": "assistant", "content": label}])
                if with_label[:-1] != tokens or with_label[-1] in ids:
                    raise SettingsError(
                        f"the label {label!r} is not one token of its own for this model: set another method"
                    )
                ids.append(with_label[-1])
            self._label_ids = ids
        found, usage = {}, Usage()
        for label, number in zip(labels, ids, strict=True):
            reply = yield (
                _SCORING,
                {
                    "model": self._model_name,
                    "query": tokens[:-1],
                    "items": [tokens[-1:]],
                    "label_token_ids": [number],
                    "apply_softmax": False,
                },
            )
            found[labels[label]] = _item_score(reply)
            usage += _usage(reply, "prompt_tokens", "completion_tokens")
        return _expected(found, self._scale, _SCORING, usage, math.fsum(found.values()))

    def _tokens(self, turns: list[dict[str, str]]) -> Generator[Step, Any, list[int]]:
        goes_on = turns[-1]["role"] == "assistant"
        reply = yield (
            _TOKENIZE,
            {
                "model": self._model_name,
                "messages": turns,
                "add_generation_prompt": not goes_on,
                "continue_final_message": goes_on,
            },
        )
        tokens = reply.get("tokens") if isinstance(reply, Mapping) else None
        if not (isinstance(tokens, list) and len(tokens) > 1 and all(isinstance(one, int) for one in tokens)):
            raise InvalidReplyError("the server's reply to /tokenize holds no tokens")
        return tokens

    def _checked(self, reading: LabelReading) -> LabelReading:
        if reading.mass is not None and reading.mass < self._min_mass:
            raise InvalidReplyError(
                f"the grades of the scale {self._scale} have a probability of {reading.mass:.3g} together, below "
                f"min_mass={self._min_mass:g}: lower min_mass or set another method"
            )
        return reading


def _flat(messages: Sequence[BaseMessage]) -> tuple[str, str]:
    """The system's text, with the examples in it, and the user's: all that the route takes."""
    system, *examples, last = [str(message.text) for message in messages]
    for number, (asked, grade) in enumerate(zip(examples[::2], examples[1::2], strict=True), start=1):
        system += f"\n\nExample {number}:\n{asked}\nThe grade: {grade}"
    return system, last


def _question_type(scale: Scale) -> str:
    """A level's label is its place, from 0, so a scale from 1 would have labels that are other grades."""
    if scale.words:
        return "noul"
    return "score" if scale.low == 0 and scale.high < _MOST_DIGITS else "choice"


def _criteria(scale: Scale) -> dict[str, Any]:
    kind = _question_type(scale)
    if kind == "noul":
        return {}
    names = list(scale.grades)
    return {"criteria": names if kind == "score" else dict.fromkeys(names)}


def _labels(scale: Scale) -> dict[str, str]:
    """The grade of each label."""
    if scale.words:
        return {"yes": "yes", "no": "no"}
    return dict(zip(string.ascii_uppercase, scale.grades, strict=False))


def _options(labels: Mapping[str, str]) -> str:
    if "yes" in labels:
        return f"Question: {_ASK}\nAnswer with yes or no only."
    lines = [f"{label}: {grade}" for label, grade in labels.items()]
    return "\n".join([f"Question: {_ASK}", *lines, "Answer with the letter of one option only."])


def _from_systemone(reply: Mapping[str, Any], scale: Scale) -> LabelReading:
    answers = reply.get("answers")
    answer = answers.get(_ID) if isinstance(answers, Mapping) else None
    if not isinstance(answer, Mapping):
        raise InvalidReplyError("the server's reply to /v1/systemone does not answer the question")
    found: Any = answer.get("probabilities")
    if scale.words and is_finite(answer.get("noul")):
        found = {"yes": answer["noul"], "no": 1 - answer["noul"]}
    if not isinstance(found, Mapping):
        raise InvalidReplyError("the server's reply to /v1/systemone has no probabilities")
    diagnostics = reply.get("diagnostics")
    own = diagnostics.get(_ID) if isinstance(diagnostics, Mapping) else None
    mass = own.get("label_mass") if isinstance(own, Mapping) else None
    usage = _usage(reply, "input_tokens", "output_tokens")
    return _expected(found, scale, _SYSTEMONE, usage, float(mass) if is_finite(mass) else None)


def _expected(found: Mapping[str, Any], scale: Scale, route: str, usage: Usage, mass: float | None) -> LabelReading:
    valid = {grade: found.get(grade) for grade in scale.grades}
    if not all(is_finite(p) and -1e-6 <= p <= 1 + 1e-6 for p in valid.values()):
        raise InvalidReplyError(f"the server's reply to {route} lacks the probability of a grade: {_shown(found)}")
    total = math.fsum(float(p or 0.0) for p in valid.values())
    if total <= 0:
        raise InvalidReplyError(f"the server's reply to {route} gives no grade a probability")
    shares = {grade: max(0.0, float(p or 0.0)) / total for grade, p in valid.items()}
    mean = math.fsum(scale.grades[grade] * share for grade, share in shares.items())
    return LabelReading(min(max(mean, float(scale.low)), float(scale.high)), mass, shares, route, usage)


def _item_score(reply: Any) -> float:
    data = reply.get("data") if isinstance(reply, Mapping) else None
    score = data[0].get("score") if isinstance(data, list) and data and isinstance(data[0], Mapping) else None
    if not is_finite(score):
        raise InvalidReplyError("the server's reply to /generative_scoring holds no score")
    return float(score)


def _usage(reply: Any, read: str, written: str) -> Usage:
    usage = reply.get("usage") if isinstance(reply, Mapping) else None
    counts = [usage.get(name) if isinstance(usage, Mapping) else None for name in (read, written)]
    return Usage(*(count if isinstance(count, int) and count >= 0 else 0 for count in counts), 1)


def _shown(found: Mapping[str, Any]) -> str:
    text = str(dict(found))
    return text if len(text) <= 100 else f"{text[:100]}…"
