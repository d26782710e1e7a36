"""Chat models and verifiers whose behaviour is known; every one of them is a real LangChain object."""

import asyncio
import threading
import time
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr


class PlainPolicy(BaseChatModel):
    """A request with seed s says `texts[s]`, hence candidate i says `texts[i]` under seed 0. It does not take `n`."""

    texts: list[str]
    seed: int | None = 0
    temperature: float = 1.0
    limit: int = 99
    delays: dict[int, float] = Field(default_factory=dict)
    errors: dict[int, list[Exception]] = Field(default_factory=dict)
    _requests: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _cancelled: list[int] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self._requests

    @property
    def cancelled(self) -> list[int]:
        return self._cancelled

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _combine_llm_outputs(self, llm_outputs):
        return llm_outputs[0] or {}

    def _answer(self, kwargs: dict[str, Any]) -> ChatResult:
        seed, count = kwargs.get("seed", 0), min(kwargs.get("n", 1), self.limit)
        with self._lock:
            self._requests.append(kwargs)
            pending = self.errors.get(seed)
            error = pending.pop(0) if pending else None
        if error is not None:
            raise error
        usage = {"input_tokens": 10, "output_tokens": 5 * count, "total_tokens": 10 + 5 * count}
        messages = [
            AIMessage(content=self.texts[(seed + j) % len(self.texts)], usage_metadata=usage) for j in range(count)
        ]
        return ChatResult(
            generations=[ChatGeneration(message=message) for message in messages],
            llm_output={"model_name": "scripted-1"},
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(self.delays.get(kwargs.get("seed", 0), 0.0))
        return self._answer(kwargs | ({"stop": stop} if stop else {}))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            await asyncio.sleep(self.delays.get(kwargs.get("seed", 0), 0.0))
        except asyncio.CancelledError:
            self._cancelled.append(kwargs.get("seed", 0))
            raise
        return self._answer(kwargs | ({"stop": stop} if stop else {}))


class ScriptedPolicy(PlainPolicy):
    """The same with `n`: choice j of a request with seed s says `texts[s + j]`."""

    n: int = 1


def read_score(prompt: Any, candidate: Any) -> float:
    """A verifier for candidates that say their own score."""
    return float(candidate.text)
