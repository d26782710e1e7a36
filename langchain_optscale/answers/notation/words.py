"""Numbers in words: whole ones, fractions and dozens in English, small ones in other languages.

>>> [str(number_in_words(one)) for one in ("Twenty-five", "minus two thirds", "one and a half", "zwölf", "三十二")]
['25', '-2/3', '3/2', '12', '32']
>>> number_in_words("two three"), number_in_words("once")
(None, None)

A word that is also an English one, such as the Italian "due" or the Spanish "once", is not read.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["SCALE_PATTERN", "number_in_words", "scale_of"]

_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
# "Billion" is another number in German and Spanish: only words that mean one thing.
_FOREIGN_SCALES = {
    "mille": 10**3,
    "tausend": 10**3,
    "тысяч": 10**3,
    "millionen": 10**6,
    "millones": 10**6,
    "milhões": 10**6,
    "milioni": 10**6,
    "миллион": 10**6,
    "миллиона": 10**6,
    "миллионов": 10**6,
    "milliarde": 10**9,
    "milliarden": 10**9,
    "milliard": 10**9,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
    "lakh": 10**5,
    "crore": 10**7,
}
_HAN_SCALES = "万萬亿億"
SCALE_PATTERN = (
    rf"(?:(?:[ ~]|\\[,; ])?(?:\\(?:text|mathrm)\{{ ?)?(?P<scale>[{_HAN_SCALES}]|(?i:"
    + "|".join(sorted({*_SCALES, *_FOREIGN_SCALES} - {*_HAN_SCALES}, key=len, reverse=True))
    + r")(?-i:s?)(?![^\W_]))(?: ?\})?)?"
)
"""Part of a regular expression: a word after a numeral that multiplies it, as the group "scale"; may match nothing."""

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = {
    name: 10 * place
    for place, name in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_SMALL = {name: value for value, name in enumerate(_ONES)}
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "hundredth": 100,
    "thousandth": 1000,
}
_FOREIGN = {
    name: value
    for value, names in {
        0: "zéro cero ноль",
        1: "eins uno один",
        2: "zwei dois два",
        3: "drei trois tres três три",
        4: "vier quatre cuatro quattro quatro четыре",
        5: "fünf cinq cinco cinque пять",
        6: "sechs шесть",
        7: "sieben sept siete sette sete семь",
        8: "acht huit ocho otto oito восемь",
        9: "neun neuf nueve nove девять",
        10: "zehn dix diez dieci dez десять",
        11: "onze undici одиннадцать",
        12: "zwölf douze doce dodici двенадцать",
    }.items()
    for name in names.split()
}
_HAN_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}
_HAN_LARGE = {"亿": 10**8, "億": 10**8, "万": 10**4, "萬": 10**4}
_HAN = re.compile(f"[{''.join(_HAN_DIGITS)}{''.join(_HAN_UNITS)}{''.join(_HAN_LARGE)}]{{1,20}}")
_MINUS = re.compile(r"(?:minus|negative)\s+", re.IGNORECASE)
_LONGEST = 120


def number_in_words(text: str) -> Fraction | None:
    """The number that words name; None for any other text.

    Args:
        text: An answer without wrappers.
    """
    if len(text) > _LONGEST or not text or not (text[0].isalpha() or text[0] in _HAN_DIGITS):
        return None
    if _HAN.fullmatch(text):
        return _han(text)
    minus = _MINUS.match(text)
    if minus:
        size = number_in_words(text[minus.end() :])
        return None if size is None or size < 0 else -size
    lower = text.lower()
    if lower in _FOREIGN and not text.isupper():
        return Fraction(_FOREIGN[lower])
    return _english(re.split(r"[\s-]+", lower))


def scale_of(word: str) -> int:
    """What the word of `SCALE_PATTERN` multiplies by."""
    both = _SCALES | _FOREIGN_SCALES
    word = word.lower()
    return both[word] if word in both else both[word.removesuffix("s")]


def _english(words: list[str]) -> Fraction | None:
    if words[-1] in ("dozen", "dozens"):
        count = _half_or_whole(words[:-1])
        return None if count is None else 12 * count
    fraction = _fraction(words)
    if fraction is not None:
        return fraction
    for place in range(1, len(words) - 1):
        if words[place] == "and":
            whole, part = _whole(words[:place]), _fraction(words[place + 1 :])
            if whole is not None and part is not None:
                return whole + part
    value = None if words in (["a"], ["an"]) else _whole(words)
    return None if value is None else Fraction(value)


def _half_or_whole(words: list[str]) -> Fraction | None:
    if words == ["half", "a"]:
        return Fraction(1, 2)
    value = _whole(words)
    return None if value is None else Fraction(value)


def _fraction(words: list[str]) -> Fraction | None:
    """A half, two thirds, three quarters: below one."""
    name = words[-1].removesuffix("s") if words[-1] != "halves" else "half"
    below = _PARTS.get(name)
    if below is None or (len(words) == 1 and name != "half"):
        return None  # "third" alone is a rank
    above = _whole(words[:-1]) if words[:-1] else 1
    if above is None or not 0 < above < below or (above > 1) != words[-1].endswith("s"):
        return None
    return Fraction(above, below)


def _whole(words: list[str]) -> int | None:
    """A whole number in words, by the grammar of English: 'two thousand five hundred and six'."""
    if words in (["a"], ["an"]):
        return 1
    for name, scale in reversed(_SCALES.items()):
        if name not in words:
            continue
        place = words.index(name)
        rest = words[place + 1 :]
        rest = rest[1:] if rest[:1] == ["and"] and len(rest) > 1 else rest
        above, below = _whole(words[:place]), _whole(rest) if rest else 0
        if above is None or below is None or above == 0 or below >= scale or (rest and below == 0):
            return None
        return above * scale + below
    return _below_hundred(words)


def _below_hundred(words: list[str]) -> int | None:
    if len(words) == 1:
        return _SMALL.get(words[0], _TENS.get(words[0]))
    if len(words) == 2 and words[0] in _TENS and 0 < _SMALL.get(words[1], 0) < 10:
        return _TENS[words[0]] + _SMALL[words[1]]
    return None


def _han(text: str) -> Fraction | None:
    """A Chinese or Japanese numeral, such as 三十二 or 二〇二四."""
    if all(map(_HAN_DIGITS.__contains__, text)):
        digits = "".join(str(_HAN_DIGITS[one]) for one in text)
        return Fraction(int(digits)) if len(digits) == 1 or digits[0] != "0" else None
    total = section = digit = 0
    for one in text:
        if one in _HAN_DIGITS:
            digit = _HAN_DIGITS[one]
        elif one in _HAN_UNITS:
            section, digit = section + (digit or 1) * _HAN_UNITS[one], 0
        else:
            total, section, digit = total + (section + digit) * _HAN_LARGE[one], 0, 0
    return Fraction(total + section + digit)
