"""Dates and times of day: answers of prose that have one form all the same.

>>> [read_calendar(one) for one in ("3 March 2024", "Mar. 3rd, 2024", "3. März 2024", "3:05 PM", "July 4")]
['2024-03-03', '2024-03-03', '2024-03-03', '15:05', 'july 4']
>>> read_calendar("2024/3/3"), read_calendar("03/04/2024")
('2024-03-03', None)

Dates of digits alone are read where the year stands first: 03/04 is a day in March or in April.
"""

from __future__ import annotations

import re

__all__ = ["read_calendar"]

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
_FOREIGN_MONTHS = tuple(
    names.split("|")
    for names in (
        "januar|jänner|janvier|enero|gennaio|janeiro|januari|января",
        "februar|février|fevrier|febrero|febbraio|fevereiro|februari|февраля",
        "märz|mars|marzo|março|maart|марта",
        "avril|abril|aprile|апреля",
        "mai|mayo|maggio|maio|mei|мая",
        "juni|juin|junio|giugno|junho|июня",
        "juli|juillet|julio|luglio|julho|июля",
        "août|aout|agosto|augustus|августа",
        "septembre|septiembre|settembre|setembro|сентября",
        "oktober|octobre|octubre|ottobre|outubro|октября",
        "novembre|noviembre|novembro|ноября",
        "dezember|décembre|decembre|diciembre|dicembre|dezembro|декабря",
    )
)
_ENGLISH_MONTHS = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)
_MONTH = rf"(?P<month>{'|'.join('|'.join(names) for names in _FOREIGN_MONTHS)}|{_ENGLISH_MONTHS}|sept)\b\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th|er|\.)?"
_YEAR = r"(?P<year>[12]\d{3})"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}(?:the )?{_DAY}(?: of| de)? {_MONTH}(?:(?:,| de| del)? {_YEAR})?(?: г(?:\.|ода)?)?",
        rf"{_WEEKDAY}{_MONTH} (?:the )?{_DAY}(?:,? {_YEAR})?",
        rf"{_YEAR}(?P<mark>[/.])(?P<number>[01]?\d)(?P=mark){_DAY}",
        rf"{_YEAR} ?年 ?(?P<number>[01]?\d) ?月 ?{_DAY} ?日",
        rf"{_YEAR} ?년 ?(?P<number>[01]?\d) ?월 ?{_DAY} ?일",
        rf"{_MONTH},?(?: de| of)? {_YEAR}",
    )
)
_TIME = re.compile(r"(?P<hour>1[0-2]|0?[1-9])(?::(?P<minute>[0-5]\d))? ?(?P<half>[ap])\.? ?m\.?", re.IGNORECASE)
_HOURS = re.compile(
    r"(?P<hour>[01]?\d|2[0-3])(?: ?h ?(?P<minute>[0-5]\d)| ?[:.](?P<minutes>[0-5]\d) ?(?:uhr|hrs?|hours|h))",
    re.IGNORECASE,
)
_NAMED_TIMES = {"noon": "12:00", "12 noon": "12:00", "midday": "12:00", "midnight": "0:00", "12 midnight": "0:00"}
_LONGEST = 40


def read_calendar(text: str) -> str | None:
    """The one form of a date or a time of day; None for any other text.

    Args:
        text: An answer without wrappers.

    Returns:
        "2024-03-03", "march 3" without a year, "2024-03" without a day, or "15:05" for a time with am or pm.
    """
    if len(text) > _LONGEST:
        return None
    if (time := _time(text)) is not None:
        return time
    date = next((match for pattern in _DATES if (match := pattern.fullmatch(text))), None)
    if date is None:
        return None
    parts = date.groupdict()
    month = int(parts.get("number") or 0) or _month(parts["month"])
    year, day = parts["year"], int(parts["day"]) if "day" in parts else None
    if not 1 <= month <= 12 or not (day is None or 1 <= day <= 31):
        return None
    if day is None:
        return f"{year}-{month:02}"
    return f"{_MONTHS[month - 1]} {day}" if year is None else f"{year}-{month:02}-{day:02}"


def _time(text: str) -> str | None:
    if text.lower() in _NAMED_TIMES:
        return _NAMED_TIMES[text.lower()]
    if time := _TIME.fullmatch(text):
        hour = int(time["hour"]) % 12 + (12 if time["half"].lower() == "p" else 0)
        return f"{hour}:{time['minute'] or '00'}"
    if time := _HOURS.fullmatch(text):
        return f"{int(time['hour'])}:{time['minute'] or time['minutes']}"
    return None


def _month(name: str | None) -> int:
    """The number of the month; 0 for no name."""
    name = (name or "").lower()
    foreign = next((place for place, names in enumerate(_FOREIGN_MONTHS, start=1) if name in names), 0)
    english = next((place for place, month in enumerate(_MONTHS, start=1) if name and month.startswith(name[:3])), 0)
    return foreign or english
