"""Atomic writing of files."""

from __future__ import annotations

import contextlib
import gzip
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["write_lines"]


def write_lines(path: str | os.PathLike[str], lines: Iterable[bytes]) -> None:
    """Write lines atomically: afterwards the file is complete, or as it was before.

    Args:
        path: Where to; one that ends in ".gz" is compressed.
        lines: Each with its line end.

    Raises:
        SettingsError: The file cannot be written.
    """
    target = Path(path)
    # In the same directory, since renaming is atomic within one file system only.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        try:
            with temporary.open("xb") as file:
                # Without a time stamp, so that equal lines make equal files.
                packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.suffix == ".gz" else None
                with packed or contextlib.nullcontext(file) as out:
                    out.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from error
