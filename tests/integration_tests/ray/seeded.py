"""A policy whose answers are known: by question and seed, on any machine."""

import asyncio
import hashlib
import os
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class SeededPolicy(BaseChatModel):
    """Says a score made of question and seed; "broken" questions say none. Each request leaves a line in `log`."""

    seed: int | None = 0
    log: str | None = None
    delay_s: float = 0.0

    @property
    def _llm_type(self):
        return "seeded"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        question, seed = messages[-1].text, kwargs.get("seed", 0)
        if self.log is not None:
            with Path(self.log, str(os.getpid())).open("a") as file:
                file.write(f"{question}\n")
        number = int(hashlib.sha256(f"{question} {seed}".encode()).hexdigest()[:8], 16) / 2**32
        text = "none" if "broken" in question else f"{number:.4f}"
        usage = {"input_tokens": 8, "output_tokens": 4, "total_tokens": 12}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, usage_metadata=usage))])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(self.delay_s)
        return self._generate(messages, **kwargs)


def score_of(prompt, candidate):
    return float(candidate.text)
