"""HTTP transports that send every request to the least busy of several equal servers.

They work below the OpenAI client, for sync, async and streaming calls. A request that reaches no server, or whose
connection breaks before the answer begins, goes to the next one at once; drawing and scoring have no side effects. Once
an answer has begun, an error is raised to the caller, whose retry is balanced again.

The environment's proxies are not used. Connections are closed after each answer: a handshake is cheap beside generating
an answer, and no request meets a connection that the server just closed or that belongs to another event loop.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.models.http_clients import async_http_client, sync_http_client
from langchain_optscale.models.http_transports import PerLoopTransport, ReopenedTransport, connections, httpx
from langchain_optscale.verifiers.coercion import is_finite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_optscale.endpoints.vllm.replicas import Lease, Replicas

__all__ = ["AsyncReplicaTransport", "ReplicaTransport", "replica_clients", "timeout"]

# The server is full or not ready, or its router found none: another server may answer.
_FAILOVER_STATUS = frozenset({429, 502, 503, 504})
# Errors of the client.
_CLIENT_ERRORS = (httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class _Failover:
    """The replicas that one request tries, without I/O."""

    def __init__(self, replicas: Replicas, request: httpx.Request, body: bytes) -> None:
        self._replicas = replicas
        self._request = request
        self._body = body
        self._weight = _answers_asked_for(body)
        self._tried: set[str] = set()
        self._lease: Lease

    def next(self) -> httpx.Request:
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

    def on_error(self, error: BaseException) -> bool:
        """Record an error before the answer; whether to try another server."""
        if not isinstance(error, Exception) or isinstance(error, _CLIENT_ERRORS):
            self._replicas.release(self._lease)
            return False
        self._replicas.fail(self._lease)
        # After a full timeout the caller should not wait for another one.
        waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
        return not waited and self._others_left

    def on_response(self, response: httpx.Response) -> bool:
        """Record a status; whether to try another server."""
        elsewhere = response.status_code in _FAILOVER_STATUS
        if elsewhere or response.status_code >= 500:
            # A server that fails quickly would otherwise stay the least busy one.
            self._replicas.fail(self._lease, _seconds(response.headers.get("Retry-After")))
        else:
            self._replicas.answered(self._lease)
        return elsewhere and self._others_left

    @property
    def _others_left(self) -> bool:
        return len(self._tried) < len(self._replicas)

    def on_break(self) -> None:
        """Record that the connection broke within the answer."""
        self._replicas.fail(self._lease)

    def on_end(self) -> None:
        """Record that the caller has read the answer or closed it."""
        self._replicas.release(self._lease)


class _TrackedStream(httpx.SyncByteStream):
    """An answer whose request counts as pending until it is read or closed."""

    def __init__(self, stream: Any, route: _Failover) -> None:
        self._stream = stream
        self._route = route

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception:
            self._route.on_break()
            raise
        self._route.on_end()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._route.on_end()


class _AsyncTrackedStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any, route: _Failover) -> None:
        self._stream = stream
        self._route = route

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except Exception:
            self._route.on_break()
            raise
        self._route.on_end()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._route.on_end()


class ReplicaTransport(httpx.BaseTransport):
    """Sends each request to the least busy server, and to the next one where there is no answer.

    Args:
        replicas: The servers; the client's base URL must be that of the first.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._inner = ReopenedTransport(lambda: httpx.HTTPTransport(**connections()))

    def __reduce__(self) -> Any:
        return type(self), (self._replicas,)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request.

        Raises:
            httpx.TransportError: No server has answered.
        """
        route = _Failover(self._replicas, request, request.read())
        while True:
            try:
                response: httpx.Response = self._inner.handle_request(route.next())
            except BaseException as error:
                if route.on_error(error):
                    continue
                raise
            if not route.on_response(response):
                response.stream = _TrackedStream(response.stream, route)
                return response
            response.close()

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class AsyncReplicaTransport(httpx.AsyncBaseTransport):
    """As `ReplicaTransport`, for any number of event loops.

    Args:
        replicas: The servers; the client's base URL must be that of the first.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._inner = PerLoopTransport(lambda: httpx.AsyncHTTPTransport(**connections()))

    def __reduce__(self) -> Any:
        return type(self), (self._replicas,)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request.

        Raises:
            httpx.TransportError: No server has answered.
        """
        route = _Failover(self._replicas, request, await request.aread())
        while True:
            try:
                response: httpx.Response = await self._inner.handle_async_request(route.next())
            except BaseException as error:
                if route.on_error(error):
                    continue
                raise
            if not route.on_response(response):
                response.stream = _AsyncTrackedStream(response.stream, route)
                return response
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self._inner.aclose()


def replica_clients(replicas: Replicas) -> tuple[httpx.Client, httpx.AsyncClient]:
    """A sync and an async client for the OpenAI SDK and for clients built on it, such as `ChatOpenAI`.

    Args:
        replicas: The servers; give the SDK the URL of the first as its base URL.
    """
    return sync_http_client(ReplicaTransport(replicas)), async_http_client(AsyncReplicaTransport(replicas))


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
        return None  # a date: the default cooldown


def timeout(seconds: float) -> httpx.Timeout:
    """The timeout of a request, with at most 5 seconds for the connection.

    Raises:
        SettingsError: `seconds` is not above 0.
    """
    if not is_finite(seconds) or seconds <= 0:
        raise SettingsError(f"timeout_s must be a number of seconds above 0, not {seconds!r}")
    return httpx.Timeout(seconds, connect=min(seconds, 5.0))
