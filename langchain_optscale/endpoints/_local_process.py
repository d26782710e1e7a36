"""The parent's side of the embedded model server: start, query and end the child process.

`_local_server.py` is the child's side. The parent holds the write end of the child's standard input; the child exits
when it is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING

from pydantic import SecretStr

from langchain_optscale.errors import LocalServerError
from langchain_optscale.records.forks import after_fork, keep_open

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ServerProcess"]

_CHILD = Path(__file__).with_name("_local_server.py")
_POLL_S = 0.02
_ANSWER_TIMEOUT_S = 10.0
_GRACE_S = 2.0
_KEY = "OPTSCALE_LOCAL_SERVER_KEY"
_LONGEST_TMP = 64
_LOG_TAIL_BYTES = 2000
_LOG_TAIL_LINES = 8

# The child's environment: what its interpreter and libraries need, without the keys and tokens of the parent's.
_CHILD_ENVIRONMENT = frozenset(
    {
        *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
        *("PYTHONHOME", "PYTHONPATH", "PYTHONUTF8", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE"),
    }
)


class ServerProcess:
    """A child process that serves one model; it starts when constructed.

    Args:
        settings: The argument of `_local_server.py`.

    Attributes:
        pid: Process id of the child.
        api_key: Without it the server answers no request; made anew for each server.
        address: Host and port, such as `"127.0.0.1:40321"`; empty until `wait_until_ready` has returned.
    """

    def __init__(self, settings: Mapping[str, object]) -> None:
        # In the environment, which other users cannot read as they can read a command line.
        self.api_key = SecretStr(secrets.token_urlsafe(32))
        environment = {name: value for name, value in os.environ.items() if name in _CHILD_ENVIRONMENT}
        environment[_KEY] = self.api_key.get_secret_value()
        with contextlib.ExitStack() as resources:
            settings = {**settings, "socket": _socket_path(resources)}
            self._log = resources.enter_context(tempfile.TemporaryFile())
            self._child = subprocess.Popen(  # noqa: S603 - our own file, run by our own interpreter
                # -P keeps the script's directory, and with it this package's modules, off the import path.
                [sys.executable, "-P", str(_CHILD), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                bufsize=0,
                # Ctrl-C in a terminal reaches the whole process group; only the parent may end the child.
                start_new_session=True,
            )
            resources.callback(_end, self._child)
            self._resources = resources.pop_all()
        self.pid = self._child.pid
        self.address = ""
        # Reentrant, because a signal handler may end the server while the same thread is ending it.
        self._lock = threading.RLock()
        self._ended = False
        self._is_parent = True
        atexit.register(self.end)
        after_fork(self)

    def _after_fork(self) -> None:
        """A forked child may use the server, and leaves it to its parent to end it."""
        self._lock = threading.RLock()
        self._is_parent = False
        keep_open(self._resources.pop_all())
        atexit.unregister(self.end)

    @property
    def alive(self) -> bool:
        """Whether the server's process is running."""
        if self._is_parent:
            return self._child.poll() is None
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return True

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until the server answers, for at most `timeout_s` seconds.

        Raises:
            LocalServerError: The child has died, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        announced: SimpleQueue[bytes] = SimpleQueue()
        # In a thread, because a read from a pipe has no timeout on some systems.
        threading.Thread(target=_read_line, args=(self._child.stdout, announced), daemon=True).start()
        with contextlib.suppress(Empty):
            self.address = announced.get(timeout=timeout_s).decode().strip().removeprefix("http://")
            if not self.address:
                # The child's output ends a moment before the child does.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(timeout=_GRACE_S)
        while time.monotonic() < deadline:
            if not self.alive:
                raise LocalServerError(f"the local model server did not start {self._exit_message()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if _get(self.address, "/health")[0] == http.HTTPStatus.OK:
                    return
            time.sleep(_POLL_S)
        raise LocalServerError(f"the local model server was not ready within {timeout_s:g} s")

    def get(self, path: str) -> bytes:
        """The body of the server's response to a path such as `"/slots"`.

        Raises:
            LocalServerError: The server is closed, has died, or does not answer with status 200.
        """
        self.check()
        try:
            status, body = _get(self.address, path, self.api_key)
        except (OSError, http.client.HTTPException) as error:
            self.check()
            raise LocalServerError(f"the local model server does not answer: {error}") from error
        if status != http.HTTPStatus.OK:
            raise LocalServerError(f"the local model server answered {path} with status {status}")
        return body

    def check(self) -> None:
        """Check that the server runs.

        Raises:
            LocalServerError: The server is closed, or has died; then with the end of its log.
        """
        with self._lock:
            if self._ended:
                raise LocalServerError("the local model server has been closed")
            if not self.alive:
                raise LocalServerError(f"the local model server died {self._exit_message()}")

    def end(self) -> None:
        """End the child and wait until it is gone; ending it again does nothing."""
        with self._lock:
            self._ended = True
            self._resources.close()
            atexit.unregister(self.end)

    def _exit_message(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        tail = " | ".join(lines[-_LOG_TAIL_LINES:]) or "it left no message"
        return f"(exit status {self._child.returncode}): {tail}"


def _read_line(stream: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    with stream:
        lines.put(stream.readline())


def _socket_path(resources: contextlib.ExitStack) -> str | None:
    """Where the server listens behind its gate; None where the system has no such sockets."""
    if not hasattr(socket, "AF_UNIX") or sys.platform == "win32":
        return None
    # The path of a socket must be short; no other user may look into the directory.
    home = None if len(tempfile.gettempdir()) <= _LONGEST_TMP else "/tmp"  # noqa: S108 - with a random name, mode 0700
    directory = tempfile.TemporaryDirectory(prefix="optscale-", dir=home, ignore_cleanup_errors=True)
    return str(Path(resources.enter_context(directory), "llama.sock"))


def _get(address: str, path: str, key: SecretStr | None = None) -> tuple[int, bytes]:
    # http.client uses no proxy.
    with contextlib.closing(http.client.HTTPConnection(address, timeout=_ANSWER_TIMEOUT_S)) as connection:
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    for signal in (None, child.terminate, child.kill):
        if signal is not None:
            signal()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_GRACE_S)
            return
