"""An environment of its own for other people's evaluators, so that their pins do not touch ours.

`python -m tests.integration_tests.evaluators.environment` installs it where it is missing, and prints its interpreter,
which runs the tests of this directory. `--newest` installs the newest releases in place of those of the lock.

Where it cannot be installed, one sentence says why, and nothing is printed: the tests are left out. With
OPTSCALE_EVALUATORS_REQUIRED in the environment that is a failure.
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

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LOCK = HERE / "requirements.txt"
WANTED = HERE / "requirements.in"
NO_DEPENDENCIES = HERE / "requirements-no-deps.txt"
REQUIRED = "OPTSCALE_EVALUATORS_REQUIRED"
_TIMEOUT_S = 900.0


class NotInstallableError(Exception):
    """The packages cannot be installed; the message says why, as the end of a sentence."""


def directory(lock: Path = LOCK) -> Path:
    """Where the environment for these requirements and this Python belongs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    contents = b"".join(file.read_bytes() for file in (lock, NO_DEPENDENCIES, ROOT / "pyproject.toml"))
    stamp = hashlib.sha256(contents + sys.version.encode() + str(ROOT).encode()).hexdigest()[:16]
    return cache / "langchain-optscale" / f"evaluators-{stamp}"


def install(*, newest: bool = False) -> Path:
    """Install the environment where it is missing; about two minutes and 1 GB.

    Args:
        newest: Whether to install the newest releases, always anew.

    Returns:
        Its interpreter.

    Raises:
        NotInstallableError: pip could not.
    """
    lock = WANTED if newest else LOCK
    home = directory(lock)
    home.parent.mkdir(parents=True, exist_ok=True)
    python = home / "bin" / "python"
    with Path(f"{home}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if (home / "complete").is_file() and not newest:
            return python
        shutil.rmtree(home, ignore_errors=True)
        try:
            venv.create(home, with_pip=True)
            _pip(python, "--requirement", str(lock), "--editable", f"{ROOT}[agents]")
            # What these need besides is not needed by what the tests use of them.
            _pip(python, "--no-deps", "--requirement", str(NO_DEPENDENCIES))
            (home / "complete").touch()
        finally:
            if not (home / "complete").is_file():
                shutil.rmtree(home, ignore_errors=True)
    return python


def _pip(python: Path, *wanted: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstallableError(f"pip was not done after {_TIMEOUT_S / 60:.0f} minutes") from error
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise NotInstallableError(f"pip says: {errors[-1] if errors else 'nothing'}")


def main() -> int:
    """Install it, and print its interpreter; the exit status."""
    try:
        sys.stdout.write(f"{install(newest='--newest' in sys.argv)}\n")
    except NotInstallableError as reason:
        required = bool(os.environ.get(REQUIRED))
        then = "" if required else f"; their tests are left out ({REQUIRED}=1 makes this a failure)"
        sys.stderr.write(f"the evaluators cannot be installed here: {reason}{then}\n")
        return int(required)
    return 0


if __name__ == "__main__":
    sys.exit(main())
