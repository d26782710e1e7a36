r"""Extractors of answers from text.

`extract=` of every entry point takes an extractor, one of the names in `EXTRACTORS`, or a function of the text.

    >>> BoxedAnswer()(r"Thus $x = \boxed{\frac{1}{2}}$."), LastNumber()("about 3 days, so -$1,234.50.")
    ('\\frac{1}{2}', '-1234.5')
    >>> either = BoxedAnswer() | LastNumber()
    >>> either("so 42"), either("no idea")
    ('42', None)

Every extractor takes time linear in the text, except that `RegexAnswer` depends on its pattern.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_optscale.answers.base import Extractor, Found
from langchain_optscale.answers.equivalence import ExactText, NormalForm
from langchain_optscale.answers.latex import last_box
from langchain_optscale.answers.notation.choices import find_choice
from langchain_optscale.answers.numerals import last_numeral, write_number
from langchain_optscale.answers.patterns import timed_pattern
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.states import state_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage

__all__ = ["BoxedAnswer", "ChoiceLetter", "LastNumber", "RegexAnswer", "StateAnswer", "WholeText"]


@dataclass(frozen=True)
class BoxedAnswer(Extractor):
    r"""The content of the last complete \boxed{} or \fbox{}.

    Example:
        >>> BoxedAnswer()(r"\boxed{1} is wrong, it is \boxed{\sqrt{2}}"), BoxedAnswer()(r"cut off: \boxed{1")
        ('\\sqrt{2}', None)
    """

    def find(self, text: str, message: AIMessage | None = None) -> str | None:
        """The content of the box."""
        return last_box(text)


@dataclass(frozen=True)
class LastNumber(Extractor):
    r"""The last number, in one form: "1234.5" for "$1,234.50", "0.75" for "3/4", "1/3" for \frac{1}{3}.

    Reads signs (also −), thousands separators, decimals, 1.5e-3 and 1.5 × 10^-3, fractions and mixed numbers; a digit
    inside a word or a version (x2, v1.2.3) is none. A number too long to be read exactly is no answer.

    Attributes:
        percent: Whether "50%" reads as 0.5; otherwise as 50.
        fractions: Whether "3/4" is one number; otherwise its last one is 4.

    Example:
        >>> LastNumber()("It costs $1,234.50."), LastNumber()("about 3/4"), LastNumber()("none")
        ('1234.5', '0.75', None)
        >>> LastNumber(percent=True)("50%")
        '0.5'
    """

    percent: bool = False
    fractions: bool = True

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The number."""
        numeral = last_numeral(text, fractions=self.fractions)
        value = None if numeral is None else numeral.read(percent=self.percent)
        return None if value is None else Found(write_number(value), NormalForm())


@dataclass(frozen=True)
class ChoiceLetter(Extractor):
    r"""The letter of the chosen option, as a capital.

    The last of "answer is B", "Answer: (b)", "<answer>B</answer>", "choose B", \boxed{B}. Without one of them, the last
    letter in brackets or bold, "(B)", "**B**", alone on a line, or before its option, "B.", "B) the sun"; else the one
    at the end of the text. "The answer is not B" and the article in "a dog" do not count.

    Attributes:
        letters: The letters of the options, as capitals; at least one, each once.

    Raises:
        SettingsError: They are not distinct capital letters.

    Example:
        >>> choice = ChoiceLetter()
        >>> choice("(A) is tempting, but the answer is **(C)**."), choice("B) the sun"), choice("A dog.")
        ('C', 'B', None)
    """

    letters: str = "ABCDE"

    def __post_init__(self) -> None:
        letters = self.letters
        if not (isinstance(letters, str) and re.fullmatch("[A-Z]+", letters) and len(set(letters)) == len(letters)):
            raise SettingsError(f"letters must be capitals without repetition, such as 'ABCD', got {letters!r}")

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The letter."""
        letter = find_choice(text, self.letters)
        return None if letter is None else Found(letter, ExactText())


@dataclass(frozen=True)
class RegexAnswer(Extractor):
    r"""A group of the pattern's last match.

    A pattern that takes longer than a second on a candidate, as `(a|aa)+$` can, makes that candidate fail: use
    possessive quantifiers (`a++`) or atomic groups where candidates are long.

    Attributes:
        pattern: A regular expression of Python's `re`; it may match anywhere.
        group: Number or name of the group; None takes the first, or the whole match of a pattern without groups.
        flags: Flags of `re`, such as `re.IGNORECASE`.

    Raises:
        SettingsError: The pattern or the flags are invalid, or there is no such group.

    Example:
        >>> RegexAnswer(r"#### (.+)")("6 * 7\n#### 42")
        '42'
    """

    pattern: str
    group: int | str | None = None
    flags: int = 0

    def __post_init__(self) -> None:
        compiled = timed_pattern(self.pattern, self.flags).plain
        known = [*range(compiled.groups + 1), *compiled.groupindex]
        if self.group is not None and (isinstance(self.group, bool) or self.group not in known):
            raise SettingsError(f"the pattern {self.pattern!r} has no group {self.group!r}; it has {known}")

    def find(self, text: str, message: AIMessage | None = None) -> str | None:
        """The group, None where it did not take part in the match.

        Raises:
            PatternTimeoutError: The pattern took too long on this text.
        """
        timed = timed_pattern(self.pattern, self.flags)
        match = timed.last(text)
        found: str | None = match and match[min(1, timed.plain.groups) if self.group is None else self.group]
        return found


@dataclass(frozen=True)
class StateAnswer(Extractor):
    """A value in the state that an agent or another graph ends in, found by its keys.

    A string is the answer as it is; any other value is written as JSON. The answers are equal where they are the same
    text. A candidate of a policy that answers with a message has none.

    Attributes:
        keys: The key of the value, or those that lead to it, the outermost first; whole numbers count in lists, from
            the end where they are negative. A pydantic model is read like a mapping.

    Raises:
        SettingsError: There is no key.

    Example:
        >>> StateAnswer(("files", "notes.md"))("done", state={"messages": [], "files": {"notes.md": "two lines"}})
        'two lines'
    """

    keys: str | int | tuple[str | int, ...]

    def __post_init__(self) -> None:
        keys = tuple(self.keys) if isinstance(self.keys, tuple | list) else (self.keys,)
        if not keys or not all(isinstance(key, str | int) and key != "" for key in keys):
            raise SettingsError(
                f"keys must be those of a value in the state, such as 'answer' or ('files', 'notes.md'), got {keys!r}"
            )
        object.__setattr__(self, "keys", keys)

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """None: there is no state."""
        return None

    def find_in_state(self, state: Mapping[str, Any], text: str, message: AIMessage | None = None) -> Found | None:
        """The value; None where there is none."""
        value: Any = state
        for key in self.keys:  # type: ignore[union-attr]  # a tuple by now
            if hasattr(value, "model_dump"):
                value = value.model_dump()
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None  # this run never wrote it
        if value is None:
            return None
        written = value if isinstance(value, str) else json.dumps(state_to_json(value), sort_keys=True)
        return Found(written, ExactText())


@dataclass(frozen=True)
class WholeText(Extractor):
    """The whole text, for policies that answer with nothing but the answer.

    Example:
        >>> WholeText()("Vienna")
        'Vienna'
    """

    def find(self, text: str, message: AIMessage | None = None) -> str | None:
        """The text."""
        return text
