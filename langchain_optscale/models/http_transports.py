"""HTTP transports: connections of a process and of an event loop, and responses that are read up to a size.

The size is counted after decompression. Certificates of `SSL_CERT_FILE` are trusted, as the system's are.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
import zlib
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai

from langchain_optscale.errors import ResponseTooLargeError
from langchain_optscale.records.forks import after_fork, keep_open

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx2 as httpx
else:
    # The SDK's own client says which library it speaks: httpx until version 2, httpx2 since version 3.
    httpx = import_module(
        next(kind.__module__ for kind in openai.DefaultHttpxClient.__mro__ if kind.__name__ == "Client").split(".")[0]
    )

__all__ = [
    "MAX_RESPONSE_BYTES",
    "AsyncBoundedTransport",
    "BoundedTransport",
    "PerLoopTransport",
    "ReopenedTransport",
    "connections",
    "httpx",
]

MAX_RESPONSE_BYTES = 64 << 20
"""The most bytes of a response, after decompression."""

_GZIP = 31  # zlib's window, with gzip's header


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
                f"the server compressed its response with {encoding!r}; only gzip is accepted, so that the size of the "
                "response can be checked"
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


class BoundedTransport(httpx.BaseTransport):
    """Bounds the size of every response.

    Args:
        inner: Sends the requests.
        most: The most bytes of a response, after decompression.
    """

    def __init__(self, inner: httpx.BaseTransport, most: int) -> None:
        self._inner, self._most = inner, most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request.

        Raises:
            ResponseTooLargeError: The response is too large, or of an unknown size.
        """
        request.headers["Accept-Encoding"] = "gzip"
        response = self._inner.handle_request(request)
        try:
            response.stream = _Stream(response.stream, _Meter(response, self._most))
        except ResponseTooLargeError:
            response.close()
            raise
        return response

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()


class AsyncBoundedTransport(httpx.AsyncBaseTransport):
    """As `BoundedTransport`, on the async path."""

    def __init__(self, inner: httpx.AsyncBaseTransport, most: int) -> None:
        self._inner, self._most = inner, most

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; errors as for `BoundedTransport`."""
        request.headers["Accept-Encoding"] = "gzip"
        response = await self._inner.handle_async_request(request)
        try:
            response.stream = _AsyncStream(response.stream, _Meter(response, self._most))
        except ResponseTooLargeError:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()
