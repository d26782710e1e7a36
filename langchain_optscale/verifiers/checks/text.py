"""Counts and searches in text for the checks.

All functions take time linear in the text, also for adversarial text: repetitions in the patterns are possessive or
unambiguous, and text is not normalised, which is quadratic in runs of combining marks.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from langchain_optscale.answers.numerals import last_numeral

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "count_characters",
    "count_items",
    "count_sentences",
    "count_words",
    "find_words",
    "last_number",
]

# Kana and Han ideographs: written without spaces between words.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_CJK_STOP = re.compile("[。！？]")

_TERMINATORS = ".!?…。！？"
_OPENERS = "\"'“‘«([{*_"
_CLOSERS = "\"'”’»)]}*_」』"
_ABBREVIATIONS = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "vs", "cf", "e.g", "i.e", "approx", "fig"})

_ITEM_BREAK = re.compile(r"[,،、，]")
_CONJUNCTION = re.compile(r"(?<!\S)(?:and|or|&)(?!\S)", re.IGNORECASE)


def count_words(text: str) -> int:
    """The number of words: pieces between white space or dashes (– —) with a letter or a digit.

    "don't", "well-known" and "3.14" are one word each. Each kana or Han character counts as a word.

    Example:
        ```python
        count_words("A well-known fact — isn't it?")  # 5
        ```
    """
    spaced, ideographs = _CJK_CHARACTER.subn(" ", text)
    return ideographs + sum(map(_has_letter_or_digit, spaced.replace("–", " ").replace("—", " ").split()))


def count_sentences(text: str) -> int:
    """The number of sentences.

    A sentence ends with . ! ? or … before white space, also inside quotes or brackets, with 。 ！ or ？ anywhere, or
    with a blank line or the end of the text; not with common English abbreviations (Dr., e.g.) and list numbers (1.).

    Example:
        ```python
        count_sentences('Dr. Who said "No!" Then it was 3.14')  # 2
        ```
    """
    count = 0
    begun = False
    # A CJK stop ends a sentence without white space after it.
    for line in _CJK_STOP.sub(r"\g<0> ", text).splitlines():
        tokens = line.split()
        if not tokens:
            count, begun = count + begun, False
        for token in tokens:
            first, begun = not begun, begun or _has_letter_or_digit(token)
            bare = token.strip(_OPENERS + _CLOSERS)
            if not begun or not bare.endswith(tuple(_TERMINATORS)):
                continue
            stem = bare.rstrip(".").lower()
            if stem not in _ABBREVIATIONS and not (first and stem.isdecimal()):
                count, begun = count + 1, False
    return count + begun


def count_items(text: str) -> int:
    """The number of items of a list in one line.

    Items are separated by commas, and the last ones by "and", "or" or "&" ("a, b, and c", "a, b and c", "a and b").

    Example:
        ```python
        count_items("apples, pears and plums.")  # 3
        ```
    """
    *pieces, last = _ITEM_BREAK.split(text)
    last = last.strip()
    leading = _CONJUNCTION.match(last)
    pieces += [last[leading.end() :]] if leading and pieces else _CONJUNCTION.split(last)
    return sum(map(_has_letter_or_digit, pieces))


def count_characters(text: str) -> int:
    r"""The number of characters, without surrounding white space and combining marks.

    Example:
        ```python
        count_characters(" cafe\u0301 ")  # 4
        ```
    """
    return sum(not unicodedata.combining(character) for character in text.strip())


def find_words(words: Iterable[str], text: str) -> list[str]:
    """The words that occur in the text as whole words, ignoring case.

    A word may be a phrase ("New York"), separated by any white space. Kana and Han words may occur anywhere.

    Example:
        ```python
        find_words(["cat", "dog"], "Concatenate the DOG.")  # ["dog"]
        ```
    """
    folded = text.casefold()
    return [word for word in words if _word_pattern(word).search(folded)]


def last_number(text: str, *, percent: bool = False, fractions: bool = False) -> float | None:
    """The last number in the text, see `answers.numerals.last_numeral`.

    Args:
        text: Any text.
        percent: Read "45 %" as 0.45; otherwise as 45.
        fractions: Read "3/4" and LaTeX fractions as one number; otherwise as two.

    Returns:
        The number; None where there is none, it is too large for a float, or divided by zero.

    Example:
        ```python
        last_number("It took 3 days and cost -$1,234.50.")  # -1234.5
        ```
    """
    numeral = last_numeral(text, fractions=fractions)
    value = None if numeral is None else numeral.read(percent=percent)
    if value is None:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _has_letter_or_digit(text: str) -> bool:
    return any(map(str.isalnum, text))


def _word_pattern(word: str) -> re.Pattern[str]:
    # The text is not normalised, so both usual encodings of accented letters are searched.
    forms = {unicodedata.normalize(form, word).casefold() for form in ("NFC", "NFD")}
    spaced = "|".join(r"\s+".join(map(re.escape, form.split())) for form in sorted(forms))
    before = "" if _CJK_CHARACTER.match(word.strip()[0]) else r"(?<!\w)"
    after = "" if _CJK_CHARACTER.match(word.strip()[-1]) else r"(?![\w\u0300-\u036f])"
    return re.compile(f"{before}(?:{spaced}){after}")
