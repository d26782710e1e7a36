"""Every exception that this package raises on purpose.

OptScaleError
├── SettingsError                        a setting is unknown, out of range or contradicts another
│   └── FileError        (OSError)       a file that a setting names cannot be read or written
├── InvalidScoreError    (ValueError)    a verifier answered with something that is not a score in [0, 1]
│   ├── InvalidReplyError               a judge or a reward server answered, and its answer holds no score
│   └── MissingLogprobsError             the policy returns no log-probabilities for a verifier that needs them
├── InvalidRecordError   (ValueError)    a serialised record, session or rule cannot be read
│   └── DamagedFileError                 a packed file cannot be unpacked (a SettingsError as well)
├── UnreachableTargetError (ValueError)  no finite number of candidates reaches the target
├── EmptyCandidateError  (ValueError)    the policy answered with nothing that could be verified
├── CandidateTooLongError (ValueError)   a candidate's tool calls are too long to be shown to a judge as a whole
├── TruncatedCandidateError (ValueError) the policy's answer was cut off at its token limit
├── FailedCandidateError (ValueError)    the policy's answer ended by an error, or cannot be read
├── RefusedCandidateError (ModelRefusalError)  the policy refused, or a filter stopped it (in records.shortcomings)
├── ErrorReplyError      (RuntimeError)  a server answered with status 200 and an error in the body
├── AllCandidatesFailed  (RuntimeError)  nothing could be drawn or verified; lists every cause (in records.failures)
├── IncompletePool       (RuntimeError)  questions of a recording have no candidate (in evaluation.recording)
├── IncompleteBatch      (RuntimeError)  questions of a batch have no answer
├── LocalServerError     (RuntimeError)  the embedded model's server did not start or died
├── HungWorkError        (RuntimeError)  too many synchronous calls of verifiers and policies have not returned
├── PatternTimeoutError  (RuntimeError)  a regular expression took too long on a text
├── EndpointError        (RuntimeError)  a model server cannot be reached, rejects the key or fails its examination
│   └── ResponseTooLargeError           a response has more bytes than an answer needs
└── MissingExtraError    (ImportError)   an optional dependency is not installed; names the command
"""

from __future__ import annotations

from langchain_optscale.errors.base import (
    FileError,
    MissingExtraError,
    OptScaleError,
    SettingsError,
    notes_of,
    printable,
)
from langchain_optscale.errors.invalid import (
    CandidateTooLongError,
    DamagedFileError,
    EmptyCandidateError,
    FailedCandidateError,
    InvalidRecordError,
    InvalidReplyError,
    InvalidScoreError,
    MissingLogprobsError,
    TruncatedCandidateError,
    UnreachableTargetError,
)
from langchain_optscale.errors.work import (
    EndpointError,
    ErrorReplyError,
    HungWorkError,
    IncompleteBatch,
    LocalServerError,
    PatternTimeoutError,
    ResponseTooLargeError,
)

__all__ = [
    "CandidateTooLongError",
    "DamagedFileError",
    "EmptyCandidateError",
    "EndpointError",
    "ErrorReplyError",
    "FailedCandidateError",
    "FileError",
    "HungWorkError",
    "IncompleteBatch",
    "InvalidRecordError",
    "InvalidReplyError",
    "InvalidScoreError",
    "LocalServerError",
    "MissingExtraError",
    "MissingLogprobsError",
    "OptScaleError",
    "PatternTimeoutError",
    "ResponseTooLargeError",
    "SettingsError",
    "TruncatedCandidateError",
    "UnreachableTargetError",
    "notes_of",
    "printable",
]
