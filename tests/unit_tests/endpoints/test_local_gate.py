"""Who is let through to the embedded server."""

import pytest

from langchain_optscale.endpoints._local_server import refusal

PORT = 4000


def head(*headers, host="127.0.0.1:4000"):
    lines = ["POST /v1/chat/completions HTTP/1.1", *([f"Host: {host}"] if host else []), *headers, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "request_head",
    [
        head(),
        head(host="localhost:4000"),
        head("Origin: http://127.0.0.1:4000"),
        head("ORIGIN: http://localhost:4000", "Connection: keep-alive"),
    ],
)
def test_its_own_machine_is_let_through(request_head):
    assert refusal(request_head, PORT) is None


@pytest.mark.parametrize(
    ("request_head", "reason"),
    [
        (head(host="evil.example"), "Host"),
        (head(host="evil.example:4000"), "Host"),
        (head(host="127.0.0.1:4001"), "Host"),
        (head(host="127.0.0.1"), "Host"),
        (head(host=None), "Host"),
        (head("Host: evil.example"), "Host"),
        (head("Origin: http://evil.example"), "Origin"),
        (head("Origin: null"), "Origin"),
        (head("Origin: https://127.0.0.1:4000"), "Origin"),
        (head("Origin: http://127.0.0.1:4000", "Origin: http://evil.example"), "Origin"),
        (head("X-A: b", " Origin: x"), "folded"),
    ],
)
def test_web_pages_are_not(request_head, reason):
    assert reason in refusal(request_head, PORT)
