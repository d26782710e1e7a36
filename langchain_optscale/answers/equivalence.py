r"""When two answers are the same.

An equivalence maps every answer to a canonical form: equal strings, equal answers. `NormalForm` compares numbers by
value, and text without case, spacing, LaTeX wrappers and units. `SameMath` also compares expressions such as (x+1)^2
and x^2+2x+1 with math-verify, where that is installed. `ExactText` compares the text as it is.

    >>> form = NormalForm()
    >>> [form.canonical(text) for text in (r"\dfrac{1}{2}", "0.5", ".50", "$0.5$", "50%")]
    ['0.5', '0.5', '0.5', '0.5', '50']
    >>> [form.canonical(text) for text in (r"\text{ Paris. }", "paris", "**PARIS**", r"\left(1,\, \frac12\right)")]
    ['paris', 'paris', 'paris', '(1, 0.5)']
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.answers import _math_process
from langchain_optscale.answers.latex import bare
from langchain_optscale.answers.numerals import read_numeral, split_numeral, write_number
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Equivalence", "ExactText", "NormalForm", "SameMath", "same_answer"]

# Of longer texts only case and spacing are normalised.
_LONGEST = 2000
_DEEPEST = 4
_PASSES = 8

_PAIRS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("*", "*"), ("`", "`"))
_QUOTES = (('"', '"'), ("'", "'"))
_END = " \t\n.,;:?"
# After a word it is an exclamation, after a number or a lone letter a factorial.
_EXCLAMATION = re.compile(r"(?<=[A-Za-z]{2})!+\Z")
_OPERATOR_SPACE = re.compile(r"\s*([-+*/^=<>(),\[\]{}|:;])\s*")
_MATH_SPACE = re.compile(r"(\\[A-Za-z]+) (?=[A-Za-z])|\s+")
_OPTION = re.compile(r"\(?([A-Za-z])\)?")
_ASSIGNED = re.compile(r"[A-Za-z]\s*=\s*([^=]+)")
_UNIT_NAMES = (
    r"[$€£¥]|degrees?|deg|dollars?|usd|euros?|eur|cents?|pounds?|lbs?|ounces?|oz|kilograms?|kg|grams?|mg|g|tons?|tonnes?"
    r"|kilomet(?:er|re)s?|km|centimet(?:er|re)s?|cm|millimet(?:er|re)s?|mm|met(?:er|re)s?|m|inch(?:es)?|in|feet|foot|ft"
    r"|yards?|yd|miles?|mi|mph|lit(?:er|re)s?|l|ml|gallons?|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|days?|weeks?"
    r"|months?|years?|units?|people|persons?|students?|points?"
)
_UNIT = re.compile(
    rf"\s*(?:square |cubic |sq\.? |cu\.? )?(?:{_UNIT_NAMES})(?:(?: ?/ ?| per )(?:{_UNIT_NAMES}))?"
    r"(?:\^?\{?[23]\}?)?",
    re.IGNORECASE,
)

_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{3,}")
_FUNCTIONS = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "sqrt", "arcsin", "arccos", "arctan"})
_MATHEMATICAL = re.compile(r"[-\d\\^_=+*/<>|]")
_LONGEST_EXPRESSION = 300


@dataclass(frozen=True)
class Equivalence:
    """Base of the equivalences: a canonical form, and an optional comparison of forms.

    Equivalences are frozen dataclasses of their settings.
    """

    def canonical(self, text: str) -> str:
        """The canonical form; empty for text without content."""
        raise NotImplementedError

    def match(self, form: str, known: Sequence[str]) -> str | None:
        """The known canonical form that is equivalent although it is another string.

        Args:
            form: A canonical form that is not among the known.
            known: The canonical forms so far, in order of appearance.

        Returns:
            The first equivalent one, or None.
        """
        return None


@dataclass(frozen=True)
class ExactText(Equivalence):
    """Equal texts, apart from surrounding white space."""

    def canonical(self, text: str) -> str:
        """The stripped text."""
        return text.strip()


@dataclass(frozen=True)
class NormalForm(Equivalence):
    r"""Numbers by value, everything else by normalised text.

    - Numbers are compared as exact fractions: 1/2, 0.5, .50, \frac12 and 5e-1 are one answer, 0.3333 and 1/3 are two.
      Thousands separators, currency signs, a trailing period and "x =" before the number make no difference.
    - A percent sign is a unit like any other and dropped: 50% is 50. With `percent=True` it is a hundredth: 50% is 0.5.
    - The elements of lists, tuples and intervals are compared one by one, in their order.
    - Text is compared without regard to case, white space, markdown, quotes and final punctuation. A lone letter is
      taken for the name of an option, (b), and written as a capital. LaTeX keeps its case, since \Delta is not \delta.

    The form is for comparison, not for display.

    Attributes:
        percent: Whether a percent sign divides by 100; otherwise it is dropped.
        units: Whether a unit after a number is dropped, so that "5 cm" is 5 (and, no better, "5 m" is 5 too);
            otherwise it is part of the answer.
    """

    percent: bool = False
    units: bool = True

    def canonical(self, text: str) -> str:
        """The normal form; empty for text with only white space and punctuation."""
        if len(text) > _LONGEST:
            return " ".join(text.split()).casefold()
        # To a fixed point, so that answers can be compared with forms.
        form = self._form(text, _DEEPEST)
        for _ in range(_PASSES):
            before, form = form, self._form(form, _DEEPEST)
            if form == before:
                break
        return form

    def _form(self, text: str, depth: int) -> str:
        text = _stripped(text)
        text = _stripped(bare(text))
        if assigned := _ASSIGNED.fullmatch(text):
            text = assigned[1]
        if (number := self._number(text)) is not None:
            return number
        if depth and (elements := _elements(text)) is not None:
            opening, parts, closing = elements
            return opening + ", ".join([self._form(part, depth - 1) for part in parts]) + closing
        if "\\" in text or "^" in text:
            return _MATH_SPACE.sub(lambda match: f"{match[1]} " if match[1] else "", text)
        if option := _OPTION.fullmatch(text):
            return option[1].upper()
        return _OPERATOR_SPACE.sub(r"\1", text).casefold()

    def _number(self, text: str) -> str | None:
        text = text.replace("- ", "-", 1) if text.startswith("- ") else text
        numeral = read_numeral(text)
        if numeral is None and self.units and (parts := split_numeral(text)) and _UNIT.fullmatch(parts[1]):
            numeral = parts[0]
        value = None if numeral is None else numeral.read(percent=self.percent)
        return None if value is None else write_number(value)


@dataclass(frozen=True)
class SameMath(NormalForm):
    """`NormalForm`, and math-verify for expressions whose normal forms differ.

    Only forms that look like mathematics are compared by math-verify, and never two numbers, which are compared
    exactly. Without math-verify (the extra "math") this is `NormalForm`. Expressions and decimals agree to six digits
    after the point; sets are compared without order.

    Simplifying an expression from a model may never end, so expressions are compared in one separate process for all
    searches. The first comparison starts it, which takes a few seconds; one that exceeds `timeout_s` kills it, and the
    answers count as different.

    Attributes:
        timeout_s: Seconds for the comparison of one answer with all known ones, above 0.

    Raises:
        SettingsError: The timeout is not above 0.
    """

    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if isinstance(self.timeout_s, bool) or not 0 < self.timeout_s < float("inf"):
            raise SettingsError(f"timeout_s must be a number of seconds above 0, got {self.timeout_s!r}")

    def match(self, form: str, known: Sequence[str]) -> str | None:
        """The first known form that math-verify finds equal."""
        if not _is_expression(form):
            return None
        number = read_numeral(form) is not None
        others = [other for other in known if _is_expression(other) and not (number and read_numeral(other))]
        if not others:
            return None
        place = _math_process.find_equal(form, others, self.timeout_s)
        return None if place is None else others[place]


def same_answer(answer: str, other: str, equivalence: Equivalence | None = None) -> bool:
    r"""Whether two answers are equivalent; suits `gold_check`.

    Args:
        answer: An extracted answer or a canonical form.
        other: Another.
        equivalence: None takes `SameMath()`.

    Example:
        >>> same_answer("$1,234", "1234.0"), same_answer("1/3", "0.33"), same_answer(r"\text{(B)}", "(b)")
        (True, False, True)
    """
    equivalence = SameMath() if equivalence is None else equivalence
    form, known = equivalence.canonical(answer), equivalence.canonical(other)
    return form == known or equivalence.match(form, [known]) is not None


def _stripped(text: str) -> str:
    """Strip math delimiters, markdown, quotes and final punctuation."""
    before = None
    while text != before:
        before = text
        text = _EXCLAMATION.sub("", text.strip().rstrip(_END))
        for opening, closing in (*_PAIRS, *_QUOTES):
            inner = text[len(opening) : -len(closing)]
            if text == opening + inner + closing and inner and opening not in inner:
                text = inner
    return text


def _elements(text: str) -> tuple[str, list[str], str] | None:
    """A list's opening bracket, elements and closing bracket; None for fewer than two elements."""
    opening = closing = ""
    for one in ("(", "[", "\\{"):
        if text.startswith(one):
            opening, text = one, text[len(one) :]
            break
    if opening:
        closing = next((one for one in ("\\}", ")", "]") if text.endswith(one)), "")
        if not closing:
            return None
        text = text[: -len(closing)]
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return None
        if character == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return (opening, parts, closing) if len(parts) > 1 and all(part.strip() for part in parts) else None


def _is_expression(form: str) -> bool:
    """Whether it looks like mathematics: math-verify reads words as products of letters, so anagrams are equal."""
    if len(form) > _LONGEST_EXPRESSION or not _MATHEMATICAL.search(form):
        return False
    return all(word.lower() in _FUNCTIONS for word in _WORD.findall(form))
