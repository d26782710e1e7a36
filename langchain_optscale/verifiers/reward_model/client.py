"""The transport to a pooling server: the `openai` client without retries."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_optscale.errors import ErrorReplyError, InvalidReplyError, SettingsError
from langchain_optscale.models.error_status import error_in_body, status_in_body
from langchain_optscale.models.keys import VERIFIER_KEY
from langchain_optscale.models.travel import Parcel, SentKey, content_of
from langchain_optscale.records.forks import after_fork, keep_open

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI
    from pydantic import SecretStr

__all__ = ["PoolingClient", "json_object"]

_UNAUTHORIZED = 401
# Also where the caller's own client follows them: the conversation is for this server alone.
_NO_REDIRECTS: Any = {"follow_redirects": False}


class PoolingClient:
    """Posts JSON to the routes at a server's root.

    Threads share one client with its open connections. Tasks share one client for each event loop, which opens a
    connection for each request, since a client is not notified when its event loop ends.

    Args:
        base_url: The server's root; a "/v1" at its end is removed.
        api_key: Sent as a bearer token; keys in the environment are never sent.
        timeout_s: Timeout of a request in seconds, above 0.
        http_client: Sends the requests of threads; the caller closes it.
        http_async_client: Sends the requests of tasks of any event loop; the caller closes it.

    Raises:
        SettingsError: The address is invalid, or contains credentials.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        timeout_s: float,
        http_client: Any = None,
        http_async_client: Any = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError("base_url must be the server's address, such as 'http://localhost:8000'")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise SettingsError("base_url must hold neither credentials nor a query: give the key as api_key")
        self.root = base_url.rstrip("/").removesuffix("/v1")
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._http_client = http_client
        self._http_async_client = http_async_client
        self._begin()
        after_fork(self)

    def _begin(self) -> None:
        self._sync: OpenAI | None = None
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = weakref.WeakKeyDictionary()
        self._mutex = threading.Lock()

    def _after_fork(self) -> None:
        """The connections are the parent's: a forked child opens its own."""
        keep_open((self._sync, self._async))
        self._begin()

    def __reduce__(self) -> Any:
        key = SentKey(self._api_key, VERIFIER_KEY, self.root)
        clients = [client and Parcel(client) for client in (self._http_client, self._http_async_client)]
        return _pooling_client, (self.root, key, self._timeout_s, *clients)

    def post(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one request.

        Raises:
            openai.APIStatusError: The server answered with an error status.
            openai.APIConnectionError: It could not be reached, or timed out.
            ErrorReplyError: It answered with status 200 and an error in the body.
            InvalidReplyError: The reply is not a JSON object.
        """
        import openai

        from langchain_optscale.models.http_clients import given_client, sync_http_client

        with self._mutex:
            if self._sync is None:
                http_client = self._http_client
                if http_client is None:
                    http_client = sync_http_client(keep_alive=True)
                    # A verifier that is not closed closes its idle connections when it is collected.
                    weakref.finalize(self, http_client.close).atexit = False
                self._sync = given_client(openai.OpenAI, **self._settings(), http_client=http_client)
            client = self._sync
        try:
            return json_object(route, client.post(route, cast_to=str, body=dict(body), options=_NO_REDIRECTS))
        except (openai.NotFoundError, openai.AuthenticationError) as error:
            raise _explained(error, route) from error

    async def apost(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `post`; cancelling it closes the connection."""
        import openai

        from langchain_optscale.models.http_clients import async_http_client, given_client

        loop = asyncio.get_running_loop()
        with self._mutex:
            client = self._async.get(loop)
            if client is None:
                # The SDK's default one starts a task in any running loop when it is garbage-collected.
                http_client = self._http_async_client or async_http_client()
                client = self._async[loop] = given_client(
                    openai.AsyncOpenAI, **self._settings(), headers={"Connection": "close"}, http_client=http_client
                )
        try:
            return json_object(route, await client.post(route, cast_to=str, body=dict(body), options=_NO_REDIRECTS))
        except (openai.NotFoundError, openai.AuthenticationError) as error:
            raise _explained(error, route) from error

    def close(self) -> None:
        """Close the threads' connections; a later request opens new ones."""
        with self._mutex:
            client, self._sync = self._sync, None
        if client is not None and self._http_client is None:
            client.close()

    async def aclose(self) -> None:
        """Close this event loop's client, and the threads' one."""
        with self._mutex:
            client = self._async.pop(asyncio.get_running_loop(), None)
        if client is not None and self._http_async_client is None:
            await client.close()
        self.close()

    def _settings(self) -> dict[str, Any]:
        return {"base_url": self.root, "api_key": self._api_key, "timeout": self._timeout_s}


def _pooling_client(root: str, key: Any, timeout_s: float, *clients: Any) -> PoolingClient:
    return PoolingClient(root, content_of(key), timeout_s, *map(content_of, clients))


def json_object(route: str, text: str) -> Mapping[str, Any]:
    """A server's reply, read.

    Raises:
        InvalidReplyError: It is not a JSON object.
        ErrorReplyError: It is an error.
    """
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, Mapping):
        raise InvalidReplyError(f"the server's reply to {route} is not a JSON object: {text[:60]!r}")
    if (error := error_in_body(reply)) is not None:
        raise ErrorReplyError(f"the server replied to {route} with an error: {error}", status_in_body(reply))
    return reply


def _explained(error: Any, route: str) -> Any:
    """The same error with advice for the commonest mistakes, a missing route and a wrong key."""
    hint = (
        "the server refuses the key, or needs one: give it as api_key="
        if error.status_code == _UNAUTHORIZED
        else f"the server has no {route} for this model: start it with --runner pooling, set base_url to its root, and "
        "set the `kind` that fits the model"
    )
    return type(error)(f"{error.message}: {hint}", response=error.response, body=error.body)
