"""Scripted judges for every method of reporting a grade."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Callable  # noqa: TC003 - pydantic reads it at run time
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

CODE = re.compile(r"The code is ([0-9a-f]{12})")
USAGE = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}


def code_in(messages) -> str:
    return CODE.findall(text_of(messages[-1]))[-1]


def text_of(message) -> str:
    content = message.content
    return content if isinstance(content, str) else content[0]["text"]


def answer_in(messages) -> str:
    """What the judge sees between the marks of the answer."""
    code = code_in(messages)
    return text_of(messages[-1]).split(f"<<<ANSWER {code}>>>\n", 1)[1].split(f"\n<<<END ANSWER {code}>>>", 1)[0]


def entry(token, logprob=-0.01, top=None):
    listed = [(token, logprob)] if top is None else top
    return {
        "token": token,
        "logprob": logprob,
        "bytes": None,
        "top_logprobs": [{"token": other, "logprob": value, "bytes": None} for other, value in listed],
    }


def entries_for(text, distributions):
    """Tokens of a text: words and single signs; a token listed in `distributions` by its start has that law."""
    entries = []
    for match in re.finditer(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]", text):
        law = distributions.get(match.start())
        top = None if law is None else [(token, math.log(p)) for token, p in law.items()]
        entries.append(entry(match.group(), -0.01 if top is None else top[0][1], top))
    return entries


class ScriptedJudge(BaseChatModel):
    """Replies with what `reply(messages)` returns: a text, a mapping for a structured reply, or a message.

    `law` is the distribution over tokens where the last line with the code gives its grade.
    """

    reply: Callable[[list[Any]], Any]
    law: dict[str, float] | None = None
    delay: float = 0.0
    _seen: list[Any] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted-judge"

    @property
    def seen(self):
        return self._seen

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=tools, **kwargs)

    def _answer(self, messages, kwargs) -> ChatResult:
        with self._lock:
            self._seen.append((messages, kwargs))
        said = self.reply(messages)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, dict):
            calls = [{"name": "Grading", "args": said, "id": "call-1"}]
            message = AIMessage("", tool_calls=calls, usage_metadata=USAGE)
        elif isinstance(said, str):
            message = AIMessage(said, usage_metadata=USAGE)
            if kwargs.get("logprobs") and self.law is not None:
                lines = list(re.finditer(rf"GRADE-{code_in(messages)}: (?=\w)", said))
                laws = {lines[-1].end(): self.law} if lines else {}
                message.response_metadata["logprobs"] = {"content": entries_for(said, laws)}
        else:
            message = said
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if self.delay:
            threading.Event().wait(self.delay)
        return self._answer(messages, kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(self.delay)
        return self._answer(messages, kwargs)


class LogprobsJudge(ScriptedJudge):
    """One that offers log-probabilities, as ChatOpenAI does."""

    logprobs: bool | None = None


class PlainJudge(ScriptedJudge):
    """One that can do nothing but write."""

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        raise NotImplementedError


def grade_line(messages, grade) -> str:
    return f"GRADE-{code_in(messages)}: {grade}"


def by_text(grade_of) -> Callable[[Any], str]:
    """A reply whose grade is a function of the answer that the judge sees."""
    return lambda messages: f"It says so.\n{grade_line(messages, grade_of(answer_in(messages)))}"
