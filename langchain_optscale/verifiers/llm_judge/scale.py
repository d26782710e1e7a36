"""The grades that a judge may give."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from langchain_optscale.errors import SettingsError

__all__ = ["Scale"]

_SPAN = re.compile(r"(\d{1,2})-(\d{1,2})")
_HIGHEST = 10
_WORDS = {"no": 0, "yes": 1}


@dataclass(frozen=True)
class Scale:
    """Whole numbers from `low` to `high`, or the words yes and no for 1 and 0.

    Attributes:
        low: The worst grade, at least 0.
        high: The best grade, above `low` and at most 10.
        words: Whether the grades are yes and no.
    """

    low: int
    high: int
    words: bool = False

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read a scale from "yes/no", "0-10", "1-5" and the like.

        Raises:
            SettingsError: It is none of them.
        """
        if text == "yes/no":
            return cls(0, 1, words=True)
        span = _SPAN.fullmatch(text) if isinstance(text, str) else None
        if span and int(span[1]) < int(span[2]) <= _HIGHEST:
            return cls(int(span[1]), int(span[2]))
        raise SettingsError(f"scale must be 'yes/no' or a span of at most '0-10', such as '1-5', got {text!r}")

    def __str__(self) -> str:
        return "yes/no" if self.words else f"{self.low}-{self.high}"

    @property
    def spoken(self) -> str:
        """The description of the grades in the prompt."""
        if self.words:
            return "yes if it does in every respect, no if it does not"
        return f"a whole number from {self.low} (not at all) to {self.high} (perfectly)"

    @property
    def grades(self) -> dict[str, int]:
        """The value of each grade by its text."""
        return dict(_WORDS) if self.words else {str(value): value for value in range(self.low, self.high + 1)}

    def read(self, grade: Any) -> float | None:
        """The value of a reported grade, or None.

        Text may be a grade, a decimal between two grades, or "7/10"; other types must be numbers.
        """
        if isinstance(grade, str):
            return self._read_text(grade.strip())
        if self.words or isinstance(grade, bool) or not isinstance(grade, int | float):
            return None
        return self._within(float(grade))

    def score(self, value: float) -> float:
        """A grade's value as a score in [0, 1]."""
        return (value - self.low) / (self.high - self.low)

    def _read_text(self, grade: str) -> float | None:
        if self.words:
            word = _WORDS.get(grade.casefold())
            return None if word is None else float(word)
        number = re.fullmatch(rf"([0-9]{{1,2}}(?:\.[0-9]{{1,4}})?)(?:\s?/\s?{self.high})?", grade)
        return self._within(float(number[1])) if number else None

    def _within(self, value: float) -> float | None:
        return value if self.low <= value <= self.high else None
