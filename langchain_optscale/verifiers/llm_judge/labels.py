"""The probabilities of a judge's grades from one prefill, by routes of vLLM that generate no text.

`/v1/systemone` returns the probability of every label of a question, where vLLM serves decisions for the architecture.
On every other generative model a chat completion of one token does, whose `logprob_token_ids` are the labels; a server
that ignores them has `/generative_scoring`, with one label a request. A judge that writes nothing cannot be made to
write a grade.
"""

from __future__ import annotations

import math
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.coercion import is_finite
from langchain_optscale.verifiers.reward_model.client import json_object

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import openai
    from langchain_core.messages import BaseMessage

    from langchain_optscale.verifiers.llm_judge.scale import Scale

__all__ = ["LabelReader", "LabelReading"]

_SYSTEMONE, _CHAT, _SCORING = "/v1/systemone", "/v1/chat/completions", "/generative_scoring"
_TOKENIZE = "/tokenize"
_ID = "grade"
_ASK = "What is the grade of the answer?"
# A server without a route, or whose model has no such labels.
_ABSENT = frozenset({404, 405, 501})
_MOST_DIGITS = 10
_ROUNDING = 1e-6

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
        import openai

        self._clients: tuple[Any, Any] = (
            getattr(model, "root_client", None),
            getattr(model, "root_async_client", None),
        )
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
        import openai

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
                self._check_absent(route, error)
                reply = None

    async def aread(self, messages: Sequence[BaseMessage]) -> LabelReading:
        """As `read`, without blocking the event loop."""
        import openai

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
                self._check_absent(route, error)
                reply = None

    def _url(self, route: str) -> str:
        """The address of a route: those of vLLM's own stand at the server's root."""
        return str(self._clients[0].base_url).rstrip("/").removesuffix("/v1") + route

    def _check_absent(self, route: str, error: openai.APIStatusError) -> None:
        """Raise the error, unless the route is missing and there is another."""
        if error.status_code not in _ABSENT or self._route is not None:
            raise error
        if route != _SYSTEMONE:
            raise SettingsError(
                "the server has neither /v1/systemone nor /tokenize and /generative_scoring, which vLLM has since "
                "0.32: set another method for this judge"
            ) from error

    def _steps(self, messages: Sequence[BaseMessage]) -> Generator[Step, Any, LabelReading]:
        """The requests of one reading, to be sent by the caller, which passes the reply, None for a missing route."""
        system, state = _flat(messages)
        if self._route in (None, _SYSTEMONE):
            question = {_ID: {"type": _question_type(self._scale), "instructions": _ASK, **_criteria(self._scale)}}
            body = {"model": self._model_name, "state": state, "instructions": system, "questions": question}
            reply = yield _SYSTEMONE, body
            if reply is not None:
                self._route = _SYSTEMONE
                return _from_systemone(reply, self._scale)
        labels = _labels(self._scale)
        turns = [{"role": "system", "content": system}, {"role": "user", "content": f"{state}\n\n{_options(labels)}"}]
        if self._label_ids is None:
            self._label_ids = yield from self._read_label_ids(turns, labels)
        ids = dict(zip(labels.values(), self._label_ids, strict=True))
        if self._route != _SCORING:
            reading = _from_chat((yield _CHAT, self._first_token(turns)), self._scale, ids)
            if reading is not None:
                self._route = _CHAT
                return reading
        self._route = _SCORING
        return (yield from self._scored(turns, ids))

    def _first_token(self, turns: list[dict[str, str]]) -> dict[str, Any]:
        """The request for the first token of a reply, with the probabilities of the labels there."""
        return {
            "model": self._model_name,
            "messages": turns,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "logprob_token_ids": self._label_ids,
            "return_tokens_as_token_ids": True,
        }

    def _read_label_ids(
        self, turns: list[dict[str, str]], labels: Mapping[str, str]
    ) -> Generator[Step, Any, list[int]]:
        """The token of each label as the first one of a reply."""
        tokens = yield from self._tokens(turns)
        ids: list[int] = []
        for label in labels:
            with_label = yield from self._tokens([*turns, {"role": "assistant", "content": label}])
            if with_label[:-1] != tokens or with_label[-1] in ids:
                raise SettingsError(
                    f"the label {label!r} is not one token of its own for this model: set another method"
                )
            ids.append(with_label[-1])
        return ids

    def _scored(self, turns: list[dict[str, str]], ids: Mapping[str, int]) -> Generator[Step, Any, LabelReading]:
        tokens = yield from self._tokens(turns)
        body = {"model": self._model_name, "query": tokens[:-1], "items": [tokens[-1:]], "apply_softmax": False}
        found: dict[str, float] = {}
        usage = Usage()
        for grade, number in ids.items():
            reply = yield _SCORING, {**body, "label_token_ids": [number]}
            found[grade] = _item_score(reply)
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


def _from_chat(reply: Any, scale: Scale, ids: Mapping[str, int]) -> LabelReading | None:
    """The reading of a reply's first token; None where the server did not list the labels that it was asked for."""
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    logprobs = choices[0].get("logprobs") if isinstance(choices, list) and choices else None
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], Mapping):
        return None
    listed = {
        one.get("token"): one.get("logprob")
        for one in [content[0], *(content[0].get("top_logprobs") or [])]
        if isinstance(one, Mapping)
    }
    found = {grade: listed.get(f"token_id:{number}") for grade, number in ids.items()}
    if not all(is_finite(logprob) and logprob <= _ROUNDING for logprob in found.values()):
        return None
    shares = {grade: math.exp(logprob) for grade, logprob in found.items() if logprob is not None}
    usage = _usage(reply, "prompt_tokens", "completion_tokens")
    return _expected(shares, scale, _CHAT, usage, min(1.0, math.fsum(shares.values())))


def _expected(found: Mapping[str, Any], scale: Scale, route: str, usage: Usage, mass: float | None) -> LabelReading:
    valid = {grade: found.get(grade) for grade in scale.grades}
    if not all(is_finite(p) and -_ROUNDING <= p <= 1 + _ROUNDING for p in valid.values()):
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
    tokens = [count if isinstance(count, int) and count >= 0 else 0 for count in counts]
    return Usage(tokens[0], tokens[1], 1)


def _shown(found: Mapping[str, Any]) -> str:
    text = str(dict(found))
    return text if len(text) <= 100 else f"{text[:100]}…"
