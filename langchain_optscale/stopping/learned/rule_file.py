"""A learned rule as a file: an npz with an array for each field of its stages, and the rest as JSON text in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError
from langchain_optscale.records.arrays import read_arrays, write_arrays
from langchain_optscale.records.stored import reading

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["read_rule", "write_rule"]

_FORMAT = "langchain-optscale/fitted-stopping"


def write_rule(path: str | os.PathLike[str], rule: Mapping[str, Any]) -> None:
    """Write what `FittedStopping.to_dict` gave, in one step.

    Raises:
        SettingsError: The file cannot be written.
    """
    import numpy as np  # needed only where a learned rule is used

    data = dict(rule)
    stages = data.pop("stages")
    arrays: dict[str, Any] = {name: np.array([stage[name] for stage in stages]) for name in (stages or [{}])[0]}
    write_arrays(path, {"format": _FORMAT, **data}, arrays)


def read_rule(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_rule` wrote.

    Raises:
        InvalidRecordError: The file is missing, too large, damaged or no fitted rule; the message names it.
    """
    data, arrays = read_arrays(path, _FORMAT, "a fitted rule")
    try:
        with reading("its content"):
            del data["format"]
            data["stages"] = [
                {name: array[place].tolist() for name, array in arrays.items()}
                for place in range(len(arrays.get("intercept", ())))
            ]
            return data
    except InvalidRecordError as error:
        raise InvalidRecordError(f"{path} cannot be read as a fitted rule: {error}") from error
