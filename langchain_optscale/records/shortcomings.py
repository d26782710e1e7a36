"""Why a candidate is no answer: it was cut off, blocked, refused or lost in transport, or has nothing but reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.exceptions import ModelRefusalError

from langchain_optscale.errors import (
    EmptyCandidateError,
    FailedCandidateError,
    OptScaleError,
    TruncatedCandidateError,
)
from langchain_optscale.records.endings import EndReason, end_reason_of, end_spelling, refusal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_optscale.records.candidates import Candidate

__all__ = ["CHOICE_ERROR", "RefusedCandidateError", "shortcoming_of", "truncation_note"]

CHOICE_ERROR = "optscale_choice_error"
"""The key of a message's metadata under which it says why a choice of a response could not be read."""

_CUT = (EndReason.LENGTH, EndReason.CONTENT_FILTER)


class RefusedCandidateError(OptScaleError, ModelRefusalError):
    """The policy refused to answer, or a content filter stopped its answer; an error of langchain-core's kind too.

    Apart from the other errors, which can be read without LangChain.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_optscale import Candidate
        >>> refused = AIMessage("", additional_kwargs={"refusal": "I cannot help with that."})
        >>> print(shortcoming_of(Candidate(0, refused, round=0)))
        the policy refused: I cannot help with that.
    """


def shortcoming_of(
    candidate: Candidate, *, accept_truncated: bool = False, needs_whole: bool = False
) -> Exception | None:
    """Why a candidate is not to be verified; None for one that is complete.

    Args:
        candidate: What was drawn.
        accept_truncated: Whether one that was cut off or blocked, and has some text, is to be verified all the same.
        needs_whole: Whether the verifier reads whole answers alone, whatever is accepted.
    """
    message = candidate.message
    if (lost := message.response_metadata.get(CHOICE_ERROR)) is not None:
        return FailedCandidateError(f"this choice of the response cannot be read: {lost}")
    ended = end_reason_of(message)
    written = bool(candidate.answer_text.strip() or message.tool_calls)
    if ended is None or ended.complete or (accept_truncated and not needs_whole and written and ended in _CUT):
        return None if written else _empty(candidate)
    return _incomplete(candidate, ended, needs_whole=needs_whole)


def _incomplete(candidate: Candidate, ended: EndReason, *, needs_whole: bool) -> Exception:
    if ended is EndReason.REFUSAL:
        reason = refusal_of(candidate.message) or "it gave no reason"
        return RefusedCandidateError(f"the policy refused: {reason}", raw_message=candidate.message)
    name = end_spelling(candidate.message)
    if ended is EndReason.LENGTH:
        what = "its reasoning" if candidate.reasoning and not candidate.text.strip() else "the policy's answer"
        otherwise = "" if needs_whole else ", or set accept_truncated=True to have such answers scored"
        return TruncatedCandidateError(f"{what} was cut off at the token limit ({name}): raise max_tokens{otherwise}")
    if ended is EndReason.CONTENT_FILTER:
        return RefusedCandidateError(
            f"a content filter stopped the policy's answer ({name})", raw_message=candidate.message
        )
    return FailedCandidateError(f"the policy's answer ended with an error of its provider ({name})")


def _empty(candidate: Candidate) -> Exception:
    if candidate.message.invalid_tool_calls:
        return EmptyCandidateError(
            "the policy answered with neither text nor a valid tool call, only with: " + candidate.text
        )
    if candidate.reasoning is not None:
        return EmptyCandidateError(
            "the policy answered with reasoning only: raise max_tokens, or lower its reasoning effort"
        )
    return EmptyCandidateError("the policy answered with neither text nor a tool call")


def truncation_note(candidates: Sequence[Candidate]) -> str | None:
    """How many candidates were cut off and what to do about it, as a sentence; None where none was.

    The candidates that were cut off say only that `max_tokens` is too small, and at which length they ended: the note
    names twice that length.
    """
    cut = [candidate for candidate in candidates if candidate.end_reason is EndReason.LENGTH]
    if not cut:
        return None
    longest = max(candidate.usage.output_tokens for candidate in cut)
    many = f"{len(cut)} of {len(candidates)} candidates {'was' if len(cut) == 1 else 'were'} cut off"
    if not longest:
        return f"{many} at the token limit: raise max_tokens"
    return f"{many} at the token limit, after {longest} tokens: set max_tokens to {2 * longest} or more"
