"""A chat server on loopback that answers from recorded pools by question and seed alone, in a process of its own.

`python -m benchmarks.seeded_pool_server POOL ... --latency 0.2` prints its port. A prompt that begins with
`[pool/question/copy]` gets the sample of that question whose number is the request's seed, shifted by the copy, so that
the same request gets the same answer whoever asks and however often: what a killed worker repeats changes nothing. The
text is `score=0.83 answer=12`. `GET /requests` says how often each question was asked; `served` starts and ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.evaluation.pools import read_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_optscale.evaluation.pools import Question

__all__ = ["asked_counts", "marked_questions", "served"]

ROOT = Path(__file__).parents[1]
_SHIFT = 7

Pools = dict[str, tuple["Question", ...]]


def _read(paths: Sequence[Path]) -> Pools:
    pools = [read_pool(path) for path in paths]
    return {pool.name: tuple(pool) for pool in (pool if pool.has_scores else pool.scored() for pool in pools)}


def marked_questions(paths: Sequence[Path], count: int) -> list[dict[str, str]]:
    """So many questions, {"id", "prompt"}: those of the pools in turn, copied as often as it takes."""
    pools = _read(paths)
    known = [(name, place, one.prompt) for name, pool in pools.items() for place, one in enumerate(pool)]
    made = []
    for number in range(count):
        copy, place = divmod(number, len(known))
        name, index, prompt = known[place]
        mark = f"{name}/{index}/{copy}"
        made.append({"id": mark, "prompt": f"[{mark}] {prompt}"})
    return made


def _reply(pools: Pools, mark: str, seed: int) -> dict[str, Any]:
    name, index, copy = mark.rsplit("/", 2)
    samples = pools[name][int(index)].samples
    sample = samples[(seed + _SHIFT * int(copy)) % len(samples)]
    tokens = sample.tokens or 1
    return {
        "id": "chatcmpl-seeded",
        "object": "chat.completion",
        "created": 0,
        "model": "seeded",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"score={sample.score or 0.0:.6f} answer={sample.answer}"},
            }
        ],
        "usage": {"prompt_tokens": 16, "completion_tokens": tokens, "total_tokens": 16 + tokens},
    }


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pools: Pools, latency_s: float, asked: Counter[str]
) -> None:
    """One connection, until the client closes it."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0]) if lengths else 0)
            if lines[0].startswith("GET"):
                told: Any = dict(asked)
            else:
                payload = json.loads(body)
                mark = payload["messages"][-1]["content"].partition("]")[0].lstrip("[")
                asked[mark] += 1
                await asyncio.sleep(latency_s)
                told = _reply(pools, mark, payload.get("seed") or 0)
            text = json.dumps(told).encode()
            header = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            writer.write(header.encode() + text)
            await writer.drain()
    writer.close()


async def _serve(pools: Pools, latency_s: float) -> None:
    handle = partial(_answer, pools=pools, latency_s=latency_s, asked=Counter())
    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def served(paths: Sequence[Path], latency_s: float) -> Iterator[str]:
    """Its address, such as http://127.0.0.1:40321, for as long as the context lasts."""
    command = [sys.executable, "-m", "benchmarks.seeded_pool_server", *map(str, paths), "--latency", str(latency_s)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def asked_counts(address: str) -> Counter[str]:
    """How often each question was asked so far."""
    with urllib.request.urlopen(f"{address}/requests", timeout=60) as reply:  # noqa: S310 - on loopback
        return Counter(json.load(reply))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    given = parser.parse_args()
    asyncio.run(_serve(_read(given.pools), given.latency))


if __name__ == "__main__":
    main()
