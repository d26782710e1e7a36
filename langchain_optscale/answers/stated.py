r"""The answer that a text states in so many words: "The answer is 5", "#### 5", `<answer>5</answer>`.

    >>> find_statement("**Final answer:** $x^2 + 1$. Ask me more!"), find_statement("4 < 5, as 5 - 4 = 1")
    ('$x^2 + 1$', None)

All functions take time linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_optscale.answers.base import Extractor, Found
from langchain_optscale.answers.equivalence import NormalForm, SameMath
from langchain_optscale.answers.extraction import LastNumber
from langchain_optscale.answers.notation.plain import is_prose, undressed
from langchain_optscale.answers.notation.quantity import without_unit
from langchain_optscale.answers.notation.words import number_in_words
from langchain_optscale.answers.numerals import first_numeral, last_match, read_numeral, write_number

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

__all__ = ["StatedAnswer", "find_statement"]

_MARKUP = r"[*_\"'`]{0,3}"
_WORDS = (
    rf"\b(?:(?:final |correct )?answers?|final result){_MARKUP}(?: to (?:the|this) (?:question|problem))?"
    rf"(?: (?:is|are|would be|must be)(?: therefore| thus| that)?\b| ?[:=])"
    r"|\bantwort(?: ist\b| lautet\b| ?:)|\b(?:réponse|risposta)(?: finale)?(?: est\b| è\b| ?:)"
    r"|\b(?:respuesta|resposta)(?: final)?(?: es\b| é\b| ?:)"
    r"|\bответ(?: ?:|\b ?[-–—])|(?:答案|答え)(?:是|为|為|は|：|:)|정답(?:은|:)"
)
_STATED = re.compile(rf"(?:^#### ?|<answer>|(?i:{_WORDS})){_MARKUP}:?{_MARKUP}\s{{0,20}}+(?=\S)", re.MULTILINE)
_FORMULA = (
    r"(?:\$\$(?:[^$]{1,2000})\$\$|\$(?:[^$\n]{1,500})\$|\\\((?:(?!\\\)).){1,500}\\\)|\\\[(?:(?!\\\]).){1,2000}\\\])"
)
_FORMULAS = re.compile(rf"{_MARKUP}{_FORMULA}(?:(?:,? (?:and|or) |, ?){_FORMULA}){{0,20}}+", re.DOTALL)
_END = re.compile(
    r"</answer>|\?|[.!;](?=\s|\Z|\*|[^\d\s\\,])|\n|[。！]"
    r"|,? (?:because|since|which|where|so that|so)\b|, not\b|(?<=\S) \((?=[A-Za-z])"
    r"|,(?=\s*[\"'])|[\"'](?=\s*[,}])"
)
_ASIDE = re.compile(r"(?<=[\d}%]) \(.*", re.DOTALL)
_NOT = re.compile(r"(?:not|n['’]t|no longer|nicht|pas|no)\b|(?:不|non\b)", re.IGNORECASE)
# Whoever goes on like this may have changed the answer.
_DOUBT = re.compile(r"\b(?i:wait|actually|correction|hmm|let me (?:re)?check|on second thought|oops|mistake)\b")
_NUMBER_FIRST = re.compile(
    r"\s*(?:(?:about|approximately|around|roughly|exactly|simply|just|only|therefore|thus|now|equal to|=|≈)\s+)?"
    r"[-+−–±(\[*_`$€£¥≈~\s]*\\?[$%]?(?:\d|\.\d|\\[dt]?frac|[¼-¾⅐-⅞])",
    re.IGNORECASE,
)
_LONGEST = 500


@dataclass(frozen=True)
class StatedAnswer(Extractor):
    r"""The last answer that the text states in so many words, where it is mathematics or a number.

    Statements are "The answer is ...", "Answer: ...", the same in some other languages, "#### ..." and
    `<answer>...</answer>`. An answer that the text takes up again ("Wait, ...") or denies is none.

    Attributes:
        number: Whether only a number counts, written as `LastNumber` does; otherwise a formula counts, too.

    Example:
        >>> StatedAnswer()("The answer is $(1, 2)$. I used 3 steps."), StatedAnswer(number=True)("Answer: 7 (p = 3)")
        ('(1, 2)', '7')
    """

    number: bool = False

    def find(self, text: str, message: AIMessage | None = None) -> Found | None:
        """The stated answer."""
        stated = find_statement(text)
        if stated is None:
            return None
        if not self.number and is_mathematics(stated):
            plain = undressed(stated)
            return LastNumber().read(plain) if read_numeral(plain) else Found(_without_marks(stated), SameMath())
        if (value := number_in_words(undressed(stated.partition(",")[0]))) is not None:
            return Found(write_number(value), NormalForm())
        return _number(stated) if _NUMBER_FIRST.match(stated) else None


def _number(stated: str) -> Found | None:
    """The number of a statement: the first of "5 apples out of 10", the last of "2 + 3 = 5"."""
    stated = _ASIDE.sub("", stated)
    if any(sign in stated for sign in "=+≈") or is_mathematics(stated):
        return LastNumber().read(stated)
    numeral = first_numeral(stated)
    return None if numeral is None or numeral.value is None else Found(write_number(numeral.value), NormalForm())


def find_statement(text: str) -> str | None:
    """What the last statement of an answer says: its formula, or the rest of its sentence; None without a statement.

    Args:
        text: A candidate's text.
    """
    match = last_match(_STATED, text)
    if match is None or _NOT.match(text, match.end()) or _DOUBT.search(text, match.end()):
        return None
    rest = text[match.end() : match.end() + _LONGEST]
    if formulas := _FORMULAS.match(rest):
        after = rest[formulas.end() : formulas.end() + 1]
        return formulas[0].strip("*_\"'`") if after != "?" else None
    end = _END.search(rest)
    stated = (rest[: end.start()] if end else rest).strip().strip("*_\"'`").strip()
    return None if not stated or (end and end[0] == "?") else stated


def _without_marks(stated: str) -> str:
    """One formula without its marks; several keep theirs."""
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = stated[len(opening) : -len(closing)]
        if stated == opening + inner + closing and inner.strip() and opening not in inner:
            return inner.strip()
    return stated


def is_mathematics(stated: str) -> bool:
    """Whether the statement is mathematics or a number rather than words."""
    plain = without_unit(undressed(stated))
    return any(character.isalnum() for character in plain) and not is_prose(plain) and " is " not in plain
