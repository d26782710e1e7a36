"""Environments of their own for packages whose pins must not touch ours, outside of the checkout.

One that was not completed is not used. Where one cannot be installed, one sentence says why and nothing is printed, so
that its tests are left out; an environment variable makes that a failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class NotInstallableError(Exception):
    """The packages cannot be installed; the message says why, as the end of a sentence."""


def home_of(name: str, *contents: bytes) -> Path:
    """Where the environment of this name, for requirements of these contents and this Python, belongs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    stamp = hashlib.sha256(b"".join(contents) + sys.version.encode() + sys.platform.encode()).hexdigest()[:16]
    return cache / "langchain-optscale" / f"{name}-{stamp}"


def interpreter_of(home: Path) -> Path | None:
    """The interpreter of an environment; None where it is not installed, or not to its end."""
    return home / "bin" / "python" if (home / "complete").is_file() else None


@contextlib.contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """One process at a time works on a directory."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{home}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def new_environment(home: Path) -> Iterator[Path]:
    """The interpreter of a new environment, which is complete when the block ends, and removed where it fails."""
    shutil.rmtree(home, ignore_errors=True)
    try:
        venv.create(home, with_pip=True)
        yield home / "bin" / "python"
        (home / "complete").touch()
    finally:
        if interpreter_of(home) is None:
            shutil.rmtree(home, ignore_errors=True)


def pip_install(python: Path, *wanted: str, timeout_s: float, limit_s: float) -> None:
    """Install into an environment.

    Args:
        python: Its interpreter.
        *wanted: Arguments of `pip install`.
        timeout_s: Seconds that are left for it.
        limit_s: Seconds that there were for all, for the message.

    Raises:
        NotInstallableError: pip could not, or not in time.
    """
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=max(1.0, timeout_s)
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstallableError(f"pip was not done after {limit_s / 60:.0f} minutes") from error
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise NotInstallableError(f"pip says: {errors[-1] if errors else 'nothing'}")


def report(what: str, install: Callable[[], Path], required: str) -> int:
    """Install, and print the interpreter; the exit status.

    Args:
        what: Is to be installed, as the beginning of a sentence.
        install: Does it.
        required: The environment variable that makes it a failure where it cannot be installed.
    """
    try:
        sys.stdout.write(f"{install()}\n")
    except NotInstallableError as reason:
        fails = bool(os.environ.get(required))
        then = "" if fails else f"; its tests are left out ({required}=1 makes this a failure)"
        sys.stderr.write(f"{what} cannot be installed here: {reason}{then}\n")
        return int(fails)
    return 0
