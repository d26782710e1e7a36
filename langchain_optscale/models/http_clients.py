"""The HTTP clients of everything that is built from an address: policies, judges, reward models, discovery, doctor.

Such an address may be anybody's server. What is sent there is what was given, and nothing of the environment: no
`OPENAI_API_KEY`, no `OPENAI_CUSTOM_HEADERS`, no organisation or project, no proxy and none of its credentials, no
`.netrc`. Redirects are not followed, since they would carry the conversation and the key to another host.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import openai

from langchain_optscale.errors import MissingExtraError
from langchain_optscale.models.http_transports import (
    MAX_RESPONSE_BYTES,
    AsyncBoundedTransport,
    BoundedTransport,
    PerLoopTransport,
    ReopenedTransport,
    connections,
    httpx,
)
from langchain_optscale.models.keys import NO_KEY, bearer_key
from langchain_optscale.models.travel import SentKey, made_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

__all__ = ["async_http_client", "chat_model", "given_client", "sync_http_client"]

_USER_AGENT = "langchain-optscale"

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
    bounded = BoundedTransport(inner, max_bytes)
    client = openai.DefaultHttpxClient(transport=bounded, follow_redirects=False, trust_env=False)
    return made_by(client, partial(sync_http_client, keep_alive=keep_alive, max_bytes=max_bytes), transport)


def async_http_client(
    transport: httpx.AsyncBaseTransport | None = None, *, max_bytes: int = MAX_RESPONSE_BYTES
) -> httpx.AsyncClient:
    """As `sync_http_client`, for any number of event loops."""
    inner = transport or PerLoopTransport(lambda: httpx.AsyncHTTPTransport(**connections()))
    bounded = AsyncBoundedTransport(inner, max_bytes)
    client = openai.DefaultAsyncHttpxClient(transport=bounded, follow_redirects=False, trust_env=False)
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
