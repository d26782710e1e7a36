"""The child process that compares canonical forms with SymPy; a script.

Reads one JSON request a line: {"form": str, "known": [str], "timeout_s": float}; writes one reply a line:
{"equal": the index of the first known expression that is equal, or null}. It ends with its input.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

_MEMORY_BYTES = 4 << 30
_GRACE_S = 5.0


def main() -> None:
    """Reply until the input ends."""
    out = sys.stdout
    # Output of the libraries must not mix with the replies.
    sys.stdout = sys.stderr
    logging.disable(logging.CRITICAL)
    _limit_memory()
    _find_package()
    from langchain_optscale.answers.notation.algebra import same_form

    # Build parsers and caches, which takes a second, before the first request's timeout begins.
    for one, other in (("(x+1)^2", "x^2+2x+1"), (r"\sin x", r"\cos x"), (r"\frac{1}{\sqrt{2}}", "[1, 2]")):
        same_form(one, other)
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        _end_after(question["timeout_s"] + _GRACE_S)
        form, known = question["form"], question["known"]
        place = next((number for number, other in enumerate(known) if same_form(form, other)), None)
        _end_after(0)
        print(json.dumps({"equal": place}), file=out, flush=True)


def _find_package() -> None:
    """Import the parent's copy of the package: before installed ones, after the standard library."""
    installed = (place for place, path in enumerate(sys.path) if path.endswith("-packages"))
    sys.path.insert(next(installed, len(sys.path)), str(Path(__file__).resolve().parents[2]))


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return  # not on Windows
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _end_after(seconds: float) -> None:
    """Die by the alarm's default action if the parent cannot kill this process; 0 cancels the alarm."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
