"""A graph for `langgraph dev` and LangGraph Studio, see `langgraph.json`.

It answers in one short sentence. By default it draws from the small embedded model, which it serves on this machine at
the first question; with OPTSCALE_POLICY_URL and OPTSCALE_POLICY_MODEL, from any OpenAI-compatible server (its key, if
needed, in OPTSCALE_POLICY_API_KEY).
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from threading import Lock
from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda

from langchain_optscale import EnsembleVerifier, create_optscale_graph, local, vllm
from langchain_optscale.verifiers import LengthCheck, RegexCheck

_STARTING = Lock()


@cache
def _served() -> Runnable[Any, Any]:
    return local.serve(context=1024).policy(max_tokens=64)


def embedded_model() -> Runnable[Any, Any]:
    """The embedded model, served once for all threads; the server ends with this process."""
    with _STARTING:
        return _served()


def draw(prompt: Any) -> Any:
    """One answer of the embedded model."""
    return embedded_model().invoke(prompt)


async def adraw(prompt: Any) -> Any:
    """As `draw`, without blocking the event loop while the server starts."""
    model = await asyncio.to_thread(embedded_model)
    return await model.ainvoke(prompt)


def policy() -> Runnable[Any, Any]:
    """The model that the environment names, else the embedded one."""
    if url := os.environ.get("OPTSCALE_POLICY_URL"):
        return vllm.vllm_policy(url, os.environ["OPTSCALE_POLICY_MODEL"])
    return RunnableLambda(draw, adraw, name="embedded")


graph = create_optscale_graph(
    policy=policy(),
    verifier=EnsembleVerifier(
        [LengthCheck(at_most=15), LengthCheck(exactly=1, unit="sentences"), RegexCheck(r"[.!]$")]
    ),
    target=0.99,
    max_samples=8,
    round_size=4,
    review=True,
).compile()
