"""The child process that compares expressions with math-verify; a script that imports nothing of this package.

Reads one JSON request a line: {"form": str, "known": [str], "timeout_s": float}; writes one reply a line:
{"equal": the index of the first known expression that is equal, or null}. It ends with its input.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

_MEMORY_BYTES = 4 << 30
_GRACE_S = 5.0


def main() -> None:
    """Reply until the input ends."""
    out = sys.stdout
    # Output of the libraries must not mix with the replies.
    sys.stdout = sys.stderr
    logging.disable(logging.CRITICAL)
    _limit_memory()
    import math_verify

    config = [math_verify.LatexExtractionConfig()]

    def parsed(form: str) -> Any:
        # Without math-verify's timeout: the parent kills this process.
        return math_verify.parse(f"${form}$", config, fallback_mode="no_fallback", parsing_timeout=None)

    def equal(one: Any, other: Any) -> bool:
        return bool(one and other and math_verify.verify(one, other, timeout_seconds=None))

    # Build parsers and caches, which takes a second, before the first request's timeout begins.
    for one, other in (("(x+1)^2", "x^2+2x+1"), (r"\sin x", r"\cos x"), (r"\frac{1}{\sqrt{2}}", "[1,2]")):
        equal(parsed(one), parsed(other))
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        _end_after(question["timeout_s"] + _GRACE_S)
        place = None
        try:
            form = parsed(question["form"])
            for number, text in enumerate(question["known"]):
                known = parsed(text)
                # verify() is not symmetric: equality must not depend on which of the two came first.
                if equal(known, form) or equal(form, known):
                    place = number
                    break
        except (Exception, RecursionError):  # noqa: BLE001 - expressions that cannot be compared count as different
            place = None
        _end_after(0)
        print(json.dumps({"equal": place}), file=out, flush=True)


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
