"""The child that compares expressions with math-verify; it is run as a script and knows nothing of this package.

One JSON line a question on standard input: {"form": str, "known": [str], "timeout_s": float}; one line an answer on
standard output: {"equal": the place of the first known expression that is equal, or null}. It ends with its input.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

_MEMORY_BYTES = 4 << 30
_GRACE_S = 5.0


def main() -> None:
    """Answer until the input ends."""
    out = sys.stdout
    # Whatever the libraries print must not come between the answers.
    sys.stdout = sys.stderr
    logging.disable(logging.CRITICAL)
    _limit_memory()
    import math_verify

    config = [math_verify.LatexExtractionConfig()]

    def parsed(form: str) -> Any:
        # Its own timeouts are signals of the main thread; this process is killed from outside instead.
        return math_verify.parse(f"${form}$", config, fallback_mode="no_fallback", parsing_timeout=None)

    def equal(one: Any, other: Any) -> bool:
        return bool(one and other and math_verify.verify(one, other, timeout_seconds=None))

    # The first comparison builds parsers and caches, which takes a second: no question's time is spent on that.
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
        except (Exception, RecursionError):  # noqa: BLE001 - whatever cannot be compared is not known to be equal
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
    """Die by the alarm's default action, should the parent be gone and unable to kill; 0 takes it back."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
