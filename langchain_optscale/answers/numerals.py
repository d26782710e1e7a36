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
import unicodedata
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from langchain_optscale.answers.notation.repeating import REPEATING, read_repeating, unrounded
from langchain_optscale.answers.notation.words import SCALE_PATTERN, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Numeral", "first_numeral", "last_match", "last_numeral", "read_numeral", "write_number"]

_SIGN = "[-+−–]"
_GROUP = r"(?:,|\{,\}|\\,|\\!|['’_\u00a0\u2009\u202f])"
# Thousands as in 1,234.5 and 12,34,567, and as in 1.234,5 and 1.234.567; no group after a leading zero. With spaces
# alone they need a second group, a decimal comma or a currency; bounded, since each group may begin a number.
_ENGLISH = rf"[1-9]\d{{0,2}}(?:{_GROUP}\d{{3}}(?!\d))++(?:\.\d++)?+|[1-9]\d?(?:,\d\d(?!\d))++,\d{{3}}(?!\d)(?:\.\d++)?+"
_CONTINENTAL = (
    r"[1-9]\d{0,2}(?:(?:\.\d{3})++|(?:['’ \u00a0\u2009\u202f]\d{3}){1,6}+),\d++(?![,\d])"
    r"|[1-9]\d{0,2}(?:(?:\.\d{3}){2,}+(?![.\d])|(?: \d{3}(?!\d)){2,6}+(?:\.\d++)?+(?![,.]?\d))"
    r"|[1-9]\d{0,2}(?: \d{3}(?!\d)){1,6}+(?= ?(?:[€£¥₽$]|EUR\b|USD\b|руб|zł|Kč|kr\b|Ft\b|euros?\b|francs?\b))"
)
_PLAIN = rf"(?:{_CONTINENTAL}|{_ENGLISH}|\d++(?:\.\d++)?+|\.\d++)"
# In a sentence a comma between digits is a decimal comma; not so in 1,2,3 and (1,2).
_COMMA = r"(?<![({\[])(?<!\d,)\d++,\d++(?!,?\d)"
_TIMES_TEN = r" ?(?:×|·|\*|[xX](?= ?10[\^⁻⁰¹²³⁴⁵⁶⁷⁸⁹])|\\times|\\cdot) ?10"
_SCIENTIFIC = rf"(?:[eE]{_SIGN}?\d++(?!\w)|{_TIMES_TEN}(?:(?:\^|\*\*)\{{?{_SIGN}?\d++\}}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]++))"
_POWER = rf"\^(?:\{{ ?(?P<power>{_SIGN}?\d{{1,4}}) ?\}}|(?P<exponent>{_SIGN}?\d{{1,4}}(?!\d)))"
_BASE = r"_(?:\{ ?(?P<base>\d{1,2}) ?\}|(?P<radix>\d))(?!\d)"
_AFTER = rf"(?:(?P<scientific>{_SCIENTIFIC})|{_POWER}|{_BASE})?"
_VULGAR = r"(?:(?P<units>\d{1,9}+) ?)?(?P<vulgar>[¼-¾⅐-⅞↉])"
_LATEX_FRACTION = (
    rf"\\[dtc]?frac(?:\{{ ?(?P<over>{_SIGN}?{_PLAIN}) ?\}}\{{ ?(?P<under>{_SIGN}?{_PLAIN}) ?\}}"
    r"|(?P<top>\d)(?P<bottom>\d))"
)
# The whole part of a mixed number needs a fraction after it.
_WHOLE = r"(?P<whole>\d{1,9}+)(?: (?=\d{1,9}+ ?[/⁄] ?\d)| ?(?=\\[dtc]?frac))"
# Neither in the middle of a word or a version (x2, v1.2.3), nor with the minus of a difference or a range (10-5), nor
# an exponent or an index, as in 30 m^2 and a_{10}.
_START = (
    # Most characters begin no number: one look at them, before the looks behind.
    r"(?=[-+−–\d.\\$€£¥¼-¾⅐-⅞↉])"
    rf"(?<![\dA-Za-z_^])(?<!\d\.)(?<![\^_]\{{)(?<!\^[-−])(?<!\^\{{[-−])(?<![a-z]\*\*)(?P<sign>(?<![)\]}}]){_SIGN})?(?:\\?[$€£¥])?"
)
_PERCENT = r"(?P<percent> ?(?:\\?%|％|per ?cent\b))?"


def _pattern(plain: str, *, fractions: bool) -> re.Pattern[str]:
    number = rf"(?P<repeating>{REPEATING})|(?P<number>{plain}){_AFTER}"
    if fractions:
        number = (
            rf"{_VULGAR}|(?:{_WHOLE})?(?:{_LATEX_FRACTION}"
            rf"|(?P<repeating>{REPEATING})|(?P<number>{plain}){_AFTER}(?: ?[/⁄] ?(?P<divisor>{_PLAIN}))?)"
        )
    return re.compile(f"{_START}(?:{number}){SCALE_PATTERN}{_PERCENT}")


_IN_TEXT = {
    fractions: _pattern(f"(?:{_CONTINENTAL}|{_ENGLISH}|{_COMMA}|{_PLAIN})", fractions=fractions)
    for fractions in (False, True)
}
_NUMBER_OR_FRACTION = _pattern(_PLAIN, fractions=True)
_EXPONENT = re.compile(rf"{_TIMES_TEN}(?:\^|\*\*)?")
_SUPERSCRIPTS = str.maketrans("−–⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "---0123456789")
_RAISED_FRACTION = re.compile(" ?([⁰¹²³⁴⁵⁶⁷⁸⁹]{1,9})⁄([₀₁₂₃₄₅₆₇₈₉]{1,9})")
_GROUPED = re.compile(rf"-?(?:{_ENGLISH})(?![,\d])")
_POINTED = re.compile(r"-?\d{1,3}(?:\.\d{3}){2,}")
_HAS_COMMA = re.compile(r"(?<=\d),(?=\d)")

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
    match = last_match(_IN_TEXT[fractions], _on_lines(text))
    return match and _numeral(match, truncated=True)


def first_numeral(text: str) -> Numeral | None:
    """As `last_numeral`, the first number in the text."""
    match = _IN_TEXT[True].search(_on_lines(text))
    return match and _numeral(match, truncated=True)


def _on_lines(text: str) -> str:
    text = text.replace("٫", ".").replace("٬", ",")
    return _RAISED_FRACTION.sub(_on_one_line, text) if "⁄" in text else text


def _on_one_line(raised: re.Match[str]) -> str:
    return f" {unicodedata.normalize('NFKC', raised[1])}/{unicodedata.normalize('NFKC', raised[2])}"


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


def _numeral(match: re.Match[str], *, truncated: bool = False) -> Numeral:
    parts = match.groupdict()
    value = _magnitude(parts)
    if truncated and value is None and (digits := parts["repeating"]):
        # 3.14159... shows no period: in a sentence it stands for the digits that are there.
        value = _exact(digits.rstrip("….").removesuffix("\\dots").removesuffix("\\ldots"))
    if value is not None and parts["scale"]:
        value *= scale_of(parts["scale"])
    if value is not None and parts["sign"] in ("-", "−", "–"):
        value = -value
    return Numeral(value, bool(parts["percent"]))


def _magnitude(parts: Mapping[str, str | None]) -> Fraction | None:
    if parts["repeating"]:
        return read_repeating(parts["repeating"])
    if vulgar := parts.get("vulgar"):
        return int(parts["units"] or 0) + _character(vulgar)
    value = _number_of(parts) if parts["number"] else _exact(parts["over"] or parts["top"] or "")
    divisor = parts.get("under") or parts.get("bottom") or parts.get("divisor")
    if divisor is None or value is None:
        return value
    below = _exact(divisor)
    if not below:
        return None
    # 3 1/2 is a mixed number; 3 7/2 has no meaning.
    whole = int(parts["whole"] or 0) if 0 < value < below else 0
    return whole + value / below


def _number_of(parts: Mapping[str, str | None]) -> Fraction | None:
    """A decimal, a power, or a numeral of another base."""
    digits = parts["number"] or ""
    if base := parts["base"] or parts["radix"]:
        return _in_base(digits, int(base))
    value = _exact(digits + (parts["scientific"] or ""))
    power = parts["power"] or parts["exponent"]
    if power is None or value is None:
        return value
    exponent = int(power.replace("−", "-").replace("–", "-"))
    if abs(exponent) * len(digits) > _MOST_DIGITS or (exponent < 0 and not value):
        return None
    return value**exponent


def _in_base(digits: str, base: int) -> Fraction | None:
    if len(digits) > _MOST_DIGITS or not 2 <= base <= 36:
        return None
    try:
        return Fraction(int(re.sub(r"[^\d.]", "", digits), base))
    except ValueError:
        return None


def _character(vulgar: str) -> Fraction:
    over, _, under = unicodedata.normalize("NFKC", vulgar).partition("\u2044")
    return Fraction(int(over), int(under))


def _exact(digits: str) -> Fraction | None:
    if len(digits) > _MOST_DIGITS:
        return None
    plain = _point(_EXPONENT.sub("e", digits).translate(_SUPERSCRIPTS))
    plain = re.sub(r"[^\d.eE+-]", "", plain)
    mantissa, _, exponent = plain.lower().partition("e")
    if len(exponent) > len("-400") or abs(int(exponent or 0)) > _LARGEST_EXPONENT:
        return None
    return unrounded(Fraction(mantissa), mantissa) * Fraction(10) ** int(exponent or 0)


def _point(digits: str) -> str:
    """With a point for the decimals only: groups are closed, a decimal comma is a point."""
    if _GROUPED.match(digits):
        return digits
    if _POINTED.fullmatch(digits):
        return digits.replace(".", "")
    return digits.replace("{,}", "").replace(".", "").replace(",", ".") if _HAS_COMMA.search(digits) else digits
