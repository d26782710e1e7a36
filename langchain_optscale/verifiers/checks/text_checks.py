"""Deterministic checks of a candidate's text.

Every check scores 1.0 exactly where its constraint holds and strictly less otherwise. Graded scores inform the estimate
of the score distribution; a near miss may then come close to 1, so set `target=1.0` where the constraint must hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from langchain_optscale.answers.patterns import timed_pattern
from langchain_optscale.errors import SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.verifiers.checks.base import TextCheck
from langchain_optscale.verifiers.checks.text import (
    count_characters,
    count_items,
    count_sentences,
    count_words,
    find_words,
    last_number,
)
from langchain_optscale.verifiers.coercion import is_finite

__all__ = ["LengthCheck", "LengthUnit", "NumberCheck", "RegexCheck", "RequiredWords"]

LengthUnit = Literal["words", "sentences", "items", "characters"]
"""What `LengthCheck` counts."""

_COUNTERS = {
    "words": count_words,
    "sentences": count_sentences,
    "items": count_items,
    "characters": count_characters,
}
_BELOW_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class RegexCheck(TextCheck):
    r"""1 where the pattern matches, 0 otherwise.

    A pattern that takes longer than a second on a candidate, as `(a|aa)+$` can, makes that candidate fail: use
    possessive quantifiers (`a++`) or atomic groups where candidates are long.

    Attributes:
        pattern: A regular expression of Python's `re`.
        flags: Flags of `re`, such as `re.IGNORECASE`.
        full: Whether the pattern must match the whole text, apart from surrounding white space.

    Raises:
        SettingsError: The pattern or the flags are invalid.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> check = RegexCheck("answer is [0-9]+")
        >>> check.verify(StringPromptValue(text="2 + 2?"), make_candidate("The answer is 4.")).score
        1.0
    """

    pattern: str
    flags: int = 0
    full: bool = False

    def __post_init__(self) -> None:
        timed_pattern(self.pattern, self.flags)

    def check(self, text: str) -> Verdict:
        """Score a text by 1.0 or 0.0.

        Raises:
            PatternTimeoutError: The pattern took too long on this text.
        """
        timed = timed_pattern(self.pattern, self.flags)
        match = timed.fullmatch(text.strip()) if self.full else timed.search(text)
        where = "the whole text" if self.full else "the text"
        if match is None:
            return Verdict(0.0, f"the pattern {self.pattern!r} does not match {where}")
        return Verdict(1.0, f"the pattern {self.pattern!r} matches {where}")


@dataclass(frozen=True)
class NumberCheck(TextCheck):
    """1 where the last number in the text is the right one.

    It is right where |number - value| <= tolerance = max(rel_tol * |value|, abs_tol). Otherwise the score is 0 or, with
    `graded`, exp(-(|number - value| - tolerance) / |value|), with 1 instead of |value| where that is 0. A text without
    a number scores 0. Numbers are parsed by `text.last_number` and compared as floats; `raw` is the last number.

    Attributes:
        value: The right number.
        rel_tol: Tolerance relative to `value`, >= 0.
        abs_tol: Absolute tolerance, >= 0.
        graded: Whether a wrong number is scored by its distance.
        percent: Whether "45 %" is 0.45; otherwise it is 45.
        fractions: Whether "3/4" is 0.75; otherwise its last number is 4.

    Raises:
        SettingsError: The value or a tolerance is not a finite number, or a tolerance is negative.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> check = NumberCheck(3.1416, abs_tol=0.0001)
        >>> check.verify(StringPromptValue(text="pi?"), make_candidate("pi = 3.14159")).score
        1.0
    """

    value: float
    rel_tol: float = 0.0
    abs_tol: float = 0.0
    graded: bool = False
    percent: bool = False
    fractions: bool = False

    def __post_init__(self) -> None:
        for name in ("value", "rel_tol", "abs_tol"):
            number = getattr(self, name)
            if not is_finite(number):
                raise SettingsError(f"{name} must be a finite number, got {number!r}")
            if name != "value" and number < 0:
                raise SettingsError(f"{name} must not be negative, got {number!r}")
            object.__setattr__(self, name, float(number))

    def check(self, text: str) -> Verdict:
        """Score the last number of a text."""
        number = last_number(text, percent=self.percent, fractions=self.fractions)
        if number is None:
            return Verdict(0.0, f"no number, asked for {self.value:g}")
        distance = abs(number - self.value)
        tolerance = max(self.rel_tol * abs(self.value), self.abs_tol)
        said = f"the last number is {number:.12g}, asked for {self.value:.12g}"
        if distance <= tolerance:
            return Verdict(1.0, said, raw=number)
        grade = math.exp((tolerance - distance) / (abs(self.value) or 1.0)) if self.graded else 0.0
        return Verdict(min(grade, _BELOW_ONE), said, raw=number)


@dataclass(frozen=True)
class LengthCheck(TextCheck):
    """1 where the text's length is within the bounds, otherwise the ratio of its length and the violated bound.

    With n units and a bound b, a text that is too short scores n / b and one that is too long b / n: eleven words
    where nine are allowed score 9/11 = 0.82. The verdict's `raw` is n.

    Attributes:
        exactly: The required length; excludes the two others.
        at_least: The smallest length.
        at_most: The largest length.
        unit: "words", "sentences", "items" (of a comma-separated list) or "characters"; see the functions in `text`.

    Raises:
        SettingsError: There is no bound, the bounds contradict, or a bound or the unit is invalid.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> check = LengthCheck(at_least=4, at_most=6, unit="sentences")
        >>> check.verify(StringPromptValue(text="Why?"), make_candidate("So it is. That is all.")).score
        0.5
    """

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None
    unit: LengthUnit = "words"

    def __post_init__(self) -> None:
        bounds = {"exactly": self.exactly, "at_least": self.at_least, "at_most": self.at_most}
        for name, bound in bounds.items():
            if bound is not None and (type(bound) is not int or bound < 0):
                raise SettingsError(f"{name} must be a whole number of at least 0, got {bound!r}")
        if all(bound is None for bound in bounds.values()):
            raise SettingsError("LengthCheck needs exactly, at_least or at_most")
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            raise SettingsError("exactly goes with neither at_least nor at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise SettingsError(f"at_least={self.at_least} is more than at_most={self.at_most}")
        if self.unit not in get_args(LengthUnit):
            raise SettingsError(f"unit must be one of {', '.join(get_args(LengthUnit))}, not {self.unit!r}")

    def check(self, text: str) -> Verdict:
        """Score the length of a text."""
        count = _COUNTERS[self.unit](text)
        low = self.exactly if self.exactly is not None else self.at_least
        high = self.exactly if self.exactly is not None else self.at_most
        score = 1.0
        if low is not None and count < low:
            score = count / low
        elif high is not None and count > high:
            score = high / count
        counted = f"{count} {self.unit[:-1] if count == 1 else self.unit}"
        return Verdict(score, f"{counted}, asked for {self._bounds()}", raw=count)

    def _bounds(self) -> str:
        if self.exactly is not None:
            return f"exactly {self.exactly}"
        if self.at_least is None:
            return f"at most {self.at_most}"
        return f"at least {self.at_least}" + ("" if self.at_most is None else f" and at most {self.at_most}")


@dataclass(frozen=True)
class RequiredWords(TextCheck):
    """The share of the required words that occur, minus the share of the forbidden words that do, at least 0.

    Words match as whole words regardless of case; a phrase counts as one word. Without required words their share is 1.

    Attributes:
        words: The required words.
        forbidden: The forbidden words.

    Raises:
        SettingsError: No words at all, a blank word, or one that is both required and forbidden.

    Example:
        >>> from langchain_core.prompt_values import StringPromptValue
        >>> from langchain_optscale.verifiers.conformance import make_candidate
        >>> check = RequiredWords(["mitochondria", "energy"], forbidden=["powerhouse"])
        >>> check.verify(StringPromptValue(text="What do they do?"), make_candidate("They provide energy.")).score
        0.5
    """

    words: Sequence[str]
    forbidden: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("words", "forbidden"):
            given = getattr(self, name)
            words = None if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
            if words is None or not all(isinstance(word, str) and word.strip() for word in words):
                raise SettingsError(f"{name} must be a list of words that are not blank, got {given!r}")
            # Deduplicated regardless of case.
            object.__setattr__(self, name, tuple({_folded(word): word for word in words}.values()))
        if not self.words and not self.forbidden:
            raise SettingsError("RequiredWords needs words that are required or forbidden")
        if both := {_folded(word) for word in self.words} & {_folded(word) for word in self.forbidden}:
            raise SettingsError(f"both required and forbidden: {', '.join(sorted(both))}")

    def check(self, text: str) -> Verdict:
        """Score the words of a text."""
        present = find_words(self.words, text)
        unwanted = find_words(self.forbidden, text)
        score = len(present) / len(self.words) if self.words else 1.0
        if unwanted:
            score = max(0.0, score - len(unwanted) / len(self.forbidden))
        missing = [word for word in self.words if word not in present]
        faults = [f"missing: {', '.join(missing)}"] * bool(missing)
        faults += [f"forbidden: {', '.join(unwanted)}"] * bool(unwanted)
        return Verdict(score, "; ".join(faults) or "all required words and no forbidden ones")


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())
