"""HTTP transports that send every request to the least busy of several equal servers.

They stand below the OpenAI client, so that one chat model, or one verifier, with its sync, async and streaming calls
has all the servers behind it. A request that found no server, or whose connection broke before the answer began, goes
to the next one at once: drawing and scoring leave nothing behind that could be done twice. Once an answer has begun, an
error is the caller's, whose retry then comes by here again.

The proxies that the environment names are not used. Connections are closed after each answer: beside the generation of
an answer a handshake costs nothing, and a server that closes an idle connection the moment it is used again, or a
connection that belongs to another event loop, cannot get in the way.
"""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai

from langchain_optscale.errors import SettingsError
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx2 as httpx

    from langchain_optscale.endpoints.vllm.replicas import Lease, Replicas
else:
    # The SDK's own client says which library it speaks: httpx until version 2, httpx2 since version 3.
    httpx = import_module(
        next(kind.__module__ for kind in openai.DefaultHttpxClient.__mro__ if kind.__name__ == "Client").split(".")[0]
    )

__all__ = ["AsyncReplicaTransport", "ReplicaTransport", "replica_clients", "timeout"]

# The server has no room, or is not up yet, or the router before it finds none: another one may do.
_ELSEWHERE = frozenset({429, 502, 503, 504})
# Errors that are not the server's.
_OURS = (httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class _Way:
    """One request's way through the replicas, without any I/O."""

    def __init__(self, replicas: Replicas, request: httpx.Request, body: bytes) -> None:
        self._replicas = replicas
        self._request = request
        self._body = body
        self._weight = _answers_asked_for(body)
        self._tried: set[str] = set()
        self._lease: Lease

    def next(self) -> httpx.Request:
        """The request, addressed to the next server."""
        self._lease = self._replicas.take(self._weight, self._tried)
        root = self._lease.replica.root
        self._tried.add(root)
        path = self._request.url.raw_path.decode("ascii")
        base = httpx.URL(self._replicas.roots[0]).raw_path.decode("ascii").rstrip("/")
        url = httpx.URL(root + path.removeprefix(base))
        headers = self._request.headers.copy()
        headers["Host"] = url.netloc.decode("ascii")
        headers["Connection"] = "close"
        return httpx.Request(
            self._request.method, url, headers=headers, content=self._body, extensions=self._request.extensions
        )

    def raised(self, error: BaseException) -> bool:
        """Take note of an error before the answer; whether to go on to another server."""
        if not isinstance(error, Exception) or isinstance(error, _OURS):
            self._replicas.release(self._lease)
            return False
        self._replicas.fail(self._lease)
        # Who has waited for the whole of the timeout does not want to wait once more.
        waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
        return not waited and self._others_left

    def refused(self, response: httpx.Response) -> bool:
        """Take note of a status; whether to go on to another server."""
        elsewhere = response.status_code in _ELSEWHERE
        if elsewhere or response.status_code >= 500:
            # A server that fails quickly would otherwise be the least busy one for ever.
            self._replicas.fail(self._lease, _seconds(response.headers.get("Retry-After")))
        else:
            self._replicas.answered(self._lease)
        return elsewhere and self._others_left

    @property
    def _others_left(self) -> bool:
        return len(self._tried) < len(self._replicas)

    def broken(self) -> None:
        """The connection broke within the answer."""
        self._replicas.fail(self._lease)

    def over(self) -> None:
        """The answer was read to its end, or as far as the caller wanted."""
        self._replicas.release(self._lease)


class _Answer(httpx.SyncByteStream):
    """An answer whose request counts as pending until it is read or closed."""

    def __init__(self, stream: Any, way: _Way) -> None:
        self._stream = stream
        self._way = way

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception:
            self._way.broken()
            raise
        self._way.over()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._way.over()


class _AsyncAnswer(httpx.AsyncByteStream):
    def __init__(self, stream: Any, way: _Way) -> None:
        self._stream = stream
        self._way = way

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except Exception:
            self._way.broken()
            raise
        self._way.over()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._way.over()


class ReplicaTransport(httpx.BaseTransport):
    """Sends each request to the least busy server, and on to the next where there is no answer.

    Args:
        replicas: The servers; the client's base URL must be that of the first.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._inner = _inner(httpx.HTTPTransport)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request.

        Raises:
            httpx.TransportError: No server that was tried has answered.
        """
        way = _Way(self._replicas, request, request.read())
        while True:
            try:
                response: httpx.Response = self._inner.handle_request(way.next())
            except BaseException as error:
                if way.raised(error):
                    continue
                raise
            if not way.refused(response):
                response.stream = _Answer(response.stream, way)
                return response
            response.close()

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()


class AsyncReplicaTransport(httpx.AsyncBaseTransport):
    """As `ReplicaTransport`, for any number of event loops.

    Args:
        replicas: The servers; the client's base URL must be that of the first.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._lock = threading.Lock()
        # A connection pool belongs to the loop that it was first used in.
        self._inner_of: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request.

        Raises:
            httpx.TransportError: No server that was tried has answered.
        """
        way = _Way(self._replicas, request, await request.aread())
        inner = self._inner()
        while True:
            try:
                response: httpx.Response = await inner.handle_async_request(way.next())
            except BaseException as error:
                if way.raised(error):
                    continue
                raise
            if not way.refused(response):
                response.stream = _AsyncAnswer(response.stream, way)
                return response
            await response.aclose()

    def _inner(self) -> Any:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._inner_of:
                self._inner_of[loop] = _inner(httpx.AsyncHTTPTransport)
            return self._inner_of[loop]

    async def aclose(self) -> None:
        """Close what is open in this event loop."""
        with self._lock:
            inner = self._inner_of.pop(asyncio.get_running_loop(), None)
        if inner is not None:
            await inner.aclose()


def replica_clients(replicas: Replicas) -> tuple[httpx.Client, httpx.AsyncClient]:
    """A sync and an async client for the OpenAI SDK, and for whatever is built on it, such as `ChatOpenAI`.

    Args:
        replicas: The servers; give the SDK the URL of the first as its base URL.
    """
    # Following a redirect would carry the key to wherever a server points.
    return (
        openai.DefaultHttpxClient(transport=ReplicaTransport(replicas), follow_redirects=False),
        openai.DefaultAsyncHttpxClient(transport=AsyncReplicaTransport(replicas), follow_redirects=False),
    )


def _inner(kind: Any) -> Any:
    # How much is under way at once is the search's part; a pool with a limit of its own would only hide a queue.
    return kind(trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))


def _answers_asked_for(body: bytes) -> int:
    try:
        n = json.loads(body).get("n")
    except (ValueError, AttributeError):
        return 1
    return n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else 1


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None  # a date: rest as after any failure


def timeout(seconds: float) -> httpx.Timeout:
    """So long for an answer, and at most 5 seconds for a connection: a host that is gone costs no more.

    Raises:
        SettingsError: It is no number of seconds above 0.
    """
    if not is_finite(seconds) or seconds <= 0:
        raise SettingsError(f"timeout_s must be a number of seconds above 0, not {seconds!r}")
    return httpx.Timeout(seconds, connect=min(seconds, 5.0))
