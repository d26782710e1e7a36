"""Dates, times of day and small numbers in words: answers of prose that have one form all the same.

>>> [read_calendar(one) for one in ("3 March 2024", "Mar. 3rd, 2024", "3:05 PM", "July 4")]
['2024-03-03', '2024-03-03', '15:05', 'july 4']
>>> read_calendar("03/04/2024"), number_in_words("Twenty-five")
(None, 25)

Dates of digits alone are not read, save in the order of ISO 8601, which needs no change: 03/04 is a day in March or in
April.
"""

from __future__ import annotations

import re

__all__ = ["number_in_words", "read_calendar"]

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = rf"(?P<month>{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in _MONTHS)}|sept)\b\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[12]\d{3})"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}(?:the )?{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?",
        rf"{_WEEKDAY}{_MONTH} (?:the )?{_DAY}(?:,? {_YEAR})?",
    )
)
_TIME = re.compile(r"(?P<hour>1[0-2]|0?[1-9])(?::(?P<minute>[0-5]\d))? ?(?P<half>[ap])\.? ?m\.?", re.IGNORECASE)
_LONGEST = 40

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
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {name: value for value, name in enumerate(_ONES)} | {
    name: value for value, name in zip(range(20, 100, 10), _TENS, strict=True)
}
_IN_WORDS = re.compile(rf"({'|'.join(_TENS)})[- ]({'|'.join(_ONES[1:10])})|({'|'.join(_WORDS)})", re.IGNORECASE)


def read_calendar(text: str) -> str | None:
    """The one form of a date or a time of day; None for any other text.

    Args:
        text: An answer without wrappers.

    Returns:
        "2024-03-03", "march 3" without a year, or "15:05" for a time with am or pm.
    """
    if len(text) > _LONGEST:
        return None
    if time := _TIME.fullmatch(text):
        hour = int(time["hour"]) % 12 + (12 if time["half"].lower() == "p" else 0)
        return f"{hour}:{time['minute'] or '00'}"
    date = next((match for pattern in _DATES if (match := pattern.fullmatch(text))), None)
    if date is None or not 1 <= int(date["day"]) <= 31:
        return None
    month = next(number for number, name in enumerate(_MONTHS, start=1) if name.startswith(date["month"].lower()[:3]))
    if date["year"] is None:
        return f"{_MONTHS[month - 1]} {int(date['day'])}"
    return f"{date['year']}-{month:02}-{int(date['day']):02}"


def number_in_words(text: str) -> int | None:
    """The number that an English word or two name, below 100; None for any other text."""
    match = _IN_WORDS.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    tens, ones, alone = (part and part.lower() for part in match.groups())
    return _WORDS[alone] if alone else _WORDS[str(tens)] + _WORDS[str(ones)]
