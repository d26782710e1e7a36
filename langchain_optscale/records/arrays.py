"""Arrays and a JSON header in one npz file: nothing is pickled, and nothing pickled is read.

What the file unpacks to is known before it is unpacked: a small file that stands for gigabytes is refused.
"""

from __future__ import annotations

import ast
import io
import json
import math
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.records.files import MOST_BYTES, read_file, whole_file
from langchain_optscale.records.stored import Fields, reading

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["read_arrays", "write_arrays"]

_HEADER = "header"
_SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY\x01\x00"
_LONGEST_HEADER = 10_000
_MOST_ARRAYS = 64
# Booleans, whole numbers and floating-point numbers; no objects, which would be pickled.
_KINDS = "biuf"


def write_arrays(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file of arrays, in one step.

    Args:
        path: The file.
        header: JSON-ready; its "format" says what the file is.
        arrays: Of booleans, whole numbers or floating-point numbers, at most 63, none called "header".

    Raises:
        SettingsError: The file cannot be written.
        ValueError: An array is of another kind.
    """
    import numpy as np  # needed only where such a file is used

    # NumPy below 2.1 takes allow_pickle=False for one more array.
    if others := [name for name, array in arrays.items() if array.dtype.kind not in _KINDS]:
        raise ValueError(f"arrays of {arrays[others[0]].dtype} are not written: {others[0]}")
    text = json.dumps(header, allow_nan=False).encode()
    contents: dict[str, Any] = {"header": np.frombuffer(text, dtype=np.uint8), **arrays}
    with whole_file(path) as file:
        np.savez_compressed(file, **contents)


def read_arrays(
    path: str | os.PathLike[str], expected: str, what: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what `write_arrays` wrote: the header, and the arrays by name.

    Args:
        path: The file.
        expected: The "format" that the header must have.
        what: What the file should be, for messages: "a fitted rule".

    Raises:
        InvalidRecordError: The file is missing, too large, damaged or something else; the message names it.
    """
    try:
        content = read_file(path)
    except SettingsError as error:
        raise InvalidRecordError(f"{path} cannot be read as {what}: {error}") from error
    try:
        with reading("its content"):
            arrays = _arrays(content)
            return _header(arrays.pop(_HEADER), expected), arrays
    except (InvalidRecordError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidRecordError(f"{path} cannot be read as {what}: {error}") from error


def _header(array: NDArray[Any], expected: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(array.tobytes())
    if header.get("format") != expected:
        raise InvalidRecordError(f"it is not of the format {expected!r}")
    return header


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an npz by name; sizes are checked before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = file.infolist()
        if len(members) > _MOST_ARRAYS or sum(member.file_size for member in members) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_ARRAYS} arrays or {MOST_BYTES:,} bytes")
        # Reading stops at the size that was announced.
        return {member.filename.removesuffix(_SUFFIX): _array(file.read(member)) for member in members}


def _array(content: bytes) -> NDArray[Any]:
    """The array of a member in NumPy's format 1.0, whose announced shape must be as large as what is there."""
    import numpy as np

    length = int.from_bytes(content[8:10], "little")
    values = content[10 + length :]
    if not content.startswith(_MAGIC) or length > _LONGEST_HEADER:
        raise ValueError("an array is not in version 1.0 of NumPy's format")
    header = Fields(ast.literal_eval(content[10 : 10 + length].decode("ascii").strip()), "the header of an array")
    dtype = np.dtype(header.text("descr"))
    shape = header.wholes("shape", most=8)
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise ValueError(f"arrays of {dtype} are not read")
    # Whole numbers of Python cannot overflow.
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"an array of shape {shape} has {len(values)} bytes")
    flat: NDArray[Any] = np.frombuffer(values, dtype=dtype)
    return flat.reshape(shape, order="F") if header.flag("fortran_order") else flat.reshape(shape)
