"""The parent's end of the process that compares expressions: start it when needed, ask it, kill it when it is stuck.

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
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING

from langchain_optscale.answers._math_turns import BUDGET_S, Comparisons, Turns, comparing
from langchain_optscale.records.forks import after_fork, keep_open

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_equal"]

_CHILD = Path(__file__).with_name("_math_worker.py")
_START_TIMEOUT_S = 60.0
# What the interpreter and its libraries need, and none of the keys that live in the environment too.
_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT"}
)
_logger = logging.getLogger(__name__)


def find_equal(form: str, known: Sequence[str], timeout_s: float) -> int | None:
    """The index of the first known expression that SymPy finds equal to `form`.

    Returns:
        The index; None where there is none, the extra "math" is not installed, or the comparison timed out.
    """
    if not _installed():
        return None
    comparisons = comparing.get() or Comparisons()
    with _PROCESS.turns.turn(comparisons) as has_turn:
        if has_turn:
            return _PROCESS.find_equal(form, known, timeout_s, comparisons)
    if not comparisons.withdrawn:
        _logger.warning(
            "comparing the answers of one search took longer than %g s; the rest count as different", BUDGET_S
        )
    return None


@cache
def _installed() -> bool:
    return find_spec("latex2sympy2_extended") is not None


class _MathProcess:
    """One child for all threads, which take turns."""

    def __init__(self) -> None:
        self._begin()
        after_fork(self, "_begin")

    def _begin(self) -> None:
        """What a forked child begins with as well: the parent keeps its child, since two must not share the pipes."""
        keep_open(getattr(self, "_child", None))
        self.turns = Turns()
        self._child: subprocess.Popen[str] | None = None
        self._lines: SimpleQueue[str] = SimpleQueue()

    def find_equal(self, form: str, known: Sequence[str], timeout_s: float, comparisons: Comparisons) -> int | None:
        """Ask the child; to be called while holding the turn."""
        try:
            began = time.monotonic()
            child = self._running()
            comparisons.spend(began - time.monotonic())  # starting the child counts for no search
            comparisons.on_withdrawal = child.kill
            limit_s = min(timeout_s, comparisons.left_s)
            question = json.dumps({"form": form, "known": list(known), "timeout_s": limit_s})
            assert child.stdin is not None  # noqa: S101 - a pipe
            child.stdin.write(question + "\n")
            child.stdin.flush()
            answer = json.loads(self._lines.get(timeout=limit_s))
        except (OSError, ValueError, Empty) as error:
            # An empty line, which is no JSON, is the end of the child's output.
            self.close()
            if not comparisons.withdrawn:
                _logger.warning("SymPy failed (%s): the expressions count as different", _why(error))
            return None
        finally:
            comparisons.on_withdrawal = None
        place: int | None = answer["equal"]
        return place

    def close(self) -> None:
        """Kill the child, if there is one; the next question starts another."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                # What could not be sent to a dead child is lost, as it should be.
                with contextlib.suppress(OSError):
                    pipe.close()
        child.wait()

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
    """Hand on what the child says; a queue can be waited for with a limit on every system, a pipe cannot."""
    # The stream is closed under this thread's feet when the child is killed.
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put("")


def _why(error: Exception) -> str:
    return "the time is up" if isinstance(error, Empty) else f"{type(error).__name__}: {error}"


_PROCESS = _MathProcess()
atexit.register(_PROCESS.close)
