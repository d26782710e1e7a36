"""A stand-in for a provider's models, for code that names them as users do: "openai:gpt-5-mini", ChatOpenAI(...)."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

from tests.integration_tests.openai_server import openai_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.integration_tests.openai_server import Service

_CODE = re.compile(r"The code is (\S+?)\. Judge")
_TEXTS = (
    "A river is water that flows towards the sea, day and night.",
    "Vienna has more people than Graz. The answer is \\boxed{391}.",
    "The river runs to the sea.",
)


def author(payload: dict[str, Any], number: int) -> dict[str, Any] | None:
    """Grades what is to be judged, and else writes short sentences; tools and schemas are left to the server."""
    last = payload["messages"][-1]
    text = last["content"] if isinstance(last["content"], str) else json.dumps(last["content"])
    if code := _CODE.search(text):
        if payload.get("response_format"):
            return {"content": json.dumps({"explanation": "It is right.", "code": code[1], "grade": 9})}
        return {"content": f"It is right.\nGRADE-{code[1]}: 9"}
    if payload.get("response_format") or (payload.get("tools") and last["role"] != "tool"):
        return None
    return {"content": _TEXTS[number % len(_TEXTS)]}


@contextlib.contextmanager
def hosted_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serve on loopback what the names of OpenAI's models stand for, while the context lasts."""
    with openai_server(author) as service:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")
        monkeypatch.setenv("OPENAI_BASE_URL", service.base_url)
        monkeypatch.setenv("OPENAI_API_BASE", service.base_url)
        yield service
