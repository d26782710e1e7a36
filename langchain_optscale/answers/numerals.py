r"""Numbers in text, read as exact fractions and written in one form.

    >>> last_numeral(r"Half of $1,234.50 is \$617.25.").value
    Fraction(2469, 4)
    >>> write_number(Fraction("1234.50")), write_number(Fraction(1, 3))
    ('1234.5', '1/3')

All functions take time linear in the text, also for adversarial text: repetitions in the patterns are possessive or
unambiguous.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Numeral", "last_match", "last_numeral", "read_numeral", "split_numeral", "write_number"]

_SIGN = "[-+−]"
_GROUP = r"(?:,|\{,\}|\\,|\\!|['’\u00a0\u2009\u202f])"
_PLAIN = rf"(?:(?:\d{{1,3}}(?:{_GROUP}\d{{3}}(?!\d))++|\d++)(?:\.\d++)?+|\.\d++)"
_TIMES_TEN = r" ?(?:×|\*|\\times|\\cdot) ?10"
_SCIENTIFIC = rf"(?:[eE]{_SIGN}?\d++(?!\w)|{_TIMES_TEN}(?:(?:\^|\*\*)\{{?{_SIGN}?\d++\}}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]++))?"
_DECIMAL = rf"(?P<number>{_PLAIN}{_SCIENTIFIC})"
_LATEX_FRACTION = (
    rf"\\[dtc]?frac(?:\{{ ?(?P<over>{_SIGN}?{_PLAIN}) ?\}}\{{ ?(?P<under>{_PLAIN}) ?\}}|(?P<top>\d)(?P<bottom>\d))"
)
# The whole part of a mixed number needs a fraction after it.
_WHOLE = r"(?P<whole>\d{1,9}+)(?: (?=\d{1,9}+ ?[/⁄] ?\d)| ?(?=\\[dtc]?frac))"
_FRACTION = rf"(?:{_WHOLE})?(?:{_LATEX_FRACTION}|{_DECIMAL}(?: ?[/⁄] ?(?P<divisor>{_PLAIN}))?)"
# Neither in the middle of a word or a version (x2, v1.2.3), nor with the minus of a difference or a range (10-5).
_START = rf"(?<![\dA-Za-z_])(?<!\d\.)(?P<sign>(?<![)\]}}]){_SIGN})?(?:\\?[$€£¥])?"
_PERCENT = r"(?P<percent> ?(?:\\?%|％|per ?cent\b))?"
_NUMBER = re.compile(_START + _DECIMAL + _PERCENT)
_NUMBER_OR_FRACTION = re.compile(_START + _FRACTION + _PERCENT)
_POWER_OF_TEN = re.compile(rf"{_TIMES_TEN}(?:\^|\*\*)?")
_SUPERSCRIPTS = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")

# Larger numbers are not read; int() refuses them too.
_MOST_DIGITS = 1000
_LARGEST_EXPONENT = 400
_LONGEST_INTEGER = 21
_MOST_DECIMALS = 30


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number in a text.

    Attributes:
        value: Without the percent sign; None where it is too long or too large to be read exactly, or divided by zero.
        percent: Whether a percent sign follows.
    """

    value: Fraction | None
    percent: bool

    def read(self, *, percent: bool) -> Fraction | None:
        """The value, divided by 100 where a percent sign follows and `percent` is set."""
        return self.value / 100 if percent and self.percent and self.value is not None else self.value


def last_numeral(text: str, *, fractions: bool = True) -> Numeral | None:
    """The last number in the text; None where there is none.

    Reads signs (also −), decimals with a point, thousands separated by commas, apostrophes or no-break spaces
    (1,234.5; also LaTeX's 1{,}234), 1.5e-3 and 1.5 × 10^-3, and decimal digits of every script. A digit inside a word
    (x2) is none, a currency sign before the digits is passed over.

    Args:
        text: Any text.
        fractions: Read 3/4, LaTeX's fractions and mixed numbers (3 1/2) as one number; otherwise their parts are
            numbers of their own.
    """
    match = last_match(_NUMBER_OR_FRACTION if fractions else _NUMBER, text)
    return match and _numeral(match)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of the pattern in the text."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def read_numeral(text: str) -> Numeral | None:
    """The number that the whole text is; None where it is anything else.

    >>> read_numeral("3 1/2").value, read_numeral("x = 3")
    (Fraction(7, 2), None)
    """
    match = _NUMBER_OR_FRACTION.fullmatch(text)
    return match and _numeral(match)


def split_numeral(text: str) -> tuple[Numeral, str] | None:
    """The number that the text begins with, and what follows it; None where it begins with anything else.

    >>> split_numeral("7 cm")[1]
    ' cm'
    """
    match = _NUMBER_OR_FRACTION.match(text)
    return match and (_numeral(match), text[match.end() :])


def write_number(value: Fraction) -> str:
    """The canonical form of a number: equal numbers, equal strings.

    Returns:
        Whole numbers in digits, those of more than 21 with an exponent; finite decimals with a point; all others as
        numerator/denominator in lowest terms.
    """
    if value.denominator == 1:
        digits = str(value.numerator)
        bare = digits.rstrip("0")
        return digits if len(digits) <= _LONGEST_INTEGER else f"{bare}e{len(digits) - len(bare)}"
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > _MOST_DECIMALS:
        return f"{value.numerator}/{value.denominator}"
    scaled = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{scaled[:-places]}.{scaled[-places:]}"


def _numeral(match: re.Match[str]) -> Numeral:
    parts = match.groupdict()
    value = _exact(parts.get("over") or parts.get("top") or parts["number"])
    divisor = parts.get("under") or parts.get("bottom") or parts.get("divisor")
    if divisor is not None and value is not None:
        below = _exact(divisor)
        proper = below is not None and 0 < value < below
        value = value / below if below else None
        if parts.get("whole") and value is not None and proper:
            value += int(parts["whole"])
    if value is not None and parts["sign"] in ("-", "−"):
        value = -value
    return Numeral(value, bool(parts["percent"]))


def _exact(digits: str) -> Fraction | None:
    if len(digits) > _MOST_DIGITS:
        return None
    plain = re.sub(r"[^\d.eE+-]", "", _POWER_OF_TEN.sub("e", digits).translate(_SUPERSCRIPTS))
    mantissa, _, exponent = plain.lower().partition("e")
    if len(exponent) > len("-400") or abs(int(exponent or 0)) > _LARGEST_EXPONENT:
        return None
    return Fraction(mantissa) * Fraction(10) ** int(exponent or 0)
