"""Servers, threads, patterns and batches that did not do their work."""

from __future__ import annotations

from langchain_optscale.errors.base import OptScaleError

__all__ = [
    "EndpointError",
    "ErrorReplyError",
    "HungWorkError",
    "IncompleteBatch",
    "LocalServerError",
    "PatternTimeoutError",
    "ResponseTooLargeError",
]


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


class LocalServerError(OptScaleError, RuntimeError):
    """The embedded model's server did not start, or died while it was needed.

    Example:
        >>> LocalServerError("no more").help_url.rpartition("#")[2]  # its section of docs/errors.md
        'localservererror'
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


class IncompleteBatch(OptScaleError, RuntimeError):  # noqa: N818 - it says what there is
    """Questions of a batch have no answer; the others are answered and kept.

    Example:
        >>> IncompleteBatch("no more").help_url.rpartition("#")[2]  # its section of docs/errors.md
        'incompletebatch'
    """
