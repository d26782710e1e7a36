"""How long it takes to import a model of ours, against what any chat model and NumPy take.

Each import is timed in a process of its own, by that process, in seconds of processor time, since a busy machine
stretches the clock's; the three kinds take turns. Bytecode is compiled beforehand for all, as it is for an installed
package. Reported are the fastest run and the median of each kind, and their ratios to the base.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_ROUNDS = 15
_KINDS = {
    "base": "import langchain_core.language_models, numpy; from langchain_core.language_models import BaseChatModel",
    "package": "import langchain_optscale, langchain_core.language_models, numpy; "
    "from langchain_core.language_models import BaseChatModel",
    "model": "from langchain_optscale import ChatOptScale, OptScale",
}
_TIMED = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def seconds(statement: str, cache: str) -> float:
    """Seconds of processor time that one import takes in a new process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "PYTHONPYCACHEPREFIX": cache,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", _TIMED.format(statement)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return float(answer.stdout)


def measure(rounds: int = _ROUNDS) -> dict[str, float]:
    """Seconds of each kind and their ratios to the base."""
    times: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with tempfile.TemporaryDirectory() as cache:
        for statement in _KINDS.values():
            seconds(statement, cache)
        for _ in range(rounds):
            for kind, statement in _KINDS.items():
                times[kind].append(seconds(statement, cache))
    fastest = {kind: min(values) for kind, values in times.items()}
    median = {kind: statistics.median(values) for kind, values in times.items()}
    return {
        **{f"{kind}_s": round(value, 4) for kind, value in fastest.items()},
        "package_ratio": round(fastest["package"] / fastest["base"], 3),
        "model_ratio": round(fastest["model"] / fastest["base"], 3),
        "median_package_ratio": round(median["package"] / median["base"], 3),
        "median_model_ratio": round(median["model"] / median["base"], 3),
        "rounds": rounds,
    }


if __name__ == "__main__":
    print(json.dumps({"import_time": measure()}))
