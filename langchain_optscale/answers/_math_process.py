"""The client of the process that compares expressions: it starts the process on demand and kills it on a timeout.

A power tower in C code holds the GIL: within this process no thread could bound the time of a comparison.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_equal"]

_CHILD = Path(__file__).with_name("_math_worker.py")
_START_TIMEOUT_S = 60.0
# What the interpreter and its libraries need; API keys in the environment are not passed on.
_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT"}
)
_logger = logging.getLogger(__name__)


def find_equal(form: str, known: Sequence[str], timeout_s: float) -> int | None:
    """The index of the first known expression that SymPy finds equal to `form`.

    Returns:
        The index; None where there is none, the extra "math" is not installed, or the comparison timed out.
    """
    return _PROCESS.find_equal(form, known, timeout_s) if _installed() else None


@cache
def _installed() -> bool:
    return find_spec("latex2sympy2_extended") is not None


class _MathProcess:
    """One child process, used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._lines: SimpleQueue[str] = SimpleQueue()

    def find_equal(self, form: str, known: Sequence[str], timeout_s: float) -> int | None:
        question = json.dumps({"form": form, "known": list(known), "timeout_s": timeout_s})
        with self._lock:
            try:
                child = self._running()
                assert child.stdin is not None  # noqa: S101 - a pipe
                child.stdin.write(question + "\n")
                child.stdin.flush()
                answer = json.loads(self._lines.get(timeout=timeout_s))
            except (OSError, ValueError, Empty) as error:
                # An empty line, which is no JSON, is the end of the child's output.
                self.close()
                _logger.warning("SymPy failed (%s): the expressions count as different", _reason(error))
                return None
        place: int | None = answer["equal"]
        return place

    def close(self) -> None:
        """Kill the child, if there is one; the next comparison starts another."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                # Closing flushes, which fails after the child's death.
                with contextlib.suppress(OSError):
                    pipe.close()
        child.wait()

    def discard(self) -> None:
        """Drop the child without killing it: after a fork it belongs to the parent process."""
        self._lock, self._child = threading.Lock(), None

    def _running(self) -> subprocess.Popen[str]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.close()
        self._lines = SimpleQueue()
        environment = {name: value for name, value in os.environ.items() if name.upper() in _ENVIRONMENT}
        self._child = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-P", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment | {"OMP_NUM_THREADS": "1"},
        )
        assert self._child.stdout is not None  # noqa: S101 - a pipe
        threading.Thread(target=_pump, args=(self._child.stdout, self._lines), daemon=True).start()
        json.loads(self._lines.get(timeout=_START_TIMEOUT_S))
        return self._child


def _pump(stream: IO[str], lines: SimpleQueue[str]) -> None:
    """Move lines from the pipe to a queue, which supports timeouts on every system."""
    # `close` closes the stream while this thread reads.
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put("")


def _reason(error: Exception) -> str:
    return "timeout" if isinstance(error, Empty) else f"{type(error).__name__}: {error}"


_PROCESS = _MathProcess()
atexit.register(_PROCESS.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_PROCESS.discard)
