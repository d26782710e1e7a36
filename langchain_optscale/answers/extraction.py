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

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from langchain_optscale.answers.base import Extractor, Found
from langchain_optscale.answers.equivalence import ExactText, NormalForm
from langchain_optscale.answers.latex import last_box
from langchain_optscale.answers.numerals import last_match, last_numeral, write_number
from langchain_optscale.answers.patterns import timed_pattern
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

__all__ = ["BoxedAnswer", "ChoiceLetter", "LastNumber", "RegexAnswer", "WholeText"]


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
        for pattern in _choice_patterns(self.letters):
            if match := last_match(pattern, text):
                return Found(next(group for group in match.groups() if group).upper(), ExactText())
        return None


@lru_cache
def _choice_patterns(letters: str) -> tuple[re.Pattern[str], ...]:
    """Patterns from the most explicit to the least."""
    capital, either = f"[{letters}]", f"[{letters}{letters.lower()}]"
    # Bounded, so that deeply nested boxes do not take quadratic time.
    opening = r"(?:\s++|[:=*_`$\"'“({\[>]|\\(?:text(?:bf)?|mathrm|mathbf|boxed|fbox|\(|\[)){0,24}+"
    closing = r"[)}\]*.,;:\"”_`$\\<]"
    # Before a word, A and I may be no option; a lower-case letter counts only before a mark or the end of its line.
    article = r"(?<=[AI]) (?!(?:because|since|as|is|and|which)\b)[a-z]"
    letter = rf"(?:({capital})(?![A-Za-z0-9'’])(?!{article})|({either})(?={closing}|[ \t]*(?:\n|\Z)))"
    stated = (
        r"\b(?i:answer|choose|chose|pick|select|go with|(?:correct|right|best) (?:option|choice|letter)"
        r"|(?:option|choice)(?= is))\b"
        r"(?i: (?:is|would be|should be|must be|will be|option|choice|letter|the|therefore|thus))*+"
        rf"{opening}(?:(?i:option|choice|letter){opening})?{letter}"
    )
    praised = rf"(?<![A-Za-z0-9'’])({capital})\)? (?:is|would be) (?:the )?(?:correct|right|best|answer)\b"
    boxed = rf"\\f?box(?:ed)?\s*\{{{opening}({either})[)}}\].\s]*\}}"
    marked = rf"\(({capital})\)|\*\*\(?({capital})\)?[.:]?\*\*|^[ \t]*({capital})(?:[.):][ \t]*(?=\S)|[.):]?[ \t]*$)"
    last = rf"(?<![A-Za-z0-9'’])(?<!not )(?<!or )(?<!and )({capital})[.!)\s]*+\Z|\A\s*+\(?({either})[.)\s]*+\Z"
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in (f"{stated}|{praised}|{boxed}", marked, last))


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
class WholeText(Extractor):
    """The whole text, for policies that answer with nothing but the answer."""

    def find(self, text: str, message: AIMessage | None = None) -> str | None:
        """The text."""
        return text
