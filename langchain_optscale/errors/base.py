"""The base class, how errors are printed, and the errors of settings, files and missing extras."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FileError",
    "MissingExtraError",
    "OptScaleError",
    "SettingsError",
    "notes_of",
    "printable",
]


# The Unicode categories Cc and Cs and the characters that turn the direction of text, except tabs and line ends.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]|\r(?!\n)"
)


_PACKAGE = __name__.partition(".")[0]
_PAGE = "https://github.com/langchain-optscale/langchain-optscale/blob/main/docs/errors.md"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable(text: str, escape: Callable[[str], str] = _escaped) -> str:
    r"""The text with its control characters and lone surrogates as escapes; tabs and line ends stay.

    For all that comes from models, servers and files: a terminal that prints it shows an escape sequence and does not
    execute it, and no encoding fails.

    Args:
        text: Any text.
        escape: Writes one character as an escape; by default as Python does.

    Example:
        >>> printable("a\x1b[2Jb\ud800") == r"a\x1b[2Jb\ud800"
        True
    """
    return _CONTROL.sub(lambda match: escape(match.group()), text)


class OptScaleError(Exception):
    """Base class of every error that this package raises on purpose; its text shows control characters as escapes.

    A traceback, and the command line, show below the message where the errors of its class are explained: a note
    (PEP 678), so neither `str(error)` nor the record of a search contains the address.

    Example:
        >>> from langchain_optscale.verifiers import to_verdict
        >>> try:
        ...     to_verdict("good")
        ... except OptScaleError as error:
        ...     print(type(error).__name__)
        InvalidScoreError
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """The error with its note; not in `__init__`, which not every subclass of two errors passes on."""
        made = super().__new__(cls, *args, **kwargs)
        made.add_note(made.help_line)
        return made

    @property
    def help_url(self) -> str:
        """The address of the section about this class of errors: why it is raised, and what to do.

        For a class that is derived elsewhere, the section of the class that it derives from.
        """
        # OptScaleError stands for the page: it has no section.
        named = [kind.__name__ for kind in type(self).__mro__ if kind.__module__.partition(".")[0] == _PACKAGE][:-1]
        return f"{_PAGE}#{named[0].lower()}" if named else _PAGE

    @property
    def help_line(self) -> str:
        """The line that tracebacks and the command line show below the message."""
        return f"See {self.help_url}"

    def __str__(self) -> str:
        return printable(super().__str__())


def notes_of(error: BaseException) -> list[str]:
    """The notes of an error that say something about it; the one that names the page of its class does not.

    Example:
        >>> from langchain_optscale import SettingsError
        >>> error = SettingsError("cap must be at least 1, got 0")
        >>> error.add_note("in question 17")
        >>> notes_of(error)
        ['in question 17']
    """
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    return [note for note in notes if not (isinstance(error, OptScaleError) and note == error.help_line)]


class SettingsError(OptScaleError):
    """A setting is unknown, out of range or contradicts another.

    Not a ValueError: pydantic would swallow that in a validator and hide the sentence in a list of its own.

    Example:
        >>> from langchain_optscale.stopping import MaxSamples
        >>> try:
        ...     MaxSamples(0)
        ... except SettingsError as error:
        ...     print(error)
        max_samples must be a whole number of at least 1, got 0
    """


class FileError(SettingsError, OSError):
    """A file that a setting names cannot be read or written, for a reason of the system's, such as a full disk.

    Example:
        >>> from langchain_optscale.evaluation.pools import read_pool
        >>> try:
        ...     read_pool("missing.jsonl")
        ... except FileError as error:
        ...     print(error, "|", error.errno)
        missing.jsonl cannot be read: No such file or directory | 2
    """

    @classmethod
    def of(cls, sentence: str, error: OSError) -> FileError:
        """The error that says so in a sentence, with the number of the system's."""
        made = cls(f"{sentence}: {error.strerror or error}")
        made.errno, made.strerror = error.errno, error.strerror
        return made

    def __str__(self) -> str:
        return printable(str(self.args[0])) if self.args else ""


class MissingExtraError(OptScaleError, ImportError):
    """An optional dependency is not installed.

    Args:
        purpose: What the dependency is needed for, as the start of a sentence.
        command: The command that installs it.

    Example:
        >>> print(MissingExtraError("The engine Ray", 'pip install "langchain-optscale[ray]"'))
        The engine Ray needs an optional dependency; install it with: pip install "langchain-optscale[ray]"
    """

    def __init__(self, purpose: str, command: str) -> None:
        self.command = command
        self._purpose = purpose
        super().__init__(f"{purpose} needs an optional dependency; install it with: {command}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Its arguments are two and its text is one: a worker's error reaches another process all the same.
        return type(self), (self._purpose, self.command)
