"""Every exception that this package raises on purpose.

OptScaleError
├── SettingsError                        a setting is unknown, out of range or contradicts another
├── InvalidScoreError    (ValueError)    a verifier answered with something that is not a score in [0, 1]
│   └── InvalidReplyError               a judge or a reward server answered, and its answer holds no score
├── InvalidRecordError   (ValueError)    a serialised record, session or rule cannot be read
├── UnreachableTargetError (ValueError)  no finite number of candidates reaches the target
├── EmptyCandidateError  (ValueError)    the policy answered with nothing that could be verified
├── TruncatedCandidateError (ValueError) the policy's answer was cut off at its token limit
├── FailedCandidateError (ValueError)    the policy's answer ended by an error, or cannot be read
├── RefusedCandidateError (ModelRefusalError)  the policy refused, or a filter stopped it (in records.shortcomings)
├── ErrorReplyError      (RuntimeError)  a server answered with status 200 and an error in the body
├── AllCandidatesFailed  (RuntimeError)  nothing could be drawn or verified; lists every cause (in records.failures)
├── IncompletePool       (RuntimeError)  questions of a recording have no candidate (in evaluation.recording)
├── IncompleteBatch      (RuntimeError)  questions of a batch have no answer
├── LocalServerError     (RuntimeError)  the embedded model's server did not start or died
├── EndpointError        (RuntimeError)  a model server cannot be reached, rejects the key or fails its examination
└── MissingExtraError    (ImportError)   an optional dependency is not installed; names the command
"""

from __future__ import annotations

__all__ = [
    "EmptyCandidateError",
    "EndpointError",
    "ErrorReplyError",
    "FailedCandidateError",
    "IncompleteBatch",
    "InvalidRecordError",
    "InvalidReplyError",
    "InvalidScoreError",
    "LocalServerError",
    "MissingExtraError",
    "OptScaleError",
    "SettingsError",
    "TruncatedCandidateError",
    "UnreachableTargetError",
]


class OptScaleError(Exception):
    """Base class of every error that this package raises on purpose."""


class SettingsError(OptScaleError):
    """A setting is unknown, out of range or contradicts another.

    Not a ValueError: pydantic would swallow that in a validator and hide the sentence in a list of its own.
    """


class InvalidScoreError(OptScaleError, ValueError):
    """A verifier answered with something that is not a finite score in [0, 1]."""


class InvalidReplyError(InvalidScoreError):
    """A judge or a reward server answered, and its answer holds no score."""


class InvalidRecordError(OptScaleError, ValueError):
    """A serialised record, session or stopping rule cannot be read back."""


class UnreachableTargetError(OptScaleError, ValueError):
    """No finite number of candidates reaches the target with the asked confidence."""


class EmptyCandidateError(OptScaleError, ValueError):
    """The policy answered with neither text nor a tool call: there is nothing to verify."""


class TruncatedCandidateError(OptScaleError, ValueError):
    """The policy's answer was cut off at its token limit."""


class FailedCandidateError(OptScaleError, ValueError):
    """The policy's answer ended by an error of its provider, or holds what its client cannot read."""


class ErrorReplyError(OptScaleError, RuntimeError):
    """A server answered with status 200 and an error in the body; it is retried like the status that it names.

    Attributes:
        status_code: The HTTP status that the body names, None where it names none.

    Args:
        message: What the server says.
        status_code: The same.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        self.status_code = status_code
        super().__init__(message)


class IncompleteBatch(OptScaleError, RuntimeError):  # noqa: N818 - it says what there is
    """Questions of a batch have no answer; the others are answered and kept."""


class LocalServerError(OptScaleError, RuntimeError):
    """The embedded model's server did not start, or died while it was needed."""


class EndpointError(OptScaleError, RuntimeError):
    """A model server cannot be reached, rejects the key, or fails what `optscale doctor` requires of it."""


class MissingExtraError(OptScaleError, ImportError):
    """An optional dependency is not installed.

    Args:
        purpose: What the dependency is needed for, as the start of a sentence.
        command: The command that installs it.
    """

    def __init__(self, purpose: str, command: str) -> None:
        self.command = command
        super().__init__(f"{purpose} needs an optional dependency; install it with: {command}")
