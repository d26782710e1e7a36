"""A policy whose answers are known: by question and seed, on any machine."""

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

_count = {"now": 0, "most": 0}


class SeededPolicy(BaseChatModel):
    """Says a score made of question and seed; "broken" questions say none.

    Each request leaves a line in `log`; the most requests that were under way at once are a file's text in `most`.
    """

    seed: int | None = 0
    log: str | None = None
    most: str | None = None
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
        with self._under_way():
            await asyncio.sleep(self.delay_s)
        return self._generate(messages, **kwargs)

    @contextlib.contextmanager
    def _under_way(self):
        _count["now"] += 1
        if self.most is not None and _count["now"] > _count["most"]:
            _count["most"] = _count["now"]
            Path(self.most, str(os.getpid())).write_text(str(_count["now"]))
        try:
            yield
        finally:
            _count["now"] -= 1


def score_of(prompt, candidate):
    return float(candidate.text)
