"""Each kind of failed connection is named, whatever library wraps it."""

import asyncio
import socket
import threading

import httpx
import openai
import pytest

from langchain_optscale.models.http_clients import async_http_client, chat_model, given_client, sync_http_client
from langchain_optscale.records.causes import cause_of
from langchain_optscale.records.failures import Raised, failure_of


@pytest.fixture
def server():
    """Answers each connection by what `server.reply` says, and closes it; b"" closes it without a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(20)

        class Answering:
            address = f"127.0.0.1:{listening.getsockname()[1]}"
            reply = b""
            waits = None

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    if Answering.waits is not None:
                        Answering.waits.wait(20)
                    if Answering.reply:
                        connection.sendall(Answering.reply)

        threading.Thread(target=serve, daemon=True).start()
        yield Answering


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"
KINDS = {
    "connection refused": lambda server: (f"http://127.0.0.1:{closed_port()}", b""),
    "unknown host": lambda server: ("http://no-such-host.invalid", b""),
    "TLS": lambda server: (f"https://{server.address}", TLS_ALERT),
    "the server closed the connection": lambda server: (f"http://{server.address}", b""),
    "no answer in time": lambda server: (f"http://{server.address}", None),
}


def ask_openai(url):
    given_client(openai.OpenAI, url, None, http_client=sync_http_client(), timeout=0.5).get("/x", cast_to=str)


def ask_openai_async(url):
    client = given_client(openai.AsyncOpenAI, url, None, http_client=async_http_client(), timeout=0.5)
    asyncio.run(client.get("/x", cast_to=str))


def ask_langchain(url):
    chat_model(base_url=url, model="m", api_key=None, timeout=0.5).invoke("q")


def ask_httpx(url):
    httpx.get(url, timeout=0.5, trust_env=False)


@pytest.mark.parametrize("ask", [ask_openai, ask_openai_async, ask_langchain, ask_httpx])
@pytest.mark.parametrize("kind", KINDS)
def test_the_cause_is_named(kind, ask, server):
    url, server.reply = KINDS[kind](server)
    if server.reply is None:
        server.waits = threading.Event()
    with pytest.raises(Exception) as raised:  # noqa: PT011 - of each library's own kind
        ask(url)
    if server.waits is not None:
        server.waits.set()
    assert cause_of(raised.value).startswith(kind)
    assert kind in failure_of("draw", Raised(raised.value, 1)).error


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("x"), TimeoutError("candidate_timeout_s")])
def test_other_errors_have_no_such_cause(error):
    assert cause_of(error) is None
