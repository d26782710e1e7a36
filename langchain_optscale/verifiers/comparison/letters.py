"""The letters by which a judge names the best of several answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from langchain_optscale.verifiers.llm_judge.scale import COMMENT, MARKUP, Scale

__all__ = ["MOST_ANSWERS", "TIE", "Letters", "letters_for"]

MOST_ANSWERS = 8
"""The most answers in one comparison."""

TIE = "T"
"""What a judge says of answers that are equally good."""

_NAMES = "ABCDEFGH"
_BEFORE = r"\s*(?:(?:the|my|final|overall|best|better|answer|verdict|choice|winner|grade)\b\s*(?:is\b|[:=])?\s*)*"
_AFTER = r"(?:\s+(?:is|wins)\b.{0,200})?"


@dataclass(frozen=True)
class Letters(Scale):
    """One letter for each of `high` answers, and T for a tie; the value of a letter is its place, that of T is `high`.

    Attributes:
        low: 0.
        high: How many answers there are.
        words: True.
    """

    def __str__(self) -> str:
        return f"{', '.join(self.names)} or {TIE}"

    @property
    def names(self) -> str:
        """The letters of the answers, in their order."""
        return _NAMES[: self.high]

    @property
    def spoken(self) -> str:
        """The description of the letters in the prompt."""
        better = "better" if len(self.names) == 2 else "the best"
        each = ", ".join(f"{name} if answer {name} is {better}" for name in self.names)
        return f"a single letter: {each}, {TIE} if it is a tie because they are equally good"

    @property
    def grades(self) -> dict[str, int]:
        """The value of each letter, in the case in which replies are compared."""
        return {name.casefold(): place for place, name in enumerate((*self.names, TIE))}

    @property
    def labels(self) -> dict[str, str]:
        """The letters as a judge writes them."""
        return {name: name.casefold() for name in (*self.names, TIE)}

    @property
    def ask(self) -> str:
        """The question to which a letter is the answer."""
        return "Which answer is better?" if len(self.names) == 2 else "Which answer is the best?"

    @property
    def options(self) -> str:
        """The question with the letters that answer it."""
        lines = [f"{name}: answer {name}" for name in self.names]
        end = "Answer with the letter of one option only."
        return "\n".join([f"Question: {self.ask}", *lines, f"{TIE}: they are equally good", end])

    def find(self, text: str) -> tuple[float, int] | None:
        """The value of a letter as a judge wrote it, and the place where it begins; None where it is none."""
        match = self._letter.fullmatch(MARKUP.sub(lambda mark: " " * len(mark.group()), text))
        if match is None:
            return None
        letter = (match["tie"] and TIE) or match["name"]
        return float(self.grades[letter.casefold()]), match.start("tie" if match["tie"] else "name")

    def shares(self, value: float, probabilities: dict[str, float] | None = None) -> tuple[float, ...]:
        """Each answer's share of the win: a tie is shared, and so is its probability where the judge gave those."""
        chances = probabilities or {letter: float(one == value) for letter, one in self.grades.items()}
        tie = chances.get(TIE.casefold(), 0.0) / self.high
        shares = [chances.get(name.casefold(), 0.0) + tie for name in self.names]
        whole = sum(shares)
        return tuple(share / whole for share in shares)

    @cached_property
    def _letter(self) -> re.Pattern[str]:
        tie = rf"(?P<tie>(?:an?\s+)?(?:tie|draw)\b|{TIE}(?![\w']))"
        return re.compile(rf"{_BEFORE}(?:{tie}|(?P<name>[{self.names}])(?![\w'])){_AFTER}{COMMENT}", re.I)


def letters_for(count: int) -> Letters:
    """The letters for so many answers."""
    return Letters(0, count, words=True)
