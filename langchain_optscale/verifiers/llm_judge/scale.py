"""The grades that a judge may give."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any

from langchain_optscale.errors import SettingsError
from langchain_optscale.records.forks import cached_property

__all__ = ["COMMENT", "MARKUP", "Scale"]

_SPAN = re.compile(r"(\d{1,2})-(\d{1,2})")
_HIGHEST = 10
_WORDS = {"no": 0, "yes": 1}
_SYNONYMS = {"false": 0, "true": 1, "n": 0, "y": 1}
_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MARKUP = re.compile(r"[*_`\"'“”‘’$]+")
# What a judge writes before its grade, around it, and after it.
_BEFORE = re.compile(
    r"\s*(?:(?:the|my|final|overall)\s+)*"
    r"(?:(?:score|grade|rating|verdict|answer|value)\b\s*(?:is|of|[:=]|-(?=\s))?\s*"
    r"|I(?:\s+would|\s+d)?\s+(?:give|rate|grade|score|award)\s+(?:(?:it|this|(?:the|this)\s+answer)\s+)?(?:an?\s+)?)?"
    r"(?:(?:about|approximately|roughly|around)\s+|[~≈]\s*)?",
    re.I,
)
_OPENED = r"(?:[\s\[({|]|<(?=[^<>\n]{1,20}>)|\\(?:boxed|fbox|text|textbf|mathbf|mathrm)\b){0,8}"
_CLOSED = r"[\s\])}>]{0,8}"
_OUT_OF = (
    r"(?:\s*/\s*|\s+(?:(?:out\s+)?of(?:\s+a\s+(?:possible|maximum\s+of|total\s+of))?|von|sur|de|su|из|van|av|af)\s+)"
)
COMMENT = (
    r"(?:\s+(?:points?|pts?\b|stars?|marks?)|\s*[分点점])?"
    r"(?:\s*[(\[].{0,200}|\s*[–—;,:.!|](?!\s*\d).{0,200}|\s+-\s+(?!\d).{0,200}|\s+(?:because|since|as)\b.{0,200}"
    r"|\s*<[|/｜].{0,60})?\s*"
)
# Of the same length as what they stand for.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_PARTS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "1/2": 0.5}
_PROPORTION = re.compile(
    rf"{_OPENED}(?P<part>[0-9]{{1,3}}(?:[.,][0-9]{{1,4}})?){_CLOSED}"
    rf"(?:\\?%|per\s?cent\b|{_OUT_OF}(?P<whole>5|20|50|100)(?![\d.,]*\d)){_CLOSED}{COMMENT}",
    re.I,
)
_STARS = re.compile(r"\s*(?P<full>★{0,10})(?P<empty>☆{0,10})\s*")


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

    @property
    def labels(self) -> dict[str, str]:
        """The grade of each label, one token by which a judge that writes nothing gives it."""
        return dict(zip(self.grades if self.words else string.ascii_uppercase, self.grades, strict=False))

    @property
    def ask(self) -> str:
        """The question to which a label is the answer."""
        return "What is the grade of the answer?"

    @property
    def options(self) -> str:
        """The question with the labels that answer it."""
        if self.words:
            return f"Question: {self.ask}\nAnswer with yes or no only."
        lines = [f"{label}: {grade}" for label, grade in self.labels.items()]
        return "\n".join([f"Question: {self.ask}", *lines, "Answer with the letter of one option only."])

    def read(self, reply: Any) -> float | None:
        """The value of a grade as a judge wrote it, None where it is none.

        Text may be a grade, a decimal between two grades, or a grade out of the highest ("7/10", "7 out of 10"), the
        number also as a word, with emphasis, a label before it and a comment after it ("Score: **8** (good)"). Where
        the scale begins with 0 it may also be a percentage or out of 5, 20, 50 or 100 ("80%", "4/5"), which is taken as
        that share of the highest grade. Other types are only a number.
        """
        if isinstance(reply, str):
            found = self.find(reply)
            return self._share(reply) if found is None else found[0]
        if self.words or isinstance(reply, bool) or not isinstance(reply, int | float):
            return None
        return self._within(float(reply))

    def find(self, text: str) -> tuple[float, int] | None:
        """The value of a grade as text, and the place where the grade begins in it; None where it is none."""
        # Of the same length, so that places stay what they are.
        plain = _plain(text)
        match = self._pattern.fullmatch(plain, label.end() if (label := _BEFORE.match(plain)) else 0)
        if match is None:
            return None
        word = match["grade"].casefold()
        number = float(self._numbers.get(word, 0.0) if word.isalpha() else word.replace(",", "."))
        part = match.groupdict().get("part") or ""
        value = self._within(number + _PARTS.get(part.strip(), 0.0))
        return None if value is None else (value, match.start("grade"))

    def score(self, value: float) -> float:
        """A grade's value as a score in [0, 1]."""
        return (value - self.low) / (self.high - self.low)

    @cached_property
    def _numbers(self) -> dict[str, float]:
        words = _WORDS | _SYNONYMS if self.words else {word: value for value, word in enumerate(_COUNTED)}
        return {word: float(value) for word, value in words.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = "|".join(self._numbers)
        if self.words:
            return re.compile(rf"{_OPENED}(?P<grade>{words}){_CLOSED}{COMMENT}", re.I)
        highest = rf"{_OUT_OF}(?:{self.high}|{_COUNTED[self.high]})(?![\d.,]*\d)"
        number = r"\+?(?P<grade>[0-9]{1,2}(?:[.,][0-9]{1,4})?"
        return re.compile(
            rf"{_OPENED}{number}|\b(?:{words})\b)(?P<part>\s?[½¼¾]|\s1/2(?!\d))?{_CLOSED}(?:{highest})?{_CLOSED}{COMMENT}",
            re.I,
        )

    def _share(self, text: str) -> float | None:
        """A grade as a share of the highest one: in percent, out of another number, or in stars."""
        plain = _plain(text)
        plain = plain[label.end() :] if (label := _BEFORE.match(plain)) else plain
        stars = _STARS.fullmatch(plain)
        if stars is not None:
            count = len(stars["full"])
            return self._within(float(count)) if count + len(stars["empty"]) == self.high else None
        match = None if self.words or self.low else _PROPORTION.fullmatch(plain)
        if match is None:
            return None
        return self._within(self.high * float(match["part"].replace(",", ".")) / float(match["whole"] or 100))

    def _within(self, value: float) -> float | None:
        return value if self.low <= value <= self.high else None


def _plain(text: str) -> str:
    """The text without emphasis and quotes, of the same length, so that places stay what they are."""
    return MARKUP.sub(lambda match: " " * len(match.group()), text).translate(_FULL_WIDTH)
