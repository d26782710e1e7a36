"""An environment of its own for vLLM's CPU build, so that its pins do not touch ours.

`python -m tests.integration_tests.vllm.environment` installs it where it is missing, and prints its interpreter. It
lies outside of the checkout, in a directory named after the lock: another lock is another environment, and one that was
not completed is not used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.txt")
# Where pip finds torch's CPU builds, if no index of its own has them.
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
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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


if __name__ == "__main__":
    sys.stdout.write(f"{install()}\n")
