"""What a policy, a verifier or a file gave that cannot be used: candidates, scores and records."""

from __future__ import annotations

from langchain_optscale.errors.base import OptScaleError, SettingsError

__all__ = [
    "CandidateTooLongError",
    "DamagedFileError",
    "EmptyCandidateError",
    "FailedCandidateError",
    "InvalidRecordError",
    "InvalidReplyError",
    "InvalidScoreError",
    "MissingLogprobsError",
    "TruncatedCandidateError",
    "UnreachableTargetError",
]


class InvalidScoreError(OptScaleError, ValueError):
    """A verifier answered with something that is not a finite score in [0, 1].

    Example:
        >>> from langchain_optscale.verifiers import to_verdict
        >>> try:
        ...     to_verdict(1.5)
        ... except InvalidScoreError as error:
        ...     print(error)
        a verifier's score must be a finite number in [0, 1], got 1.5; rescale it in the verifier
    """


class InvalidReplyError(InvalidScoreError):
    """A judge or a reward server answered, and its answer holds no score.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale import LLMJudge
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> judge = LLMJudge(FakeListChatModel(responses=["I cannot say."]), method="text")
        >>> try:
        ...     judge.verify(StringPromptValue(text="2 + 2?"), make_candidate("4"))
        ... except InvalidReplyError as error:
        ...     print(type(error).__name__)
        InvalidReplyError
    """


class MissingLogprobsError(InvalidScoreError):
    """The policy returns no token log-probabilities, and the verifier cannot score without them.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale import ConfidenceVerifier
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> try:
        ...     ConfidenceVerifier().verify(StringPromptValue(text="2 + 2?"), make_candidate("4"))
        ... except MissingLogprobsError as error:
        ...     print(type(error).__name__)
        MissingLogprobsError
    """


class InvalidRecordError(OptScaleError, ValueError):
    """A serialised record, session or stopping rule cannot be read back.

    Example:
        >>> from langchain_optscale import Usage
        >>> try:
        ...     Usage.from_dict({"requests": -1})
        ... except InvalidRecordError as error:
        ...     print(type(error).__name__)
        InvalidRecordError
    """


class DamagedFileError(InvalidRecordError, SettingsError):
    """A packed file cannot be unpacked: it is damaged, or unpacks to far more than it should.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from langchain_optscale.evaluation.pools import read_pool
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory, "pool.jsonl.gz")
        ...     _ = path.write_bytes(b"not packed")
        ...     try:
        ...         read_pool(path)
        ...     except DamagedFileError as error:
        ...         print(type(error).__name__)
        DamagedFileError
    """


class UnreachableTargetError(OptScaleError, ValueError):
    """No finite number of candidates reaches the target with the asked confidence.

    Example:
        >>> from langchain_optscale.stats import optimal_n
        >>> try:
        ...     optimal_n(0.2, 0.001, target=0.999, confidence=0.95)
        ... except UnreachableTargetError as error:
        ...     print(error)
        no finite number of scores reaches the target 0.999; lower it, or set max_n
    """


class EmptyCandidateError(OptScaleError, ValueError):
    """The policy answered with neither text nor a tool call: there is nothing to verify.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_optscale import Candidate
        >>> from langchain_optscale.records.shortcomings import shortcoming_of
        >>> shortcoming_of(Candidate(0, AIMessage(""), round=1))
        EmptyCandidateError('the policy answered with neither text nor a tool call')
    """


class CandidateTooLongError(OptScaleError, ValueError):
    """The tool calls or the structured answer of a candidate are too long to be shown to a judge as a whole.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale import Candidate, LLMJudge
        >>> call = {"name": "write", "args": {"text": "x" * 200_000}, "id": "1", "type": "tool_call"}
        >>> judge = LLMJudge(FakeListChatModel(responses=["8"]))
        >>> try:
        ...     judge.verify(StringPromptValue(text="Write."), Candidate(0, AIMessage("", tool_calls=[call]), round=1))
        ... except CandidateTooLongError as error:
        ...     print(type(error).__name__)
        CandidateTooLongError
    """


class TruncatedCandidateError(OptScaleError, ValueError):
    """The policy's answer was cut off at its token limit.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_optscale import Candidate
        >>> from langchain_optscale.records.shortcomings import shortcoming_of
        >>> cut_off = AIMessage("The answer is", response_metadata={"finish_reason": "length"})
        >>> type(shortcoming_of(Candidate(0, cut_off, round=1))).__name__
        'TruncatedCandidateError'
        >>> shortcoming_of(Candidate(0, cut_off, round=1), accept_truncated=True)
    """


class FailedCandidateError(OptScaleError, ValueError):
    """The policy's answer ended by an error of its provider, or holds what its client cannot read.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_optscale import Candidate
        >>> from langchain_optscale.records.shortcomings import shortcoming_of
        >>> ended = AIMessage("The answer", response_metadata={"finish_reason": "error"})
        >>> shortcoming_of(Candidate(0, ended, round=1))
        FailedCandidateError("the policy's answer ended with an error of its provider (error)")
    """
