"""The HTTP clients of everything that is built from an address: policies, judges, reward models, discovery, doctor.

Such an address may be anybody's server. What is sent there is what was given, and nothing of the environment: no
`OPENAI_API_KEY`, no `OPENAI_CUSTOM_HEADERS`, no organisation or project, no proxy and none of its credentials, no
`.netrc`. Redirects are not followed, since they would carry the conversation and the key to another host; a response is
read up to a size, counted after decompression. Certificates of `SSL_CERT_FILE` are trusted, as the system's are.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
import zlib
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import openai

from langchain_optscale.errors import MissingExtraError, ResponseTooLargeError
from langchain_optscale.models.keys import NO_KEY, bearer_key
from langchain_optscale.models.travel import SentKey, made_by
from langchain_optscale.records.forks import after_fork, keep_open

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import httpx2 as httpx
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr
else:
    # The SDK's own client says which library it speaks: httpx until version 2, httpx2 since version 3.
    httpx = import_module(
        next(kind.__module__ for kind in openai.DefaultHttpxClient.__mro__ if kind.__name__ == "Client").split(".")[0]
    )

__all__ = [
    "MAX_RESPONSE_BYTES",
    "PerLoopTransport",
    "ReopenedTransport",
    "async_http_client",
    "chat_model",
    "connections",
    "given_client",
    "httpx",
    "sync_http_client",
]

MAX_RESPONSE_BYTES = 64 << 20
"""The most bytes of a response, after decompression."""

_USER_AGENT = "langchain-optscale"
_GZIP = 31  # zlib's window, with gzip's header

_Client = TypeVar("_Client", openai.OpenAI, openai.AsyncOpenAI)


def sync_http_client(
    transport: httpx.BaseTransport | None = None,
    *,
    keep_alive: bool = False,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> httpx.Client:
    """A client for the threads of this process.

    Args:
        transport: Below it; None opens connections of its own.
        keep_alive: Whether connections of its own are kept for further requests, rather than closed after each.
        max_bytes: The most bytes of a response, after decompression.
    """
    inner = transport or ReopenedTransport(lambda: httpx.HTTPTransport(**connections(keep_alive=keep_alive)))
    client = openai.DefaultHttpxClient(transport=_Limited(inner, max_bytes), follow_redirects=False, trust_env=False)
    return made_by(client, partial(sync_http_client, keep_alive=keep_alive, max_bytes=max_bytes), transport)


def async_http_client(
    transport: httpx.AsyncBaseTransport | None = None, *, max_bytes: int = MAX_RESPONSE_BYTES
) -> httpx.AsyncClient:
    """As `sync_http_client`, for any number of event loops."""
    inner = transport or PerLoopTransport(lambda: httpx.AsyncHTTPTransport(**connections()))
    limited = _AsyncLimited(inner, max_bytes)
    client = openai.DefaultAsyncHttpxClient(transport=limited, follow_redirects=False, trust_env=False)
    return made_by(client, partial(async_http_client, max_bytes=max_bytes), transport)


def given_client(
    kind: type[_Client],
    base_url: str,
    api_key: SecretStr | str | None,
    *,
    http_client: Any,
    headers: Mapping[str, str] | None = None,
    **settings: Any,
) -> _Client:
    """A client of the OpenAI SDK that sends the headers that are given, and none of the environment's.

    Args:
        kind: `openai.OpenAI` or `openai.AsyncOpenAI`.
        base_url: The server's address.
        api_key: Sent as a bearer token; a placeholder is sent where there is none.
        http_client: Sends its requests.
        headers: Sent with every request, beside what the protocol needs.
        **settings: Further arguments of the client; it retries nothing unless told to.
    """
    key = bearer_key(api_key)
    return _given_kind(kind, dict(headers or {}))(
        base_url=base_url,
        api_key=key.get_secret_value() if key else NO_KEY,
        http_client=http_client,
        **{"max_retries": 0, **settings},
    )


def _given_kind(kind: type[_Client], headers: dict[str, str]) -> type[_Client]:
    # A class of its own, since the client's copies, such as those of `with_options`, are made by its class: they read
    # the environment again.
    known = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": _USER_AGENT, **headers}

    def default_headers(self: Any) -> dict[str, str]:
        return dict(known)

    return type(f"Given{kind.__name__}", (kind,), {"default_headers": property(default_headers)})


def chat_model(*, key_variable: str | None = None, **settings: Any) -> ChatOpenAI:
    """A `ChatOpenAI` whose clients send what is given, and nothing of the environment.

    Args:
        key_variable: The environment variable with the key in a process to which the model is sent by pickle.
        **settings: Arguments of `ChatOpenAI`; `base_url` and `api_key` are needed. Without `http_client` and
            `http_async_client` it gets clients of this module.

    Raises:
        MissingExtraError: `langchain-openai` is not installed.
        SettingsError: No HTTP header can carry the key.
    """
    try:
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise MissingExtraError("An OpenAI-compatible server", 'pip install "langchain-optscale[openai]"') from error
    named = settings.get("organization") or settings.get("openai_organization")
    key = settings.get("api_key")
    given = settings
    settings = {
        "max_retries": 0,
        "use_responses_api": False,
        # ChatOpenAI warns that clients of ours pass the proxies of the environment by, as they should.
        "http_socket_options": (),
        "openai_proxy": "",
        **settings,
        "api_key": key if callable(key) else bearer_key(key) or NO_KEY,
    }
    settings["http_client"] = settings.get("http_client") or sync_http_client()
    settings["http_async_client"] = settings.get("http_async_client") or async_http_client()
    model = ChatOpenAI(**settings)
    headers = {**({"OpenAI-Organization": named} if named else {}), **(model.default_headers or {})}

    def remade(kind: Any, old: Any, http_client: Any) -> Any:
        made = _given_kind(kind, headers)
        return made(
            base_url=str(old.base_url),
            api_key=old.api_key or NO_KEY if not callable(key) else key,
            timeout=old.timeout,
            max_retries=old.max_retries,
            default_query=model.default_query,
            http_client=http_client,
        )

    sync_client = remade(openai.OpenAI, model.root_client, settings["http_client"])
    async_client = remade(openai.AsyncOpenAI, model.root_async_client, settings["http_async_client"])
    if not callable(key):
        sent = {**given, "api_key": SentKey(bearer_key(key), key_variable, str(sync_client.base_url))}
        made_by(sync_client, _chat_model_of, sent, key_variable)
    return model.model_copy(
        update={
            "root_client": sync_client,
            "client": sync_client.chat.completions,
            "root_async_client": async_client,
            "async_client": async_client.chat.completions,
            "openai_organization": named,
        }
    )


def _chat_model_of(settings: dict[str, Any], key_variable: str | None) -> ChatOpenAI:
    return chat_model(key_variable=key_variable, **settings)


class ReopenedTransport(httpx.BaseTransport):
    """Connections of this process alone: a forked child opens its own.

    Args:
        make: Makes the transport that opens them.
    """

    def __init__(self, make: Callable[[], httpx.BaseTransport]) -> None:
        self._make = make
        self._inner = make()
        after_fork(self)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()

    def _after_fork(self) -> None:
        keep_open(self._inner)
        self._inner = self._make()


class PerLoopTransport(httpx.AsyncBaseTransport):
    """Connections for any number of event loops, each with its own: a pool belongs to the loop that it was used in.

    Args:
        make: Makes the transport of one event loop.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._begin()
        after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._inner_of: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    def _after_fork(self) -> None:
        keep_open(self._inner_of)
        self._begin()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        loop = asyncio.get_running_loop()
        with self._lock:
            inner = self._inner_of.get(loop)
            if inner is None:
                inner = self._inner_of[loop] = self._make()
        response: httpx.Response = await inner.handle_async_request(request)
        return response

    async def aclose(self) -> None:
        """Close what is open in this event loop."""
        with self._lock:
            inner = self._inner_of.pop(asyncio.get_running_loop(), None)
        if inner is not None:
            await inner.aclose()


def connections(*, keep_alive: bool = False) -> dict[str, Any]:
    """Arguments of the transports that open connections: no proxy of the environment, no limit on their number."""
    # How much is under way at once is the search's part; a pool with a limit of its own would only hide a queue. Idle
    # connections are not kept: beside the generation of an answer a handshake costs nothing, and a connection that the
    # server closes, or that belongs to another event loop, cannot get in the way.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None if keep_alive else 0)
    return {"trust_env": False, "verify": _certificates(), "limits": limits}


@cache
def _certificates() -> ssl.SSLContext:
    """Which servers are trusted; made once, since that takes long."""
    context: ssl.SSLContext = httpx.create_ssl_context()
    return context


class _Meter:
    """Counts what a response holds, and unpacks it where it is compressed."""

    def __init__(self, response: httpx.Response, most: int) -> None:
        self._most = self._left = most
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        self._unzip = zlib.decompressobj(_GZIP) if encoding in ("gzip", "x-gzip") else None
        if self._unzip is None and encoding not in ("", "identity"):
            raise ResponseTooLargeError(
                f"the server compressed its response by {encoding!r} unasked, so its size cannot be known: only gzip "
                "is accepted"
            )
        length = response.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise self._too_large()
        if self._unzip is not None:
            # It is unpacked here; what is above must not try again.
            for name in ("content-encoding", "content-length"):
                response.headers.pop(name, None)

    def read(self, raw: bytes) -> bytes:
        """The bytes of a chunk.

        Raises:
            ResponseTooLargeError: There are more than the most of them, or they are not what the header says.
        """
        try:
            chunk = raw if self._unzip is None else self._unzip.decompress(raw, self._left + 1)
        except zlib.error as error:
            raise ResponseTooLargeError(f"the server's response is not gzip, as its header says: {error}") from error
        self._left -= len(chunk)
        if self._left < 0:
            raise self._too_large()
        return chunk

    def _too_large(self) -> ResponseTooLargeError:
        return ResponseTooLargeError(
            f"the server's response has more than {self._most:,} bytes, which no answer needs; is it the right server?"
        )


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: Any, meter: _Meter) -> None:
        self._stream, self._meter = stream, meter

    def __iter__(self) -> Iterator[bytes]:
        for raw in self._stream:
            yield self._meter.read(raw)

    def close(self) -> None:
        self._stream.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any, meter: _Meter) -> None:
        self._stream, self._meter = stream, meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for raw in self._stream:
            yield self._meter.read(raw)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Limited(httpx.BaseTransport):
    """Bounds the size of every response."""

    def __init__(self, inner: httpx.BaseTransport, most: int) -> None:
        self._inner, self._most = inner, most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"
        response = self._inner.handle_request(request)
        try:
            response.stream = _Stream(response.stream, _Meter(response, self._most))
        except ResponseTooLargeError:
            response.close()
            raise
        return response

    def close(self) -> None:
        self._inner.close()


class _AsyncLimited(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, most: int) -> None:
        self._inner, self._most = inner, most

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"
        response = await self._inner.handle_async_request(request)
        try:
            response.stream = _AsyncStream(response.stream, _Meter(response, self._most))
        except ResponseTooLargeError:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
