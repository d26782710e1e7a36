"""How a message ended, in the words of every provider."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_optscale.records.endings import EndReason, end_reason_of, end_spelling, refusal_of

STOP, CALLS, LENGTH = EndReason.STOP, EndReason.TOOL_CALLS, EndReason.LENGTH
FILTER, REFUSAL, ERROR = EndReason.CONTENT_FILTER, EndReason.REFUSAL, EndReason.ERROR

SPELLINGS = [
    # OpenAI, Azure, Groq, Fireworks, Together, vLLM, SGLang, llama.cpp
    *[("finish_reason", name, reason) for name, reason in {
        "stop": STOP, "length": LENGTH, "content_filter": FILTER, "tool_calls": CALLS, "function_call": CALLS,
        "eos": STOP, "abort": ERROR, "error": ERROR,
    }.items()],
    # DeepSeek, Zhipu, Mistral, Hugging Face
    *[("finish_reason", name, reason) for name, reason in {
        "insufficient_system_resource": ERROR, "sensitive": FILTER, "network_error": ERROR, "model_length": LENGTH,
        "eos_token": STOP, "stop_sequence": STOP,
    }.items()],
    # Gemini
    *[("finish_reason", name, reason) for name, reason in {
        "STOP": STOP, "MAX_TOKENS": LENGTH, "SAFETY": FILTER, "RECITATION": FILTER, "BLOCKLIST": FILTER,
        "PROHIBITED_CONTENT": FILTER, "SPII": FILTER, "IMAGE_SAFETY": FILTER, "LANGUAGE": FILTER,
        "MALFORMED_FUNCTION_CALL": ERROR, "UNEXPECTED_TOOL_CALL": ERROR, "OTHER": ERROR,
        "FinishReason.MAX_TOKENS": LENGTH,
    }.items()],
    # Cohere
    *[("finish_reason", name, reason) for name, reason in {
        "COMPLETE": STOP, "TOOL_CALL": CALLS, "ERROR_TOXIC": FILTER, "ERROR_LIMIT": LENGTH, "USER_CANCEL": ERROR,
        "TIMEOUT": ERROR,
    }.items()],
    # Anthropic
    *[("stop_reason", name, reason) for name, reason in {
        "end_turn": STOP, "stop_sequence": STOP, "tool_use": CALLS, "max_tokens": LENGTH, "refusal": REFUSAL,
        "model_context_window_exceeded": LENGTH, "pause_turn": ERROR,
    }.items()],
    # Bedrock
    *[("stopReason", name, reason) for name, reason in {
        "end_turn": STOP, "tool_use": CALLS, "max_tokens": LENGTH, "guardrail_intervened": FILTER,
        "content_filtered": FILTER, "malformed_tool_use": ERROR,
    }.items()],
    ("stop_reason", "LENGTH", LENGTH),
    # Ollama, llama.cpp, watsonx, Aleph Alpha
    ("done_reason", "stop", STOP),
    ("done_reason", "length", LENGTH),
    ("done_reason", "load", ERROR),
    ("stop_type", "limit", LENGTH),
    ("stop_type", "eos", STOP),
    ("stop_reason", "token_limit", LENGTH),
    ("completion_reason", "maximum_tokens", LENGTH),
    ("finish_details", {"type": "max_tokens"}, LENGTH),
    ("finish_reason", {"type": "length", "length": 8}, LENGTH),
    # Replicate, TensorRT-LLM, MLX, Databricks and what others may yet write
    *[("finish_reason", name, reason) for name, reason in {
        "done": STOP, "stop_str": STOP, "eos_found": STOP, "tools": CALLS, "context_window_exceeded": LENGTH,
        "max_model_len": LENGTH, "max_seq_len": LENGTH, "max_total_tokens": LENGTH, "token_limit_reached": LENGTH,
        "output_limit": LENGTH, "length_limit": LENGTH, "output_truncated": LENGTH, "guardrails_blocked": FILTER,
        "blocked_by_policy": FILTER, "TOXICITY": FILTER, "content_violation": FILTER, "refused_by_model": REFUSAL,
        "server_error": ERROR, "INTERNAL_ERROR": ERROR, "request_timeout": ERROR, "repetition_truncation": ERROR,
        "quota_exhausted": ERROR, "partial": ERROR,
    }.items()],
    # as joined from the chunks of a stream
    ("finish_reason", "STOPSTOP", STOP),
    ("finish_reason", "lengthlength", LENGTH),
]  # fmt: skip


@pytest.mark.parametrize(("key", "name", "reason"), SPELLINGS)
def test_every_spelling_is_read(key: str, name: Any, reason: EndReason) -> None:
    message = AIMessage("so 17 * 23 = 3", response_metadata={key: name})
    assert end_reason_of(message) is reason
    assert reason.complete == (reason in {STOP, CALLS})


class FinishReason(Enum):
    MAX_TOKENS = 2


@pytest.mark.parametrize(
    ("metadata", "reason", "spelling"),
    [
        ({}, None, None),
        ({"finish_reason": None}, None, None),
        ({"finish_reason": "null"}, None, None),
        ({"finish_reason": "because"}, None, None),
        ({"stop_reason": "\n\nQuestion:"}, None, None),
        ({"finish_reason": "FINISH_REASON_UNSPECIFIED"}, None, None),
        ({"finish_reason": "max_turns"}, None, None),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, FILTER, "SAFETY"),
        ({"prompt_feedback": {"block_reason": "BLOCK_REASON_UNSPECIFIED"}}, None, None),
        ({"finish_reason": FinishReason.MAX_TOKENS}, LENGTH, "MAX_TOKENS"),
        ({"status": "completed", "incomplete_details": None}, STOP, "completed"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, LENGTH, "max_output_tokens"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, FILTER, "content_filter"),
        ({"status": "incomplete"}, ERROR, "incomplete"),
        ({"status": "failed"}, ERROR, "failed"),
        ({"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}, LENGTH, "MAX_TOKENS"),
        ({"finish_reason": "stop", "is_truncated": True}, LENGTH, "is_truncated"),
        ({"is_blocked": True, "finish_reason": ""}, FILTER, "is_blocked"),
        ({"prompt_feedback": {"block_reason": "PROHIBITED_CONTENT"}}, FILTER, "PROHIBITED_CONTENT"),
        ({"prompt_feedback": {"block_reason": 0}, "finish_reason": "STOP"}, STOP, "STOP"),
    ],
)
def test_what_the_metadata_state_together(metadata: dict[str, Any], reason: EndReason | None, spelling: Any) -> None:
    message = AIMessage("4", response_metadata=metadata)
    assert end_reason_of(message) is reason
    assert end_spelling(message) == spelling


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"content": "", "additional_kwargs": {"refusal": "I cannot"}}, "I cannot"),
        ({"content": [{"type": "refusal", "refusal": "I cannot"}]}, "I cannot"),
        ({"content": [{"type": "refusal", "refusal": "", "extras": {"category": "cyber"}}]}, "cyber"),
        ({"content": "So", "response_metadata": {"stop_reason": "refusal"}}, ""),
        (
            {"content": "", "response_metadata": {"stop_reason": "refusal", "stop_details": {"explanation": "No."}}},
            "No.",
        ),
        ({"content": "I cannot", "additional_kwargs": {"refusal": None}}, None),
        ({"content": "4"}, None),
    ],
)
def test_refusals_are_told_with_their_text(fields: dict[str, Any], said: str | None) -> None:
    message = AIMessage(**{"response_metadata": {"finish_reason": "stop"}, **fields})
    assert refusal_of(message) == said
    assert (end_reason_of(message) is REFUSAL) == (said is not None)
