"""A learned rule as a file: an npz of plain arrays, one for each number of its stages, and the rest as JSON text in it.

Nothing is pickled, and pickles are refused.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["read_rule", "write_rule"]

_FORMAT = "langchain-optscale/fitted-stopping"


def write_rule(path: str | os.PathLike[str], rule: Mapping[str, Any]) -> None:
    """Write what `FittedStopping.to_dict` gave.

    Raises:
        SettingsError: The file cannot be written.
    """
    import numpy as np  # loaded only where a learned rule is used

    data = dict(rule)
    stages = data.pop("stages")
    arrays: dict[str, Any] = {name: np.array([stage[name] for stage in stages]) for name in (stages or [{}])[0]}
    header = json.dumps({"format": _FORMAT, **data}, allow_nan=False)
    try:
        with Path(path).open("wb") as file:
            np.savez_compressed(file, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from error


def read_rule(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_rule` wrote.

    Raises:
        InvalidRecordError: The file is missing, damaged or no fitted rule.
    """
    import numpy as np

    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        data: dict[str, Any] = json.loads(arrays.pop("header").tobytes())
        if data.pop("format", None) != _FORMAT:
            raise InvalidRecordError(f"{path} is no fitted rule")
        data["stages"] = [
            {name: array[place].tolist() for name, array in arrays.items()}
            for place in range(len(arrays.get("intercept", ())))
        ]
    except (OSError, ValueError, KeyError, IndexError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InvalidRecordError):
            raise
        raise InvalidRecordError(f"{path} cannot be read as a fitted rule: {error}") from error
    return data
