"""How to ask a vLLM server for eight candidates: in one request, or in eight.

`python -m benchmarks.vllm_fanout` serves a tiny model by vLLM's CPU build, once with and once without prefix caching,
and measures on both, in one run, for a short and a long prompt. `--url` measures your own server instead. Every figure
is a median; each measurement has a prompt of its own, so that no mode finds another one's prefix in the cache.
All answers have the same length.

`--write` puts the table into docs/gpu.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_optscale.endpoints.doctor.verifier import LESSONS
from langchain_optscale.endpoints.vllm import vllm_policy
from tests.integration_tests.vllm import environment
from tests.integration_tests.vllm.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_openai import ChatOpenAI

N = 8
MODES = ("one request", "eight, one after another", "eight at once")
PAGE = Path(__file__).parents[1] / "docs" / "gpu.md"
BEGIN, END = "<!-- fanout: make bench_vllm writes this table -->", "<!-- end of fanout -->"
SHORT, LONG = "short", "long"
# In words; the tiny model reads one token a letter.
WORDS = {SHORT: 8, LONG: 600}


async def measure(policy: ChatOpenAI, repeats: int, tokens: int, numbers: itertools.count[int]) -> list[dict[str, Any]]:
    """Candidates per second of each mode, for each prompt."""
    rows = []
    for prompt, words in WORDS.items():
        seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
        length = 0
        # The first round warms up and is not counted; afterwards no mode is always the first of a round.
        for repeat in range(-1, repeats):
            order = MODES[repeat % len(MODES) :] + MODES[: repeat % len(MODES)]
            for mode in order:
                question: list[BaseMessage] = [HumanMessage(f"{next(numbers)} " + "word " * words)]
                began = time.perf_counter()
                length = await DRAW[mode](policy, question, tokens)
                if repeat >= 0:
                    seconds[mode].append(time.perf_counter() - began)
        rates = {mode: N / statistics.median(seconds[mode]) for mode in MODES}
        rows += [
            {
                "prompt": prompt,
                "prompt_tokens": length,
                "mode": mode,
                "candidates_per_s": rates[mode],
                "times_one_after_another": rates[mode] / rates[MODES[1]],
            }
            for mode in MODES
        ]
    return rows


async def _draw(policy: ChatOpenAI, question: list[BaseMessage], tokens: int, n: int) -> int:
    """Draw and check; the length of the prompt in tokens."""
    result = await policy.agenerate([question], n=n)
    usage = (result.llm_output or {})["token_usage"]
    if len(result.generations[0]) != n or usage["completion_tokens"] != n * tokens:
        raise RuntimeError(f"asked for {n} answers of {tokens} tokens, got {usage}")
    return int(usage["prompt_tokens"])


async def _one_request(policy: ChatOpenAI, question: list[BaseMessage], tokens: int) -> int:
    return await _draw(policy, question, tokens, N)


async def _one_after_another(policy: ChatOpenAI, question: list[BaseMessage], tokens: int) -> int:
    for _ in range(N - 1):
        await _draw(policy, question, tokens, 1)
    return await _draw(policy, question, tokens, 1)


async def _at_once(policy: ChatOpenAI, question: list[BaseMessage], tokens: int) -> int:
    return (await asyncio.gather(*(_draw(policy, question, tokens, 1) for _ in range(N))))[0]


DRAW: dict[str, Callable[[ChatOpenAI, list[BaseMessage], int], Awaitable[int]]] = dict(
    zip(MODES, (_one_request, _one_after_another, _at_once), strict=True)
)


def run(url: str, model: str | None, key: str | None, repeats: int, tokens: int) -> tuple[str, list[dict[str, Any]]]:
    """Measure one server; its version of vLLM, and the rows."""
    policy = vllm_policy(url, model, api_key=key, max_tokens=tokens, extra_body={"ignore_eos": True})
    root = str(policy.openai_api_base).removesuffix("/v1")
    try:
        version = str(policy.root_client.get(f"{root}/version", cast_to=object)["version"])
    except (openai.OpenAIError, TypeError, KeyError):
        version = "unknown"
    # Across runs too, so that a second run does not find the prompts of the first in the cache.
    return version, asyncio.run(measure(policy, repeats, tokens, itertools.count(time.time_ns() // 1000)))


def table(figures: dict[str, Any]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| Prefix caching | Prompt | " + " | ".join(MODES) + " |",
        "|---|---|" + "---:|" * len(MODES),
    ]
    rows = figures["rows"]
    for caching, prompt in dict.fromkeys((row["prefix_caching"], row["prompt"]) for row in rows):
        these = [row for row in rows if (row["prefix_caching"], row["prompt"]) == (caching, prompt)]
        cells = [f"{row['candidates_per_s']:.1f} ({row['times_one_after_another']:.1f}x)" for row in these]
        lines.append(f"| {caching} | {prompt}, {these[0]['prompt_tokens']} tokens | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(text: str) -> None:
    """Put a table into the page."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="n = 8 in one request against eight requests.")
    parser.add_argument("--url", help="your own server; its key is read from $OPTSCALE_POLICY_API_KEY")
    parser.add_argument("--model")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--tokens", type=int, default=32, help="of each answer")
    parser.add_argument("--write", action="store_true", help="put the table into docs/gpu.md")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    version = ""
    if arguments.url:
        key = os.environ.get("OPTSCALE_POLICY_API_KEY")
        version, measured = run(arguments.url, arguments.model, key, arguments.repeats, arguments.tokens)
        rows = [{"prefix_caching": "as served"} | row for row in measured]
    else:
        python = environment.install()
        with tempfile.TemporaryDirectory() as logs:
            servers = Servers(python, environment.models(LESSONS), Path(logs))
            try:
                # One at a time: they would share the cores, and neither would be measured.
                for caching, name in (("on", "policy-with-prefix-cache"), ("off", "policy-without-prefix-cache")):
                    (server,) = servers.start(name)
                    version, measured = run(server.base_url, None, None, arguments.repeats, arguments.tokens)
                    rows += [{"prefix_caching": caching} | row for row in measured]
                    servers.stop()
            finally:
                servers.stop()
    figures = {"benchmark": "vllm_fanout", "vllm": version, "n": N, "answer_tokens": arguments.tokens, "rows": rows}
    if arguments.write:
        write(table(figures))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
