"""Why a server could not be reached, read from the error that a client wrapped."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cause_of", "chain_of"]

_LONGEST_CHAIN = 32
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it: causes, contexts, and members of groups; each once, the outermost first."""
    waiting, known = [error], set[int]()
    while waiting and len(known) < _LONGEST_CHAIN:
        one = waiting.pop(0)
        if id(one) in known:
            continue
        known.add(id(one))
        yield one
        # Also a context that is suppressed: HTTP libraries raise errors of their own `from None`.
        behind = one.__cause__ or one.__context__
        waiting += [behind] if behind is not None else []
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def cause_of(error: BaseException) -> str | None:
    """Why a connection failed, in a few words with the system's own; None where it did not, or is unknown.

    Told apart are: connection refused, unknown host, TLS (an untrusted certificate and a failed handshake), host
    unreachable, no connection in time, no answer in time, and a connection that the server closed.

    Example:
        >>> cause_of(ConnectionRefusedError(111, "Connection refused"))
        'connection refused: [Errno 111] Connection refused'
        >>> cause_of(ValueError("no")) is None
        True
    """
    chain = list(chain_of(error))
    for one in reversed(chain):
        if (words := _words(one)) is not None:
            return f"{words}: {one}" if str(one) else words
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    if "ConnectTimeout" in names:
        return "no connection in time"
    if names & {"ReadTimeout", "WriteTimeout", "APITimeoutError", "TimeoutException"}:
        return "no answer in time"
    if names & {"RemoteProtocolError", "ReadError", "WriteError", "IncompleteRead", "RemoteDisconnected"}:
        return "the server closed the connection before its answer was complete"
    return None


def _words(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "TLS: the server's certificate is not trusted"
    if isinstance(error, ssl.SSLError):
        return "TLS: the handshake failed (is it http rather than https?)"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return "the server closed the connection before its answer was complete"
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return "host unreachable"
    return None
