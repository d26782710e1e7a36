"""A chat model that answers at once, for benchmarks of overhead."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage

__all__ = ["InstantPolicy", "score_of"]

_WORDS = ("the", "river", "runs", "over", "old", "stones", "and", "under", "a", "bridge", "to", "the", "sea", "while")


class InstantPolicy(BaseChatModel):
    """Answers with a score and `length` characters of text, by its seed."""

    length: int = 40
    seed: int | None = None
    n: int = 1
    temperature: float = 1.0

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return llm_outputs[0] or {}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        count = kwargs.get("n", 1)
        answers = [self._text(kwargs.get("seed", 0) + offset) for offset in range(count)]
        tokens = sum(len(answer) for answer in answers) // 4
        usage = {"input_tokens": 8, "output_tokens": tokens, "total_tokens": 8 + tokens}
        generations = [ChatGeneration(message=AIMessage(answer, usage_metadata=usage)) for answer in answers]
        return ChatResult(generations=generations, llm_output={"model_name": "instant", "finish_reason": "stop"})

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)

    def _text(self, seed: int) -> str:
        source = random.Random(seed)
        text = f"{source.betavariate(4, 3):.4f}"
        while len(text) < self.length:
            text += " " + source.choice(_WORDS)
        return text[: self.length]


def score_of(prompt: Any, candidate: Any) -> float:
    """The score that a candidate's text begins with."""
    return float(candidate.text.split()[0])
