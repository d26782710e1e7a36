"""Retry-After is respected, and one place retries."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import httpx
import openai
import pytest
import tenacity

from langchain_optscale.models.retry import is_transient, make_retrying, retry_after_s

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def refused(status=429, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return openai.APIStatusError("no", response=httpx.Response(status, request=REQUEST, headers=named), body=None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "3"}, 3.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": " 7 "}, 7.0),
        ({"retry_after": "-2"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": ""}, None),
        (
            {
                "retry_after": format_datetime(NOW + timedelta(seconds=9), usegmt=True),
                "date": format_datetime(NOW, usegmt=True),
            },
            9.0,
        ),
        ({"retry_after": format_datetime(NOW - timedelta(days=400), usegmt=True)}, 0.0),
    ],
)
def test_both_forms_are_read(headers, seconds):
    assert retry_after_s(refused(**headers)) == seconds


def test_a_date_without_the_servers_clock_is_taken_against_ours():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 <= retry_after_s(refused(retry_after=soon)) <= 30


@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_of_greenwich(timezone, monkeypatch):
    monkeypatch.setenv("TZ", timezone)
    time.tzset()
    try:
        soon = (datetime.now(UTC) + timedelta(seconds=30)).strftime("%a %b %d %H:%M:%S %Y")  # the form of asctime
        assert 28 <= retry_after_s(refused(retry_after=soon)) <= 30
    finally:
        monkeypatch.undo()
        time.tzset()


class RefusedError(Exception):
    """An error of a client that keeps the server's answer in a form of its own."""

    def __init__(self, **kept):
        super().__init__("no")
        for name, value in kept.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    "error",
    [
        RefusedError(status_code=429, response=SimpleNamespace(headers={"Retry-After": "3"})),
        RefusedError(status=429, headers={"RETRY-AFTER": "3"}),
        RefusedError(
            response={"ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "3"}}, "Error": {}}
        ),
    ],
    ids=["a plain dict", "aiohttp", "AWS"],
)
def test_other_clients_keep_the_headers_elsewhere(error):
    assert (is_transient(error), retry_after_s(error)) == (True, 3.0)


def test_errors_without_a_response():
    assert retry_after_s(ValueError("x")) is None


def test_a_server_that_wants_to_be_left_alone_for_long_is_not_asked_again():
    assert is_transient(refused(retry_after="60"))
    assert not is_transient(refused(retry_after="61"))
    assert not is_transient(refused(503, retry_after="3600"))


def waits(error, attempts):
    """What tenacity would wait after each attempt, without waiting."""
    retrying = make_retrying(attempts, threading.Event())
    state = tenacity.RetryCallState(retrying, None, (), {})
    state.set_exception((type(error), error, None))
    seconds = []
    for number in range(1, attempts + 1):
        state.attempt_number = number
        seconds.append([retrying.wait(state) for _ in range(300)])
    return seconds


def test_full_jitter_under_a_cap():
    for number, seconds in enumerate(waits(ConnectionError("x"), 10)):
        bound = min(20.0, 0.25 * 2**number)
        assert 0.0 <= min(seconds) < 0.2 * bound
        assert 0.8 * bound < max(seconds) <= bound


def test_the_wish_of_the_server_comes_first_with_jitter_on_top():
    (seconds, *_) = waits(refused(retry_after="5"), 1)
    assert min(seconds) >= 5.0
    assert max(seconds) <= 5.25
    assert len(set(seconds)) > 100


def test_the_wait_is_really_waited():
    tries = []

    def fail_once():
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise refused(retry_after="0.4")
        return "done"

    assert make_retrying(2, threading.Event())(fail_once) == "done"
    assert tries[1] - tries[0] >= 0.4


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_broken_streams_of_either_library(library):
    module = pytest.importorskip(library)
    assert is_transient(module.RemoteProtocolError("peer closed connection"))
    assert is_transient(module.ReadTimeout("slow"))
    assert not is_transient(module.InvalidURL("x"))
