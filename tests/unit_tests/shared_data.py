"""Where the shared measurements lie that tests read but the repository does not carry."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def shared_data(*parts: str) -> Path:
    """Path of a shared file, from `$OPTSCALE_SHARED_DATA` or `../shared/data`; skips the test where it is missing."""
    path = Path(os.environ.get("OPTSCALE_SHARED_DATA", _ROOT.parent / "shared" / "data"), *parts)
    if not path.exists():
        pytest.skip(f"shared data file {path} is missing; set OPTSCALE_SHARED_DATA to its directory")
    return path
