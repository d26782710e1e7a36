"""An OpenAI-compatible chat server on loopback that answers from recorded pools instead of a model.

A request whose last user message contains a recorded question gets that question's samples in the order in which they
were drawn. The API key names the run: every run starts each question at its first sample, and is counted on its own.
The text of a choice names its sample, so that the recorded score, answer and correctness can be looked up. A request
that asks for a rating of such a text gets the recorded score.

Time can be simulated: a reply takes as long as its longest sample has tokens, at `seconds_per_token`, and a client that
disconnects earlier has spent the tokens until then.

    pool = RecordedPool(read_pool("pool.jsonl"))
    with serve(pool, seconds_per_token=1e-4) as server:
        client = OpenAI(base_url=server.base_url, api_key="my run")
        ...
        print(server.spent("my run"))
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import select
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from benchmarks.recorded_pool import sample_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.recorded_pool import RecordedPool
    from langchain_optscale.evaluation.pools import Question

__all__ = ["PoolServer", "Spent", "serve"]

_SCALE = re.compile(r"scale (?:from|of) (\d+) to (\d+)", re.IGNORECASE)
_CHARACTERS_PER_TOKEN = 4
_DSPY_END = "[[ ## completed ## ]]"


class _Refusal(Exception):  # noqa: N818 - an answer to the client
    """An HTTP status with its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Spent:
    """What one run has asked for.

    Attributes:
        requests: Chat completions, ratings among them, refusals too.
        ratings: Requests that asked for a rating.
        refused: Requests that were answered with an error.
        samples: Recorded samples returned, one a choice.
        abandoned: Samples among them whose client disconnected before the reply.
        completion_tokens: Recorded tokens of the samples, of abandoned ones those until the client disconnected; and a
            token for four characters of each rating.
        prompt_tokens: A token for four characters of all messages, which is an estimate, and the recorded tokens of
            samples that they quote; counted once a request, however many choices it has.
    """

    requests: int = 0
    ratings: int = 0
    refused: int = 0
    samples: int = 0
    abandoned: int = 0
    completion_tokens: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Reply:
    texts: list[str]
    tokens: list[int]
    prompt_tokens: int
    rating: bool = False


@dataclass
class PoolServer:
    """Answers from a pool and counts what each run takes; `serve` puts it on a port.

    Attributes:
        pool: What is served.
        seconds_per_token: Simulated speed of one stream of tokens; 0 answers at once.
        base_url: Where it listens, with the `/v1` that OpenAI clients expect.
    """

    pool: RecordedPool
    seconds_per_token: float = 0.0
    base_url: str = ""
    _cursors: Counter[tuple[str, str]] = field(default_factory=Counter)
    _spent: dict[str, Spent] = field(default_factory=dict)
    _under_way: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def spent(self, run: str, timeout_s: float = 10.0) -> Spent:
        """What `run` has taken, once nothing is under way any more.

        Raises:
            TimeoutError: Something is still under way after `timeout_s` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._under_way == 0, timeout_s):
                raise TimeoutError(f"{self._under_way} requests are still under way")
            return replace(self._spent.get(run, Spent()))

    def _complete(self, run: str, payload: dict[str, Any], connection: socket.socket) -> dict[str, Any] | None:
        """The completion; None where the client disconnected first."""
        with self._changed:
            self._under_way += 1
            spent = self._spent.setdefault(run, Spent())
            spent.requests += 1
        reply = None
        done = 0.0
        try:
            reply = self._reply(run, payload)
            done = _wait(connection, max(reply.tokens) * self.seconds_per_token)
            return _completion(payload, reply) if done >= 1 else None
        finally:
            with self._changed:
                self._under_way -= 1
                self._count(spent, reply, done)
                self._changed.notify_all()

    def _count(self, spent: Spent, reply: _Reply | None, done: float) -> None:
        if reply is None:
            spent.refused += 1
            return
        spent.prompt_tokens += reply.prompt_tokens
        until = math.ceil(max(reply.tokens) * done)
        spent.completion_tokens += sum(min(tokens, until) for tokens in reply.tokens)
        if reply.rating:
            spent.ratings += 1
            return
        spent.samples += len(reply.texts)
        if done < 1:
            spent.abandoned += len(reply.texts)

    def _reply(self, run: str, payload: dict[str, Any]) -> _Reply:
        messages = [(str(message.get("role")), _text(message)) for message in _messages(payload)]
        if payload.get("stream"):
            raise _Refusal(400, "this server does not stream")
        count = payload.get("n") or 1
        if not isinstance(count, int) or count < 1:
            raise _Refusal(400, f"n must be a whole number of at least 1, got {count!r}")
        prompt_tokens = self._prompt_tokens([text for _, text in messages])
        asked = next((text for role, text in reversed(messages) if role == "user"), "")
        question = self.pool.question_in(asked)
        if question is not None:
            first = self._draw(run, question, count)
            texts = [_formatted(sample_text(question, index), messages) for index in range(first, first + count)]
            tokens = [sample.tokens or 0 for sample in question.samples[first : first + count]]
            return _Reply(texts, tokens, prompt_tokens)
        rating = self._rating([text for _, text in messages])
        if rating is None:
            raise _Refusal(404, f"no recorded question in the last user message {asked[:80]!r}")
        return _Reply([rating] * count, [_estimated(rating)] * count, prompt_tokens, rating=True)

    def _draw(self, run: str, question: Question, count: int) -> int:
        """Index of the first of the next `count` samples."""
        with self._changed:
            first = self._cursors[run, question.id]
            if first + count > len(question.samples):
                left = f"{len(question.samples) - first} of {len(question.samples)} samples of {question.id!r} are left"
                raise _Refusal(400, f"{left} for this run, {count} were asked for")
            self._cursors[run, question.id] += count
        return first

    def _rating(self, texts: Sequence[str]) -> str | None:
        """The recorded score of the last sample in the conversation, on the scale that the conversation asks for."""
        for text in reversed(texts):
            if self.pool.sample_in(text):
                scale = _SCALE.search("\n".join(texts))
                low, high = (int(scale[1]), int(scale[2])) if scale else (0, 1)
                return f"{low + (high - low) * self.pool.score(text):.6f}"
        return None

    def _prompt_tokens(self, texts: Sequence[str]) -> int:
        quoted = (self.pool.sample_in(text) for text in texts)
        return sum(map(_estimated, texts)) + sum(sample.tokens or 0 for sample in quoted if sample)


def _messages(payload: dict[str, Any]) -> list[dict[str, Any]]:
    messages = payload.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise _Refusal(400, "messages must be a list of objects")
    return messages


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _estimated(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _formatted(text: str, messages: Sequence[tuple[str, str]]) -> str:
    """The text in the form that the conversation asks for; DSPy's field markers are the one form known."""
    if any(_DSPY_END in asked for _, asked in messages):
        return f"[[ ## answer ## ]]\n{text}\n\n{_DSPY_END}"
    return text


def _wait(connection: socket.socket, seconds: float) -> float:
    """Wait before the answer; the fraction of the time until the client disconnected, 1 where it did not."""
    began = time.monotonic()
    watched = [connection]
    while (left := began + seconds - time.monotonic()) > 0:
        readable, _, _ = select.select(watched, [], [], left)
        if readable:
            with contextlib.suppress(ConnectionError):
                if connection.recv(1, socket.MSG_PEEK):
                    watched = []  # a further request on the same connection
                    continue
            return (time.monotonic() - began) / seconds
    return 1.0


def _completion(payload: dict[str, Any], reply: _Reply) -> dict[str, Any]:
    completion_tokens = sum(reply.tokens)
    return {
        "id": "chatcmpl-pool",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": payload.get("model", "pool"),
        "choices": [
            {
                "index": index,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": text, "refusal": None},
            }
            for index, text in enumerate(reply.texts)
        ],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": reply.prompt_tokens + completion_tokens,
        },
    }


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that reset their connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serve(pool: RecordedPool, *, seconds_per_token: float = 0.0) -> Iterator[PoolServer]:
    """Serve `pool` on a free port of 127.0.0.1 for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                completion = server._complete(self._run(), _payload(self.path, body), self.connection)  # noqa: SLF001
            except _Refusal as refusal:
                self._send(refusal.status, {"error": {"message": str(refusal), "type": "invalid_request_error"}})
                return
            if completion is None:
                self.close_connection = True
            else:
                self._send(200, completion)

        def _run(self) -> str:
            return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            with contextlib.suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep standard error for the caller."""

    listener = _Listener(("127.0.0.1", 0), Handler)
    server = PoolServer(pool, seconds_per_token, f"http://127.0.0.1:{listener.server_address[1]}/v1")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _payload(path: str, body: bytes) -> dict[str, Any]:
    if path != "/v1/chat/completions":
        raise _Refusal(404, f"nothing at {path}; chat completions are at /v1/chat/completions")
    try:
        payload = json.loads(body)
    except ValueError as error:
        raise _Refusal(400, f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise _Refusal(400, "the body must be a JSON object")
    return payload
