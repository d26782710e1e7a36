"""An environment of its own for other people's evaluators, so that their pins do not touch ours.

`python -m tests.integration_tests.evaluators.environment` installs it where it is missing, and prints its interpreter,
which runs the tests of this directory. `--newest` installs the newest releases in place of those of the lock.

Where it cannot be installed, one sentence says why, and nothing is printed: the tests are left out. With
OPTSCALE_EVALUATORS_REQUIRED in the environment that is a failure.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from tests.integration_tests.environments import (
    home_of,
    interpreter_of,
    new_environment,
    one_at_a_time,
    pip_install,
    report,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LOCK = HERE / "requirements.txt"
WANTED = HERE / "requirements.in"
NO_DEPENDENCIES = HERE / "requirements-no-deps.txt"
REQUIRED = "OPTSCALE_EVALUATORS_REQUIRED"
_TIMEOUT_S = 900.0


def directory(lock: Path = LOCK) -> Path:
    """Where the environment for these requirements and this checkout belongs."""
    files = (lock, NO_DEPENDENCIES, ROOT / "pyproject.toml")
    return home_of("evaluators", *(file.read_bytes() for file in files), str(ROOT).encode())


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
    with one_at_a_time(home):
        if (python := interpreter_of(home)) is not None and not newest:
            return python
        with new_environment(home) as python:
            pip = partial(pip_install, python, timeout_s=_TIMEOUT_S, limit_s=_TIMEOUT_S)
            pip("--requirement", str(lock), "--editable", f"{ROOT}[agents]")
            # What these need besides is not needed by what the tests use of them.
            pip("--no-deps", "--requirement", str(NO_DEPENDENCIES))
        return python


def main() -> int:
    """Install it, and print its interpreter; the exit status."""
    return report("other people's evaluators", partial(install, newest="--newest" in sys.argv), REQUIRED)


if __name__ == "__main__":
    sys.exit(main())
