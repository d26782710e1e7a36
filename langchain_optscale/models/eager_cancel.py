"""Drawing by streaming, so that a server stops generating at once when the request is cancelled.

Many servers notice that a client has left only when they write to it, so a request that is not streamed goes on to its
end; llama.cpp's is one of them. The chunks are joined here into an ordinary response.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, message_chunk_to_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["Abandoned", "astreamed_message", "by_streaming", "is_cancelled", "streamed_message", "streams"]

is_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar("is_cancelled", default=None)
"""Set in a thread that streams: once it says so, the stream is closed at its next chunk."""


class Abandoned(Exception):  # noqa: N818 - not an error of the request
    """A stream was closed because the search has ended."""


def by_streaming(model: BaseChatModel) -> BaseChatModel | None:
    """A copy of an OpenAI-compatible chat model that streams every request, also one for several choices.

    The copy returns one response with all choices, and no tokens reach any callback. A request
    with `response_format` is not streamed, since the client parses it by another way.

    Returns:
        The copy; None where the model's client is not one of OpenAI's for chat completions.
    """
    wrapped = {name: _wrapped(getattr(model, name, None)) for name in ("client", "async_client")}
    changes = {name: client for name, client in wrapped.items() if client is not None}
    if not changes or getattr(model, "use_responses_api", None):
        return None
    return model.model_copy(update=changes)


def streams(model: BaseChatModel) -> bool:
    """Whether the model streams of its own."""
    own = {name for kind in type(model).__mro__[:-1] if kind is not BaseChatModel for name in vars(kind)}
    return not own.isdisjoint({"_stream", "_astream"})


def streamed_message(chunks: Iterator[Any]) -> AIMessage:
    """One message of its chunks; closes the stream at the next chunk once the request is cancelled."""
    whole = None
    for chunk in _until_cancelled(chunks):
        whole = chunk if whole is None else whole + chunk
    return _as_message(whole)


async def astreamed_message(chunks: AsyncIterator[Any]) -> AIMessage:
    """As `streamed_message`; cancelling it closes the stream."""
    whole = None
    async for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return _as_message(whole)


def _as_message(whole: Any) -> AIMessage:
    message = AIMessage("") if whole is None else message_chunk_to_message(whole)
    assert isinstance(message, AIMessage)  # noqa: S101 - a chat model streams no other kind
    return message


def _until_cancelled(chunks: Iterator[Any]) -> Iterator[Any]:
    cancelled = is_cancelled.get()
    for chunk in chunks:
        if cancelled is not None and cancelled():
            raise Abandoned("the search ended while this answer was being written")
        yield chunk


class _Choice:
    """One choice while it is being written."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"role": "assistant", "content": None}
        self.texts: dict[str, list[str]] = {}
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: dict[str, list[Any]] = {}
        self.finish_reason: str | None = None

    def add(self, choice: dict[str, Any]) -> None:
        for name, value in (choice.get("delta") or {}).items():
            if name == "tool_calls":
                for call in value or ():
                    self._add_call(call)
            elif name != "role" and isinstance(value, str):
                self.texts.setdefault(name, []).append(value)
            elif value is not None:
                self.message[name] = value
        for name, tokens in (choice.get("logprobs") or {}).items():
            if isinstance(tokens, list):
                self.logprobs.setdefault(name, []).extend(tokens)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _add_call(self, call: dict[str, Any]) -> None:
        known = self.calls.setdefault(call.get("index", len(self.calls)), {"type": "function", "function": {}})
        for name in ("id", "type"):
            if call.get(name):
                known[name] = call[name]
        function = call.get("function") or {}
        if function.get("name"):
            known["function"]["name"] = function["name"]
        known["function"]["arguments"] = known["function"].get("arguments", "") + (function.get("arguments") or "")

    def whole(self, index: int) -> dict[str, Any]:
        message = {**self.message, **{name: "".join(parts) for name, parts in self.texts.items()}}
        if self.calls:
            message["tool_calls"] = [self.calls[number] for number in sorted(self.calls)]
        return {
            "index": index,
            "message": message,
            "finish_reason": self.finish_reason,
            "logprobs": self.logprobs or None,
        }


class _Completion:
    """An answer while it is being written."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: Any) -> None:
        data = chunk if isinstance(chunk, dict) else chunk.model_dump()
        for choice in data.pop("choices", None) or ():
            self._choices.setdefault(choice.get("index") or 0, _Choice()).add(choice)
        self._head.update({name: value for name, value in data.items() if value is not None})

    def whole(self) -> Any:
        from openai.types.chat import ChatCompletion

        if any(choice.finish_reason is None for choice in self._choices.values()):
            raise ConnectionError("the stream ended before the answer was complete")
        choices = [self._choices[index].whole(index) for index in sorted(self._choices)]
        return ChatCompletion.construct(**{**self._head, "object": "chat.completion", "choices": choices})


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the client's raw response offers to LangChain."""

    headers: Any
    http_response: Any
    completion: Any

    def parse(self) -> Any:
        return self.completion


def _streaming(arguments: dict[str, Any]) -> dict[str, Any]:
    options = {"include_usage": True, **(arguments.get("stream_options") or {})}
    return {**arguments, "stream": True, "stream_options": options}


class _Completions:
    """Stands where the client's `chat.completions` stood, and streams."""

    def __init__(self, completions: Any) -> None:
        self._completions = completions
        self.with_raw_response = _Raw(completions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    def create(self, **arguments: Any) -> Any:
        return self.with_raw_response.create(**arguments).parse()


class _Raw:
    def __init__(self, completions: Any) -> None:
        self._completions = completions

    def create(self, **arguments: Any) -> _Answer:
        raw = self._completions.with_raw_response.create(**_streaming(arguments))
        completion = _Completion()
        with raw.parse() as stream:
            for chunk in _until_cancelled(stream):
                completion.add(chunk)
        return _Answer(raw.headers, raw.http_response, completion.whole())


class _AsyncCompletions(_Completions):
    """The same for the client that is awaited."""

    def __init__(self, completions: Any) -> None:
        super().__init__(completions)
        self.with_raw_response: Any = _AsyncRaw(completions)

    async def create(self, **arguments: Any) -> Any:
        return (await self.with_raw_response.create(**arguments)).parse()


class _AsyncRaw:
    def __init__(self, completions: Any) -> None:
        self._completions = completions

    async def create(self, **arguments: Any) -> _Answer:
        raw = await self._completions.with_raw_response.create(**_streaming(arguments))
        completion = _Completion()
        async with raw.parse() as stream:
            async for chunk in stream:
                completion.add(chunk)
        return _Answer(raw.headers, raw.http_response, completion.whole())


def _wrapped(client: object) -> Any:
    kind = type(client)
    if kind.__module__.partition(".")[0] != "openai":
        return None
    return {"Completions": _Completions, "AsyncCompletions": _AsyncCompletions}.get(kind.__name__, _none)(client)


def _none(client: object) -> None:
    """Another resource of the client, which is left alone."""
