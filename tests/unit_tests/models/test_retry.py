"""Which errors are worth another try."""

import threading
import time
from http import HTTPStatus

import httpx
import openai
import pytest

from langchain_optscale.models.retry import is_rejection, is_transient, make_retrying

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")


def status_error(status):
    return openai.APIStatusError("no", response=httpx.Response(status, request=REQUEST), body=None)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 599])
def test_passing_states(status):
    assert is_transient(status_error(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_lasting_states(status):
    assert not is_transient(status_error(status))
    assert is_rejection(status_error(status)) == (status in (400, 422))


@pytest.mark.parametrize(
    "error",
    [
        openai.APIConnectionError(request=REQUEST),
        openai.APITimeoutError(request=REQUEST),
        httpx.ReadError("reset"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_broken_connections(error):
    assert is_transient(error)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("x")])
def test_mistakes(error):
    assert not is_transient(error)


def test_the_status_may_stand_on_the_response():
    error = httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(503, request=REQUEST))
    assert is_transient(error)


@pytest.mark.parametrize("name", ["status_code", "status", "code"])
def test_clients_name_the_status_differently(name):
    def error(value):
        made = RuntimeError("no")
        setattr(made, name, value)
        return made

    assert is_transient(error(HTTPStatus.SERVICE_UNAVAILABLE))
    assert is_transient(error(429))
    assert is_rejection(error(400))
    assert not is_transient(error("rate_limit_exceeded"))
    assert not is_transient(error(3))


def test_giving_up_ends_the_waiting_at_once():
    give_up, tries = threading.Event(), []

    def fail():
        tries.append(time.monotonic())
        if len(tries) == 3:
            threading.Timer(0.05, give_up.set).start()
        raise ConnectionError("down")

    began = time.monotonic()
    with pytest.raises(ConnectionError):
        make_retrying(50, give_up)(fail)
    assert time.monotonic() - began < 5.0
    assert len(tries) < 50
