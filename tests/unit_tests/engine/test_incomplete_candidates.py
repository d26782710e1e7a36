"""Candidates that are no answers: cut off, blocked, refused, empty but for their reasoning."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelError,
    ModelRateLimitError,
    ModelRefusalError,
    OutputParserException,
)
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_optscale import AllCandidatesFailed, ChatOptScale, OptScale
from langchain_optscale.engine.result import OptScaleResult
from langchain_optscale.records.candidates import Failure
from langchain_optscale.records.endings import EndReason
from langchain_optscale.stopping import MaxSamples

if TYPE_CHECKING:
    from collections.abc import Callable

CUT = AIMessage("17 * 20 = 340, so 17 * 23 = 3", response_metadata={"finish_reason": "length"})
WHOLE = AIMessage("The answer is 391.", response_metadata={"finish_reason": "stop"})
NO = AIMessage(
    "", additional_kwargs={"refusal": "I cannot help with that"}, response_metadata={"finish_reason": "stop"}
)
BLOCKED = AIMessage("It", response_metadata={"finish_reason": "SAFETY"})


def search(*messages: AIMessage | Exception, **settings: Any) -> OptScaleResult:
    policy = Policy(messages=iter(messages))
    given = {"verifier": lambda prompt, candidate: 0.5, "stopping": MaxSamples(len(messages)), "max_retries": 0}
    return OptScale(policy=policy, **(given | settings)).invoke("q")


class Policy(GenericFakeChatModel):
    """Answers with the messages in turn, and raises those that are errors."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        following = next(self.messages)
        if isinstance(following, Exception):
            raise following
        return ChatResult(generations=[ChatGeneration(message=following)])


def test_cut_off_candidates_are_failures_that_neither_vote_nor_win() -> None:
    result = search(CUT, CUT, WHOLE, extract="number", select="vote")
    assert result.text == "The answer is 391."
    assert set(result.verdicts) == {2}
    assert all("cut off at the token limit (length): raise max_tokens" in result.failures[i].error for i in (0, 1))
    assert [candidate.end_reason for candidate in result.candidates] == [
        EndReason.LENGTH,
        EndReason.LENGTH,
        EndReason.STOP,
    ]
    assert result.truncated == 2
    assert result.notes == (
        "2 of 3 candidates were cut off at the token limit: raise max_tokens",
        "1 of 3 candidates repeats an earlier one word for word",
    )
    assert result.summary()["truncated"] == 2


def test_the_note_says_what_max_tokens_would_have_to_be() -> None:
    usage = {"input_tokens": 5, "output_tokens": 64, "total_tokens": 69}
    result = search(CUT.model_copy(update={"usage_metadata": usage}), WHOLE)
    note = "1 of 2 candidates was cut off at the token limit, after 64 tokens: set max_tokens to 128 or more"
    assert result.notes == (note,)
    assert result.summary()["notes"] == [note]
    with pytest.raises(AllCandidatesFailed, match="set max_tokens to 128 or more"):
        search(CUT.model_copy(update={"usage_metadata": usage}))


def test_who_wants_cut_off_answers_scored_says_so() -> None:
    result = search(CUT, WHOLE, BLOCKED, accept_truncated=True)
    assert sorted(result.verdicts) == [0, 1, 2]
    assert result.truncated == 1


@pytest.mark.parametrize("accept", [False, True])
def test_a_cut_off_answer_without_text_is_never_scored(accept: bool) -> None:
    thought = AIMessage("<think>It may be", response_metadata={"finish_reason": "length"})
    result = search(thought, WHOLE, accept_truncated=accept)
    assert set(result.verdicts) == {1}
    assert "its reasoning was cut off" in result.failures[0].error
    assert result.candidates[0].reasoning == "It may be"


def test_refusals_are_told_with_their_text() -> None:
    result = search(NO, WHOLE, accept_truncated=True)
    assert result.failures[0].error == "RefusedCandidateError: the policy refused: I cannot help with that"
    assert result.failures[0].kind == "ModelRefusalError"


@pytest.mark.parametrize("refusal", [NO, BLOCKED])
@pytest.mark.parametrize("path", ["sync", "async", "chat"])
def test_where_all_refuse_langchain_s_refusal_is_raised(refusal: AIMessage, path: str) -> None:
    settings: dict[str, Any] = {"verifier": lambda prompt, candidate: 0.5, "max_samples": 2}
    policy = Policy(messages=iter([refusal, refusal]))
    calls: dict[str, Callable[[], Any]] = {
        "sync": lambda: OptScale(policy=policy, **settings).invoke("q"),
        "async": lambda: asyncio.run(OptScale(policy=policy, **settings).ainvoke("q")),
        "chat": lambda: ChatOptScale(policy=policy, **settings).invoke("q"),
    }
    with pytest.raises(ModelRefusalError) as raised:
        calls[path]()
    assert isinstance(raised.value, AllCandidatesFailed)
    assert raised.value.raw_message == refusal
    assert isinstance(raised.value.__cause__, ModelRefusalError)
    assert not raised.value.is_retryable


class LocalOverflowError(ContextOverflowError):
    """As integrations make their own."""


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([ContextOverflowError("too long")] * 2, ContextOverflowError),
        ([LocalOverflowError("too long"), ContextOverflowError("too long")], ContextOverflowError),
        ([ModelRateLimitError("slow down")] * 2, ModelRateLimitError),
        ([OutputParserException("no JSON")] * 2, OutputParserException),
        ([ModelRateLimitError("slow down"), ContextOverflowError("too long")], ModelError),
    ],
)
def test_an_error_that_other_software_acts_on_survives(errors: list[Exception], kind: type[Exception]) -> None:
    with pytest.raises(AllCandidatesFailed) as raised:
        search(*errors, fanout="calls")
    assert isinstance(raised.value, kind)
    cause = raised.value.__cause__
    assert cause in errors or (isinstance(cause, ExceptionGroup) and list(cause.exceptions) == errors)
    assert getattr(raised.value, "is_retryable", False) == getattr(kind, "is_retryable", False)


@pytest.mark.parametrize(
    "errors", [[ValueError("x")] * 2, [ContextOverflowError("x"), ValueError("x")], [ValueError("x"), NO]]
)
def test_different_errors_are_ours_alone(errors: list[Any]) -> None:
    with pytest.raises(AllCandidatesFailed) as raised:
        search(*errors)
    assert not isinstance(raised.value, ModelError)


@pytest.mark.parametrize("kind", [None, "ModelRefusalError", "ContextOverflowError"])
def test_the_error_is_copied_and_sent_as_what_it_is(kind: str | None) -> None:
    error = AllCandidatesFailed({0: Failure("draw", "x", 1, kind)})
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.failures == error.failures


def test_reasoning_alone_is_no_answer() -> None:
    alone = AIMessage([{"type": "thinking", "thinking": "hm"}], response_metadata={"stop_reason": "end_turn"})
    result = search(alone, WHOLE)
    assert "with reasoning only" in result.failures[0].error


def test_the_verifier_the_extractor_and_the_caller_see_the_answer_alone() -> None:
    seen = []

    def verify(prompt: Any, candidate: Any) -> float:
        seen.append((candidate.text, str(candidate.message.content), candidate.reasoning))
        return 0.5

    thought = AIMessage("<think>12? No.</think>It is 7.")
    result = search(thought, verifier=verify, extract="number")
    assert seen == [("It is 7.", "It is 7.", "12? No.")]
    assert (result.best.answer, result.text, result.message.content) == ("7", "It is 7.", "It is 7.")
    assert OptScaleResult.from_dict(result.to_dict()).candidates == result.candidates
    kept = search(thought, verifier=verify, extract="number", keep_reasoning=True)
    assert seen[1] == ("It is 7.", "<think>12? No.</think>It is 7.", "12? No.")
    assert (kept.best.answer, kept.text, kept.message) == ("7", "It is 7.", thought)


def test_a_tag_of_one_s_own_is_named() -> None:
    planned = AIMessage("<plan>12?</plan>It is 7.")
    assert search(planned, extract="number").text == "<plan>12?</plan>It is 7."
    result = search(planned, extract="number", reasoning_tags=["plan"])
    assert (result.text, result.best.reasoning) == ("It is 7.", "12?")
    kept = search(planned, reasoning_tags=["plan"], keep_reasoning=True)
    assert (kept.text, kept.message) == ("It is 7.", planned)
    assert OptScaleResult.from_dict(kept.to_dict()).best == kept.best


@pytest.mark.parametrize("keep", [False, True])
def test_the_chat_model_returns_reasoning_where_it_is_asked_to(keep: bool) -> None:
    blocks: list[Any] = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "7"}]
    policy = Policy(messages=iter([AIMessage(blocks)]))
    model = ChatOptScale(policy=policy, verifier=lambda p, c: c.text == "7", max_samples=1, keep_reasoning=keep)
    message = model.invoke("q")
    assert message.response_metadata["optscale"]["score"] == 1.0
    assert message.content == (blocks if keep else blocks[1:])
