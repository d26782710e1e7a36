"""What models and servers really answer, in the wire formats of OpenAI-compatible servers, and searched."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.exceptions import ContextOverflowError, ModelRefusalError
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import AllCandidatesFailed, ChatOptScale, LLMJudge, OptScale
from langchain_optscale.stopping import MaxSamples
from tests.integration_tests.scripted_server import Reply, scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_optscale import local
    from langchain_optscale.engine.result import OptScaleResult

pytest.importorskip("langchain_openai")

USAGE = {"prompt_tokens": 10, "completion_tokens": 64, "total_tokens": 74}


def chat(base_url: str, **settings: Any) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(**{"model": "m", "api_key": "x", "base_url": base_url, **settings})


def body(*choices: dict[str, Any], **top: Any) -> Reply:
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "m", "usage": USAGE}
    listed = [{"index": index, "finish_reason": "stop", **choice} for index, choice in enumerate(choices)]
    return Reply(body=json.dumps({**head, "choices": listed, **top}))


def said(content: Any = None, finish_reason: str = "stop", **fields: Any) -> dict[str, Any]:
    return {"finish_reason": finish_reason, "message": {"role": "assistant", "content": content, **fields}}


def called(arguments: Any) -> list[dict[str, Any]]:
    return [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}]


def run(search: OptScale, path: str) -> OptScaleResult:
    return search.invoke("q") if path == "sync" else asyncio.run(search.ainvoke("q"))


PATHS = pytest.mark.parametrize("path", ["sync", "async"])
EAGER = pytest.mark.parametrize("cancel", ["close", "eager"])


def half(prompt: Any, candidate: Any) -> float:
    return 0.5


@PATHS
def test_one_malformed_choice_of_eight_costs_one(path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        arguments = ["{}"] * payload.get("n", 1)
        arguments[min(1, len(arguments) - 1)] = '"{}"'
        return body(*(said(tool_calls=called(one), finish_reason="tool_calls") for one in arguments))

    with scripted_server(script) as server:
        search = OptScale(policy=chat(server.base_url), verifier=half, stopping=MaxSamples(8), first_round=8)
        result = run(search, path)
    assert len(server.requests) == 1
    assert len(result.verdicts) == 7
    assert "this choice of the response cannot be read" in result.failures[1].error
    assert result.usage["policy"].output_tokens == 64


@PATHS
def test_a_request_for_several_choices_that_cannot_work_falls_back_to_single_ones(path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        if payload.get("n", 1) > 1:
            return Reply(
                status=501 if number % 2 else 200, body="<html>no</html>", headers={"Content-Type": "text/html"}
            )
        return body(said("4"))

    with scripted_server(script) as server:
        search = OptScale(
            policy=chat(server.base_url), verifier=half, stopping=MaxSamples(4), first_round=4, max_retries=0
        )
        result = run(search, path)
    assert len(result.verdicts) == 4
    assert [payload.get("n", 1) for payload in server.requests] == [4, 1, 1, 1, 1]


@PATHS
@pytest.mark.parametrize("routed", ["tool", "reasoning"])
def test_a_call_that_goes_to_the_responses_api_is_asked_for_one_choice_without_a_seed(path: str, routed: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        assert not payload.keys() & {"n", "seed", "logprobs", "stop"}
        return response(f"It is {number}.")

    with scripted_server(script) as server:
        policy = chat(server.base_url, **({"reasoning": {"effort": "low"}} if routed == "reasoning" else {}))
        if routed == "tool":
            policy = policy.bind_tools([{"type": "web_search"}])
        result = run(OptScale(policy=policy, verifier=half, stopping=MaxSamples(3), extract="number"), path)
    assert set(server.paths) == {"/v1/responses"}
    assert sorted(candidate.answer for candidate in result.candidates) == ["0", "1", "2"]  # type: ignore[type-var]
    assert all(candidate.reasoning == "hm" for candidate in result.candidates)
    assert [block["type"] for block in result.message.content_blocks] == ["text"]


def response(text: str, status: str = "completed", reason: str | None = None, **content: Any) -> Reply:
    """A response of OpenAI's Responses API."""
    part = content or {"type": "output_text", "text": text, "annotations": []}
    summary = [{"type": "summary_text", "text": "hm"}]
    return Reply(
        body=json.dumps(
            {
                "id": "resp_1",
                "object": "response",
                "created_at": 0,
                "model": "m",
                "status": status,
                "incomplete_details": reason and {"reason": reason},
                "error": None,
                "output": [
                    {"type": "reasoning", "id": "rs_1", "summary": summary},
                    {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [part]},
                ],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
            }
        )
    )


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (lambda: response("17 * 23 = 3", "incomplete", "max_output_tokens"), "cut off at the token limit"),
        (lambda: response("17 * 23 = 3", "incomplete", "content_filter"), "a content filter stopped"),
        (lambda: response("", type="refusal", refusal="I cannot"), "the policy refused: I cannot"),
    ],
)
def test_how_a_response_of_the_responses_api_ended(first: Callable[[], Reply], error: str) -> None:
    with scripted_server(lambda number, payload: first() if number == 0 else response("391")) as server:
        search = OptScale(
            policy=chat(server.base_url, use_responses_api=True),
            verifier=half,
            stopping=MaxSamples(2),
            first_round=1,
            round_size=1,
        )
        result = search.invoke("q")
    assert error in result.failures[0].error
    assert result.text == "391"


@pytest.mark.parametrize(
    "error",
    [{"code": "server_error", "message": "x"}, {"code": "rate_limit_exceeded", "message": "x"}, {"code": 502}],
)
def test_an_error_of_the_responses_api_in_a_200_body_is_retried(error: dict[str, Any]) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        if number:
            return response("391")
        whole = json.loads(response("").body or "")
        return Reply(body=json.dumps({**whole, "status": "failed", "error": error, "output": []}))

    with scripted_server(script) as server:
        policy = chat(server.base_url, use_responses_api=True)
        assert OptScale(policy=policy, verifier=half, max_samples=1).invoke("q").text == "391"
    assert len(server.requests) == 2


@PATHS
@EAGER
@pytest.mark.parametrize(
    ("choice", "error"),
    [
        (said("17 * 23 = 3", "length"), "cut off at the token limit (length)"),
        (said("17 * 23 = 3", "content_filter"), "a content filter stopped the policy's answer"),
        (said(refusal="I cannot"), "the policy refused: I cannot"),
        (said(None, "length", reasoning_content="hm, so"), "its reasoning was cut off"),
        (said("", reasoning_content="hm"), "with reasoning only"),
    ],
)
def test_incomplete_choices_are_failures(choice: dict[str, Any], error: str, cancel: Any, path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        choices = [choice, said("391")]
        return streamed(choices) if payload.get("stream") else body(*choices)

    with scripted_server(script) as server:
        search = OptScale(
            policy=chat(server.base_url), verifier=half, stopping=MaxSamples(2), extract="number", cancel=cancel
        )
        result = run(search, path)
    assert error in result.failures[0].error
    assert (result.text, result.best.index) == ("391", 1)


def streamed(choices: list[dict[str, Any]]) -> Reply:
    """The same choices as a stream."""
    lines = []
    for index, choice in enumerate(choices):
        head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        ended = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
        parts = [{"index": index, "delta": choice["message"], "finish_reason": None}, ended]
        lines += [f"data: {json.dumps({**head, 'choices': [part]})}\n\n" for part in parts]
    text = "".join([*lines, "data: [DONE]\n\n"])
    return Reply(body=text, headers={"Content-Type": "text/event-stream"})


@PATHS
@pytest.mark.parametrize(
    "error",
    [
        {"error": {"code": 502, "message": "Provider returned error"}},
        {"error": {"type": "overloaded_error", "message": "Overloaded"}, "choices": None},
        {"object": "error", "message": "busy", "code": 503},
    ],
)
def test_an_error_in_a_200_body_is_retried(error: dict[str, Any], path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        return Reply(body=json.dumps(error)) if number == 0 else body(said("4"))

    with scripted_server(script) as server:
        result = run(OptScale(policy=chat(server.base_url), verifier=half, max_samples=1), path)
    assert (result.text, len(server.requests)) == ("4", 2)


def test_an_error_in_a_200_body_to_a_judge_is_retried() -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        if number == 0:
            return Reply(body=json.dumps({"error": {"code": 502, "message": "x"}}))
        return body(said(f"Fine.\nGRADE-{code_in(payload)}: 8"))

    with scripted_server(script) as server:
        judge = LLMJudge(chat(server.base_url), method="text")
        result = OptScale(policy=FakeListChatModel(responses=["4"]), verifier=judge, max_samples=1).invoke("q")
    assert (result.score, len(server.requests)) == (0.8, 2)


@PATHS
def test_an_error_within_a_stream_is_retried(path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        if number == 0:
            text = 'data: {"error": {"code": 502, "message": "x"}}\n\n'
            return Reply(body=text, headers={"Content-Type": "text/event-stream"})
        return streamed([said("4")])

    with scripted_server(script) as server:
        search = OptScale(policy=chat(server.base_url), verifier=half, max_samples=1, cancel="eager")
        result = run(search, path)
    assert (result.text, len(server.requests)) == ("4", 2)


def test_one_choice_that_failed_upstream_is_drawn_again() -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        if number == 0:
            lost = {**said("", "error"), "error": {"code": 502, "message": "Provider returned error"}}
            return body(said("a"), lost, said("b"))
        return body(said("c"))

    with scripted_server(script) as server:
        search = OptScale(policy=chat(server.base_url), verifier=half, stopping=MaxSamples(3), first_round=3)
        result = search.invoke("q")
    assert sorted(candidate.text for candidate in result.candidates) == ["a", "b", "c"]
    assert len(server.requests) == 2


@PATHS
def test_all_choices_refuse(path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        return body(*[said(refusal="I cannot")] * payload.get("n", 1))

    with scripted_server(script) as server, pytest.raises(ModelRefusalError, match="I cannot") as raised:
        run(OptScale(policy=chat(server.base_url), verifier=half, max_samples=2), path)
    assert isinstance(raised.value, AllCandidatesFailed)


def test_a_conversation_that_is_too_long_is_told_as_such_after_one_request() -> None:
    error = {"error": {"message": "context_length_exceeded: 9000 tokens", "code": "context_length_exceeded"}}
    script = scripted_server(lambda number, payload: Reply(status=400, body=json.dumps(error)))
    with script as server, pytest.raises(ContextOverflowError):
        ChatOptScale(policy=chat(server.base_url), verifier=half, max_samples=4, first_round=4).invoke("q")
    assert len(server.requests) == 1


# --- judges ---


def code_in(payload: dict[str, Any]) -> str:
    found = re.search(r"The code is (\w{12})", json.dumps(payload))
    assert found is not None
    return found[1]


def grading(payload: dict[str, Any], grade: Any = 8) -> str:
    return json.dumps({"explanation": "ok", "code": code_in(payload), "grade": grade})


@PATHS
def test_a_judge_that_fences_its_json_is_asked_for_text_from_then_on(path: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        fenced = f"```json\n{grading(payload)}\n```"
        return body(said(fenced if "response_format" in payload else f"Right.\nGRADE-{code_in(payload)}: 8"))

    with scripted_server(script) as server:
        model = chat(server.base_url)
        for judge in (LLMJudge(model), LLMJudge(model)):
            search = OptScale(policy=FakeListChatModel(responses=["4", "5"]), verifier=judge, stopping=MaxSamples(2))
            result = run(search, path)
            assert result.scores == (0.8, 0.8)
            assert judge.method_in_use == "text"
    # The reply to the first has no log-probabilities, but its grade: it counts, and text is what both judges ask for.
    assert len(server.requests) == 2 + 2


def test_a_judge_on_the_responses_api() -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        assert not payload.keys() & {"logprobs", "n", "stop"}
        return response(grading(payload))

    with scripted_server(script) as server:
        judge = LLMJudge(chat(server.base_url, reasoning={"effort": "low"}))
        result = OptScale(policy=FakeListChatModel(responses=["4"]), verifier=judge, max_samples=1).invoke("q")
    assert (result.score, judge.method_in_use) == (0.8, "structured")
    assert len(server.requests) == 1


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize(
    "write",
    [
        lambda code: f"GRADE-{code}: 8/10",
        lambda code: f"GRADE-{code}: **8** out of 10",
        lambda code: f"GRADE-{code}: 8 (good)",
        lambda code: f"GRADE-{code}: Score: 8",
        lambda code: f"GRADE-{code}: eight",
        lambda code: f"Good.\n```\nGRADE-{code}: 8\n```",
        lambda code: f"<think>GRADE-{code}: 2? Too strict.</think>\nGood.\nGRADE-{code}: 8",
        lambda code: f'```json\n{{"code": "{code}", "grade": "8/10", "explanation": "x"}}\n```',
    ],
)
def test_grades_in_the_ways_that_judges_write_them(write: Callable[[str], str], api: str) -> None:
    def script(number: int, payload: dict[str, Any]) -> Reply:
        text = write(code_in(payload))
        return response(text) if api == "responses" else body(said(text, reasoning_content="GRADE: 1"))

    with scripted_server(script) as server:
        judge = LLMJudge(chat(server.base_url, use_responses_api=api == "responses"), method="text")
        result = OptScale(policy=FakeListChatModel(responses=["4"]), verifier=judge, max_samples=1).invoke("q")
    assert result.score == 0.8


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        (lambda code: said(f"GRADE-{code}: 1", "length"), "raise the judge's max_tokens"),
        (lambda code: said(refusal="I cannot"), "the judge refused to grade: I cannot"),
        (lambda code: said(f"GRADE-{code}: 1", "content_filter"), "stopped by its provider"),
    ],
)
def test_an_incomplete_reply_of_a_judge_gives_no_grade(choice: Callable[[str], Any], error: str) -> None:
    with scripted_server(lambda number, payload: body(choice(code_in(payload)))) as server:
        judge = LLMJudge(chat(server.base_url), method="text")
        with pytest.raises(AllCandidatesFailed, match=error):
            OptScale(policy=FakeListChatModel(responses=["4"]), verifier=judge, max_samples=1).invoke("q")


# --- the real model ---


def test_with_a_real_model_cut_off_answers_are_neither_returned_nor_voted_for(local_server: local.LocalServer) -> None:
    question = "Count from 1 to 100, each number on a line of its own."
    settings: dict[str, Any] = {
        "verifier": half,
        "extract": "number",
        "select": "vote",
        "stopping": MaxSamples(4),
        "seed": 1,
    }
    # Which tokens a seed gives differs between processors: no candidate may end by itself before the limit.
    policy = local_server.policy(max_tokens=8, extra_body={"ignore_eos": True})
    with pytest.raises(AllCandidatesFailed) as raised:
        OptScale(policy=policy, **settings).invoke(question)
    failures = raised.value.failures.values()
    assert all("cut off at the token limit" in failure.error for failure in failures)
    assert "4 of 4 candidates were cut off at the token limit, after 8 tokens: set max_tokens to 16 or more" in str(
        raised.value
    )
    accepted = OptScale(policy=policy, accept_truncated=True, **settings)
    assert accepted.invoke(question).truncated == 4


def test_with_a_real_model_whole_answers_win_over_cut_off_ones(local_server: local.LocalServer) -> None:
    search = OptScale(
        policy=local_server.policy(max_tokens=12),
        verifier=lambda prompt, candidate: 0.9 if candidate.end_reason == "length" else 0.1,
        stopping=MaxSamples(8),
        seed=1,
    )
    result = search.invoke("Answer with one word: what is the capital of France?")
    assert result.truncated
    assert result.best.end_reason == "stop"
    assert all(candidate.end_reason == "stop" for candidate in result.candidates if candidate.index in result.verdicts)
    assert "were cut off" in result.notes[0] or "was cut off" in result.notes[0]
