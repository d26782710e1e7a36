"""Files: written as a whole or not at all, locked while they grow, and read only if they are regular and not too large.

`whole_file` replaces a file in one step, so that a full disk or a killed process leaves the previous one as it was.
`open_to_append` is for files that grow line by line. `open_regular` and what reads by it refuse pipes, devices and
files above a size before they read a byte of them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import FileError, InvalidRecordError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, TypeVar

    FilePath = str | os.PathLike[str]
    Record = TypeVar("Record")

__all__ = [
    "MOST_BYTES",
    "append",
    "create_private",
    "lines_of",
    "open_regular",
    "open_to_append",
    "read_file",
    "read_json",
    "whole_file",
    "write_json",
]

MOST_BYTES = 64 << 20
"""The largest rule, prior, calibration or line of a pool that is read, in bytes."""

# Flags that a system may lack: Windows has neither symbolic links of this kind nor pipes in the file system.
_CLOSED_IN_CHILDREN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0)
_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def whole_file(path: FilePath, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` in one step when the block ends without an error.

    It is written beside the target under a random name and forced to the disk before it is renamed. A file that is
    replaced keeps its mode and, where the system permits it, its owner. A symbolic link is replaced, never followed.

    Args:
        path: The file.
        private: Whether a new file is for its owner only (mode 0600); else the process's umask decides.

    Raises:
        SettingsError: The file cannot be written, or something that is no regular file has its name.
    """
    target = Path(path)
    try:
        former = _replaceable(target)
        temporary = target.with_name(f".optscale-{secrets.token_hex(8)}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOT_THROUGH_LINKS | _CLOSED_IN_CHILDREN
        file = os.fdopen(os.open(temporary, flags, 0o600 if private or former else 0o666), "w+b")
        try:
            with file:
                yield file
                file.flush()
                if former is not None:
                    _take_over(file.fileno(), former)
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)
    except OSError as error:
        raise FileError.of(f"{path} cannot be written", error) from error


def write_json(path: FilePath, document: Any) -> None:
    """Write a JSON document as a file of one line, in one step.

    Raises:
        SettingsError: The file cannot be written.
    """
    with whole_file(path) as file:
        file.write(json.dumps(document, allow_nan=False).encode() + b"\n")


def _replaceable(target: Path) -> os.stat_result | None:
    """The status of the file that is replaced; None where there is none, and for a link, whose target is left alone.

    Raises:
        SettingsError: It is a directory, device or pipe, or a link to one.
    """
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError(f"{target} cannot be written: it is not a regular file; name another one")
    if not target.is_symlink():
        return found
    # An administrator's `-o /dev/stdout` must not replace the system's own link.
    if os.path.realpath(target.parent).startswith(("/dev", "/proc")):
        raise SettingsError(f"{target} cannot be written: it is a link of the operating system; name another file")
    return None


def _take_over(file: int, former: os.stat_result) -> None:
    if hasattr(os, "fchown"):
        # Only an administrator may give files away; for others the owner is the same already.
        with contextlib.suppress(PermissionError):
            os.fchown(file, former.st_uid, former.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(file, stat.S_IMODE(former.st_mode) & 0o777)


def _sync_directory(directory: Path) -> None:
    """Force the new name to the disk, where directories can be."""
    if os.name != "posix":
        return
    # The file is complete and in place; a file system that cannot sync a directory makes it no worse.
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY | _CLOSED_IN_CHILDREN)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_to_append(path: FilePath, *, private: bool = False) -> int:
    """Open a file that grows, for this process alone; closing the descriptor lets others write it again.

    Args:
        path: The file; it is created where it is missing.
        private: As in `whole_file`.

    Returns:
        A descriptor to read and to append.

    Raises:
        SettingsError: It cannot be opened, is a symbolic link or no regular file, or another process writes it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NOT_THROUGH_LINKS | _WITHOUT_WAITING | _CLOSED_IN_CHILDREN
    while True:
        try:
            file = os.open(path, flags, 0o600 if private else 0o666)
        except OSError as error:
            raise _refusal(path, error) from error
        try:
            _check_regular(file, path)
            _lock(file, path)
            if _is_at(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        # Another process replaced the file between the two steps; what was opened has no name any more.
        os.close(file)


def append(file: int, path: FilePath, content: bytes) -> None:
    """Append to a file from `open_to_append`; on the disk when this returns.

    Raises:
        SettingsError: It cannot be written.
    """
    try:
        written = os.write(file, content)
        os.fsync(file)
    except OSError as error:
        raise FileError.of(f"{path} cannot be written", error) from error
    if written != len(content):
        raise SettingsError(f"{path} cannot be written: the disk is full")


def _refusal(path: FilePath, error: OSError) -> SettingsError:
    if error.errno == errno.ELOOP and Path(path).is_symlink():
        return SettingsError(f"{path} cannot be written: it is a symbolic link; name the file that it points to")
    return FileError.of(f"{path} cannot be written", error)


def _check_regular(file: int, path: FilePath) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise SettingsError(f"{path} is not a regular file, so no run could resume from it; choose another file")


def _lock(file: int, path: FilePath) -> None:
    # Where the system has no such locks, the user must see to it that only one process writes.
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(f"{path} is being written by another process") from error


def _is_at(file: int, path: FilePath) -> bool:
    try:
        return os.path.samestat(os.fstat(file), Path(path).lstat())
    except FileNotFoundError:
        return False


def create_private(path: FilePath) -> None:
    """Create an empty file for its owner only (mode 0600), unless there is a file.

    Raises:
        SettingsError: It cannot be created, or is a symbolic link or no regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | _NOT_THROUGH_LINKS | _WITHOUT_WAITING | _CLOSED_IN_CHILDREN
    try:
        file = os.open(path, flags, 0o600)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        _check_regular(file, path)
    finally:
        os.close(file)


def open_regular(path: FilePath) -> BinaryIO:
    """Open a file for reading; a pipe is refused without waiting for its writer.

    Raises:
        InvalidRecordError: It is no regular file, such as a pipe or a device.
        SettingsError: It cannot be opened.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _WITHOUT_WAITING | _CLOSED_IN_CHILDREN)
    except OSError as error:
        raise FileError.of(f"{path} cannot be read", error) from error
    except ValueError as error:
        raise SettingsError(f"{path!r} cannot be read: {error}") from error
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise SettingsError(f"{path} cannot be read: {os.strerror(errno.EISDIR)}")
    raise InvalidRecordError(f"{path} is not a regular file; write its content to one")


def read_file(path: FilePath, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        most: The largest size that is read, in bytes.

    Raises:
        InvalidRecordError: It is no regular file, or larger.
        SettingsError: It cannot be read.
    """
    with open_regular(path) as file:
        try:
            # It may grow while it is read: what counts is what comes.
            content = b"" if os.fstat(file.fileno()).st_size > most else file.read(most + 1)
            size = max(os.fstat(file.fileno()).st_size, len(content))
        except OSError as error:
            raise FileError.of(f"{path} cannot be read", error) from error
    if size > most:
        raise InvalidRecordError(f"{path} is too large: {size:,} bytes, and at most {most:,} are read")
    return content


def lines_of(file: BinaryIO, path: FilePath, most: int = MOST_BYTES) -> Iterator[tuple[int, bytes]]:
    """The numbers, from 1, and the lines of an open file; no line is held that is longer than `most` bytes.

    Raises:
        InvalidRecordError: A line is longer.
    """
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise InvalidRecordError(
                f"{path}, line {number}: longer than {most:,} bytes, which is the most that is read"
            )
        yield number, line


def read_back(file: int, path: FilePath, read: Callable[[bytes, str], bool]) -> None:
    """Read the lines of a file that is appended to; afterwards it ends with a whole line.

    Args:
        file: From `open_to_append`.
        path: Its path.
        read: Takes a line and its place, such as "answers.jsonl, line 3", and raises where it belongs to no such file;
            False for an incomplete last line, as a crash leaves it, which is cut off.

    Raises:
        InvalidRecordError: A line is too long.
        SettingsError: The file cannot be written.
        OSError: It cannot be read.
    """
    whole, ended = 0, True
    with Path(path).open("rb") as lines:
        for number, line in lines_of(lines, path):
            if not read(line, f"{path}, line {number}"):
                break
            whole, ended = whole + len(line), line.endswith(b"\n")
    # Only now that every line before has turned out to be valid.
    os.ftruncate(file, whole)
    if not ended:
        append(file, path, b"\n")


def read_json(path: FilePath, most: int = MOST_BYTES) -> Any:
    """The JSON document in a regular file.

    Raises:
        InvalidRecordError: As `read_file`, or it is no JSON; the message names the file.
        SettingsError: It cannot be read.
    """
    content = read_file(path, most)
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{path}: not JSON: {error}") from error
