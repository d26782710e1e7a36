"""Which status an error means, wherever it is kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from langchain_optscale.models.error_status import error_in_body, passes, status_in_body, status_of

BODIES = [
    ({"error": {"code": 502, "message": "Provider returned error"}}, 502),
    ({"error": {"code": "503", "message": "x"}}, 503),
    ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, 503),
    ({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, 429),
    ({"type": "error", "error": {"type": "api_error"}}, 500),
    ({"error": {"code": "rate_limit_exceeded", "type": "requests"}}, 429),
    ({"error": {"code": "server_error", "message": "x"}}, 500),
    ({"error": {"code": 503, "status": "UNAVAILABLE"}}, 503),
    ({"error": {"status": "RESOURCE_EXHAUSTED"}}, 429),
    ({"error": {"code": "context_length_exceeded"}}, 400),
    ({"error": {"type": "invalid_request_error"}}, 400),
    ({"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}, 402),
    ({"error": {"error": {"status_code": 504}}}, 504),
    ({"object": "error", "message": "x", "code": 400}, 400),
    ({"code": 404}, 404),
    ('{"error": {"code": 502}}', 502),
    ("{'message': 'x', 'code': 502}", 502),
    ("Error code: 429 - {'error': {'type': 'rate_limit_error'}}", 429),
    ({"error": "no idea"}, None),
    ({"error": {"code": 1234, "type": "odd"}}, None),
    ({"choices": []}, None),
    ("the code is 502", None),
    ("{", None),
    ("{" * 50_000, None),
    (None, None),
    (502, None),
    ([502], None),
]


@pytest.mark.parametrize(("body", "status"), BODIES)
def test_a_body_names_its_status_by_number_or_by_name(body: Any, status: int | None) -> None:
    assert status_in_body(body) == status
    assert status_of(ValueError(body)) == status


def test_a_body_that_contains_itself_ends() -> None:
    body: dict[str, Any] = {}
    body["error"] = body
    assert status_in_body(body) is None


def with_fields(**fields: Any) -> Exception:
    error = Exception("x")
    vars(error).update(fields)
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (with_fields(status_code=429), 429),
        (with_fields(status=503), 503),
        (with_fields(code=500), 500),
        (with_fields(response=SimpleNamespace(status_code=502)), 502),
        (with_fields(response={"ResponseMetadata": {"HTTPStatusCode": 503}}), 503),
        # An error within a stream: the response had begun with 200.
        (with_fields(status_code=200, body={"error": {"type": "overloaded_error"}}), 503),
        (with_fields(body={"code": 502}), 502),
        (with_fields(code="server_error"), None),
        (Exception(), None),
    ],
)
def test_clients_keep_the_status_in_many_places(error: Exception, status: int | None) -> None:
    assert status_of(error) == status


def test_an_error_of_a_body_that_came_with_200() -> None:
    assert error_in_body({"error": {"code": 502}, "choices": None}) == {"code": 502}
    assert error_in_body({"object": "error", "message": "x"}) == {"object": "error", "message": "x"}
    for sound in ({"choices": []}, {"error": None, "choices": []}, None, "error", []):
        assert error_in_body(sound) is None


def test_which_statuses_pass() -> None:
    assert all(map(passes, (408, 409, 429, 500, 502, 529)))
    assert not any(map(passes, (None, 200, 400, 401, 402, 404, 422)))
