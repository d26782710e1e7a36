"""A completion endpoint as a chat model, for few-shot prompts that a chat template would spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage

__all__ = ["CompletionPolicy"]


class CompletionPolicy(BaseChatModel):
    """Continues the text of the last message, by `/completions` of an OpenAI-compatible server.

    The log-probabilities stand where chat models put them, so that `ConfidenceVerifier` finds them.
    """

    base_url: str
    model: str
    temperature: float = 1.0
    max_tokens: int = 16
    stop: list[str] | None = None
    n: int = 1
    seed: int | None = None
    _client: openai.OpenAI = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Connects to the server; nothing is sent yet."""
        self._client = openai.OpenAI(base_url=self.base_url, api_key="not-needed", max_retries=0)

    @property
    def _llm_type(self) -> str:
        return "completion"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._client.completions.create(
            model=self.model,
            prompt=str(messages[-1].text),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            stop=stop or self.stop,
            n=kwargs.get("n", self.n),
            seed=kwargs.get("seed", self.seed),
            logprobs=1,
        )
        usage = reply.usage.model_dump() if reply.usage else {}
        generations = []
        for choice in reply.choices:
            logprobs = choice.logprobs.model_dump() if choice.logprobs else None
            message = AIMessage(
                choice.text,
                response_metadata={"logprobs": logprobs, "finish_reason": choice.finish_reason},
                usage_metadata={
                    "input_tokens": usage.get("prompt_tokens", 0),
                    "output_tokens": usage.get("completion_tokens", 0),
                    "total_tokens": usage.get("total_tokens", 0),
                },
            )
            generations.append(ChatGeneration(message=message))
        return ChatResult(generations=generations, llm_output={"model_name": self.model})
