"""A server on loopback that speaks what verifiers call, in the wire formats recorded from vLLM, faults included.

`/classify`, `/pooling` and `/score` stand at the root and need no key, `/v1/chat/completions` plays a judge (or, for a
request with `n`, a policy). What mentions Paris is good, everything else is not.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD_LOGIT, BAD_LOGIT = 2.5, -3.2853
MARKER = "<extra_0>"


@dataclass
class Fault:
    """What to answer instead."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut_bytes: int = 0  # how many bytes of the announced body never come
    reset: bool = False


@dataclass
class VerifierServer:
    """A running server: its root, what it was asked, and the faults of the requests to come."""

    root: str
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    @property
    def api(self) -> str:
        return f"{self.root}/v1"


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def logit_of(text: str) -> float:
    return GOOD_LOGIT if "Paris" in text else BAD_LOGIT


def pooled(payload: dict[str, Any], logit: float, classes: int) -> list[float]:
    """What the pooler makes of a logit: activated unless the request says otherwise."""
    raw = [logit] if classes == 1 else [0.0, logit]
    if payload.get("use_activation", True) is False:
        return raw
    return [sigmoid(logit)] if classes == 1 else [1 - sigmoid(logit), sigmoid(logit)]


def answers_of(payload: dict[str, Any]) -> list[str]:
    if "messages" in payload:
        return [payload["messages"][-1]["content"]]
    given = payload["input"]
    return given if isinstance(given, list) else [given]


def classify(payload, classes):
    rows = [
        {
            "index": index,
            "label": "LABEL_0" if classes == 1 else "LABEL_1",
            "probs": pooled(payload, logit_of(text), classes),
            "num_classes": classes,
        }
        for index, text in enumerate(answers_of(payload))
    ]
    return {"id": "classify-1", "object": "list", "created": 0, "model": payload["model"], "data": rows}


def pooling(payload, classes):
    rows = []
    for index, text in enumerate(answers_of(payload)):
        if payload["model"] == "prm":
            data: Any = [pooled(payload, logit_of(step), 2) for step in text.split(MARKER)[:-1]]
        else:
            data = pooled(payload, logit_of(text), classes)
        rows.append({"index": index, "object": "pooling", "data": data})
    if payload["model"] == "prm" and not any(row["data"] for row in rows):
        rows = []  # as recorded: status 200 and no row at all
    return {"id": "pooling-1", "object": "list", "created": 0, "model": payload["model"], "data": rows}


def score(payload, classes):
    texts = payload["text_2"] if isinstance(payload["text_2"], list) else [payload["text_2"]]
    rows = [
        {"index": index, "object": "score", "score": pooled(payload, logit_of(text), 1)[0]}
        for index, text in enumerate(texts)
    ]
    return {"id": "score-1", "object": "list", "created": 0, "model": payload["model"], "data": rows}


ROUTES: dict[str, Callable[..., dict[str, Any]]] = {"/classify": classify, "/pooling": pooling, "/score": score}


def entry(token, law):
    listed = [{"token": other, "logprob": math.log(p), "bytes": list(other.encode())} for other, p in law.items()]
    return {"token": token, "logprob": listed[0]["logprob"], "bytes": list(token.encode()), "top_logprobs": listed}


def chat(payload, model_gives_logprobs=True):
    """A judge's reply to what `LLMJudge` asks, or a policy's choices."""
    if "n" in payload or payload["model"] == "policy":
        return choices([("It is Paris.", -0.1), ("It is Rome.", -2.0)][: payload.get("n", 1)], payload)
    asked = payload["messages"][-1]["content"]
    code = re.findall(r"The code is ([0-9a-f]{12})", asked)[-1]
    if f"<<<ANSWER A {code}>>>" in asked:
        return compare(payload, asked, code, model_gives_logprobs)
    answer = asked.split(f"<<<ANSWER {code}>>>\n", 1)[1].split(f"\n<<<END ANSWER {code}>>>", 1)[0]
    grade = 9 if "Paris" in answer else 2
    if "response_format" in payload:
        text = json.dumps({"explanation": "As asked.", "code": code, "grade": grade})
    elif payload.get("logprobs"):
        text = f"GRADE-{code}: {grade}"
    else:
        text = f"It says {answer[:20]!r}.\nGRADE-{code}: {grade}"
    logprobs = None
    if payload.get("logprobs") and model_gives_logprobs:
        head = [entry(token, {token: 0.999}) for token in re.findall(r"[A-Za-z0-9]+|[^A-Za-z0-9]", text)[:-1]]
        logprobs = {"content": [*head, entry(str(grade), {str(grade): 0.8, str(grade - 1): 0.15, "The": 0.05})]}
    return completion([{"text": text, "logprobs": logprobs}], payload)


def compare(payload, asked, code, model_gives_logprobs):
    """A judge that compares prefers Paris, and a little the first answer."""
    names = [name for name in "ABCDEFGH" if f"<<<ANSWER {name} {code}>>>" in asked]
    shown = {name: asked.split(f"<<<ANSWER {name} {code}>>>\n", 1)[1].split("\n<<<END", 1)[0] for name in names}
    best = next((name for name in names if "Paris" in shown[name]), "A")
    if "response_format" in payload:
        text = json.dumps({"explanation": "As asked.", "code": code, "grade": best.lower()})
        return completion([{"text": text, "logprobs": None}], payload)
    text = f"GRADE-{code}: {best}"
    logprobs = None
    if payload.get("logprobs") and model_gives_logprobs:
        head = [entry(token, {token: 0.999}) for token in re.findall(r"[A-Za-z0-9]+|[^A-Za-z0-9]", text)[:-1]]
        law = {best: 0.7, **{name: 0.3 / len(names) for name in names if name != best}, "T": 0.3 / len(names)}
        logprobs = {"content": [*head, entry(best, law)]}
    return completion([{"text": text, "logprobs": logprobs}], payload)


def choices(texts, payload):
    tokens = [{"content": [entry(word, {word: math.exp(lp)}) for word in text.split()]} for text, lp in texts]
    given = [
        {"text": text, "logprobs": logprobs if payload.get("logprobs") else None}
        for (text, _), logprobs in zip(texts, tokens, strict=True)
    ]
    return completion(given, payload)


def completion(given, payload):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": payload["model"],
        "choices": [
            {
                "index": index,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": one["text"]},
                "logprobs": one["logprobs"],
            }
            for index, one in enumerate(given)
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def events(reply):
    """A chat completion as server-sent events, a token each."""
    head = {key: reply[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    [choice] = reply["choices"]
    content = (choice["logprobs"] or {}).get("content") or [{"token": choice["message"]["content"]}]
    for token in content:
        logprobs = {"content": [token], "refusal": None} if "logprob" in token else None
        delta = {"index": 0, "delta": {"content": token["token"]}, "logprobs": logprobs, "finish_reason": None}
        yield head | {"choices": [delta]}
    yield head | {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]}
    yield head | {"choices": [], "usage": reply["usage"]}


@contextlib.contextmanager
def verifier_server(*, classes: int = 1, logprobs: bool = True, key: str | None = None) -> Iterator[VerifierServer]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            state.connections.add(self.connection)

        def finish(self):
            state.connections.discard(self.connection)
            super().finish()

        def do_POST(self):
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state.requests.append((self.path, payload, {name.lower(): v for name, v in self.headers.items()}))
                fault = state.faults.pop(0) if state.faults else None
            if fault is not None:
                self._fail(fault)
            elif key is not None and self.headers.get("Authorization") != f"Bearer {key}":
                self._send(401, json.dumps({"error": "Unauthorized"}))
            elif self.path in ROUTES:
                usage = {"prompt_tokens": 37, "total_tokens": 37, "completion_tokens": 0}
                self._send(200, json.dumps(ROUTES[self.path](payload, classes) | {"usage": usage}))
            elif self.path == "/v1/chat/completions":
                self._complete(chat(payload, logprobs), payload)
            else:
                self._send(404, json.dumps({"detail": "Not Found"}))

        def _complete(self, reply, payload):
            if not payload.get("stream"):
                self._send(200, json.dumps(reply))
                return
            lines = [f"data: {json.dumps(event)}\n\n" for event in events(reply)]
            self._send(200, "".join([*lines, "data: [DONE]\n\n"]), {"Content-Type": "text/event-stream"})

        def _fail(self, fault):
            time.sleep(fault.delay_s)
            if fault.reset:
                self.close_connection = True
                return
            self._send(fault.status, fault.body, fault.headers, fault.cut_bytes)

        def _send(self, status, body, headers=None, cut_bytes=0):
            content = body.encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content[: len(content) - cut_bytes])
            self.close_connection = self.close_connection or bool(cut_bytes)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # a burst of connections is not refused

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = VerifierServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
