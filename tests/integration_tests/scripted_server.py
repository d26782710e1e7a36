"""An OpenAI-compatible chat server on loopback with scripted answers, faults included."""

from __future__ import annotations

import contextlib
import json
import select
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Reply:
    """What to answer one request with."""

    texts: list[str] = field(default_factory=list)
    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    reset: bool = False
    cut: bool = False


@dataclass
class Scripted:
    """A running server: `script` maps the number of a POST and its payload to a reply, `pages` a path to a GET's."""

    base_url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    abandoned: list[float] = field(default_factory=list)


@contextlib.contextmanager
def scripted_server(
    script: Callable[[int, dict[str, Any]], Reply], pages: Callable[[str, str | None], Reply] | None = None
) -> Iterator[Scripted]:
    lock = threading.Lock()
    server: ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(state.requests)
                state.requests.append(payload)
                state.keys.append(self.headers.get("Authorization"))
                state.paths.append(self.path)
            self._answer(script(number, payload), payload)

        def do_GET(self) -> None:
            missing = Reply(status=404, body='{"detail": "Not Found"}')
            reply = pages(self.path, self.headers.get("Authorization")) if pages is not None else missing
            self._answer(reply, {})

        def _answer(self, reply: Reply, payload: dict[str, Any]) -> None:
            self.close_connection = True
            if not self._wait(reply.delay_s) or reply.reset:
                return
            body = reply.body if reply.body is not None else json.dumps(self._completion(payload, reply.texts))
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", "Connection": "close", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode()) + 1000 * reply.cut))
            self.end_headers()
            self.wfile.write(body.encode())

        def _wait(self, seconds: float) -> bool:
            """Wait before the answer; False as soon as the client has gone."""
            began = time.monotonic()
            while (left := began + seconds - time.monotonic()) > 0:
                readable, _, _ = select.select([self.connection], [], [], min(left, 0.05))
                if readable and not self.connection.recv(1):
                    state.abandoned.append(time.monotonic() - began)
                    return False
            return True

        @staticmethod
        def _completion(payload: dict[str, Any], texts: list[str]) -> dict[str, Any]:
            tokens = sum(len(text.split()) for text in texts)
            return {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 0,
                "model": payload["model"],
                "choices": [
                    {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                    for i, text in enumerate(texts)
                ],
                "usage": {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens},
            }

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Scripted(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
