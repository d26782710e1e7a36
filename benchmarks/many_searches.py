"""What 1,000 searches under way at once in one process cost in memory, beyond their messages and connections.

Each has drawn and scored its first two candidates, kept by its record, and waits for the next: the moment at which a
search holds the most. The policy is a chat model without a connection, since how much a client keeps for one is not
ours to say; what the same model calls cost without a search around them is measured in the same run and subtracted.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from langchain_optscale import OptScale
from langchain_optscale.stopping import MaxSamples

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

SEARCHES, ANSWERED, CAP = 1000, 2, 16


class Waiting(BaseChatModel):
    """Answers the first draws of a search; the others wait for `gate`."""

    seed: int | None = 0
    _gate: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _waiting: list[int] = PrivateAttr(default_factory=list)

    @property
    def gate(self) -> asyncio.Event:
        """Lets all of them go on."""
        return self._gate

    @property
    def waiting(self) -> int:
        """How many draws wait."""
        return len(self._waiting)

    @property
    def _llm_type(self) -> str:
        return "waiting"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("it is only ever awaited")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if kwargs["seed"] >= ANSWERED:
            self._waiting.append(1)
            await self._gate.wait()
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("0.5", usage_metadata=usage))])


async def score(prompt: object, candidate: Any) -> float:
    """The verifier."""
    return float(candidate.text)


async def searching(model: Waiting, number: int) -> None:
    """One search; its third candidate waits."""
    search = OptScale(
        policy=model, verifier=score, stopping=MaxSamples(CAP), first_round=ANSWERED, round_size=1, seed=0
    )
    await search.ainvoke(f"question {number}")


async def calling(model: Waiting, number: int) -> list[Any]:
    """The same calls without a search."""
    answers = []
    for seed in range(ANSWERED + 1):
        answers.append(await model.ainvoke(f"question {number}", seed=seed))  # noqa: PERF401 - one after another
    return answers


async def held(work: Any) -> float:
    """Bytes that one of 1,000 of them holds while all wait."""
    # What the first one loads and caches belongs to no search.
    for_warmth = Waiting()
    for_warmth.gate.set()
    await work(for_warmth, 0)
    model = Waiting()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tasks = [asyncio.create_task(work(model, number)) for number in range(SEARCHES)]
    for _ in range(100_000):
        if model.waiting == SEARCHES:
            break
        await asyncio.sleep(0.005)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] - before
    model.gate.set()
    await asyncio.gather(*tasks)
    return size / SEARCHES


async def measure() -> dict[str, Any]:
    """The figures."""
    tracemalloc.start()
    calls = await held(calling)
    searches = await held(searching)
    tracemalloc.stop()
    return {
        "benchmark": "many_searches",
        "searches": SEARCHES,
        "kb_a_search": searches / 1024,
        "kb_of_its_calls": calls / 1024,
        "kb_beyond_the_calls": (searches - calls) / 1024,
    }


def main() -> None:
    """Print the figures."""
    print(json.dumps(asyncio.run(measure())))


if __name__ == "__main__":
    main()
