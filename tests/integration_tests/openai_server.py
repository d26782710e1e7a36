"""An OpenAI-compatible chat server on loopback that behaves: it calls tools, keeps to schemas, streams, and counts.

It understands nothing. What it answers follows from the request alone: a forced or an obvious tool is called with
arguments that fit its schema, a response format is filled in, and everything else gets a short text. Its streaming
follows the wire format of the real service, usage in the last chunk included. It reports token details as well:
cached, audio and reasoning tokens.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TEXTS = ("Hello to you and you!", "Good day.", "Hi there, how can I help you?")


@dataclass
class Service:
    """A running server, and every request that it was sent."""

    base_url: str
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def openai_server(author: Callable[[dict[str, Any], int], dict[str, Any] | None] | None = None) -> Iterator[Service]:
    """Serve until the context ends.

    Args:
        author: Writes the message of one choice from the payload and the number of the choice, counted over all
            requests; None leaves it to the server.
    """
    lock = threading.Lock()
    written = 0
    read: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal written
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            count = payload.get("n") or 1
            prompt = json.dumps(payload["messages"], ensure_ascii=False)
            with lock:
                service.requests.append(payload)
                first, written = written, written + count
                known = prompt in read
                read.add(prompt)
            messages = [
                (author(payload, first + number) if author else None) or write(payload, first + number)
                for number in range(count)
            ]
            usage = _usage(payload, messages, known=known)
            if payload.get("stream"):
                self._stream(payload, messages, usage)
            else:
                self._send("application/json", json.dumps(_completion(payload, messages, usage)).encode())

        def _stream(self, payload: dict[str, Any], messages: list[dict[str, Any]], usage: dict[str, Any]) -> None:
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(payload, messages, usage)]
            self._send("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = Service(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write(payload: dict[str, Any], number: int) -> dict[str, Any]:
    """The message of one choice."""
    question = _text(payload["messages"][-1])
    if (tool := _tool(payload, question)) is not None:
        arguments = fill(tool.get("parameters") or {}, question)
        call = {"name": tool["name"], "arguments": json.dumps(arguments, ensure_ascii=False)}
        return {"content": None, "tool_calls": [{"id": f"call_{number}", "type": "function", "function": call}]}
    wanted = payload.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return {"content": json.dumps(fill(wanted["json_schema"]["schema"], question))}
    if wanted.get("type") == "json_object":
        named = re.findall(r"'(\w+)'", question)
        return {"content": json.dumps({name: f"a {name}" for name in named})}
    text = _TEXTS[number % len(_TEXTS)]
    for word in _stops(payload):
        text = text.partition(word)[0] or "Hello"
    return {"content": text}


def fill(schema: dict[str, Any], question: str, name: str = "", root: dict[str, Any] | None = None) -> Any:
    """A value that fulfils a JSON schema: numbers and quoted words of the question first, else made up."""
    root = root or schema
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return fill(found, question, name, root)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return fill(options[0], question, name, root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        numbers = re.findall(r"-?\d+", question)
        return int(numbers[0]) if numbers else 1
    if kind == "boolean":
        return True
    if kind == "array":
        return [fill(schema.get("items") or {"type": "string"}, question, name, root)]
    if kind == "object" or "properties" in schema:
        return {key: fill(item, question, key, root) for key, item in (schema.get("properties") or {}).items()}
    quoted = re.findall(r"'([^']+)'", question)
    return quoted[0] if quoted else f"a {name or 'word'}"


def _tool(payload: dict[str, Any], question: str) -> dict[str, Any] | None:
    """The function to call: the one that is forced, or the first one unless a tool has just answered."""
    tools = [tool["function"] for tool in payload.get("tools") or []]
    choice = payload.get("tool_choice", "auto")
    if not tools or choice == "none":
        return None
    if isinstance(choice, dict):
        return next(tool for tool in tools if tool["name"] == choice["function"]["name"])
    answered = payload["messages"][-1]["role"] == "tool"
    return None if choice == "auto" and answered else tools[0]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if isinstance(part, dict))


def _stops(payload: dict[str, Any]) -> list[str]:
    stop = payload.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def _tokens(message: dict[str, Any]) -> int:
    return max(1, len(json.dumps(message, ensure_ascii=False)) // 4)


def _usage(payload: dict[str, Any], messages: list[dict[str, Any]], *, known: bool = False) -> dict[str, Any]:
    prompt = max(1, len(json.dumps(payload["messages"], ensure_ascii=False)) // 4)
    parts = [
        part
        for message in payload["messages"]
        if isinstance(message.get("content"), list)
        for part in message["content"]
    ]
    audio = sum(len(json.dumps(part)) // 4 for part in parts if part.get("type") == "input_audio")
    thought = 7 * len(messages) if payload.get("reasoning_effort") else 0
    output = sum(map(_tokens, messages)) + thought
    cached = prompt - audio if known else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": prompt - audio - cached,
            "audio_tokens": audio,
        },
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _reason(message: dict[str, Any]) -> str:
    return str(message.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop"))


def _completion(payload: dict[str, Any], messages: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": payload["model"],
        "choices": [
            {
                "index": number,
                "finish_reason": _reason(message),
                "message": {"role": "assistant", **{k: v for k, v in message.items() if k != "finish_reason"}},
            }
            for number, message in enumerate(messages)
        ],
        "usage": usage,
    }


def _chunks(payload: dict[str, Any], messages: list[dict[str, Any]], usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": payload["model"]}
        return {**about, "choices": choices, **more}

    for number, message in enumerate(messages):
        yield chunk([{"index": number, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        for word in re.findall(r"\S+\s*|\s+", message.get("content") or ""):
            yield chunk([{"index": number, "delta": {"content": word}, "finish_reason": None}])
        for position, call in enumerate(message.get("tool_calls") or []):
            delta = {"tool_calls": [{"index": position, **call}]}
            yield chunk([{"index": number, "delta": delta, "finish_reason": None}])
        yield chunk([{"index": number, "delta": {}, "finish_reason": _reason(message)}])
    if (payload.get("stream_options") or {}).get("include_usage"):
        yield chunk([], usage=usage)
