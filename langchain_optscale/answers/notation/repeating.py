r"""Repeating decimals as exact fractions.

>>> [str(read_repeating(one)) for one in (r"0.1\overline{6}", r"0.\dot{1}4285\dot{7}", "0.(3)", "0.1666...")]
['1/6', '1/7', '1/3', '1/6']
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["REPEATING", "read_repeating", "unrounded"]

REPEATING = (
    r"(?:\d++[.,]\d*+|\.\d++|\.(?=\\))(?:\\(?:overline|bar|dot) ?(?:\{ ?\d++ ?\}|\d)(?:\d*+\\dot ?(?:\{ ?\d ?\}|\d))?"
    r"|\(\d++\)|(?:…|\\[lc]?dots(?![A-Za-z])|\.{3})| ?\(?repeating\)?)"
)
"""The pattern of the notations, for those who search them in a text."""

_PARTS = re.compile(
    r"(?P<whole>\d*)[.,](?P<fixed>\d*)"
    r"(?:\\(?:overline|bar|dot) ?\{? ?(?P<first>\d+) ?\}?(?:(?P<middle>\d*)\\dot ?\{? ?(?P<last>\d) ?\}?)?"
    r"|\((?P<bracketed>\d+)\)|(?P<dots>…|\\[lc]?dots|\.{3})| ?\(?repeating\)?)"
)
_MOST_DIGITS = 300
# What a double shows of a third: at least ten equal digits, the last perhaps rounded up.
_PRINTED = re.compile(r"(?P<whole>\d*)\.(?P<fixed>\d*?)(?P<tail>(?P<digit>[36])(?P=digit){9,}7?)")
_PRINTED_DIGITS = 15


def read_repeating(text: str) -> Fraction | None:
    """The value of a repeating decimal without a sign; None where the text is none, or does not show its period.

    Dots after the digits are a period only where it is seen: a digit three times at the end, or all digits twice.
    """
    parts = _PARTS.fullmatch(text) if len(text) <= _MOST_DIGITS else None
    if parts is None:
        return None
    fixed = parts["fixed"]
    if parts["first"] is not None:
        period = parts["first"] + (parts["middle"] or "") + (parts["last"] or "")
    elif parts["bracketed"] is not None:
        period = parts["bracketed"]
    else:
        period = _period(fixed) if parts["dots"] else fixed[-1:]
        fixed = fixed[: len(fixed) - len(period)]
    if not period:
        return None
    scale = 10 ** len(fixed)
    return Fraction(int(parts["whole"] + fixed or "0"), scale) + Fraction(int(period), (10 ** len(period) - 1) * scale)


def unrounded(value: Fraction, digits: str) -> Fraction:
    """The repeating decimal of which a computer printed the first 15 digits or more; else the value itself.

    >>> str(unrounded(Fraction("0.0833333333333333"), "0.0833333333333333"))
    '1/12'
    """
    printed = _PRINTED.fullmatch(digits) if len(digits) > _PRINTED_DIGITS else None
    if printed is None or len((printed["whole"] + printed["fixed"]).lstrip("0") + printed["tail"]) < _PRINTED_DIGITS:
        return value
    repeating = read_repeating(f"{printed['whole'] or '0'}.{printed['fixed']}({printed['digit']})")
    return value if repeating is None else repeating


def _period(digits: str) -> str:
    """What repeats at the end; empty where nothing does."""
    if len(digits) >= 3 and len(set(digits[-3:])) == 1:
        return digits[-1]
    for length in range(2, len(digits) // 2 + 1):
        if len(digits) % length == 0 and digits == digits[:length] * (len(digits) // length):
            return digits[:length]
    return ""
