"""What is built from an address sends what was given, follows no redirect, and reads only so much."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale.endpoints.vllm.discovery import connect
from langchain_optscale.endpoints.vllm.policy import vllm_policy
from langchain_optscale.errors import ResponseTooLargeError, SettingsError
from langchain_optscale.models.http_clients import (
    async_http_client,
    chat_model,
    given_client,
    sync_http_client,
)
from langchain_optscale.models.retry import is_transient
from langchain_optscale.records.candidates import Candidate
from langchain_optscale.records.causes import chain_of
from langchain_optscale.verifiers import RewardModelVerifier

SECRETS = ("LEAK", "org-of-the-environment", "project-of-the-environment")
CHAT = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "data": [{"id": "m", "index": 0, "probs": [0.7]}],
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}


class Server(ThreadingHTTPServer):
    """Keeps the headers and bodies of its requests; answers as it is told."""

    daemon_threads = True

    def __init__(self, status=200, headers=None, body=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = (status, headers or {}, json.dumps(CHAT).encode() if body is None else body)
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
        self.server.requests.append((self.path, headers, sent))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the standard library's name

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture
def elsewhere():
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture
def environment(monkeypatch, elsewhere):
    """Everything that the SDK, LangChain and httpx would take out of the environment."""
    for name, value in {
        "OPENAI_API_KEY": "sk-LEAK",
        "OPENAI_ADMIN_KEY": "sk-admin-LEAK",
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer LEAK\nX-Gateway-Key: gw-LEAK\nAccept: LEAK",
        "OPENAI_ORG_ID": "org-of-the-environment",
        "OPENAI_ORGANIZATION": "org-of-the-environment",
        "OPENAI_PROJECT_ID": "project-of-the-environment",
        "OPENAI_BASE_URL": elsewhere.url,
        "HTTP_PROXY": f"http://user:LEAK@127.0.0.1:{elsewhere.server_port}",
        "ALL_PROXY": f"http://user:LEAK@127.0.0.1:{elsewhere.server_port}",
        "OPENAI_PROXY": f"http://user:LEAK@127.0.0.1:{elsewhere.server_port}",
    }.items():
        monkeypatch.setenv(name, value)
        if "PROXY" in name:
            monkeypatch.setenv(name.lower(), value)
    monkeypatch.setenv("NO_PROXY", "")


def candidate():
    return Candidate(0, AIMessage("PRIVATE"), 0)


async def ask_model(model):
    return [model.invoke("PRIVATE"), await model.ainvoke("PRIVATE")]


async def ask_policy(url):
    await ask_model(chat_model(base_url=f"{url}/v1", model="m", api_key="own-key"))


async def ask_copied_policy(url):
    model = chat_model(base_url=f"{url}/v1", model="m", api_key="own-key")
    # As the search does: the client's own copy reads the environment again.
    again = model.root_client.with_options(max_retries=0)
    await ask_model(model.model_copy(update={"root_client": again, "client": again.chat.completions}))


async def ask_vllm(url):
    await ask_model(vllm_policy(url, "m", api_key="own-key"))


async def ask_reward_model(url):
    verifier = RewardModelVerifier(url, "m", api_key="own-key")
    prompt = StringPromptValue(text="PRIVATE")
    verifier.verify(prompt, candidate())
    await verifier.averify(prompt, candidate())
    await verifier.aclose()


async def ask_reward_model_by_a_client_of_the_callers(url):
    with openai.DefaultHttpxClient(trust_env=False, follow_redirects=True) as http_client:
        verifier = RewardModelVerifier(url, "m", api_key="own-key", http_client=http_client)
        verifier.verify(StringPromptValue(text="PRIVATE"), candidate())


async def discover(url):
    connect(url, "own-key").get("/models", cast_to=object)


WAYS = [
    ask_policy,
    ask_copied_policy,
    ask_vllm,
    ask_reward_model,
    ask_reward_model_by_a_client_of_the_callers,
    discover,
]


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.usefixtures("environment")
async def test_nothing_of_the_environment_is_sent(ask, server, elsewhere):
    await ask(server.url)
    assert server.requests
    for _, headers, _ in server.requests:
        assert "authorization: Bearer own-key\n" in headers
        assert not [secret for secret in SECRETS if secret in headers]
    assert elsewhere.requests == []


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_error_and_is_not_followed(ask, status, server, elsewhere):
    server.answer = (status, {"Location": f"{elsewhere.url}/classify"}, b"")
    with pytest.raises(openai.APIStatusError):
        await ask(server.url)
    assert elsewhere.requests == []


@pytest.mark.parametrize("key", [" own-key\n", "own-key\r\n", "\town-key"])
async def test_keys_are_stripped_of_white_space(key, server):
    chat_model(base_url=server.url, model="m", api_key=key).invoke("q")
    vllm_policy(server.url, "m", api_key=key).invoke("q")
    RewardModelVerifier(server.url, "m", api_key=key).verify(StringPromptValue(text="q"), candidate())
    assert all("authorization: Bearer own-key\n" in headers for _, headers, _ in server.requests)
    with pytest.raises(SettingsError, match="copy it again"):
        chat_model(base_url=server.url, model="m", api_key="a b")


def test_given_headers_and_arguments_are_sent(server):
    model = chat_model(
        base_url=server.url, model="m", api_key="k", default_headers={"X-Route": "a"}, organization="given-org"
    )
    model.bind(extra_headers={"X-Call": "b"}).invoke("q")
    headers = server.requests[0][1]
    assert "x-route: a" in headers
    assert "x-call: b" in headers
    assert "openai-organization: given-org" in headers


PLAIN = json.dumps({"data": "x" * 5_000}).encode()
ANSWERS = {
    "plain": ({}, PLAIN),
    "packed": ({"Content-Encoding": "gzip"}, gzip.compress(PLAIN)),
    "bomb": ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 50_000_000)),
    "no length": ({"Content-Length": "999999999"}, PLAIN),
    "packed otherwise": ({"Content-Encoding": "br"}, b"xx"),
    "not packed": ({"Content-Encoding": "gzip"}, b"xx"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_a_response_is_read_up_to_a_size(name, path, server):
    server.answer = (200, *ANSWERS[name])
    sync_client = given_client(openai.OpenAI, server.url, None, http_client=sync_http_client(max_bytes=1_000))
    async_client = given_client(openai.AsyncOpenAI, server.url, None, http_client=async_http_client(max_bytes=1_000))
    with pytest.raises((openai.APIConnectionError, ResponseTooLargeError)) as raised:
        sync_client.get("/x", cast_to=object) if path == "sync" else await async_client.get("/x", cast_to=object)
    assert [one for one in chain_of(raised.value) if isinstance(one, ResponseTooLargeError)]
    assert not is_transient(raised.value)


@pytest.mark.parametrize("name", ["plain", "packed"])
async def test_what_is_not_too_large_arrives_as_it_was_sent(name, server):
    server.answer = (200, *ANSWERS[name])
    read = [given_client(openai.OpenAI, server.url, None, http_client=sync_http_client()).get("/x", cast_to=object)]
    client = given_client(openai.AsyncOpenAI, server.url, None, http_client=async_http_client())
    read.append(await client.get("/x", cast_to=object))
    assert read == [{"data": "x" * 5_000}] * 2
