r"""When two answers are the same.

An equivalence maps every answer to a canonical form: equal strings, equal answers. `NormalForm` compares numbers by
value, quantities with their units, and text without case, spacing and LaTeX wrappers. `SameMath` also compares
expressions such as (x+1)^2 and x^2+2x+1 with SymPy, where the extra "math" is installed. `ExactText` compares the
text as it is.

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
from langchain_optscale.answers.notation.nodes import Leaf, Number, write
from langchain_optscale.answers.notation.plain import is_prose
from langchain_optscale.answers.notation.reading import Reader
from langchain_optscale.answers.notation.units import normal_unit, unit_of
from langchain_optscale.answers.numerals import read_numeral
from langchain_optscale.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Equivalence", "ExactText", "NormalForm", "SameMath", "same_answer"]

# Of longer texts only case and spacing are normalised.
_LONGEST = 2000
_PASSES = 8
# Most answers are a number in its canonical form.
_CANONICAL_NUMBER = re.compile(r"-?[1-9]\d{0,17}(?:\.\d{0,9}[1-9])?|0|-?0\.\d{0,9}[1-9]")
_MATHEMATICAL = re.compile(r"[-\d\\^_=+*/<>|]")
_LONGEST_EXPRESSION = 300
_LETTER_UNITS = {"m": "meters", "g": "grams", "s": "seconds", "h": "hours", "l": "liters"}
_LETTER_UNIT = re.compile(r"(?<![a-z])[mgshl](?![a-z])")


@dataclass(frozen=True)
class Equivalence:
    """Base of the equivalences: a canonical form, and an optional comparison of forms.

    Equivalences are frozen dataclasses of their settings.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class SameLetters(Equivalence):
        ...     def canonical(self, text):
        ...         return text.casefold().replace(" ", "")
        >>> SameLetters().canonical("New York") == SameLetters().canonical("newyork")
        True
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

    def is_qualified(self, form: str) -> bool:
        """Whether the form says more than another that it may be equal to, such as 5 cm than 5.

        Such a form must be among the known ones even where an earlier one represents it.
        """
        return False


@dataclass(frozen=True)
class ExactText(Equivalence):
    """Equal texts, apart from surrounding white space.

    Example:
        >>> ExactText().canonical(" Vienna "), ExactText().canonical("vienna")
        ('Vienna', 'vienna')
    """

    def canonical(self, text: str) -> str:
        """The stripped text."""
        return text.strip()


@dataclass(frozen=True)
class NormalForm(Equivalence):
    r"""Numbers by value, notations of one thing in one form, everything else by normalised text.

    - Numbers are exact fractions: 1/2, 0.5, ½, \frac12, 5e-1 and 0,5 are one answer, 0.3333 and 1/3 are two. Thousands
      separators of all locales, repeating decimals, mixed fractions, powers and numerals of other bases (101_2) are
      read, and a currency sign, a final period and "x =" before the number make no difference.
    - Units are compared: 100 cm is 1 m and not 100 m. A number without a unit is equal to the same number with any unit
      that no other answer disputes, so 5 is 5 cm, and 5 cm is not 5 m.
    - A percent sign is dropped: 50% is 50. With `percent=True` it is a hundredth: 50% is 0.5.
    - Lists and sets have no order, tuples and intervals do: "2 and 3" is \{3, 2\} and not (2, 3). Values of several
      unknowns are a tuple in the order of their names: "y = 2, x = 1" is (1, 2). Inequalities in one unknown are
      intervals, and matrices are compared cell by cell, whatever their brackets.
    - An equation is not its right-hand side, save where it only names what is asked for: x = 3, f(x) = 2x.
    - Text is compared without regard to case, white space, markdown, quotes and final punctuation. A lone letter is
      taken for the name of an option, (b), and written as a capital. LaTeX keeps its case, since \Delta is not \delta.

    The form is for comparison, not for display.

    Attributes:
        percent: Whether a percent sign divides by 100; otherwise it is dropped.
        units: Whether a unit after a number is read as one, so that "5 cm" may be 5; otherwise it is part of the
            answer's text.

    Example:
        >>> form = NormalForm()
        >>> form.canonical("1/2") == form.canonical("0.5"), form.canonical("2 and 3") == form.canonical("{3, 2}")
        (True, True)
        >>> form.canonical("0.3333") == form.canonical("1/3")
        False
    """

    percent: bool = False
    units: bool = True

    def canonical(self, text: str) -> str:
        """The normal form; empty for text with only white space and punctuation."""
        if _CANONICAL_NUMBER.fullmatch(text):
            return text
        if len(text) > _LONGEST:
            return " ".join(text.split()).casefold()
        # To a fixed point, so that answers can be compared with forms.
        reader = Reader(self.percent, self.units)
        node = reader.read(text)
        form = write(node)
        unit = reader.unit(text) if isinstance(node, Number | Leaf) and not getattr(node, "prose", False) else None
        if isinstance(node, Number):
            return form if unit is None else f"{form} {unit}"
        for _ in range(_PASSES):
            before, form = form, reader.form(form)
            if form == before:
                break
        if unit is None:
            return form
        # Of one letter it could be an unknown.
        united = f"{form} {_LETTER_UNIT.sub(lambda match: _LETTER_UNITS[match[0]], unit)}"
        return united if _split(united) == (form, unit) and reader.form(united) == form else form

    def match(self, form: str, known: Sequence[str]) -> str | None:
        """The same length in another unit, or the same number without a unit where no known form has another unit."""
        return _same_in(known, *_split(form))

    def is_qualified(self, form: str) -> bool:
        """Whether it has a unit."""
        return _split(form)[1] is not None


@dataclass(frozen=True)
class SameMath(NormalForm):
    r"""`NormalForm`, and SymPy for expressions whose normal forms differ.

    Only forms that look like mathematics are compared by SymPy, and never two numbers, which are compared exactly.
    Nothing is rounded: \sqrt{2} is not 1.41421. Equations and inequalities are equal to their multiples. Without the
    extra "math" this is `NormalForm`.

    Simplifying an expression from a model may never end, so expressions are compared in one separate process for all
    searches. The first comparison starts it, which takes a few seconds; one that exceeds `timeout_s` kills it, and the
    answers count as different.

    Attributes:
        timeout_s: Seconds for the comparison of one answer with all known ones, above 0.

    Raises:
        SettingsError: The timeout is not above 0.

    Example:
        >>> same = SameMath(timeout_s=5.0)
        >>> same.canonical("x = 3") == same.canonical("3"), same.canonical("0.5") == same.canonical("1/2")
        (True, True)
    """

    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if isinstance(self.timeout_s, bool) or not 0 < self.timeout_s < float("inf"):
            raise SettingsError(f"timeout_s must be a number of seconds above 0, got {self.timeout_s!r}")

    def match(self, form: str, known: Sequence[str]) -> str | None:
        """The first known form that SymPy finds equal."""
        if (found := super().match(form, known)) is not None:
            return found
        bare, unit = _split(form)
        if not _is_expression(bare):
            return None
        is_number = _is_number(bare)
        numbers = dict.fromkeys(_split(other)[0] for other in known)
        others = [one for one in numbers if not (is_number and _is_number(one)) and _is_expression(one)]
        place = _math_process.find_equal(bare, others, self.timeout_s) if others else None
        # The unit of an expression is compared as that of the one that it is equal to.
        return None if place is None else _same_in(known, others[place], unit)


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


def _is_expression(form: str) -> bool:
    """Whether it looks like mathematics: as products of letters, anagrams would be equal."""
    return len(form) <= _LONGEST_EXPRESSION and bool(_MATHEMATICAL.search(form)) and not is_prose(form)


def _split(form: str) -> tuple[str, str | None]:
    """The form without its unit, and the unit; None for a form without one."""
    bare, _, text = form.rpartition(" ")
    if not bare or (unit := normal_unit(text)) is None or is_prose(bare):
        return form, None
    is_sure = _is_number(bare) or sum(map(str.isalpha, text)) > 1
    return (bare, unit) if is_sure and any(map(str.isdigit, bare)) else (form, None)


def _same_in(known: Sequence[str], bare: str, unit: str | None) -> str | None:
    """The known form of this number and unit: the same, one in another unit, or the number without a unit; or None."""
    parts = [(other, *_split(other)) for other in known]
    for other, number, its in parts:
        if (number, its) == (bare, unit) or (unit and its and _same_quantity(bare, unit, number, its)):
            return other
    same = [(other, its) for other, number, its in parts if number == bare]
    if not same or (unit and any(its for _, its in same)):
        return None  # the number without a unit is already taken for that of another unit
    return same[0][0]


def _same_quantity(form: str, unit: str, other: str, its: str) -> bool:
    one, another = unit_of(unit), unit_of(its)
    if one is None or another is None or one.dimension != another.dimension:
        return False
    if form == other:
        return one.factor == another.factor
    numbers = read_numeral(form), read_numeral(other)
    values = [numeral.value for numeral in numbers if numeral is not None and numeral.value is not None]
    return len(values) == 2 and values[0] * one.factor == values[1] * another.factor


def _is_number(form: str) -> bool:
    return _CANONICAL_NUMBER.fullmatch(form) is not None or read_numeral(form) is not None
