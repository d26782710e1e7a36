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
├── RefusedCandidateError (ModelRefusalError)  the policy refused, or a filter stopped it (in records.refusals)
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

import re
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

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


# The Unicode categories Cc and Cs and the characters that turn the direction of text, except tabs and line ends.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]|\r(?!\n)"
)


_PACKAGE = __name__.partition(".")[0]
_PAGE = "https://github.com/langchain-optscale/langchain-optscale/blob/main/docs/errors.md"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable(text: str, escape: Callable[[str], str] = _escaped) -> str:
    r"""The text with its control characters and lone surrogates as escapes; tabs and line ends stay.

    For all that comes from models, servers and files: a terminal that prints it shows an escape sequence and does not
    execute it, and no encoding fails.

    Args:
        text: Any text.
        escape: Writes one character as an escape; by default as Python does.

    Example:
        >>> printable("a\x1b[2Jb\ud800") == r"a\x1b[2Jb\ud800"
        True
    """
    return _CONTROL.sub(lambda match: escape(match.group()), text)


class OptScaleError(Exception):
    """Base class of every error that this package raises on purpose; its text shows control characters as escapes.

    A traceback, and the command line, show below the message where the errors of its class are explained: a note
    (PEP 678), so neither `str(error)` nor the record of a search contains the address.

    Example:
        >>> from langchain_optscale.verifiers import to_verdict
        >>> try:
        ...     to_verdict("good")
        ... except OptScaleError as error:
        ...     print(type(error).__name__)
        InvalidScoreError
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """The error with its note; not in `__init__`, which not every subclass of two errors passes on."""
        made = super().__new__(cls, *args, **kwargs)
        made.add_note(made.help_line)
        return made

    @property
    def help_url(self) -> str:
        """The address of the section about this class of errors: why it is raised, and what to do.

        For a class that is derived elsewhere, the section of the class that it derives from.
        """
        # OptScaleError stands for the page: it has no section.
        named = [kind.__name__ for kind in type(self).__mro__ if kind.__module__.partition(".")[0] == _PACKAGE][:-1]
        return f"{_PAGE}#{named[0].lower()}" if named else _PAGE

    @property
    def help_line(self) -> str:
        """The line that tracebacks and the command line show below the message."""
        return f"See {self.help_url}"

    def __str__(self) -> str:
        return printable(super().__str__())


def notes_of(error: BaseException) -> list[str]:
    """The notes of an error that say something about it; the one that names the page of its class does not.

    Example:
        >>> from langchain_optscale import SettingsError
        >>> error = SettingsError("cap must be at least 1, got 0")
        >>> error.add_note("in question 17")
        >>> notes_of(error)
        ['in question 17']
    """
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    return [note for note in notes if not (isinstance(error, OptScaleError) and note == error.help_line)]


class SettingsError(OptScaleError):
    """A setting is unknown, out of range or contradicts another.

    Not a ValueError: pydantic would swallow that in a validator and hide the sentence in a list of its own.

    Example:
        >>> from langchain_optscale.stopping import MaxSamples
        >>> try:
        ...     MaxSamples(0)
        ... except SettingsError as error:
        ...     print(error)
        max_samples must be a whole number of at least 1, got 0
    """


class FileError(SettingsError, OSError):
    """A file that a setting names cannot be read or written, for a reason of the system's, such as a full disk.

    Example:
        >>> from langchain_optscale.evaluation.pools import read_pool
        >>> try:
        ...     read_pool("missing.jsonl")
        ... except FileError as error:
        ...     print(error, "|", error.errno)
        missing.jsonl cannot be read: No such file or directory | 2
    """

    @classmethod
    def of(cls, sentence: str, error: OSError) -> FileError:
        """The error that says so in a sentence, with the number of the system's."""
        made = cls(f"{sentence}: {error.strerror or error}")
        made.errno, made.strerror = error.errno, error.strerror
        return made

    def __str__(self) -> str:
        return printable(str(self.args[0])) if self.args else ""


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
        >>> from langchain_optscale.records.candidates import shortcoming_of
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
        >>> from langchain_optscale.records.candidates import shortcoming_of
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
        >>> from langchain_optscale.records.candidates import shortcoming_of
        >>> ended = AIMessage("The answer", response_metadata={"finish_reason": "error"})
        >>> shortcoming_of(Candidate(0, ended, round=1))
        FailedCandidateError("the policy's answer ended with an error of its provider (error)")
    """


class ErrorReplyError(OptScaleError, RuntimeError):
    """A server answered with status 200 and an error in the body; it is retried like the status that it names.

    Attributes:
        status_code: The HTTP status that the body names, None where it names none.

    Args:
        message: What the server says.
        status_code: The same.

    Example:
        >>> ErrorReplyError("the model is overloaded", status_code=503).status_code
        503
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        self.status_code = status_code
        super().__init__(message)


class IncompleteBatch(OptScaleError, RuntimeError):  # noqa: N818 - it says what there is
    """Questions of a batch have no answer; the others are answered and kept.

    Example:
        >>> IncompleteBatch("no more").help_url.rpartition("#")[2]  # its section of docs/errors.md
        'incompletebatch'
    """


class LocalServerError(OptScaleError, RuntimeError):
    """The embedded model's server did not start, or died while it was needed.

    Example:
        >>> LocalServerError("no more").help_url.rpartition("#")[2]  # its section of docs/errors.md
        'localservererror'
    """


class EndpointError(OptScaleError, RuntimeError):
    """A model server cannot be reached, rejects the key, or fails what `optscale doctor` requires of it.

    Example:
        >>> from langchain_optscale.endpoints.vllm import discover
        >>> try:
        ...     discover("http://127.0.0.1:9")
        ... except EndpointError as error:
        ...     print(type(error).__name__)
        EndpointError
    """


class ResponseTooLargeError(EndpointError):
    """A server's response has more bytes than any answer needs, or is compressed in a way that hides their number.

    Example:
        >>> ResponseTooLargeError("no more").help_url.rpartition("#")[2]  # its section of docs/errors.md
        'responsetoolargeerror'
    """


class HungWorkError(OptScaleError, RuntimeError):
    """Too many synchronous calls of verifiers, policies and judges have not returned, so no other is begun.

    Example:
        >>> HungWorkError("no more").help_url.rpartition("#")[2]  # its section of docs/errors.md
        'hungworkerror'
    """


class PatternTimeoutError(OptScaleError, RuntimeError):
    """A regular expression took too long on a text; trying again would take as long.

    Not a TimeoutError, which is tried again.

    Example:
        >>> from langchain_optscale.answers import RegexAnswer
        >>> try:
        ...     RegexAnswer(r"(a|aa)+$")("a" * 60 + "!")
        ... except PatternTimeoutError as error:
        ...     print(type(error).__name__)
        PatternTimeoutError
    """


class MissingExtraError(OptScaleError, ImportError):
    """An optional dependency is not installed.

    Args:
        purpose: What the dependency is needed for, as the start of a sentence.
        command: The command that installs it.

    Example:
        >>> print(MissingExtraError("The engine Ray", 'pip install "langchain-optscale[ray]"'))
        The engine Ray needs an optional dependency; install it with: pip install "langchain-optscale[ray]"
    """

    def __init__(self, purpose: str, command: str) -> None:
        self.command = command
        self._purpose = purpose
        super().__init__(f"{purpose} needs an optional dependency; install it with: {command}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Its arguments are two and its text is one: a worker's error reaches another process all the same.
        return type(self), (self._purpose, self.command)
