"""An OpenAI-compatible chat server on loopback that fails in every way a real one does, the same way every time.

What a request meets depends on nothing but the seed, the request itself and how often it was sent before, so a run can
be repeated however its requests are interleaved. By default an answer is a score in [0, 1], drawn from the prompt, the
request's seed and the number of the choice.

    with chaos_server(rate=0.3, seed=7) as server:
        model = ChatOpenAI(base_url=server.base_url, model="m", api_key="none", max_retries=0)
        ...
        server.met["stall"]     # how many requests stalled
        server.connections      # how many connections are open now

`served_apart` runs it in a process of its own, so that its CPU time does not count as the client's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import random
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["FAULTS", "Answer", "Asked", "ChaosServer", "chaos_server", "lognormal", "served_apart"]

PASSING = ("408", "409", "429", "429 with a date", "500", "502", "503")
"""Statuses after which the same request may succeed."""
LASTING = ("400", "401", "403", "404", "422")
"""Statuses after which it will not, as far as the client can know."""
BROKEN = ("reset", "cut off", "stall", "drip", "garbage", "half a JSON", "no choices", "null choices", "blank")
"""A connection or a body that is not what it should be; a drip is whole in the end."""
ODD = ("wrong model", "one choice")
"""Answers that are whole, but not what was asked for."""
FAULTS = PASSING + LASTING + BROKEN + ODD

_DRIPS, _DRIP_S = 10, 0.03
_STALL_S = 60.0


@dataclass(frozen=True)
class Asked:
    """One request: its payload, the text of its last message, its seed (0 without one), and how often it came before.

    `rng` is made of all that and of the server's seed.
    """

    payload: dict[str, Any]
    text: str
    seed: int
    repeat: int
    rng: random.Random

    @property
    def n(self) -> int:
        """The number of choices asked for."""
        return int(self.payload.get("n") or 1)


@dataclass(frozen=True)
class Answer:
    """One choice; tool calls are pairs of a name and its arguments."""

    text: str = ""
    tool_calls: tuple[tuple[str, dict[str, Any]], ...] = ()

    @property
    def tokens(self) -> list[str]:
        """The text in pieces of a word each."""
        return [word + " " for word in self.text.split(" ")[:-1]] + self.text.split(" ")[-1:]


def score_of(prompt: str, seed: int, choice: int) -> float:
    """The score that a default answer says: uniform on [0, 1], four digits, equal for choice j of seed s and s + j."""
    digest = hashlib.blake2b(f"{prompt}\0{seed + choice}".encode(), digest_size=8).digest()
    return round(int.from_bytes(digest, "big") / 2**64, 4)


def _says_a_score(asked: Asked, choice: int) -> Answer:
    return Answer(f"{score_of(asked.text, asked.seed, choice):.4f}")


def lognormal(median_s: float, p99_over_median: float) -> Callable[[Asked], float]:
    """Seconds before an answer, drawn anew for each request: lognormal with this median and this 99th percentile."""
    sigma = math.log(p99_over_median) / NormalDist().inv_cdf(0.99)
    return lambda asked: median_s * asked.rng.lognormvariate(0.0, sigma)


@dataclass
class ChaosServer:
    """A running server, and what it has seen so far.

    Attributes:
        base_url: The root of its API.
        met: Requests by what they met: a fault's name, or "whole".
        payloads: What was asked, in order of arrival, where `keep` is set.
        keys: The API keys that were sent.
        connections: Connections that are open now.
        opened: Connections that were ever opened.
        busy: Requests that are being answered now.
        most_busy: The most that ever were.
        abandoned: Requests whose client left before it had its answer.
    """

    answer: Callable[[Asked, int], Answer | str | dict[str, Any]] = _says_a_score
    rate: float = 0.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    delay: Callable[[Asked], float] | None = None
    token_s: float = 0.0
    keep: bool = True
    base_url: str = ""
    met: Counter[str] = field(default_factory=Counter)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    connections: int = 0
    opened: int = 0
    busy: int = 0
    most_busy: int = 0
    abandoned: int = 0
    _seen: Counter[bytes] = field(default_factory=Counter)
    transports: set[asyncio.Transport] = field(default_factory=set, repr=False)

    def asked(self, payload: dict[str, Any]) -> Asked:
        """A request."""
        key = hashlib.blake2b(json.dumps(payload, sort_keys=True).encode(), digest_size=16).digest()
        repeat = self._seen[key]
        self._seen[key] += 1
        content = payload["messages"][-1]["content"]
        text = content if isinstance(content, str) else json.dumps(content)
        rng = random.Random(key + f"{self.seed}/{repeat}".encode())
        return Asked(payload, text, int(payload.get("seed") or 0), repeat, rng)

    def fault(self, asked: Asked) -> str | None:
        """What goes wrong with the request, None where nothing does."""
        return asked.rng.choice(self.faults) if asked.rng.random() < self.rate else None

    def choices(self, asked: Asked, n: int) -> list[Answer]:
        """The choices of an answer."""
        answers = []
        for number in range(n):
            answer = self.answer(asked, number)
            if isinstance(answer, dict):
                answer = json.dumps(answer)
            answers.append(Answer(answer) if isinstance(answer, str) else answer)
        return answers


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, server: ChaosServer) -> None:
        self._server = server
        self._received = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.transports.add(transport)
        self._server.connections += 1
        self._server.opened += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.transports.discard(self._transport)
        self._server.connections -= 1
        if self._task is not None and not self._task.done():
            self._server.abandoned += 1
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, rest = self._received.partition(b"\r\n\r\n")
        if not ended:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._received = rest[length:]
        self._closes = headers.get("connection", "").lower() == "close"
        self._server.keys.add(headers.get("authorization", "").removeprefix("Bearer "))
        self._task = asyncio.get_running_loop().create_task(self._respond(lines[0], rest[:length]))

    async def _respond(self, line: str, body: bytes) -> None:
        server = self._server
        if not line.startswith("POST") or "/chat/completions" not in line:
            self._send(404 if "/models" not in line else 200, {"object": "list", "data": []})
            return
        payload = json.loads(body)
        if server.keep:
            server.payloads.append(payload)
        asked = server.asked(payload)
        fault = server.fault(asked)
        server.met[fault or "whole"] += 1
        server.busy += 1
        server.most_busy = max(server.most_busy, server.busy)
        try:
            if server.delay is not None:
                await asyncio.sleep(server.delay(asked))
            await self._answer(asked, fault)
        finally:
            server.busy -= 1

    async def _answer(self, asked: Asked, fault: str | None) -> None:
        if fault is not None and fault[:3].isdigit():
            soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
            retry_after = {"429": "0", "429 with a date": soon, "503": "0.05"}.get(fault)
            error = {"error": {"message": f"chaos {fault}", "type": "chaos", "code": None}}
            self._send(int(fault[:3]), error, {"Retry-After": retry_after} if retry_after else {})
        elif fault == "stall":
            await asyncio.sleep(_STALL_S)
            self._reset()
        elif fault == "reset":
            self._reset()
        elif fault in {"garbage", "half a JSON"}:
            self._send(200, b"<html>bad gateway</html>" if fault == "garbage" else b'{"id": "x", "choices": [{"ind')
        elif fault in {"no choices", "null choices"}:
            self._send(200, {**_completion(asked, []), "choices": [] if fault == "no choices" else None})
        elif asked.payload.get("stream"):
            await self._stream(asked, fault)
        else:
            await self._complete(asked, fault)

    def _written(self, asked: Asked, fault: str | None) -> tuple[list[Answer], str]:
        answers = self._server.choices(asked, 1 if fault == "one choice" else asked.n)
        if fault == "blank":
            answers = [Answer() for _ in answers]
        return answers, "another-model" if fault == "wrong model" else str(asked.payload["model"])

    async def _complete(self, asked: Asked, fault: str | None) -> None:
        answers, model = self._written(asked, fault)
        await asyncio.sleep(self._server.token_s * max((len(answer.tokens) for answer in answers), default=0))
        body = json.dumps({**_completion(asked, answers), "model": model}).encode()
        if fault not in {"drip", "cut off"}:
            self._send(200, body)
            return
        self._begin(200, {"Content-Length": str(len(body))})
        step = -(-len(body) // _DRIPS)
        for start in range(0, len(body), step):
            self._transport.write(body[start : start + step])
            await asyncio.sleep(_DRIP_S)
            if fault == "cut off" and start > len(body) // 2:
                self._reset()
                return
        self._end()

    async def _stream(self, asked: Asked, fault: str | None) -> None:
        answers, model = self._written(asked, fault)
        self._begin(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        sent = 0
        async for chunk in _chunks(asked, answers, self._server.token_s):
            self._chunk({**chunk, "model": model})
            sent += 1
            if fault == "drip":
                await asyncio.sleep(_DRIP_S)
            if fault == "cut off" and sent == 1 + len(answers):
                self._reset()
                return
        self._transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        self._end()

    def _chunk(self, data: dict[str, Any]) -> None:
        event = b"data: " + json.dumps(data).encode() + b"\n\n"
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **headers}.items()]
        if self._closes:
            lines.append("Connection: close")
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def _send(self, status: int, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._begin(status, {"Content-Length": str(len(body)), **(headers or {})})
        self._transport.write(body)
        self._end()

    def _end(self) -> None:
        self._task = None
        if self._closes:
            self._transport.close()

    def _reset(self) -> None:
        if self._transport.is_closing():
            return  # the client was quicker
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._task = None
        self._transport.abort()


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for i, (name, arguments) in enumerate(answer.tool_calls)
        ]
    elif not answer.text:
        message["content"] = ""
    return message


def _usage(asked: Asked, answers: list[Answer]) -> dict[str, int]:
    prompt, written = len(asked.text.split()) + 4, sum(len(answer.tokens) for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _logprobs(asked: Asked, tokens: list[str]) -> dict[str, Any]:
    if not asked.payload.get("logprobs"):
        return {}
    return {"logprobs": {"content": [{"token": token, "logprob": -0.5, "top_logprobs": []} for token in tokens]}}


def _head(asked: Asked, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-chaos", "object": kind, "created": 0, "model": asked.payload["model"]}


def _completion(asked: Asked, answers: list[Answer]) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "finish_reason": "tool_calls" if answer.tool_calls else "stop",
            "message": _message(answer),
            **_logprobs(asked, answer.tokens),
        }
        for index, answer in enumerate(answers)
    ]
    return {**_head(asked, "chat.completion"), "choices": choices, "usage": _usage(asked, answers)}


async def _chunks(asked: Asked, answers: list[Answer], token_s: float) -> AsyncIterator[dict[str, Any]]:
    """All choices side by side, a token of each in turn; what a server sends as chunks."""
    head = _head(asked, "chat.completion.chunk")

    def choice(index: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None, **more}]}

    for index in range(len(answers)):
        yield choice(index, {"role": "assistant", "content": ""})
    written = [answer.tokens if answer.text else [] for answer in answers]
    for position in range(max((len(tokens) for tokens in written), default=0)):
        await asyncio.sleep(token_s)
        for index, tokens in enumerate(written):
            if position < len(tokens):
                token = tokens[position]
                yield choice(index, {"content": token}, **_logprobs(asked, [token]))
    for index, answer in enumerate(answers):
        for number, call in enumerate(_message(answer).get("tool_calls", ())):
            arguments = call["function"]["arguments"]
            half = len(arguments) // 2
            first = {**call, "index": number, "function": {**call["function"], "arguments": arguments[:half]}}
            yield choice(index, {"tool_calls": [first]})
            yield choice(index, {"tool_calls": [{"index": number, "function": {"arguments": arguments[half:]}}]})
        yield choice(index, {}, finish_reason="tool_calls" if answer.tool_calls else "stop")
    if (asked.payload.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(asked, answers)}


@contextlib.contextmanager
def chaos_server(**settings: Any) -> Iterator[ChaosServer]:
    """Serve in a thread of this process until the block ends.

    Args:
        **settings: Fields of `ChaosServer`: `answer(asked, choice)` gives a text, a dict (sent as JSON) or an `Answer`;
            `rate` is the share of requests that meet one of `faults`; `delay(asked)` gives seconds before the answer;
            `token_s` is what each token takes; `keep=False` discards the payloads.
    """
    server = ChaosServer(**settings)
    loop = asyncio.new_event_loop()
    started = threading.Event()
    listeners: list[asyncio.Server] = []

    async def serve() -> None:
        listener = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, backlog=2048)
        listeners.append(listener)
        server.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        started.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.create_task(serve())  # noqa: RUF006 - it ends at once
        loop.run_forever()
        for listener in listeners:
            listener.close()
        for transport in list(server.transports):
            transport.abort()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=run, name="chaos", daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextlib.contextmanager
def served_apart(
    *, rate: float = 0.0, seed: int = 0, delay_s: float = 0.0, p99_over_median: float = 1.0, token_s: float = 0.0
) -> Iterator[str]:
    """Serve in a process of its own; gives the base URL. Answers take `delay_s`, or are lognormal with that median."""
    settings = {"rate": rate, "seed": seed, "token_s": token_s, "delay_s": delay_s, "tail": p99_over_median}
    child = subprocess.Popen(  # noqa: S603 - this module
        [sys.executable, "-m", __name__, json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.communicate()


def main() -> None:
    """Serve until standard input ends."""
    settings = json.loads(sys.argv[1])
    delay_s, tail = settings.pop("delay_s"), settings.pop("tail")
    if delay_s:
        settings["delay"] = lognormal(delay_s, tail) if tail > 1.0 else lambda _: delay_s
    with chaos_server(keep=False, **settings) as server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
