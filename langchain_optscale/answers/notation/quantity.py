r"""A whole answer that is one number, in the notations of several locales, with or without a unit.

    >>> [str(read_quantity(one)) for one in ("1.234,5", "12 345", "3,5 kg", r"0.1\dot{6}", "101_{2}", "2^{10}")]
    ['2469/2', '12345', '7/2', '1/6', '5', '1024']

A comma between two whole numbers can be a decimal comma or part a list. It is read as a decimal comma where it can
hardly be a list, which is written in ascending order or with a space; see `_decimal_comma`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from langchain_optscale.answers.notation.plain import is_prose
from langchain_optscale.answers.notation.units import normal_unit
from langchain_optscale.answers.numerals import read_numeral

__all__ = ["read_quantity", "unit_after", "without_unit"]

_UNIT_NAMES = (
    r"[$€£¥₹₽₩]|percent(?:age)?(?: points?)?|pct\.?|\\?%|degrees?|deg|radians?|rad|dollars?|usd|euros?|eur|gbp|jpy|cny"
    r"|rmb|yuan|yen|rupees?|cents?|pounds?|lbs?|ounces?|oz|kilograms?|kg|grams?|mg|g|tons?|tonnes?"
    r"|kilomet(?:er|re)s?|km|centimet(?:er|re)s?|cm|millimet(?:er|re)s?|mm|met(?:er|re)s?|m|inch(?:es)?|in|feet|foot|ft"
    r"|yards?|yd|miles?|mi|mph|km/h|kmh|lit(?:er|re)s?|l|ml|gallons?|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|days?"
    r"|weeks?|months?|years?|units?|people|persons?|students?|points?|hz|khz|mhz|watts?|kw|kwh|joules?|kj|newtons?|volts?"
    r"|moles?|mol"
)
_UNIT = re.compile(
    rf"\s*(?:square |cubic |sq\.? |cu\.? )?(?:{_UNIT_NAMES})(?:(?: ?(?:/|\\times|\*) ?| per )(?:{_UNIT_NAMES}))?"
    r"(?:\^?\{?-?[23]\}?)?",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"(?:(?:usd|eur|gbp|chf|inr|rs\.?|us)\s?(?=[$\d])|(?:\\approx|approx(?:imately|\.)?|about|around|roughly|circa|ca\.|~)\s?"
    r"(?=[-$€£\d.]))",
    re.IGNORECASE,
)
_MINUS = re.compile(r"(?:minus|negative|moins|menos|meno) (?=[$€£\d.\\])", re.IGNORECASE)
# Before a word such as "Millionen" a comma is a decimal comma, save before three digits.
_SCALED_COMMA = re.compile(r"\A([-+]?[$€£]?\d+),(\d{1,2}|\d{4,9})(?= ?[^\W\d_]{3,})")
_AMBIGUOUS = re.compile(r"([-+−]?)(\d+),(\d+)")
_COMMA = re.compile(r"(?<=\d),(?=\d)")
_SPACED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:[.,]\d+)?")
_CONTINENTAL = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+,\d+|[-+]?\d{1,3}(?:\.\d{3}){2,}|[-+]?\d{1,3}(?:['’]\d{3})+,\d+")
_BASE = re.compile(
    r"(-?)\(?([0-9A-Za-z]+(?:[ ,][0-9A-Za-z]+)*)\)?"
    r"(?: ?_ ?\{?\(? ?(?:base ?)?([0-9]+|two|three|four|five|six|seven|eight|nine|ten|twelve|sixteen) ?\)?\}?"
    r"| ?\(?,? ?(?:in )?base[- ]([0-9]+|two|three|four|five|six|seven|eight|nine|ten|twelve|sixteen)\)?)"
)
_PREFIXED = re.compile(r"(-?)0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]([0-7]+))")
_BASE_NAMES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "sixteen": 16,
}
_LONGEST = 300
# Of one letter it may be an unknown: 5x m.
_SURE_UNIT = 2


def read_quantity(text: str, *, percent: bool = False, units: bool = True) -> Fraction | None:
    """The number that the text is, exactly; None where it is anything else.

    Args:
        text: An answer without wrappers, see `notation.spelling`.
        percent: Whether a percent sign divides by 100; otherwise it is dropped like any other unit.
        units: Whether a unit after the number is dropped.
    """
    text = _SCALED_COMMA.sub(r"\1.\2", _MINUS.sub("-", _PREFIX.sub("", text)))
    text = text.replace("- ", "-", 1) if text.startswith("- ") else text
    if (value := _number(text, percent)) is not None or len(text) > _LONGEST:
        return value
    if (value := _based(text)) is not None:
        return value
    unit = _after_number(text) if units else None
    if unit is None:
        return None
    # A unit says that what stands before it is one number.
    before = text[: len(text) - len(unit)].strip()
    value = _number(
        _COMMA.sub(".", before) if _AMBIGUOUS.fullmatch(before) and not _grouped(before) else before, percent
    )
    return value / 100 if value is not None and percent and _is_percent(unit) else value


def without_unit(text: str) -> str:
    r"""An expression without the unit after it, as in 6\sqrt{2} cm; any other text as it is."""
    for place in range(1, len(text)) if len(text) <= _LONGEST else ():
        if not text[place].isspace() or sum(map(str.isalpha, text[place:])) < _SURE_UNIT:
            continue
        if _UNIT.fullmatch(text[place:]):
            before = text[:place]
            mathematical = "\\" in before or any(map(str.isdigit, before))
            return before if mathematical and not is_prose(before) else text
    return text


def unit_after(text: str) -> str | None:
    """The unit after a number or an expression, by its one name, see `units`; None where there is none.

    Args:
        text: An answer without wrappers.
    """
    if len(text) > _LONGEST or read_numeral(text) is not None:
        return "eur" if text[:1] == "€" else "gbp" if text[:1] == "£" else None
    unit = _after_number(_PREFIX.sub("", text)) if read_quantity(text) is not None else None
    if unit is None and (before := without_unit(text)) != text:
        unit = text[len(before) :]
    return None if unit is None else normal_unit(unit.strip())


def _number(text: str, percent: bool) -> Fraction | None:
    numeral = read_numeral(text)
    if numeral is not None:
        return numeral.read(percent=percent)
    if _SPACED.fullmatch(text):
        return _number(text.replace(" ", ""), percent) if "," not in text else _decimal(text, " ")
    if _CONTINENTAL.fullmatch(text):
        return _decimal(text, ".'’")
    return _decimal(text, "") if _decimal_comma(text) else None


def _decimal(text: str, separators: str) -> Fraction | None:
    for one in separators:
        text = text.replace(one, "")
    numeral = read_numeral(text.replace(",", "."))
    return None if numeral is None else numeral.value


def _decimal_comma(text: str) -> bool:
    """Whether the one comma within it, without a space, can hardly separate two members of a list."""
    parts = _AMBIGUOUS.fullmatch(text)
    if parts is None or _grouped(text):
        return False
    first, second = parts[2], parts[3]
    if first == "0" or second.startswith("0"):
        return True
    descends = int(parts[1].replace("−", "-") + first) > int(second) if len(text) < _LONGEST else False
    return descends or len(second) > max(1, len(first))


def _grouped(text: str) -> bool:
    parts = _AMBIGUOUS.fullmatch(text)
    return parts is not None and len(parts[3]) == 3 and 1 <= len(parts[2]) <= 3 and not parts[2].startswith("0")


def _after_number(text: str) -> str | None:
    """The unit after the number; None where there is another or no end."""
    for place in range(1, len(text)):
        if (text[place].isspace() or text[place - 1].isdigit() or text[place - 1] in "}).") and _UNIT.fullmatch(
            text[place:]
        ):
            return text[place:]
    return None


def _is_percent(unit: str) -> bool:
    return unit.strip().lower().lstrip("\\")[:1] == "%" or unit.strip().lower().startswith(("percent", "pct"))


def _based(text: str) -> Fraction | None:
    """A numeral with its base: 101_2, 1F_{16}, 101 base 2, 0b101."""
    if parts := _PREFIXED.fullmatch(text):
        digits, base = next((one, base) for one, base in zip(parts.groups()[1:], (16, 2, 8), strict=True) if one)
        return Fraction(int(parts[1] + digits, base))
    parts = _BASE.fullmatch(text)
    if parts is None:
        return None
    digits, name = re.sub("[ ,]", "", parts[2]), parts[3] or parts[4]
    base = _BASE_NAMES.get(name) or int(name)
    # Letters alone are the name of an unknown with an index, save in base 16.
    if not 2 <= base <= 36 or not (any(map(str.isdigit, digits)) or (base == 16 and len(digits) > 1)):
        return None
    try:
        return Fraction(int(parts[1] + digits, base))
    except ValueError:
        return None
