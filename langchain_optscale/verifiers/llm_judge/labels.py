"""The probabilities of a judge's grades from one prefill, by routes of vLLM and llama.cpp that generate no text.

`/v1/systemone` returns the probability of every label of a question, where vLLM serves decisions for the architecture.
On every other generative model a chat completion of one token does, whose `logprob_token_ids` are the labels; a server
that ignores them has `/generative_scoring`, with one label a request. llama.cpp lists as many of the likeliest first
tokens as it is asked for, and the labels are found among them. A judge that writes nothing cannot be made to write a
grade.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.records.usage import Usage
from langchain_optscale.verifiers.llm_judge.label_replies import (
    CHAT,
    QUESTION_ID,
    SCORING,
    SYSTEMONE,
    LabelReading,
    expected,
    from_chat,
    from_listed,
    from_systemone,
    item_score,
    usage_of,
)
from langchain_optscale.verifiers.reward_model.client import json_object

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import openai
    from langchain_core.messages import BaseMessage

    from langchain_optscale.verifiers.llm_judge.scale import Scale

__all__ = ["LabelReader", "LabelReading"]

_TOKENIZE = "/tokenize"
# A server without a route, or whose model has no such labels.
_ABSENT = frozenset({404, 405, 501})
_MOST_LISTED = 500

Step = tuple[str, dict[str, Any]]
"""A route and the body of a request."""


class LabelReader:
    """Asks a server of vLLM or llama.cpp for the probabilities of the grades of one scale.

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
                "method='labels' needs a ChatOpenAI at a server of vLLM or llama.cpp, such as vllm_policy(base_url) or "
                "local.serve() makes: set another method for this judge"
            )
        self._model_name = str(getattr(model, "model_name", ""))
        self._scale = scale
        self._min_mass = min_mass
        self._lock = threading.Lock()
        self._route: str | None = None
        self._label_ids: list[int] | None = None
        self._lists_likeliest = False

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
        """Raise the error, unless the route is missing and there is another.

        Another thread may have found the other one while this request was under way.
        """
        is_absent = error.status_code in _ABSENT
        if is_absent and route == SYSTEMONE and self._route != SYSTEMONE:
            return
        if is_absent and self._route is None:
            raise SettingsError(
                "the server has neither /v1/systemone nor /tokenize and /generative_scoring, which vLLM has since "
                "0.32: set another method for this judge"
            ) from error
        raise error

    def _steps(self, messages: Sequence[BaseMessage]) -> Generator[Step, Any, LabelReading]:
        """The requests of one reading, to be sent by the caller, which passes the reply, None for a missing route."""
        system, state = _flat(messages)
        if self._route in (None, SYSTEMONE):
            asked = {"type": _question_type(self._scale), "instructions": self._scale.ask, **_criteria(self._scale)}
            told = {"state": state, "instructions": system, "questions": {QUESTION_ID: asked}}
            body = {"model": self._model_name, **told}
            reply = yield SYSTEMONE, body
            if reply is not None:
                self._route = SYSTEMONE
                return from_systemone(reply, self._scale)
        labels = self._scale.labels
        turns = [
            {"role": "system", "content": system},
            {"role": "user", "content": f"{state}\n\n{self._scale.options}"},
        ]
        if self._label_ids is None and not self._lists_likeliest:
            self._label_ids = yield from self._read_label_ids(turns, labels)
        if self._label_ids is None:
            self._lists_likeliest, self._route = True, CHAT
            return from_listed((yield CHAT, self._likeliest_tokens(turns)), self._scale, labels)
        ids = dict(zip(labels.values(), self._label_ids, strict=True))
        if self._route != SCORING:
            reading = from_chat((yield CHAT, self._first_token(turns)), self._scale, ids)
            if reading is not None:
                self._route = CHAT
                return reading
        self._route = SCORING
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

    def _likeliest_tokens(self, turns: list[dict[str, str]]) -> dict[str, Any]:
        """The request for the likeliest tokens with which a reply begins."""
        asked = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": _MOST_LISTED}
        return {"model": self._model_name, "messages": turns, **asked}

    def _read_label_ids(
        self, turns: list[dict[str, str]], labels: Mapping[str, str]
    ) -> Generator[Step, Any, list[int] | None]:
        """The token of each label as the first one of a reply; None where the server is llama.cpp's."""
        tokens = yield from self._tokens(turns)
        if not tokens:
            return None
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
            reply = yield SCORING, {**body, "label_token_ids": [number]}
            found[grade] = item_score(reply)
            usage += usage_of(reply, "prompt_tokens", "completion_tokens")
        return expected(found, self._scale, SCORING, usage, math.fsum(found.values()))

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
        # llama.cpp's route takes a text, and makes no tokens of messages.
        if tokens == [] and set(reply) == {"tokens"}:
            return []
        if not (isinstance(tokens, list) and len(tokens) > 1 and all(isinstance(one, int) for one in tokens)):
            raise InvalidReplyError("the server's reply to /tokenize contains no tokens")
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
    if set(scale.grades) == {"yes", "no"}:
        return "noul"
    return "score" if list(scale.grades) == [str(place) for place in range(min(len(scale.grades), 10))] else "choice"


def _criteria(scale: Scale) -> dict[str, Any]:
    kind = _question_type(scale)
    if kind == "noul":
        return {}
    names = list(scale.grades)
    return {"criteria": names if kind == "score" else dict.fromkeys(names)}
