"""How many files of the package one search enters, and how often execution moves from one of them to another.

Measured is one warm `OptScale.invoke` with `max_samples=4, first_round=4`: an instant policy that offers `n`, and a
function as the verifier whose scores never reach the target, so that all four candidates are drawn and verified. A few
searches run first, so that no import and nothing that is computed once is counted.

`sys.setprofile` and `threading.setprofile` report every call of a Python function and every return from one; the
beginning and the suspension of a generator or coroutine count as such. Only functions that are defined in a file of
`langchain_optscale` are looked at; what runs in between in LangChain, pydantic or the standard library is skipped.

- `files`: the distinct files whose functions are called.
- `changes`: the events, calls and returns, whose file is another than that of the event before it in the same thread,
  summed over the threads. What a function does between its calls is no event: where one of file A calls B and then C,
  the changes are A to B, B to C and, when it returns, C to A. A thread's first event is no change.
- `calls`: all calls of functions of the package.

    python -m benchmarks.call_path [--verbose]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import langchain_optscale
from benchmarks.instant_policy import InstantPolicy
from langchain_optscale import OptScale

if TYPE_CHECKING:
    from types import FrameType

_SAMPLES = 4
_WARM_SEARCHES = 5
_PACKAGE = str(Path(langchain_optscale.__file__).parent) + os.sep


def below_target(prompt: Any, candidate: Any) -> float:
    """The verifier: the same score for every candidate, below the target."""
    return 0.3


class CallPath:
    """A profile function that keeps, for each thread, the file of every call and return within the package."""

    def __init__(self) -> None:
        self._last: dict[int, str] = {}
        self.calls: Counter[str] = Counter()
        self.entries: Counter[str] = Counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take note of one event, as `sys.setprofile` reports it."""
        file = frame.f_code.co_filename
        if event not in ("call", "return") or not file.startswith(_PACKAGE):
            return
        thread = threading.get_ident()
        if event == "call":
            self.calls[file] += 1
        if self._last.setdefault(thread, file) != file:
            self.entries[file] += 1
            self._last[thread] = file

    @property
    def changes(self) -> int:
        """How often execution moved to another file."""
        return self.entries.total()


def measure() -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """The figures, and those of each file: its calls and the changes into it."""
    search = OptScale(policy=InstantPolicy(), verifier=below_target, max_samples=_SAMPLES, first_round=_SAMPLES)
    for _ in range(_WARM_SEARCHES):
        search.invoke("What is it?")
    path = CallPath()
    threading.setprofile(path)
    sys.setprofile(path)
    try:
        result = search.invoke("What is it?")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if len(result.verdicts) != _SAMPLES:
        raise RuntimeError(f"{len(result.verdicts)} candidates were verified, not {_SAMPLES}")
    figures = {
        "candidates": _SAMPLES,
        "files": len(path.calls),
        "changes": path.changes,
        "calls": path.calls.total(),
    }
    by_file = {
        Path(file).relative_to(_PACKAGE).as_posix(): {"calls": calls, "changes": path.entries[file]}
        for file, calls in path.calls.most_common()
    }
    return figures, by_file


def main() -> None:
    """Print the figures; with `--verbose` also those of each file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--verbose", action="store_true", help="print the figures of each file as well")
    verbose = parser.parse_args().verbose
    figures, by_file = measure()
    print(json.dumps({"call_path": {**figures, **({"by_file": by_file} if verbose else {})}}, indent=2))


if __name__ == "__main__":
    main()
