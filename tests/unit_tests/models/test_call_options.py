"""What one call can be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale.models.call_options import CallOptions, call_options, callable_as
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy

openai = pytest.importorskip("langchain_openai")

CHAT = CallOptions(128, "n", seed=True)
RESPONSES = CallOptions(1, logprobs=False, stop=False)


def chat(**settings: Any) -> Any:
    return openai.ChatOpenAI(**{"model": "m", "api_key": "x", **settings})


@pytest.mark.parametrize(
    ("settings", "kwargs", "options"),
    [
        ({}, {}, CHAT),
        ({}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, CHAT),
        ({}, {"tools": [{"type": "web_search"}]}, RESPONSES),
        ({}, {"reasoning": {"effort": "low"}}, RESPONSES),
        ({}, {"previous_response_id": "resp_1"}, RESPONSES),
        ({"reasoning": {"effort": "low"}}, {}, RESPONSES),
        ({"use_responses_api": True}, {}, RESPONSES),
        ({"use_responses_api": False}, {"tools": [{"type": "web_search"}]}, CHAT),
        ({"output_version": "responses/v1"}, {}, RESPONSES),
        ({"truncation": "auto"}, {}, RESPONSES),
        ({"metadata": {"optscale_max_n": 4}}, {}, CallOptions(4, "n", seed=True)),
    ],
)
def test_the_openai_client_routes_each_call(
    settings: dict[str, Any], kwargs: dict[str, Any], options: CallOptions
) -> None:
    assert call_options(chat(**settings), kwargs) == options


def test_other_models_say_by_their_fields_what_they_take() -> None:
    assert call_options(ScriptedPolicy(texts=["a"]), {}) == CHAT
    assert call_options(PlainPolicy(texts=["a"]), {}) == CallOptions(1, "n", seed=True)
    assert call_options(FakeListChatModel(responses=["a"]), {}) == CallOptions()


def test_gemini_s_client_has_another_name_for_the_argument() -> None:
    gemini = type("ChatGemini", (ScriptedPolicy,), {"__module__": "langchain_google_genai.chat_models"})
    assert call_options(gemini(texts=["a"]), {}) == CallOptions(8, "candidate_count", seed=True)


def test_settings_that_a_call_does_not_take_are_left_out_of_it() -> None:
    model = chat(reasoning={"effort": "low"}, seed=1, n=2, logprobs=True)
    plain = callable_as(model, call_options(model, {}))
    assert (plain.seed, plain.n, plain.logprobs) == (None, None, None)
    assert (model.seed, model.n, model.logprobs) == (1, 2, True)
    for kept in (chat(seed=1, n=2), chat(use_responses_api=True)):
        assert callable_as(kept, call_options(kept, {})) is kept
