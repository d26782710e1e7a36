r"""Regular expressions of users, with a time limit.

Python's engine backtracks and holds the interpreter meanwhile: `(a+)+$` against thirty letters stops every thread. The
`regex` package reads the same patterns, lets other threads run, and stops after its timeout. A pattern is valid
where `re` takes it; what only `regex` gives a meaning, such as `{e}` for fuzzy matching, keeps the meaning of `re`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_optscale.errors import PatternTimeoutError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATTERN_TIMEOUT_S", "TimedPattern", "timed_pattern"]

PATTERN_TIMEOUT_S = 1.0
"""Seconds that one search for a pattern may take."""

# A brace that is no quantifier is a brace to `re`, and the start of a fuzzy match to `regex`.
_LITERAL_BRACE = re.compile(r"\\N\{[^}]*\}|\\.|\{(?!\d*,?\d*\})", re.DOTALL)


@dataclass(frozen=True)
class TimedPattern:
    """A compiled pattern; get one from `timed_pattern`.

    Attributes:
        pattern: As it was given.
        plain: Compiled by `re`, for its groups.
        compiled: Compiled by `regex`, which searches.
    """

    pattern: str
    plain: re.Pattern[str]
    compiled: Any

    def search(self, text: str) -> Any:
        """The first match, None where there is none."""
        return self._bounded(lambda timeout: self.compiled.search(text, concurrent=True, timeout=timeout))

    def fullmatch(self, text: str) -> Any:
        """The match of the whole text, None where there is none."""
        return self._bounded(lambda timeout: self.compiled.fullmatch(text, concurrent=True, timeout=timeout))

    def last(self, text: str) -> Any:
        """The last of all matches, None where there is none."""

        def last(timeout: float) -> Any:
            match = None
            for match in self.compiled.finditer(text, concurrent=True, timeout=timeout):  # noqa: B007 - the last counts
                pass
            return match

        return self._bounded(last)

    def _bounded(self, find: Callable[[float], Any]) -> Any:
        try:
            return find(PATTERN_TIMEOUT_S)
        except TimeoutError:
            raise PatternTimeoutError(
                f"the pattern {self.pattern!r} took longer than {PATTERN_TIMEOUT_S:g} s on this text: write it with "
                "possessive quantifiers, such as a++, or without repetitions inside repetitions"
            ) from None


def timed_pattern(pattern: str, flags: int = 0) -> TimedPattern:
    """Compile a pattern of Python's `re`, once.

    Args:
        pattern: The pattern.
        flags: Flags of `re`.

    Raises:
        SettingsError: The pattern or the flags are invalid.

    Example:
        >>> timed_pattern(r"x = (-?[0-9]+)").last("x = 1, no: x = -2")[1]
        '-2'
    """
    if not isinstance(pattern, str):
        raise SettingsError(f"pattern must be a string, not {type(pattern).__name__}")
    if not isinstance(flags, int):
        raise SettingsError(f"flags must be flags of re, not {type(flags).__name__}")
    return _compiled(pattern, flags)


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: int) -> TimedPattern:
    import regex

    try:
        plain = re.compile(pattern, flags)
        literal = _LITERAL_BRACE.sub(lambda match: r"\{" if match[0] == "{" else match[0], pattern)
        compiled = regex.compile(literal, _flags(flags, regex), cache_pattern=False)
    except (re.error, regex.error, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SettingsError(f"the pattern {pattern!r} is not a valid regular expression: {error}") from error
    return TimedPattern(pattern, plain, compiled)


def _flags(flags: int, regex: Any) -> int:
    """The same flags by the numbers of `regex`, whose ASCII has another one."""
    given = re.RegexFlag(flags)
    translated = int(regex.VERSION0)
    for name in ("ASCII", "IGNORECASE", "LOCALE", "MULTILINE", "DOTALL", "UNICODE", "VERBOSE"):
        if given & getattr(re, name):
            translated |= int(getattr(regex, name))
    return translated
